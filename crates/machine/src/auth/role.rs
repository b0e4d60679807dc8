//! Roles come, go, and permit ranges of keys.

use bytes::Bytes;
use prost::Message;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest,
};

use super::span::Span;
use super::user::names;
use super::{ROOT, tables};
use crate::limits::AUTH_NAME_BYTES_MAX;
use crate::{Body, Machine, Outcome, Rejection};

impl Machine {
    pub(crate) fn role_add(&mut self, request: &AuthRoleAddRequest) -> Result<Outcome, Rejection> {
        if request.name.is_empty() {
            return Err(Rejection::RoleEmpty);
        }
        if self.auth.role(&request.name).is_some() {
            return Err(Rejection::RoleExists);
        }
        if request.name.len() > AUTH_NAME_BYTES_MAX {
            return Err(Rejection::InvalidAuthMgmt);
        }
        Ok(self.put_role(&request.name, Vec::new()))
    }

    /// Removes the role, also from every user who holds it.
    pub(crate) fn role_delete(&mut self, request: &AuthRoleDeleteRequest) -> Result<Outcome, Rejection> {
        if self.auth.is_enabled() && request.role == ROOT {
            return Err(Rejection::InvalidAuthMgmt);
        }
        if self.auth.role(&request.role).is_none() {
            return Err(Rejection::RoleNotFound);
        }
        tables::delete_role(&mut self.store, &request.role);
        for holder in self.auth_mut().remove_role(&request.role) {
            let user = self.auth.user(&holder).expect("just removed the role from this user");
            tables::put_user(&mut self.store, &holder, user);
        }
        let changed = self.auth_changed();
        Ok(self.header_only().with_effect(changed))
    }

    /// The role `root` must exist to be looked at, but what it permits is not what it says.
    pub(crate) fn role_get(&self, request: &AuthRoleGetRequest) -> Result<Outcome, Rejection> {
        let permissions = self.auth.role(&request.role).ok_or(Rejection::RoleNotFound)?;
        let everything = [Permission {
            perm_type: Type::Readwrite as i32,
            key: Bytes::new(),
            range_end: Bytes::from_static(&[0]),
        }];
        let mut body = Body::empty();
        for permission in if request.role == ROOT { &everything } else { permissions } {
            body.field(2, permission.encode_to_vec().into());
        }
        Ok(self.replied_with(body))
    }

    pub(crate) fn role_list(&self) -> Outcome {
        self.replied_with(names(self.auth.roles().map(|(name, _)| name)))
    }

    /// Permits a range, or permits something else on exactly the same range.
    pub(crate) fn role_grant_permission(
        &mut self,
        request: &AuthRoleGrantPermissionRequest,
    ) -> Result<Outcome, Rejection> {
        let granted = request.perm.as_ref().ok_or(Rejection::PermissionNotGiven)?;
        if !Span::of(&granted.key, &granted.range_end).is_permissible() {
            return Err(Rejection::InvalidAuthMgmt);
        }
        let mut permissions = self.role(&request.name)?;
        // Copies: slices of what was replicated would keep all of it in memory.
        let granted = Permission {
            perm_type: granted.perm_type,
            key: Bytes::copy_from_slice(&granted.key),
            range_end: Bytes::copy_from_slice(&granted.range_end),
        };
        match permissions.iter_mut().find(|held| is_on(held, &granted.key, &granted.range_end)) {
            Some(held) => held.perm_type = granted.perm_type,
            None => {
                let place = permissions.partition_point(|held| held.key <= granted.key);
                permissions.insert(place, granted);
            }
        }
        Ok(self.put_role(&request.name, permissions))
    }

    pub(crate) fn role_revoke_permission(
        &mut self,
        request: &AuthRoleRevokePermissionRequest,
    ) -> Result<Outcome, Rejection> {
        let mut permissions = self.role(&request.role)?;
        let before = permissions.len();
        permissions.retain(|held| !is_on(held, &request.key, &request.range_end));
        if permissions.len() == before {
            return Err(Rejection::PermissionNotGranted);
        }
        Ok(self.put_role(&request.role, permissions))
    }

    /// The permissions as they are, to be changed and written.
    fn role(&self, name: &str) -> Result<Vec<Permission>, Rejection> {
        self.auth.role(name).map(<[_]>::to_vec).ok_or(Rejection::RoleNotFound)
    }

    fn put_role(&mut self, name: &str, permissions: Vec<Permission>) -> Outcome {
        tables::put_role(&mut self.store, name, &permissions);
        self.auth_mut().put_role(name, permissions);
        let changed = self.auth_changed();
        self.header_only().with_effect(changed)
    }
}

fn is_on(permission: &Permission, key: &[u8], range_end: &[u8]) -> bool {
    permission.key[..] == *key && permission.range_end[..] == *range_end
}
