//! Users come, go, and hold roles.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use proto::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};

use super::state::User;
use super::{ROOT, tables};
use crate::limits::AUTH_NAME_BYTES_MAX;
use crate::{Body, Effect, Machine, Outcome, Rejection};

impl Machine {
    pub(crate) fn user_add(&mut self, request: &AuthUserAddRequest) -> Result<Outcome, Rejection> {
        if request.name.is_empty() {
            return Err(Rejection::UserEmpty);
        }
        if self.auth.user(&request.name).is_some() {
            return Err(Rejection::UserExists);
        }
        if request.name.len() > AUTH_NAME_BYTES_MAX {
            return Err(Rejection::InvalidAuthMgmt);
        }
        let no_password = request.options.is_some_and(|options| options.no_password);
        let password_hash =
            if no_password { Bytes::new() } else { hash_of(&request.password, &request.hashed_password)? };
        Ok(self.put_user(&request.name, User { password_hash, no_password, roles: Vec::new() }))
    }

    pub(crate) fn user_delete(&mut self, request: &AuthUserDeleteRequest) -> Result<Outcome, Rejection> {
        if self.auth.is_enabled() && request.name == ROOT {
            return Err(Rejection::InvalidAuthMgmt);
        }
        self.user(&request.name)?;
        self.auth_mut().remove_user(&request.name);
        tables::delete_user(&mut self.store, &request.name);
        Ok(self.user_tokens_invalid(&request.name))
    }

    pub(crate) fn user_get(&self, request: &AuthUserGetRequest) -> Result<Outcome, Rejection> {
        let user = self.auth.user(&request.name).ok_or(Rejection::UserNotFound)?;
        Ok(self.replied_with(names(user.roles.iter().map(|role| &role[..]))))
    }

    pub(crate) fn user_list(&self) -> Outcome {
        self.replied_with(names(self.auth.users().map(|(name, _)| name)))
    }

    /// A user without password stays one.
    pub(crate) fn user_change_password(
        &mut self,
        request: &AuthUserChangePasswordRequest,
    ) -> Result<Outcome, Rejection> {
        let mut user = self.user(&request.name)?;
        user.password_hash = if user.no_password {
            Bytes::new()
        } else {
            hash_of(&request.password, &request.hashed_password)?
        };
        self.write_user(&request.name, user);
        Ok(self.user_tokens_invalid(&request.name))
    }

    /// The role must exist, except `root`. One that the user has already is granted again without a
    /// change.
    pub(crate) fn user_grant_role(
        &mut self,
        request: &AuthUserGrantRoleRequest,
    ) -> Result<Outcome, Rejection> {
        let mut user = self.user(&request.user)?;
        if request.role != ROOT && self.auth.role(&request.role).is_none() {
            return Err(Rejection::RoleNotFound);
        }
        match user.roles.binary_search(&request.role) {
            Ok(_) => Ok(self.header_only()),
            Err(place) => {
                user.roles.insert(place, request.role.clone());
                Ok(self.put_user(&request.user, user))
            }
        }
    }

    pub(crate) fn user_revoke_role(
        &mut self,
        request: &AuthUserRevokeRoleRequest,
    ) -> Result<Outcome, Rejection> {
        if self.auth.is_enabled() && request.name == ROOT && request.role == ROOT {
            return Err(Rejection::InvalidAuthMgmt);
        }
        let mut user = self.user(&request.name)?;
        let held = user.roles.binary_search(&request.role).map_err(|_| Rejection::RoleNotGranted)?;
        user.roles.remove(held);
        Ok(self.put_user(&request.name, user))
    }

    /// The user as it is, to be changed and written.
    fn user(&self, name: &str) -> Result<User, Rejection> {
        self.auth.user(name).cloned().ok_or(Rejection::UserNotFound)
    }

    fn put_user(&mut self, name: &str, user: User) -> Outcome {
        self.write_user(name, user);
        let changed = self.auth_changed();
        self.header_only().with_effect(changed)
    }

    fn write_user(&mut self, name: &str, user: User) {
        tables::put_user(&mut self.store, name, &user);
        self.auth_mut().put_user(name, user);
    }

    fn user_tokens_invalid(&mut self, name: &str) -> Outcome {
        let changed = self.auth_changed();
        self.header_only()
            .with_effect(Effect::UserTokensInvalid { user: Arc::from(name) })
            .with_effect(changed)
    }
}

/// Go's standard Base64: padded, and lenient about the bits that the padding leaves over.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Returns the hash to keep. The member that was asked has hashed the password before it proposed
/// the command (rule S6): a password in plain text is refused, as hashing it here would draw a salt
/// at random. What is no Base64 is refused with the text that etcd has for that. An empty hash is
/// kept, and then nobody can log in.
fn hash_of(password: &str, hashed_password: &str) -> Result<Bytes, Rejection> {
    if !password.is_empty() && hashed_password.is_empty() {
        return Err(Rejection::NoPasswordUser);
    }
    let text: String = hashed_password.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
    BASE64.decode(text).map(Bytes::from).map_err(|_| Rejection::NoPasswordUser)
}

/// Field 2, once for each name: the lists of the service `Auth`.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> Body {
    let mut body = Body::empty();
    for name in names {
        body.field(2, Bytes::copy_from_slice(name.as_bytes()));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_gos_base64() {
        for (text, hash) in
            [("", ""), ("JDJh", "$2a"), ("JDI=", "$2"), ("JA==", "$"), ("J\r\nDJh\n", "$2a"), ("JB==", "$")]
        {
            assert_eq!(hash_of("", text), Ok(Bytes::from(hash)), "{text:?}");
            assert_eq!(hash_of("ignored", text).is_ok(), !text.is_empty());
        }
        for text in ["JDI", "J", "JDJh=", "JD Jh", "JD-_", "J=J=", "\u{e9}"] {
            assert_eq!(hash_of("", text), Err(Rejection::NoPasswordUser), "{text:?}");
        }
    }
}
