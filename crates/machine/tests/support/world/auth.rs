//! The commands of scripts that are about users, roles and permissions, and on whose behalf
//! commands are given.

use std::fmt::Write as _;

use bytes::Bytes;
use machine::Rejection;
use machine::auth::{Access, Identity};
use mvcc::LeaseId;
use prost::Message;
use proto::authpb::{Permission, UserAddOptions, permission::Type};
use proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGetResponse, AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthStatusResponse, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest, AuthUserGetResponse,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthenticateResponse, InternalAuthenticateRequest, InternalRaftRequest, LeaseTimeToLiveRequest,
    RequestHeader, WatchCreateRequest,
};

use super::super::print;
use super::super::script::Command;
use super::{World, empty, number};

impl World {
    /// `as USER[@AUTH-REVISION] COMMAND`: the identity that the command's header has.
    pub(super) fn on_behalf(&mut self, command: &Command) -> String {
        let (name, revision) = match command.text(1).split_once('@') {
            Some((name, revision)) => (name, Some(revision.parse().expect("an auth revision"))),
            None => (command.text(1), None),
        };
        self.identity = Some((name.to_owned(), revision));
        let inner = Command { words: command.words[2..].to_vec(), children: command.children.clone() };
        let text = self.execute(&inner);
        self.identity = None;
        text
    }

    /// The entry with the identity of the moment in its header.
    pub(super) fn with_header(&mut self, entry: InternalRaftRequest) -> InternalRaftRequest {
        let Some((username, revision)) = self.identity.clone() else { return entry };
        let auth_revision = revision.unwrap_or_else(|| self.machine().auth().revision());
        InternalRaftRequest { header: Some(RequestHeader { id: 1, username, auth_revision }), ..entry }
    }

    /// Whether a reader may; checked on the published state.
    pub(super) fn permitted(&mut self, access: Access<'_>) -> Result<(), Rejection> {
        let entry = self.with_header(InternalRaftRequest::default());
        self.machine().auth().authorise(Identity::of(&entry), access)
    }

    /// What is answered without a command: `may watch KEY [END]`, `may keepalive ID`, `may ttl ID
    /// [keys]`, `may leases`, `may status`, `may watch-renewed KEY [END]`.
    pub(super) fn may(&mut self, command: &Command) -> String {
        let watch =
            WatchCreateRequest { key: word(command, 2), range_end: word(command, 3), ..Default::default() };
        let id = || number(command, 2);
        let entry = self.with_header(InternalRaftRequest::default());
        let identity = Identity::of(&entry);
        let machine = self.machine();
        let result = match command.text(1) {
            "watch" => machine.auth().authorise(identity, Access::Watch(&watch)),
            "watch-renewed" => {
                let auth = machine.auth();
                auth.authorise(identity.renewed(&auth), Access::Watch(&watch))
            }
            "keepalive" => machine.authorise(identity, Access::LeaseKeepAlive(LeaseId(id()))),
            "ttl" => {
                let request = LeaseTimeToLiveRequest { id: id(), keys: command.text(3) == "keys" };
                machine.authorise(identity, Access::of_time_to_live(&request))
            }
            "leases" => machine.authorise(identity, Access::LeaseList),
            "status" => machine.auth().authorise(identity, Access::AnyUser),
            other => panic!("may what? {other}"),
        };
        result.map_or_else(print::rejection, |()| "yes\n".to_owned())
    }

    /// `auth enable|disable|status`, `auth login USER [PREFIX]`.
    pub(super) fn auth(&mut self, command: &Command) -> String {
        let entry = InternalRaftRequest::default();
        match command.text(1) {
            "enable" => {
                let request = AuthEnableRequest {};
                self.propose(InternalRaftRequest { auth_enable: Some(request.into()), ..entry }, empty)
            }
            "disable" => {
                let request = AuthDisableRequest {};
                self.propose(InternalRaftRequest { auth_disable: Some(request.into()), ..entry }, empty)
            }
            "status" => {
                let request = AuthStatusRequest {};
                self.propose(InternalRaftRequest { auth_status: Some(request.into()), ..entry }, |body| {
                    let response = AuthStatusResponse::decode(body).unwrap();
                    let state = if response.enabled { "on" } else { "off" };
                    format!("{state}, auth revision {}\n", response.auth_revision)
                })
            }
            "login" => {
                let (name, simple_token) = (command.text(2).into(), command.text(3).into());
                let request = InternalAuthenticateRequest { name, simple_token, ..Default::default() };
                self.propose(InternalRaftRequest { authenticate: Some(request.into()), ..entry }, |body| {
                    format!("token {:?}\n", AuthenticateResponse::decode(body).unwrap().token)
                })
            }
            other => panic!("unknown auth command {other}"),
        }
    }

    /// `user add NAME [HASH|--no-password|--plain]`, `user delete|get NAME`, `user passwd NAME
    /// [HASH]`, `user grant|revoke NAME ROLE`, `user list`, `user show NAME`.
    pub(super) fn user(&mut self, command: &Command) -> String {
        let entry = InternalRaftRequest::default();
        let name: String = command.text(2).into();
        match command.text(1) {
            "add" => {
                let mut request = AuthUserAddRequest { name, ..Default::default() };
                match command.text(3) {
                    "--no-password" => request.options = Some(UserAddOptions { no_password: true }),
                    "--plain" => request.password = "secret".into(),
                    hash => request.hashed_password = hash.into(),
                }
                self.propose(InternalRaftRequest { auth_user_add: Some(request.into()), ..entry }, empty)
            }
            "delete" => {
                let request = AuthUserDeleteRequest { name };
                self.propose(InternalRaftRequest { auth_user_delete: Some(request.into()), ..entry }, empty)
            }
            "passwd" => {
                let hashed_password = command.text(3).into();
                let request =
                    AuthUserChangePasswordRequest { name, password: String::new(), hashed_password };
                self.propose(
                    InternalRaftRequest { auth_user_change_password: Some(request.into()), ..entry },
                    empty,
                )
            }
            "grant" => {
                let request = AuthUserGrantRoleRequest { user: name, role: command.text(3).into() };
                self.propose(
                    InternalRaftRequest { auth_user_grant_role: Some(request.into()), ..entry },
                    empty,
                )
            }
            "revoke" => {
                let request = AuthUserRevokeRoleRequest { name, role: command.text(3).into() };
                self.propose(
                    InternalRaftRequest { auth_user_revoke_role: Some(request.into()), ..entry },
                    empty,
                )
            }
            "get" => {
                let request = AuthUserGetRequest { name };
                self.propose(InternalRaftRequest { auth_user_get: Some(request.into()), ..entry }, |body| {
                    list(&AuthUserGetResponse::decode(body).unwrap().roles)
                })
            }
            "list" => {
                let request = AuthUserListRequest {};
                self.propose(InternalRaftRequest { auth_user_list: Some(request.into()), ..entry }, |body| {
                    list(&AuthUserListResponse::decode(body).unwrap().users)
                })
            }
            "show" => self.show_user(&name),
            other => panic!("unknown user command {other}"),
        }
    }

    /// What the state has of a user.
    fn show_user(&mut self, name: &str) -> String {
        let auth = self.machine().auth();
        let user = auth.user(name).expect("a user");
        let hash = if user.no_password { "none".to_owned() } else { print::bytes(&user.password_hash) };
        format!("hash {hash:?} roles {:?}\n", user.roles)
    }

    /// `role add|delete|get NAME`, `role grant NAME TYPE KEY [END]`, `role revoke NAME KEY [END]`,
    /// `role list`.
    pub(super) fn role(&mut self, command: &Command) -> String {
        let entry = InternalRaftRequest::default();
        let name: String = command.text(2).into();
        match command.text(1) {
            "add" => {
                let request = AuthRoleAddRequest { name };
                self.propose(InternalRaftRequest { auth_role_add: Some(request.into()), ..entry }, empty)
            }
            "delete" => {
                let request = AuthRoleDeleteRequest { role: name };
                self.propose(InternalRaftRequest { auth_role_delete: Some(request.into()), ..entry }, empty)
            }
            "grant" => {
                let request = AuthRoleGrantPermissionRequest { name, perm: permission(command) };
                let entry = InternalRaftRequest { auth_role_grant_permission: Some(request.into()), ..entry };
                self.propose(entry, empty)
            }
            "revoke" => {
                let (key, range_end) = (word(command, 3), word(command, 4));
                let request = AuthRoleRevokePermissionRequest { role: name, key, range_end };
                let entry =
                    InternalRaftRequest { auth_role_revoke_permission: Some(request.into()), ..entry };
                self.propose(entry, empty)
            }
            "get" => {
                let request = AuthRoleGetRequest { role: name };
                self.propose(InternalRaftRequest { auth_role_get: Some(request.into()), ..entry }, |body| {
                    permissions(&AuthRoleGetResponse::decode(body).unwrap().perm)
                })
            }
            "list" => {
                let request = AuthRoleListRequest {};
                self.propose(InternalRaftRequest { auth_role_list: Some(request.into()), ..entry }, |body| {
                    list(&AuthRoleListResponse::decode(body).unwrap().roles)
                })
            }
            other => panic!("unknown role command {other}"),
        }
    }
}

fn word(command: &Command, place: usize) -> Bytes {
    command.words.get(place).cloned().unwrap_or_default().into()
}

/// `TYPE KEY [END]`; without a type there is no permission in the request.
fn permission(command: &Command) -> Option<Permission> {
    let kind = command.text(3);
    if kind.is_empty() {
        return None;
    }
    let perm_type =
        Type::from_str_name(kind).map_or_else(|| kind.parse().expect("a type"), |kind| kind as i32);
    Some(Permission { perm_type, key: word(command, 4), range_end: word(command, 5) })
}

fn permissions(permissions: &[Permission]) -> String {
    let mut text = String::new();
    for Permission { perm_type, key, range_end } in permissions {
        let kind = Type::try_from(*perm_type).map_or("?", |kind| kind.as_str_name());
        writeln!(text, "{kind} [{}, {}]", print::bytes(key), print::bytes(range_end)).unwrap();
    }
    if text.is_empty() { "none\n".to_owned() } else { text }
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| print::bytes(name.as_bytes())).collect();
    format!("[{}]\n", names.join(" "))
}
