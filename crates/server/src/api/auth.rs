//! `etcdserverpb.Auth`: users, roles, permissions, and logging in.
//!
//! All of it goes through the log, also what only reads, as in etcd. What is done here is what the
//! machine must not do: drawing tokens at random, hashing passwords, comparing them (rule S6).

use bytes::Bytes;
use engine::command::Field;
use machine::Rejection;
use machine::auth::AuthState;
use proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, AuthenticateRequest,
    InternalAuthenticateRequest,
};
use tonic::Status;

use super::Api;
use super::status::rejected;
use crate::auth::Caller;
use crate::auth::passwords::{Password, PasswordError};
use crate::grpc::reply::Spliced;
use crate::logging::shown;

/// Field of `AuthenticateResponse`.
const TOKEN_FIELD: u8 = 2;

/// etcd's text for a user who has no password, which has no code of its own.
const NO_PASSWORD: &str = "auth: authentication failed, password was given for no password user";

/// Commands that are proposed as they came.
macro_rules! proposed {
    ($($(#[$doc:meta])* $handler:ident($request:ty) = $field:ident;)+) => {
        impl Api {
            $(
                $(#[$doc])*
                pub(crate) async fn $handler(
                    &self,
                    caller: &Caller,
                    request: $request,
                ) -> Result<Spliced, Status> {
                    Ok(self.spliced(self.propose(caller, Field::$field, &request).await?))
                }
            )+
        }
    };
}

proposed! {
    /// Turns permissions on.
    auth_enable(AuthEnableRequest) = AuthEnable;
    /// Turns permissions off.
    auth_disable(AuthDisableRequest) = AuthDisable;
    /// Says whether permissions are on. A token that is not valid is refused here too, as in etcd.
    auth_status(AuthStatusRequest) = AuthStatus;
    /// Lists the roles of a user.
    user_get(AuthUserGetRequest) = AuthUserGet;
    /// Lists the users.
    user_list(AuthUserListRequest) = AuthUserList;
    /// Deletes a user.
    user_delete(AuthUserDeleteRequest) = AuthUserDelete;
    /// Gives a role to a user.
    user_grant_role(AuthUserGrantRoleRequest) = AuthUserGrantRole;
    /// Takes a role from a user.
    user_revoke_role(AuthUserRevokeRoleRequest) = AuthUserRevokeRole;
    /// Adds a role.
    role_add(AuthRoleAddRequest) = AuthRoleAdd;
    /// Lists the permissions of a role.
    role_get(AuthRoleGetRequest) = AuthRoleGet;
    /// Lists the roles.
    role_list(AuthRoleListRequest) = AuthRoleList;
    /// Deletes a role.
    role_delete(AuthRoleDeleteRequest) = AuthRoleDelete;
    /// Adds a permission to a role.
    role_grant_permission(AuthRoleGrantPermissionRequest) = AuthRoleGrantPermission;
    /// Takes a permission from a role.
    role_revoke_permission(AuthRoleRevokePermissionRequest) = AuthRoleRevokePermission;
}

/// What the password of a user was compared with.
enum Checked {
    /// The password is right as of this auth revision.
    Right {
        revision: u64,
    },
    Refused(Status),
}

impl Api {
    /// Adds a user. What the client says the hash is does not count.
    pub(crate) async fn user_add(
        &self,
        caller: &Caller,
        mut request: AuthUserAddRequest,
    ) -> Result<Spliced, Status> {
        let password = Password::from(std::mem::take(&mut request.password));
        if !request.options.is_some_and(|options| options.no_password) {
            request.hashed_password = self.passwords.hash(password).await.map_err(unhashed)?;
        }
        Ok(self.spliced(self.propose(caller, Field::AuthUserAdd, &request).await?))
    }

    /// Gives a user another password. As in etcd a client may bring the hash instead.
    pub(crate) async fn user_change_password(
        &self,
        caller: &Caller,
        mut request: AuthUserChangePasswordRequest,
    ) -> Result<Spliced, Status> {
        if !request.password.is_empty() {
            let password = Password::from(std::mem::take(&mut request.password));
            request.hashed_password = self.passwords.hash(password).await.map_err(unhashed)?;
        }
        Ok(self.spliced(self.propose(caller, Field::AuthUserChangePassword, &request).await?))
    }

    /// Gives a token to whoever knows the password. It is compared here; the command has the name
    /// and nothing of the password.
    pub(crate) async fn authenticate(
        &self,
        _caller: &Caller,
        mut request: AuthenticateRequest,
    ) -> Result<Spliced, Status> {
        let password = Password::from(std::mem::take(&mut request.password)).compared();
        self.read_barrier().await?;
        loop {
            let state = self.auth.published.state();
            let revision = match self.check_password(&state, &request.name, &password).await? {
                Checked::Right { revision } => revision,
                Checked::Refused(status) => return Err(status),
            };
            let simple_token = self.tokens.prefix().map_err(|error| unknown(&error))?;
            let command = InternalAuthenticateRequest {
                name: request.name.clone(),
                simple_token,
                ..Default::default()
            };
            let mut reply = self.propose_for_nobody(Field::Authenticate, &command).await?;
            // Between looking and applying, the user may have got another password.
            if self.auth.published.state().revision() != revision {
                tracing::info!("revision when password checked became stale; retrying");
                continue;
            }
            if let Some(token) = self.tokens.sign(&request.name, revision).map_err(|error| unknown(&error))? {
                reply.body.field(TOKEN_FIELD, Bytes::from(token));
            }
            return Ok(self.spliced(reply));
        }
    }

    async fn check_password(
        &self,
        state: &AuthState,
        name: &str,
        password: &Password,
    ) -> Result<Checked, Status> {
        if !state.is_enabled() {
            return Ok(Checked::Refused(rejected(Rejection::AuthNotEnabled)));
        }
        let user = state.user(name);
        if user.is_some_and(|user| user.no_password) {
            return Ok(Checked::Refused(Status::unknown(NO_PASSWORD)));
        }
        let hashed = user.map(|user| user.password_hash.to_vec());
        if self.passwords.is_right(password.clone(), hashed).await.map_err(unhashed)? {
            return Ok(Checked::Right { revision: state.revision() });
        }
        tracing::warn!(user = shown(name), "invalid authentication was requested");
        Ok(Checked::Refused(rejected(Rejection::AuthFailed)))
    }
}

fn unhashed(error: PasswordError) -> Status {
    match error {
        PasswordError::Stopped => Status::unavailable(error.to_string()),
        PasswordError::TooLong | PasswordError::Busy => unknown(&error),
    }
}

fn unknown(error: &dyn std::error::Error) -> Status {
    Status::unknown(error.to_string())
}
