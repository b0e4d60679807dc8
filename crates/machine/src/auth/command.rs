//! Which of the commands about users and roles an entry of the raft log holds, and who may give it.

use proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest, AuthUserAddRequest, AuthUserChangePasswordRequest,
    AuthUserDeleteRequest, AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
    InternalAuthenticateRequest, InternalRaftRequest,
};

use super::Access;
use crate::source::Failure;
use crate::{Applied, Machine, Outcome};

/// A command of the service `Auth`. Also those that only read go through the log, as in etcd.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AuthCommand<'a> {
    Enable,
    Disable,
    Status,
    Authenticate(&'a InternalAuthenticateRequest),
    UserAdd(&'a AuthUserAddRequest),
    UserDelete(&'a AuthUserDeleteRequest),
    UserGet(&'a AuthUserGetRequest),
    UserChangePassword(&'a AuthUserChangePasswordRequest),
    UserGrantRole(&'a AuthUserGrantRoleRequest),
    UserRevokeRole(&'a AuthUserRevokeRoleRequest),
    UserList,
    RoleAdd(&'a AuthRoleAddRequest),
    RoleDelete(&'a AuthRoleDeleteRequest),
    RoleGet(&'a AuthRoleGetRequest),
    RoleGrantPermission(&'a AuthRoleGrantPermissionRequest),
    RoleRevokePermission(&'a AuthRoleRevokePermissionRequest),
    RoleList,
}

impl<'a> AuthCommand<'a> {
    /// The command of the entry, if it is one of these.
    pub(crate) fn of(entry: &'a InternalRaftRequest) -> Option<Self> {
        Self::of_switch(entry).or_else(|| Self::of_users(entry)).or_else(|| Self::of_roles(entry))
    }

    fn of_switch(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = entry.authenticate.as_deref() {
            return Some(Self::Authenticate(request));
        }
        if entry.auth_enable.is_some() {
            return Some(Self::Enable);
        }
        if entry.auth_disable.is_some() {
            return Some(Self::Disable);
        }
        entry.auth_status.as_ref().map(|_| Self::Status)
    }

    fn of_users(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = entry.auth_user_add.as_deref() {
            return Some(Self::UserAdd(request));
        }
        if let Some(request) = entry.auth_user_delete.as_deref() {
            return Some(Self::UserDelete(request));
        }
        if let Some(request) = entry.auth_user_get.as_deref() {
            return Some(Self::UserGet(request));
        }
        if let Some(request) = entry.auth_user_change_password.as_deref() {
            return Some(Self::UserChangePassword(request));
        }
        if let Some(request) = entry.auth_user_grant_role.as_deref() {
            return Some(Self::UserGrantRole(request));
        }
        if let Some(request) = entry.auth_user_revoke_role.as_deref() {
            return Some(Self::UserRevokeRole(request));
        }
        entry.auth_user_list.as_ref().map(|_| Self::UserList)
    }

    fn of_roles(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = entry.auth_role_add.as_deref() {
            return Some(Self::RoleAdd(request));
        }
        if let Some(request) = entry.auth_role_delete.as_deref() {
            return Some(Self::RoleDelete(request));
        }
        if let Some(request) = entry.auth_role_get.as_deref() {
            return Some(Self::RoleGet(request));
        }
        if let Some(request) = entry.auth_role_grant_permission.as_deref() {
            return Some(Self::RoleGrantPermission(request));
        }
        if let Some(request) = entry.auth_role_revoke_permission.as_deref() {
            return Some(Self::RoleRevokePermission(request));
        }
        entry.auth_role_list.as_ref().map(|_| Self::RoleList)
    }

    /// Whether it changes users, roles or permissions. To log in is no such change.
    pub(crate) fn is_write(self) -> bool {
        match self {
            Self::Status
            | Self::Authenticate(_)
            | Self::UserGet(_)
            | Self::UserList
            | Self::RoleGet(_)
            | Self::RoleList => false,
            Self::Enable
            | Self::Disable
            | Self::UserAdd(_)
            | Self::UserDelete(_)
            | Self::UserChangePassword(_)
            | Self::UserGrantRole(_)
            | Self::UserRevokeRole(_)
            | Self::RoleAdd(_)
            | Self::RoleDelete(_)
            | Self::RoleGrantPermission(_)
            | Self::RoleRevokePermission(_) => true,
        }
    }

    /// What it needs.
    pub(crate) fn access(self) -> Access<'a> {
        match self {
            Self::Status | Self::Authenticate(_) => Access::Open,
            Self::UserGet(request) => Access::User(&request.name),
            Self::RoleGet(request) => Access::Role(&request.role),
            Self::Enable
            | Self::Disable
            | Self::UserAdd(_)
            | Self::UserDelete(_)
            | Self::UserChangePassword(_)
            | Self::UserGrantRole(_)
            | Self::UserRevokeRole(_)
            | Self::UserList
            | Self::RoleAdd(_)
            | Self::RoleDelete(_)
            | Self::RoleGrantPermission(_)
            | Self::RoleRevokePermission(_)
            | Self::RoleList => Access::Admin,
        }
    }
}

impl Machine {
    pub(crate) fn apply_auth(
        &mut self,
        applied: Applied,
        command: AuthCommand<'_>,
    ) -> Result<Outcome, Failure> {
        let outcome = match command {
            AuthCommand::Enable => self.auth_enable(),
            AuthCommand::Disable => Ok(self.auth_disable()),
            AuthCommand::Status => Ok(self.auth_status()),
            AuthCommand::Authenticate(request) => self.authenticate(applied, request),
            AuthCommand::UserAdd(request) => self.user_add(request),
            AuthCommand::UserDelete(request) => self.user_delete(request),
            AuthCommand::UserGet(request) => self.user_get(request),
            AuthCommand::UserChangePassword(request) => self.user_change_password(request),
            AuthCommand::UserGrantRole(request) => self.user_grant_role(request),
            AuthCommand::UserRevokeRole(request) => self.user_revoke_role(request),
            AuthCommand::UserList => Ok(self.user_list()),
            AuthCommand::RoleAdd(request) => self.role_add(request),
            AuthCommand::RoleDelete(request) => self.role_delete(request),
            AuthCommand::RoleGet(request) => self.role_get(request),
            AuthCommand::RoleGrantPermission(request) => self.role_grant_permission(request),
            AuthCommand::RoleRevokePermission(request) => self.role_revoke_permission(request),
            AuthCommand::RoleList => Ok(self.role_list()),
        };
        Ok(outcome?)
    }
}
