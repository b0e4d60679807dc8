//! A server with users.
//!
//! `root` may do everything; `reader`, `writer` and `both` have a permission each on the keys from
//! `k` to `l`; `nothing` has none. Each has its name for a password.

use bytes::Bytes;
use prost::Message;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb as pb;
use testkit::Server;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::call::call;

/// Users with a role of their own name.
const USERS: [(&str, Option<Type>); 4] = [
    ("reader", Some(Type::Read)),
    ("writer", Some(Type::Write)),
    ("both", Some(Type::Readwrite)),
    ("nothing", None),
];

/// A client of one member, and whom it calls as.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) token: Option<String>,
}

impl Client {
    /// A client without credentials.
    pub(crate) fn of(member: &Server) -> Self {
        let address = format!("http://{}", member.client_address());
        let channel = Endpoint::from_shared(address).expect("a URL").connect_lazy();
        Self { channel, token: None }
    }

    /// The same client with this token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Logs in.
    pub(crate) async fn login(&self, user: &str) -> Result<Self, Status> {
        self.login_with(user, user).await
    }

    /// Logs in with a password that is not the name.
    pub(crate) async fn login_with(&self, name: &str, password: &str) -> Result<Self, Status> {
        let request = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        let reply: pb::AuthenticateResponse = self.call("Auth/Authenticate", &request).await?;
        Ok(self.with_token(&reply.token))
    }

    /// Calls `Service/Method` of etcd's API.
    pub(crate) async fn call<Q: Message, R: Message + Default>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<R, Status> {
        let path = format!("/etcdserverpb.{path}");
        let reply = call(&self.channel, &path, request.encode_to_vec().into(), self.token.as_deref()).await?;
        Ok(R::decode(reply).expect("a message of the method"))
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> Result<pb::PutResponse, Status> {
        self.call("KV/Put", &put(key, value)).await
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Vec<Bytes>, Status> {
        let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        let reply: pb::RangeResponse = self.call("KV/Range", &request).await?;
        Ok(reply.kvs.into_iter().map(|kv| kv.value).collect())
    }

    pub(crate) async fn add_user(&self, name: &str) -> Result<pb::AuthUserAddResponse, Status> {
        let (name, password) = (name.to_owned(), name.to_owned());
        self.call("Auth/UserAdd", &pb::AuthUserAddRequest { name, password, ..Default::default() }).await
    }

    pub(crate) async fn delete_user(&self, name: &str) -> Result<pb::AuthUserDeleteResponse, Status> {
        self.call("Auth/UserDelete", &pb::AuthUserDeleteRequest { name: name.to_owned() }).await
    }

    pub(crate) async fn grant_role(&self, user: &str, role: &str) {
        let request = pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
        let _: pb::AuthUserGrantRoleResponse =
            self.call("Auth/UserGrantRole", &request).await.expect("a role is granted");
    }

    pub(crate) async fn revoke_role(&self, user: &str, role: &str) {
        let request = pb::AuthUserRevokeRoleRequest { name: user.to_owned(), role: role.to_owned() };
        let _: pb::AuthUserRevokeRoleResponse =
            self.call("Auth/UserRevokeRole", &request).await.expect("a role is revoked");
    }

    /// Adds the users, turns authentication on, and logs in as `root`.
    pub(crate) async fn found(&self) -> Self {
        self.add_user("root").await.expect("root is added");
        self.grant_role("root", "root").await;
        for (name, kind) in USERS {
            self.add_user(name).await.expect("a user is added");
            let Some(kind) = kind else { continue };
            let role = name.to_owned();
            let _: pb::AuthRoleAddResponse = self
                .call("Auth/RoleAdd", &pb::AuthRoleAddRequest { name: role.clone() })
                .await
                .expect("a role is added");
            let perm = Permission { perm_type: kind as i32, key: "k".into(), range_end: "l".into() };
            let grant = pb::AuthRoleGrantPermissionRequest { name: role, perm: Some(perm) };
            let _: pb::AuthRoleGrantPermissionResponse =
                self.call("Auth/RoleGrantPermission", &grant).await.expect("a permission is granted");
            self.grant_role(name, name).await;
        }
        let _: pb::AuthEnableResponse =
            self.call("Auth/AuthEnable", &pb::AuthEnableRequest {}).await.expect("authentication is on");
        self.login("root").await.expect("root logs in")
    }
}

pub(crate) fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

/// Cheap hashes: the tests log in often.
pub(crate) const CHEAP: &str = "--bcrypt-cost=4";
