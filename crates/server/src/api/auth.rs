//! `etcdserverpb.Auth`, as far as a member without users can truthfully answer it.
//!
//! This version keeps no users and no roles, so authentication is off and cannot be turned on; that is a state etcd
//! knows too, and clients ask about it. One that is given a user name asks for a token first and goes on without when
//! it is told that authentication is off. The calls that add or change users, roles and permissions are not served.
//!
//! In etcd these calls go through the log, so they see everything that was acknowledged before: hence the barrier.

use proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthRoleGetRequest,
    AuthRoleGetResponse, AuthRoleListRequest, AuthRoleListResponse, AuthStatusRequest, AuthStatusResponse,
    AuthUserGetRequest, AuthUserGetResponse, AuthUserListRequest, AuthUserListResponse, AuthenticateRequest,
    AuthenticateResponse, ResponseHeader,
};
use tonic::Status;

use super::Api;
use crate::grpc::reply::Plain;

/// The revision of an auth store that was never changed (contract: semantics, section 12).
const FRESH_AUTH_REVISION: u64 = 1;

impl Api {
    /// No token is given out.
    pub(crate) async fn authenticate(
        &self,
        _request: AuthenticateRequest,
    ) -> Result<Plain<AuthenticateResponse>, Status> {
        self.read_barrier().await?;
        Err(Status::failed_precondition("etcdserver: authentication is not enabled"))
    }

    /// Off.
    pub(crate) async fn auth_status(
        &self,
        _request: AuthStatusRequest,
    ) -> Result<Plain<AuthStatusResponse>, Status> {
        let header = self.auth_header().await?;
        Ok(Plain(AuthStatusResponse { header, enabled: false, auth_revision: FRESH_AUTH_REVISION }))
    }

    /// Refused: the first thing that etcd looks for is the user who could turn it off again.
    pub(crate) async fn auth_enable(
        &self,
        _request: AuthEnableRequest,
    ) -> Result<Plain<AuthEnableResponse>, Status> {
        self.read_barrier().await?;
        Err(Status::failed_precondition("etcdserver: root user does not exist"))
    }

    /// What is off already stays off, and that is no error.
    pub(crate) async fn auth_disable(
        &self,
        _request: AuthDisableRequest,
    ) -> Result<Plain<AuthDisableResponse>, Status> {
        Ok(Plain(AuthDisableResponse { header: self.auth_header().await? }))
    }

    /// There is no such user.
    pub(crate) async fn user_get(
        &self,
        _request: AuthUserGetRequest,
    ) -> Result<Plain<AuthUserGetResponse>, Status> {
        self.read_barrier().await?;
        Err(Status::failed_precondition("etcdserver: user name not found"))
    }

    /// None.
    pub(crate) async fn user_list(
        &self,
        _request: AuthUserListRequest,
    ) -> Result<Plain<AuthUserListResponse>, Status> {
        Ok(Plain(AuthUserListResponse { header: self.auth_header().await?, users: Vec::new() }))
    }

    /// There is no such role.
    pub(crate) async fn role_get(
        &self,
        _request: AuthRoleGetRequest,
    ) -> Result<Plain<AuthRoleGetResponse>, Status> {
        self.read_barrier().await?;
        Err(Status::failed_precondition("etcdserver: role name not found"))
    }

    /// None.
    pub(crate) async fn role_list(
        &self,
        _request: AuthRoleListRequest,
    ) -> Result<Plain<AuthRoleListResponse>, Status> {
        Ok(Plain(AuthRoleListResponse { header: self.auth_header().await?, roles: Vec::new() }))
    }

    async fn auth_header(&self) -> Result<Option<ResponseHeader>, Status> {
        self.read_barrier().await?;
        Ok(Some(self.header_now().to_message()))
    }
}
