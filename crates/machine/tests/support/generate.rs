//! Random commands: few keys and few leases, so that they meet.

use bytes::Bytes;
use proptest::prelude::*;
use proto::authpb::{Permission, UserAddOptions};
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AlarmRequest, AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGetRequest, AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest,
    AuthStatusRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest,
    AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
    CompactionRequest, Compare, DeleteRangeRequest, InternalAuthenticateRequest, InternalRaftRequest,
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
    RequestHeader, RequestOp, TxnRequest,
};
use proto::membershippb::{ClusterVersionSetRequest, Member, RaftAttributes};
use proto::quoratepb::{LeaseExpire, MemberAdd, MemberPromote, MemberRemove, MemberUpdate, MembersReset};

/// Any command, also those that no server would propose.
pub(crate) fn command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    prop_oneof![
        30 => put().prop_map(move |put| InternalRaftRequest { put: Some(put), ..entry() }),
        10 => delete().prop_map(move |delete| InternalRaftRequest { delete_range: Some(delete), ..entry() }),
        20 => txn().prop_map(move |txn| InternalRaftRequest { txn: Some(txn), ..entry() }),
        5 => range().prop_map(move |range| InternalRaftRequest { range: Some(range.into()), ..entry() }),
        3 => revision().prop_map(move |revision| {
            let compaction = CompactionRequest { revision, physical: false };
            InternalRaftRequest { compaction: Some(compaction), ..entry() }
        }),
        15 => lease_command(),
        2 => (0..3i32, 0..3u64, 0..3i32).prop_map(move |(action, member_id, alarm)| {
            let alarm = AlarmRequest { action, member_id, alarm };
            InternalRaftRequest { alarm: Some(alarm.into()), ..entry() }
        }),
        1 => (0..9u8).prop_map(move |minor| {
            let version = ClusterVersionSetRequest { ver: format!("3.{minor}.0") };
            InternalRaftRequest { cluster_version_set: Some(version.into()), ..entry() }
        }),
        1 => Just(entry()),
    ]
}

/// Changes of members, most of which are refused: the machine must be total.
pub(crate) fn member_command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    let id = || 0..4u64;
    let urls = || prop::collection::vec("http://[ab]", 0..2);
    prop_oneof![
        3 => (id(), urls(), any::<bool>()).prop_map(move |(id, peer_urls, is_learner)| {
            let raft_attributes = Some(RaftAttributes { peer_urls, is_learner });
            let member = Member { id, raft_attributes, member_attributes: None };
            InternalRaftRequest { member_add: Some(MemberAdd { member: Some(member) }.into()), ..entry() }
        }),
        1 => id().prop_map(move |id| {
            InternalRaftRequest { member_remove: Some(MemberRemove { id }.into()), ..entry() }
        }),
        1 => id().prop_map(move |id| {
            InternalRaftRequest { member_promote: Some(MemberPromote { id }.into()), ..entry() }
        }),
        1 => (id(), urls()).prop_map(move |(id, peer_urls)| {
            InternalRaftRequest { member_update: Some(MemberUpdate { id, peer_urls }.into()), ..entry() }
        }),
        1 => id().prop_map(move |keep_id| {
            InternalRaftRequest { members_reset: Some(MembersReset { keep_id }.into()), ..entry() }
        }),
        1 => Just(InternalRaftRequest { member_add: Some(MemberAdd::default().into()), ..entry() }),
    ]
}

/// Makes a command.
type Make = fn() -> InternalRaftRequest;

/// Adds the user `root`.
pub(crate) const ADD_ROOT: Make = || {
    let request = AuthUserAddRequest { name: "root".into(), ..Default::default() };
    InternalRaftRequest { auth_user_add: Some(request.into()), ..Default::default() }
};

/// Grants it its role.
pub(crate) const GRANT_ROOT: Make = || {
    let request = AuthUserGrantRoleRequest { user: "root".into(), role: "root".into() };
    InternalRaftRequest { auth_user_grant_role: Some(request.into()), ..Default::default() }
};

/// Turns authentication on.
pub(crate) const ENABLE: Make =
    || InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}.into()), ..Default::default() };

/// Commands about users, roles and permissions: few names, so that they meet.
pub(crate) fn auth_command() -> impl Strategy<Value = InternalRaftRequest> {
    prop_oneof![5 => switch_command(), 8 => user_command(), 8 => role_command()]
}

fn switch_command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    prop_oneof![
        4 => Just(InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}.into()), ..entry() }),
        1 => Just(InternalRaftRequest { auth_disable: Some(AuthDisableRequest {}.into()), ..entry() }),
        1 => Just(InternalRaftRequest { auth_status: Some(AuthStatusRequest {}.into()), ..entry() }),
        1 => (user_name(), "[a-z]{0,2}").prop_map(move |(name, simple_token)| {
            let request = InternalAuthenticateRequest { name, simple_token, ..Default::default() };
            InternalRaftRequest { authenticate: Some(request.into()), ..entry() }
        }),
    ]
}

fn user_command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    let hash = || prop::sample::select(&["", "JDJh", "JDI=", "%"][..]).prop_map(String::from);
    prop_oneof![
        4 => (user_name(), hash(), any::<bool>()).prop_map(move |(name, hashed_password, no_password)| {
            let options = no_password.then_some(UserAddOptions { no_password });
            let request = AuthUserAddRequest { name, hashed_password, options, ..Default::default() };
            InternalRaftRequest { auth_user_add: Some(request.into()), ..entry() }
        }),
        1 => user_name().prop_map(move |name| {
            InternalRaftRequest { auth_user_delete: Some(AuthUserDeleteRequest { name }.into()), ..entry() }
        }),
        1 => user_name().prop_map(move |name| {
            InternalRaftRequest { auth_user_get: Some(AuthUserGetRequest { name }.into()), ..entry() }
        }),
        1 => (user_name(), hash()).prop_map(move |(name, hashed_password)| {
            let request = AuthUserChangePasswordRequest { name, hashed_password, ..Default::default() };
            InternalRaftRequest { auth_user_change_password: Some(request.into()), ..entry() }
        }),
        6 => (user_name(), role_name()).prop_map(move |(user, role)| {
            let request = AuthUserGrantRoleRequest { user, role };
            InternalRaftRequest { auth_user_grant_role: Some(request.into()), ..entry() }
        }),
        1 => (user_name(), role_name()).prop_map(move |(name, role)| {
            let request = AuthUserRevokeRoleRequest { name, role };
            InternalRaftRequest { auth_user_revoke_role: Some(request.into()), ..entry() }
        }),
        1 => Just(InternalRaftRequest { auth_user_list: Some(AuthUserListRequest {}.into()), ..entry() }),
    ]
}

fn role_command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    let permission = (0..4i32, key(), range_end()).prop_map(|(perm_type, key, range_end)| Permission {
        perm_type,
        key,
        range_end,
    });
    prop_oneof![
        4 => role_name().prop_map(move |name| {
            InternalRaftRequest { auth_role_add: Some(AuthRoleAddRequest { name }.into()), ..entry() }
        }),
        1 => role_name().prop_map(move |role| {
            InternalRaftRequest { auth_role_delete: Some(AuthRoleDeleteRequest { role }.into()), ..entry() }
        }),
        1 => role_name().prop_map(move |role| {
            InternalRaftRequest { auth_role_get: Some(AuthRoleGetRequest { role }.into()), ..entry() }
        }),
        6 => (role_name(), prop::option::weighted(0.95, permission)).prop_map(move |(name, perm)| {
            let request = AuthRoleGrantPermissionRequest { name, perm };
            InternalRaftRequest { auth_role_grant_permission: Some(request.into()), ..entry() }
        }),
        2 => (role_name(), key(), range_end()).prop_map(move |(role, key, range_end)| {
            let request = AuthRoleRevokePermissionRequest { role, key, range_end };
            InternalRaftRequest { auth_role_revoke_permission: Some(request.into()), ..entry() }
        }),
        1 => Just(InternalRaftRequest { auth_role_list: Some(AuthRoleListRequest {}.into()), ..entry() }),
    ]
}

/// A command and the identity of whoever gives it: often root as of now, as otherwise little happens with authentication
/// on.
pub(crate) fn on_behalf(
    command: impl Strategy<Value = InternalRaftRequest>,
) -> impl Strategy<Value = InternalRaftRequest> {
    let revision = prop_oneof![5 => Just(u64::MAX), 1 => 0..20u64];
    let name = prop_oneof![3 => Just("root".to_owned()), 2 => user_name()];
    (command, prop::option::weighted(0.9, (name, revision))).prop_map(|(entry, identity)| {
        let header =
            identity.map(|(username, auth_revision)| RequestHeader { id: 1, username, auth_revision });
        InternalRaftRequest { header, ..entry }
    })
}

fn user_name() -> impl Strategy<Value = String> {
    prop::sample::select(&["root", "root", "u", "v", ""][..]).prop_map(String::from)
}

fn role_name() -> impl Strategy<Value = String> {
    prop::sample::select(&["root", "root", "r", "s", ""][..]).prop_map(String::from)
}

fn lease_command() -> impl Strategy<Value = InternalRaftRequest> {
    let entry = InternalRaftRequest::default;
    prop_oneof![
        6 => (lease(), 1..900i64).prop_map(move |(id, ttl)| {
            InternalRaftRequest { lease_grant: Some(LeaseGrantRequest { ttl, id }), ..entry() }
        }),
        2 => lease().prop_map(move |id| {
            InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id }), ..entry() }
        }),
        2 => (lease(), 0..3i64).prop_map(move |(id, remaining_ttl)| {
            let checkpoints = vec![LeaseCheckpoint { id, remaining_ttl }];
            InternalRaftRequest { lease_checkpoint: Some(LeaseCheckpointRequest { checkpoints }.into()), ..entry() }
        }),
        2 => (lease(), 0..40u64).prop_map(move |(id, renew_epoch)| {
            let expire = LeaseExpire { id, term: 1, renew_epoch };
            InternalRaftRequest { lease_expire: Some(expire.into()), ..entry() }
        }),
    ]
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(&["", "\0", "a", "a\0", "b", "ba", "c"][..]).prop_map(Bytes::from)
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop::sample::select(&["", "", "", "\0", "a", "b", "c"][..]).prop_map(Bytes::from)
}

fn lease() -> impl Strategy<Value = i64> {
    prop::sample::select(&[0i64, 1, 2, -3][..])
}

fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 2 => -2..40i64]
}

fn put() -> impl Strategy<Value = PutRequest> {
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let lease = prop_oneof![3 => Just(0), 2 => lease()];
    (key(), "[a-c]{0,3}", lease, flags).prop_map(
        |(key, value, lease, (prev_kv, ignore_value, ignore_lease))| {
            let value = Bytes::from(if ignore_value { String::new() } else { value });
            let lease = if ignore_lease { 0 } else { lease };
            PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

pub(crate) fn range() -> impl Strategy<Value = RangeRequest> {
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    let filters =
        prop_oneof![3 => Just([0; 4]), 2 => prop::array::uniform4(prop_oneof![2 => Just(0), 1 => -1..30i64])];
    (key(), range_end(), -1..4i64, revision(), (0..3i32, 0..5i32), flags, filters).prop_map(
        |(key, range_end, limit, revision, (sort_order, sort_target), (keys_only, count_only), filters)| {
            RangeRequest {
                key,
                range_end,
                limit,
                revision,
                sort_order,
                sort_target,
                keys_only,
                count_only,
                min_mod_revision: filters[0],
                max_mod_revision: filters[1],
                min_create_revision: filters[2],
                max_create_revision: filters[3],
                ..RangeRequest::default()
            }
        },
    )
}

/// A put or a delete of one of enough keys for several chunks of a stream.
pub(crate) fn write() -> impl Strategy<Value = InternalRaftRequest> {
    let key = || (0..60u8).prop_map(|number| Bytes::from(format!("k{number:02}")));
    let entry = InternalRaftRequest::default;
    prop_oneof![
        5 => (key(), "[a-c]{0,3}", lease()).prop_map(move |(key, value, lease)| {
            let put = PutRequest { key, value: value.into(), lease, ..PutRequest::default() };
            InternalRaftRequest { put: Some(put), ..entry() }
        }),
        1 => key().prop_map(move |key| {
            let delete = DeleteRangeRequest { key, ..DeleteRangeRequest::default() };
            InternalRaftRequest { delete_range: Some(delete), ..entry() }
        }),
    ]
}

/// A streamed range of those keys that is not refused for its shape.
pub(crate) fn streamed_range() -> impl Strategy<Value = RangeRequest> {
    let key = prop::sample::select(&["\0", "k", "k05", "k3"][..]).prop_map(Bytes::from);
    let range_end = prop::sample::select(&["\0", "\0", "k4", "k20", ""][..]).prop_map(Bytes::from);
    let order = prop_oneof![1 => Just((1, 0)), 9 => (0..5i32).prop_map(|target| (0, target))];
    let limit = prop_oneof![1 => Just(0), 2 => -1..60i64];
    let revision = prop_oneof![2 => Just(0), 1 => 1..120i64];
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.05));
    (key, range_end, order, limit, revision, flags).prop_map(
        |(key, range_end, (sort_order, sort_target), limit, revision, (keys_only, count_only))| {
            let sort = RangeRequest { sort_order, sort_target, ..RangeRequest::default() };
            RangeRequest { key, range_end, limit, revision, keys_only, count_only, ..sort }
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let union = prop_oneof![
        (0..4i64).prop_map(TargetUnion::Version),
        (0..20i64).prop_map(TargetUnion::ModRevision),
        (0..20i64).prop_map(TargetUnion::CreateRevision),
        "[a-c]{0,2}".prop_map(|value| TargetUnion::Value(value.into())),
        lease().prop_map(TargetUnion::Lease),
    ];
    (key(), range_end(), 0..5i32, 0..6i32, prop::option::of(union)).prop_map(
        |(key, range_end, result, target, target_union)| Compare {
            result,
            target,
            key,
            range_end,
            target_union,
        },
    )
}

/// Transactions nested up to two deep.
pub(crate) fn txn() -> impl Strategy<Value = TxnRequest> {
    let leaf = prop_oneof![
        4 => put().prop_map(|put| Some(Request::RequestPut(put))),
        2 => delete().prop_map(|delete| Some(Request::RequestDeleteRange(delete))),
        3 => range().prop_map(|range| Some(Request::RequestRange(range))),
    ];
    let operation = leaf.prop_map(|request| RequestOp { request }).prop_recursive(2, 6, 2, |inner| {
        txn_of(inner).prop_map(|nested| RequestOp { request: Some(Request::RequestTxn(nested)) })
    });
    txn_of(operation.boxed())
}

fn txn_of(operation: BoxedStrategy<RequestOp>) -> impl Strategy<Value = TxnRequest> {
    let branch = prop::collection::vec(operation, 0..4);
    (prop::collection::vec(compare(), 0..2), branch.clone(), branch)
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
}
