//! A member with something of everything in its directory.

use std::path::{Path, PathBuf};

use proto::authpb::{Permission, permission::Type};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::{Program, Server};
use tonic::transport::{Channel, Endpoint};

/// Names the server (a path) to make directories with; else the one that Cargo has built beside the tool.
const VARIABLE: &str = "QUORATE_BIN";

/// The server's binary.
pub(crate) fn program() -> Result<Program, String> {
    let beside = Path::new(env!("CARGO_BIN_EXE_quorateutl")).with_file_name("quorate");
    let path = std::env::var_os(VARIABLE).map_or(beside, PathBuf::from);
    Program::at(&path).map_err(|why| format!("{why}; `cargo build -p quorate` first, or set {VARIABLE}"))
}

/// A member that has stopped, and its files.
pub(crate) struct Subject {
    pub(crate) server: Server,
}

impl Subject {
    /// Runs a member, fills it, and stops it.
    pub(crate) fn new(program: &Program) -> Self {
        let mut server = Server::start(program, &[]);
        fill(&server);
        server.terminate();
        Self { server }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.server.data_dir()
    }

    /// Its files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(self.dir())
    }
}

/// All files in a directory in order, but the lock, which is empty, and what was made ahead of need.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") && path.extension().is_none_or(|extension| extension != "tmp") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Puts, deletions, a transaction, leases, users, a compaction that makes a checkpoint, and something behind that.
pub(crate) fn fill(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = connect(server).await;
        put_keys(&channel).await;
        add_users(&channel).await;
        let mut kv = KvClient::new(channel.clone());
        // Returns when a checkpoint has released what was compacted.
        kv.compact(pb::CompactionRequest { revision: 20, physical: true }).await.unwrap();
        put(&mut kv, "/late", "behind the checkpoint", 0).await;
    });
}

/// Puts more, which no checkpoint has when the member is killed at once.
pub(crate) fn put_more(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut kv = KvClient::new(connect(server).await);
        for number in 0..50 {
            put(&mut kv, &format!("/more/{number}"), "more", 0).await;
        }
    });
}

pub(crate) async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).unwrap();
    endpoint.connect().await.unwrap()
}

pub(crate) async fn put(kv: &mut KvClient<Channel>, key: &str, value: &str, lease: i64) {
    let (key, value) = (key.as_bytes().to_vec().into(), value.as_bytes().to_vec().into());
    kv.put(pb::PutRequest { key, value, lease, ..Default::default() }).await.unwrap();
}

async fn put_keys(channel: &Channel) {
    let mut kv = KvClient::new(channel.clone());
    for number in 0..30 {
        put(&mut kv, &format!("/k/{:02}", number % 20), &format!("value {number}"), 0).await;
    }
    put(&mut kv, "/long", &"x".repeat(20_000), 0).await;
    let range =
        |key: &str| pb::DeleteRangeRequest { key: key.as_bytes().to_vec().into(), ..Default::default() };
    kv.delete_range(range("/k/03")).await.unwrap();
    kv.delete_range(range("/k/19")).await.unwrap();
    let op = |request| pb::RequestOp { request: Some(request) };
    let put_twice = pb::PutRequest { key: "/txn".into(), value: "\u{1}\u{2}".into(), ..Default::default() };
    let success = vec![
        op(pb::request_op::Request::RequestPut(put_twice)),
        op(pb::request_op::Request::RequestDeleteRange(range("/k/04"))),
    ];
    kv.txn(pb::TxnRequest { success, ..Default::default() }).await.unwrap();
    let mut lease = LeaseClient::new(channel.clone());
    lease.lease_grant(pb::LeaseGrantRequest { id: 0x77, ttl: 3600 }).await.unwrap();
    put(&mut kv, "/leased", "for an hour", 0x77).await;
}

async fn add_users(channel: &Channel) {
    let mut auth = AuthClient::new(channel.clone());
    let user = pb::AuthUserAddRequest { name: "bo".into(), password: "s3cret".into(), ..Default::default() };
    auth.user_add(user).await.unwrap();
    auth.role_add(pb::AuthRoleAddRequest { name: "reader".into() }).await.unwrap();
    let perm = Permission { perm_type: Type::Read as i32, key: "/k".into(), range_end: "/l".into() };
    let grant = pb::AuthRoleGrantPermissionRequest { name: "reader".into(), perm: Some(perm) };
    auth.role_grant_permission(grant).await.unwrap();
    let grant = pb::AuthUserGrantRoleRequest { user: "bo".into(), role: "reader".into() };
    auth.user_grant_role(grant).await.unwrap();
}
