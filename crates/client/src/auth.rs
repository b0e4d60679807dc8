//! Users, roles, and what they may do.

use proto::authpb;
use proto::etcdserverpb as pb;

use crate::client::Client;
use crate::error::Error;
use crate::kv::{Header, KeyRange};

/// Calls about users and roles. [`Client::auth`] begins them.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::{Access, prefix};
/// let auth = client.auth();
/// auth.role_add("reader").await?;
/// auth.role_grant("reader", Access::Read, prefix("/config/")).await?;
/// auth.user_add("app", "secret").await?;
/// auth.user_grant_role("app", "reader").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Auth {
    client: Client,
}

/// What may be done with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading and watching.
    Read,
    /// Putting and deleting.
    Write,
    /// Both.
    ReadWrite,
}

/// A permission of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What may be done.
    pub access: Access,
    /// With which keys.
    pub keys: KeyRange,
}

/// Whether authentication is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthStatus {
    /// Who answered, and when.
    pub header: Header,
    /// Whether calls need a user.
    pub is_enabled: bool,
    /// A number that grows with each change of users, roles and permissions.
    pub auth_revision: u64,
}

impl From<authpb::Permission> for Permission {
    fn from(permission: authpb::Permission) -> Permission {
        let access = match permission.perm_type() {
            authpb::permission::Type::Read => Access::Read,
            authpb::permission::Type::Write => Access::Write,
            authpb::permission::Type::Readwrite => Access::ReadWrite,
        };
        Permission { access, keys: KeyRange { key: permission.key, end: permission.range_end } }
    }
}

impl From<Permission> for authpb::Permission {
    fn from(permission: Permission) -> authpb::Permission {
        let access = match permission.access {
            Access::Read => authpb::permission::Type::Read,
            Access::Write => authpb::permission::Type::Write,
            Access::ReadWrite => authpb::permission::Type::Readwrite,
        };
        authpb::Permission {
            perm_type: access.into(),
            key: permission.keys.key,
            range_end: permission.keys.end,
        }
    }
}

impl Client {
    /// Returns the calls about users and roles. See [`Auth`].
    pub fn auth(&self) -> Auth {
        Auth { client: self.clone() }
    }
}

/// Errors are those of any call; what is refused has etcd's text.
#[allow(clippy::missing_errors_doc, reason = "said once for all of them")]
impl Auth {
    /// Has every call need a user. The user `root` with the role `root` must exist.
    pub async fn enable(&self) -> Result<(), Error> {
        self.client.auth_stub().auth_enable(pb::AuthEnableRequest {}).await?;
        Ok(())
    }

    /// Has no call need a user.
    pub async fn disable(&self) -> Result<(), Error> {
        self.client.auth_stub().auth_disable(pb::AuthDisableRequest {}).await?;
        Ok(())
    }

    /// Returns whether calls need a user.
    pub async fn status(&self) -> Result<AuthStatus, Error> {
        let answer = self.client.auth_stub().auth_status(pb::AuthStatusRequest {}).await?.into_inner();
        Ok(AuthStatus {
            header: answer.header.into(),
            is_enabled: answer.enabled,
            auth_revision: answer.auth_revision,
        })
    }

    /// Returns a token for a password. A client that was built with [`Builder::user`](crate::Builder::user) does this by
    /// itself.
    pub async fn authenticate(&self, name: &str, password: &str) -> Result<String, Error> {
        let request = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        Ok(self.client.auth_stub().authenticate(request).await?.into_inner().token)
    }

    /// Adds a user.
    pub async fn user_add(&self, name: &str, password: &str) -> Result<(), Error> {
        let (name, password) = (name.to_owned(), password.to_owned());
        let request = pb::AuthUserAddRequest { name, password, ..Default::default() };
        self.client.auth_stub().user_add(request).await?;
        Ok(())
    }

    /// Adds a user who is known by the common name of a certificate only.
    pub async fn user_add_without_password(&self, name: &str) -> Result<(), Error> {
        let options = Some(authpb::UserAddOptions { no_password: true });
        let request = pb::AuthUserAddRequest { name: name.to_owned(), options, ..Default::default() };
        self.client.auth_stub().user_add(request).await?;
        Ok(())
    }

    /// Deletes a user.
    pub async fn user_delete(&self, name: &str) -> Result<(), Error> {
        let request = pb::AuthUserDeleteRequest { name: name.to_owned() };
        self.client.auth_stub().user_delete(request).await?;
        Ok(())
    }

    /// Returns the roles of a user.
    pub async fn user_get(&self, name: &str) -> Result<Vec<String>, Error> {
        let request = pb::AuthUserGetRequest { name: name.to_owned() };
        Ok(self.client.auth_stub().user_get(request).await?.into_inner().roles)
    }

    /// Returns all users.
    pub async fn users(&self) -> Result<Vec<String>, Error> {
        Ok(self.client.auth_stub().user_list(pb::AuthUserListRequest {}).await?.into_inner().users)
    }

    /// Changes a password.
    pub async fn user_change_password(&self, name: &str, password: &str) -> Result<(), Error> {
        let (name, password) = (name.to_owned(), password.to_owned());
        let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
        self.client.auth_stub().user_change_password(request).await?;
        Ok(())
    }

    /// Gives a role to a user.
    pub async fn user_grant_role(&self, name: &str, role: &str) -> Result<(), Error> {
        let request = pb::AuthUserGrantRoleRequest { user: name.to_owned(), role: role.to_owned() };
        self.client.auth_stub().user_grant_role(request).await?;
        Ok(())
    }

    /// Takes a role from a user.
    pub async fn user_revoke_role(&self, name: &str, role: &str) -> Result<(), Error> {
        let request = pb::AuthUserRevokeRoleRequest { name: name.to_owned(), role: role.to_owned() };
        self.client.auth_stub().user_revoke_role(request).await?;
        Ok(())
    }

    /// Adds a role.
    pub async fn role_add(&self, role: &str) -> Result<(), Error> {
        self.client.auth_stub().role_add(pb::AuthRoleAddRequest { name: role.to_owned() }).await?;
        Ok(())
    }

    /// Deletes a role.
    pub async fn role_delete(&self, role: &str) -> Result<(), Error> {
        self.client.auth_stub().role_delete(pb::AuthRoleDeleteRequest { role: role.to_owned() }).await?;
        Ok(())
    }

    /// Returns the permissions of a role.
    pub async fn role_get(&self, role: &str) -> Result<Vec<Permission>, Error> {
        let request = pb::AuthRoleGetRequest { role: role.to_owned() };
        let answer = self.client.auth_stub().role_get(request).await?.into_inner();
        Ok(answer.perm.into_iter().map(Permission::from).collect())
    }

    /// Returns all roles.
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        Ok(self.client.auth_stub().role_list(pb::AuthRoleListRequest {}).await?.into_inner().roles)
    }

    /// Gives a permission to a role.
    pub async fn role_grant(
        &self,
        role: &str,
        access: Access,
        keys: impl Into<KeyRange>,
    ) -> Result<(), Error> {
        let permission = Permission { access, keys: keys.into() };
        let request =
            pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(permission.into()) };
        self.client.auth_stub().role_grant_permission(request).await?;
        Ok(())
    }

    /// Takes a permission from a role.
    pub async fn role_revoke(&self, role: &str, keys: impl Into<KeyRange>) -> Result<(), Error> {
        let KeyRange { key, end } = keys.into();
        let request = pb::AuthRoleRevokePermissionRequest { role: role.to_owned(), key, range_end: end };
        self.client.auth_stub().role_revoke_permission(request).await?;
        Ok(())
    }
}
