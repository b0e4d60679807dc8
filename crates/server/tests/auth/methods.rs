//! A request for every method, and who may make it.

use bytes::Bytes;
use prost::Message;
use proto::authpb::Permission;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_request::RequestUnion;

/// A lease with a key that the users of the world have a permission on.
pub(crate) const LEASE: i64 = 77;

/// Who may make a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    Everybody,
    AnyUser,
    Root,
    /// Whoever may read the keys from `k` to `l`.
    Reader,
    Writer,
    /// Whoever may do both.
    Both,
    /// `root`, and the user or the role's holder that it is about: `both`.
    Itself,
}

/// The requests for a method: the name of the variant, the message, and who may send it.
///
/// # Panics
/// For a method that is not known: whoever adds one to the descriptors says here who may call it.
pub(crate) fn requests(service: &str, method: &str) -> Vec<(&'static str, Bytes, May)> {
    match service {
        "etcdserverpb.KV" => keys(method),
        "etcdserverpb.Watch" => vec![("", message(&watch()), May::Reader)],
        "etcdserverpb.Lease" => leases(method),
        "etcdserverpb.Cluster" => members(method),
        "etcdserverpb.Maintenance" => maintenance(method),
        "etcdserverpb.Auth" => users(method),
        "quorate.v1.Follow" => vec![("", Bytes::new(), May::Root)],
        "v3lockpb.Lock" => locks(method),
        "v3electionpb.Election" => elections(method),
        "grpc.health.v1.Health" => vec![("", Bytes::new(), May::Everybody)],
        _ => panic!("who may call {service}/{method}?"),
    }
}

fn message(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn get(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..Default::default() }
}

fn all() -> pb::RangeRequest {
    pb::RangeRequest { range_end: "l".into(), ..get("k") }
}

fn put() -> pb::PutRequest {
    pb::PutRequest { key: "k".into(), ..Default::default() }
}

fn keys(method: &str) -> Vec<(&'static str, Bytes, May)> {
    match method {
        "Range" | "RangeStream" => {
            let beyond = pb::RangeRequest { range_end: "m".into(), ..get("k") };
            let open = pb::RangeRequest { range_end: Bytes::from_static(&[0]), ..get("k") };
            vec![
                ("one key", message(&get("k")), May::Reader),
                ("a range", message(&all()), May::Reader),
                ("beyond the range", message(&beyond), May::Root),
                ("without an end", message(&open), May::Root),
            ]
        }
        "Put" => {
            let reads = pb::PutRequest { prev_kv: true, ..put() };
            vec![("", message(&put()), May::Writer), ("with the previous value", message(&reads), May::Both)]
        }
        "DeleteRange" => {
            let delete = pb::DeleteRangeRequest { key: "kx".into(), ..Default::default() };
            let reads = pb::DeleteRangeRequest { prev_kv: true, ..delete.clone() };
            vec![("", message(&delete), May::Writer), ("with the previous value", message(&reads), May::Both)]
        }
        "Txn" => transactions(),
        "Compact" => vec![("", message(&pb::CompactionRequest { revision: 1, physical: false }), May::Root)],
        _ => panic!("who may call KV/{method}?"),
    }
}

fn transactions() -> Vec<(&'static str, Bytes, May)> {
    use pb::request_op::Request;
    let operation = |request| pb::RequestOp { request: Some(request) };
    let success = |request| pb::TxnRequest { success: vec![operation(request)], ..Default::default() };
    let hidden = pb::TxnRequest {
        failure: vec![operation(Request::RequestTxn(success(Request::RequestRange(get("z")))))],
        ..Default::default()
    };
    let compare = pb::Compare { key: "z".into(), ..Default::default() };
    let comparing = pb::TxnRequest { compare: vec![compare], ..success(Request::RequestRange(get("k"))) };
    vec![
        ("a read", message(&success(Request::RequestRange(get("k")))), May::Reader),
        ("a write", message(&success(Request::RequestPut(put()))), May::Writer),
        ("a read in a branch that is not taken", message(&hidden), May::Root),
        ("a comparison", message(&comparing), May::Root),
    ]
}

fn watch() -> pb::WatchRequest {
    let create = pb::WatchCreateRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

fn leases(method: &str) -> Vec<(&'static str, Bytes, May)> {
    match method {
        "LeaseGrant" => vec![("", message(&pb::LeaseGrantRequest { ttl: 60, id: 0 }), May::AnyUser)],
        "LeaseRevoke" => vec![("", message(&pb::LeaseRevokeRequest { id: LEASE }), May::Writer)],
        "LeaseKeepAlive" => vec![("", message(&pb::LeaseKeepAliveRequest { id: LEASE }), May::Writer)],
        "LeaseTimeToLive" => {
            let ask = |keys| message(&pb::LeaseTimeToLiveRequest { id: LEASE, keys });
            vec![("", ask(false), May::AnyUser), ("with its keys", ask(true), May::Reader)]
        }
        "LeaseLeases" => vec![("", Bytes::new(), May::Reader)],
        _ => panic!("who may call Lease/{method}?"),
    }
}

fn locks(method: &str) -> Vec<(&'static str, Bytes, May)> {
    use proto::v3lockpb::{LockRequest, UnlockRequest};
    match method {
        "Lock" => vec![("", message(&LockRequest { name: "k".into(), lease: LEASE }), May::Both)],
        "Unlock" => vec![("", message(&UnlockRequest { key: "kx".into() }), May::Writer)],
        _ => panic!("who may call Lock/{method}?"),
    }
}

fn elections(method: &str) -> Vec<(&'static str, Bytes, May)> {
    use proto::v3electionpb as election;
    let leader = || Some(election::LeaderKey { name: "k".into(), key: "kp".into(), rev: 1, lease: LEASE });
    let asked = message(&election::LeaderRequest { name: "k".into() });
    match method {
        "Campaign" => {
            let value = "value".into();
            let campaign = election::CampaignRequest { name: "k".into(), lease: LEASE, value };
            vec![("", message(&campaign), May::Both)]
        }
        "Proclaim" => {
            let proclaim = election::ProclaimRequest { leader: leader(), value: Bytes::new() };
            vec![("", message(&proclaim), May::Both)]
        }
        "Resign" => vec![("", message(&election::ResignRequest { leader: leader() }), May::Both)],
        "Leader" | "Observe" => vec![("", asked, May::Reader)],
        _ => panic!("who may call Election/{method}?"),
    }
}

fn members(method: &str) -> Vec<(&'static str, Bytes, May)> {
    match method {
        "MemberList" => {
            let barrier = pb::MemberListRequest { linearizable: true };
            vec![("", Bytes::new(), May::AnyUser), ("linearizable", message(&barrier), May::AnyUser)]
        }
        "MemberAdd" => {
            let peer_ur_ls = vec!["http://127.0.0.1:1".to_owned()];
            vec![("", message(&pb::MemberAddRequest { peer_ur_ls, is_learner: true }), May::Root)]
        }
        "MemberRemove" | "MemberPromote" => {
            vec![("", message(&pb::MemberRemoveRequest { id: 5 }), May::Root)]
        }
        "MemberUpdate" => {
            let peer_ur_ls = vec!["http://127.0.0.1:2".to_owned()];
            vec![("", message(&pb::MemberUpdateRequest { id: 5, peer_ur_ls }), May::Root)]
        }
        _ => panic!("who may call Cluster/{method}?"),
    }
}

fn maintenance(method: &str) -> Vec<(&'static str, Bytes, May)> {
    match method {
        "Alarm" => {
            let disarm = pb::AlarmRequest { action: 2, member_id: 5, alarm: 1 };
            vec![("list", Bytes::new(), May::AnyUser), ("disarm", message(&disarm), May::Root)]
        }
        "Status" => vec![("", Bytes::new(), May::AnyUser)],
        "Defragment" | "Downgrade" | "Hash" | "HashKV" | "MoveLeader" | "Snapshot" => {
            vec![("", Bytes::new(), May::Root)]
        }
        _ => panic!("who may call Maintenance/{method}?"),
    }
}

fn users(method: &str) -> Vec<(&'static str, Bytes, May)> {
    let name = || "absent".to_owned();
    let request = match method {
        "AuthStatus" | "Authenticate" => return vec![("", Bytes::new(), May::Everybody)],
        "UserGet" => {
            let get = |name: &str| message(&pb::AuthUserGetRequest { name: name.to_owned() });
            return vec![("itself", get("both"), May::Itself), ("another", get("root"), May::Root)];
        }
        "RoleGet" => {
            let get = |role: &str| message(&pb::AuthRoleGetRequest { role: role.to_owned() });
            return vec![("its own", get("both"), May::Itself), ("none", get("absent"), May::Root)];
        }
        // Last of all, as `root` may.
        "AuthDisable" => return Vec::new(),
        "AuthEnable" | "UserList" | "RoleList" => Bytes::new(),
        "UserAdd" => message(&pb::AuthUserAddRequest { name: "root".to_owned(), ..Default::default() }),
        "UserDelete" => message(&pb::AuthUserDeleteRequest { name: name() }),
        "UserChangePassword" => {
            message(&pb::AuthUserChangePasswordRequest { name: name(), ..Default::default() })
        }
        "UserGrantRole" => message(&pb::AuthUserGrantRoleRequest { user: name(), role: name() }),
        "UserRevokeRole" => message(&pb::AuthUserRevokeRoleRequest { name: name(), role: name() }),
        "RoleAdd" => message(&pb::AuthRoleAddRequest { name: "both".to_owned() }),
        "RoleDelete" => message(&pb::AuthRoleDeleteRequest { role: name() }),
        "RoleGrantPermission" => {
            let perm = Some(Permission { key: "x".into(), ..Default::default() });
            message(&pb::AuthRoleGrantPermissionRequest { name: name(), perm })
        }
        "RoleRevokePermission" => message(&pb::AuthRoleRevokePermissionRequest {
            role: name(),
            key: "x".into(),
            ..Default::default()
        }),
        _ => panic!("who may call Auth/{method}?"),
    };
    vec![("", request, May::Root)]
}
