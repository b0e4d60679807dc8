//! The requests the workloads send and the few things they look up in replies.
//!
//! Each function names the message it builds; the numbers are the field numbers of `rpc.proto`. A request comes
//! out as a finished gRPC frame, so that sending one again costs no more than cloning a [`Bytes`].

use crate::grpc::Failure;
use crate::wire::{Encoder, Fields, Value};
use bytes::Bytes;

/// Full paths of the methods that the generator calls.
pub(crate) mod path {
    pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
    pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
    pub(crate) const TXN: &str = "/etcdserverpb.KV/Txn";
    pub(crate) const COMPACT: &str = "/etcdserverpb.KV/Compact";
    pub(crate) const WATCH: &str = "/etcdserverpb.Watch/Watch";
    pub(crate) const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
    pub(crate) const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
    pub(crate) const MEMBER_ADD: &str = "/etcdserverpb.Cluster/MemberAdd";
    pub(crate) const STATUS: &str = "/etcdserverpb.Maintenance/Status";
    pub(crate) const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
    pub(crate) const AUTH_ENABLE: &str = "/etcdserverpb.Auth/AuthEnable";
    pub(crate) const USER_ADD: &str = "/etcdserverpb.Auth/UserAdd";
    pub(crate) const USER_GRANT_ROLE: &str = "/etcdserverpb.Auth/UserGrantRole";
    pub(crate) const ROLE_ADD: &str = "/etcdserverpb.Auth/RoleAdd";
    pub(crate) const ROLE_GRANT_PERMISSION: &str = "/etcdserverpb.Auth/RoleGrantPermission";
}

/// Which copy of the data answers a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// As new as the moment of the call: asks the quorum.
    Linearizable,
    /// Whatever the answering member has.
    Serializable,
}

/// What a range sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    KeysAndValues,
    CountOnly,
}

/// `PutRequest`.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Bytes {
    put_request(key, value).frame()
}

fn put_request(key: &[u8], value: &[u8]) -> Encoder {
    Encoder::with_capacity(key.len() + value.len() + 16).bytes(1, key).bytes(2, value)
}

/// `RangeRequest` for `[key, end)`; an empty `end` asks for the one key.
pub(crate) fn range(key: &[u8], end: &[u8], consistency: Consistency, content: Content) -> Bytes {
    Encoder::with_capacity(key.len() + end.len() + 16)
        .bytes(1, key)
        .bytes(2, end)
        .integer(7, i64::from(consistency == Consistency::Serializable))
        .integer(9, i64::from(content == Content::CountOnly))
        .frame()
}

/// `RangeRequest` for `[key, end)` as of a revision; 0 is the newest.
pub(crate) fn list(key: &[u8], end: &[u8], revision: i64) -> Bytes {
    Encoder::with_capacity(key.len() + end.len() + 16)
        .bytes(1, key)
        .bytes(2, end)
        .integer(4, revision)
        .frame()
}

/// `TxnRequest` that asks for the keys of `[key, end)` so many times.
pub(crate) fn list_keys_in_one(key: &[u8], end: &[u8], times: usize) -> Bytes {
    (0..times)
        .fold(Encoder::with_capacity(times * (key.len() + end.len() + 16)), |txn, _| {
            let keys_only = 1;
            let range = Encoder::with_capacity(key.len() + end.len() + 8)
                .bytes(1, key)
                .bytes(2, end)
                .integer(8, keys_only);
            txn.message(2, Encoder::with_capacity(key.len() + end.len() + 16).message(1, range))
        })
        .frame()
}

/// `TxnRequest`: puts if the key's mod revision is `expected` (0: the key does not exist), else reads the key.
pub(crate) fn compare_and_put(key: &[u8], value: &[u8], expected: i64) -> Bytes {
    const MOD: i64 = 2; // Compare.CompareTarget; the result EQUAL is 0
    let compare =
        Encoder::with_capacity(key.len() + 24).integer(2, MOD).bytes(3, key).explicit_integer(6, expected);
    let success = Encoder::with_capacity(key.len() + value.len() + 24).message(2, put_request(key, value));
    let range = Encoder::with_capacity(key.len() + 8).bytes(1, key);
    let failure = Encoder::with_capacity(key.len() + 16).message(1, range);
    Encoder::with_capacity(3 * key.len() + value.len() + 80)
        .message(1, compare)
        .message(2, success)
        .message(3, failure)
        .frame()
}

/// `TxnRequest` without compares that puts the same value at each key: one revision, as many events as keys.
pub(crate) fn put_all(keys: &[Bytes], value: &[u8]) -> Bytes {
    keys.iter()
        .fold(Encoder::with_capacity(keys.len() * (value.len() + 48)), |txn, key| {
            let operation = Encoder::with_capacity(key.len() + value.len() + 24);
            txn.message(2, operation.message(2, put_request(key, value)))
        })
        .frame()
}

/// `CompactionRequest` that is answered when the old data is physically gone.
pub(crate) fn compact_and_wait(revision: i64) -> Bytes {
    Encoder::with_capacity(16).integer(1, revision).integer(2, 1).frame()
}

/// `WatchRequest` with a create request for `[key, end)` from `start_revision` (0: from now) on.
pub(crate) fn watch_create(key: &[u8], end: &[u8], start_revision: i64) -> Bytes {
    let create = Encoder::with_capacity(key.len() + end.len() + 24)
        .bytes(1, key)
        .bytes(2, end)
        .integer(3, start_revision);
    Encoder::with_capacity(key.len() + end.len() + 32).message(1, create).frame()
}

/// `LeaseGrantRequest` with an id of the server's choice.
pub(crate) fn lease_grant(ttl_seconds: i64) -> Bytes {
    Encoder::with_capacity(16).integer(1, ttl_seconds).frame()
}

/// `LeaseKeepAliveRequest`.
pub(crate) fn lease_keep_alive(lease: i64) -> Bytes {
    Encoder::with_capacity(16).integer(1, lease).frame()
}

/// `MemberAddRequest` for a voter with one peer URL.
pub(crate) fn member_add(peer_url: &str) -> Bytes {
    Encoder::with_capacity(peer_url.len() + 8).bytes(1, peer_url.as_bytes()).frame()
}

/// `AuthenticateRequest` and the beginning of `AuthUserAddRequest`, which are the same.
pub(crate) fn name_and_password(name: &str, password: &str) -> Bytes {
    let capacity = name.len() + password.len() + 8;
    Encoder::with_capacity(capacity).bytes(1, name.as_bytes()).bytes(2, password.as_bytes()).frame()
}

/// `AuthRoleAddRequest`.
pub(crate) fn name(name: &str) -> Bytes {
    Encoder::with_capacity(name.len() + 4).bytes(1, name.as_bytes()).frame()
}

/// `AuthUserGrantRoleRequest`.
pub(crate) fn name_and_role(user: &str, role: &str) -> Bytes {
    name_and_password(user, role)
}

/// `AuthRoleGrantPermissionRequest` for reading and writing every key.
pub(crate) fn grant_all_keys(role: &str) -> Bytes {
    const READ_WRITE: i64 = 2; // Permission.Type
    let permission = Encoder::with_capacity(16).integer(1, READ_WRITE).bytes(2, &[0]).bytes(3, &[0]);
    Encoder::with_capacity(role.len() + 24).bytes(1, role.as_bytes()).message(2, permission).frame()
}

/// A message without fields: `StatusRequest`, `AuthEnableRequest`.
pub(crate) fn empty() -> Bytes {
    Encoder::with_capacity(0).frame()
}

/// The revision in a reply's `ResponseHeader`.
pub(crate) fn revision(reply: &[u8]) -> Result<i64, Failure> {
    let header = Fields::of(reply).find_bytes(1)?;
    header.map_or(Ok(0), |header| Fields::of(header).find_integer(3))
}

/// Field 4 of a `RangeResponse`: how many keys the range has.
pub(crate) fn range_count(reply: &[u8]) -> Result<i64, Failure> {
    Fields::of(reply).find_integer(4)
}

/// Field 2 of a `TxnResponse`: whether the compares held.
pub(crate) fn txn_succeeded(reply: &[u8]) -> Result<bool, Failure> {
    Ok(Fields::of(reply).find_integer(2)? != 0)
}

/// The mod revision of the key that the failure branch of [`compare_and_put`] read; 0 when it does not exist.
pub(crate) fn txn_read_mod_revision(reply: &[u8]) -> Result<i64, Failure> {
    let mut message = reply;
    // TxnResponse.responses, ResponseOp.response_range, RangeResponse.kvs
    for field in [3, 1, 2] {
        message = Fields::of(message).find_bytes(field)?.unwrap_or_default();
    }
    Fields::of(message).find_integer(3)
}

/// What is looked at of a `StatusResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Who answered.
    pub(crate) member: u64,
    pub(crate) version: String,
    /// Id of the leader; 0 if none is known.
    pub(crate) leader: u64,
    /// Newest applied entry of the raft log.
    pub(crate) applied: u64,
}

/// Reads a `StatusResponse`.
pub(crate) fn status(reply: &[u8]) -> Result<Status, Failure> {
    let fields = || Fields::of(reply);
    let header = fields().find_bytes(1)?.unwrap_or_default();
    let version = fields().find_bytes(2)?.unwrap_or_default();
    Ok(Status {
        member: Fields::of(header).find_integer(2)? as u64,
        version: String::from_utf8_lossy(version).into_owned(),
        leader: fields().find_integer(4)? as u64,
        applied: fields().find_integer(7)? as u64,
    })
}

/// Field 2 of an `AuthenticateResponse`: the token.
pub(crate) fn token(reply: &[u8]) -> Result<String, Failure> {
    let token = Fields::of(reply).find_bytes(2)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(token).into_owned())
}

/// Fields 2 and 3 of a `LeaseGrantResponse` and a `LeaseKeepAliveResponse`: id and time to live in seconds.
pub(crate) fn lease(reply: &[u8]) -> Result<(i64, i64), Failure> {
    Ok((Fields::of(reply).find_integer(2)?, Fields::of(reply).find_integer(3)?))
}

/// What a `WatchResponse` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchMessage {
    Created,
    Canceled { compact_revision: i64 },
    Events { count: u64, last_revision: i64 },
}

/// Looks through a `WatchResponse`, handing the value of each event's `KeyValue` to `each_value`.
pub(crate) fn watch_message(
    message: &[u8],
    mut each_value: impl FnMut(&[u8]),
) -> Result<WatchMessage, Failure> {
    let (mut created, mut canceled, mut compact_revision) = (false, false, 0);
    let (mut count, mut last_revision) = (0, 0);
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (3, Value::Integer(flag)) => created = flag != 0,
            (4, Value::Integer(flag)) => canceled = flag != 0,
            (5, Value::Integer(revision)) => compact_revision = revision as i64,
            (11, Value::Bytes(event)) => {
                count += 1;
                last_revision = watch_event(event, &mut each_value)?;
            }
            _ => {}
        }
    }
    Ok(match (canceled, created) {
        (true, _) => WatchMessage::Canceled { compact_revision },
        (false, true) => WatchMessage::Created,
        (false, false) => WatchMessage::Events { count, last_revision },
    })
}

/// The mod revision of an `Event`; its value goes to `each_value`.
fn watch_event(event: &[u8], each_value: &mut impl FnMut(&[u8])) -> Result<i64, Failure> {
    let mut mod_revision = 0;
    let key_value = Fields::of(event).find_bytes(2)?.unwrap_or_default();
    let mut fields = Fields::of(key_value);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (3, Value::Integer(revision)) => mod_revision = revision as i64,
            (5, Value::Bytes(value)) => each_value(value),
            _ => {}
        }
    }
    Ok(mod_revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::PREFIX_BYTES;
    use prost::Message;
    use proto::etcdserverpb::{self as pb, compare, request_op, watch_request};
    use proto::mvccpb;

    fn decode<M: Message + Default>(frame: &Bytes) -> M {
        M::decode(&frame[PREFIX_BYTES..]).expect("a message that the generated type accepts")
    }

    #[test]
    fn requests_are_what_the_generated_types_say() {
        let expected = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
        assert_eq!(decode::<pb::PutRequest>(&put(b"k", b"v")), expected);

        let request = range(b"a", b"b", Consistency::Serializable, Content::CountOnly);
        let expected = pb::RangeRequest {
            key: "a".into(),
            range_end: "b".into(),
            serializable: true,
            count_only: true,
            ..Default::default()
        };
        assert_eq!(decode::<pb::RangeRequest>(&request), expected);
        let request = range(b"a", b"", Consistency::Linearizable, Content::KeysAndValues);
        assert_eq!(
            decode::<pb::RangeRequest>(&request),
            pb::RangeRequest { key: "a".into(), ..Default::default() }
        );

        let expected = pb::CompactionRequest { revision: 9, physical: true };
        assert_eq!(decode::<pb::CompactionRequest>(&compact_and_wait(9)), expected);
        assert_eq!(decode::<pb::LeaseGrantRequest>(&lease_grant(60)).ttl, 60);
        assert_eq!(decode::<pb::LeaseKeepAliveRequest>(&lease_keep_alive(-7)).id, -7);
        assert_eq!(decode::<pb::StatusRequest>(&empty()), pb::StatusRequest::default());
        let expected = pb::AuthenticateRequest { name: "n".into(), password: "p".into() };
        assert_eq!(decode::<pb::AuthenticateRequest>(&name_and_password("n", "p")), expected);
        let expected =
            pb::AuthUserAddRequest { name: "n".into(), password: "p".into(), ..Default::default() };
        assert_eq!(decode::<pb::AuthUserAddRequest>(&name_and_password("n", "p")), expected);
        assert_eq!(decode::<pb::AuthRoleAddRequest>(&name("r")).name, "r");
        let expected = pb::AuthUserGrantRoleRequest { user: "n".into(), role: "r".into() };
        assert_eq!(decode::<pb::AuthUserGrantRoleRequest>(&name_and_role("n", "r")), expected);
        let permission = proto::authpb::Permission {
            perm_type: proto::authpb::permission::Type::Readwrite.into(),
            key: vec![0].into(),
            range_end: vec![0].into(),
        };
        let expected = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(permission) };
        assert_eq!(decode::<pb::AuthRoleGrantPermissionRequest>(&grant_all_keys("r")), expected);
        let expected = pb::MemberAddRequest { peer_ur_ls: vec!["http://h:1".into()], is_learner: false };
        assert_eq!(decode::<pb::MemberAddRequest>(&member_add("http://h:1")), expected);
    }

    #[test]
    fn transactions_are_what_the_generated_types_say() {
        let put_op = |key: &'static str, value: &'static str| {
            let put = pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() };
            pb::RequestOp { request: Some(request_op::Request::RequestPut(put)) }
        };
        let get = pb::RangeRequest { key: "k".into(), ..Default::default() };
        let compare = |revision| pb::Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Mod.into(),
            key: "k".into(),
            target_union: Some(compare::TargetUnion::ModRevision(revision)),
            ..Default::default()
        };
        for revision in [0, 77] {
            let expected = pb::TxnRequest {
                compare: vec![compare(revision)],
                success: vec![put_op("k", "v")],
                failure: vec![pb::RequestOp {
                    request: Some(request_op::Request::RequestRange(get.clone())),
                }],
            };
            assert_eq!(decode::<pb::TxnRequest>(&compare_and_put(b"k", b"v", revision)), expected);
        }
        let expected =
            pb::TxnRequest { success: vec![put_op("a", "v"), put_op("b", "v")], ..Default::default() };
        assert_eq!(decode::<pb::TxnRequest>(&put_all(&["a".into(), "b".into()], b"v")), expected);
    }

    #[test]
    fn watch_requests_are_what_the_generated_types_say() {
        let create = pb::WatchCreateRequest {
            key: "a".into(),
            range_end: "b".into(),
            start_revision: 5,
            ..Default::default()
        };
        let expected =
            pb::WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
        assert_eq!(decode::<pb::WatchRequest>(&watch_create(b"a", b"b", 5)), expected);
    }

    fn header() -> Option<pb::ResponseHeader> {
        Some(pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 41, raft_term: 3 })
    }

    #[test]
    fn replies_are_read_as_the_generated_types_write_them() {
        let reply =
            pb::TxnResponse { header: header(), succeeded: true, ..Default::default() }.encode_to_vec();
        assert_eq!((revision(&reply), txn_succeeded(&reply)), (Ok(41), Ok(true)));
        assert_eq!((revision(&[]), txn_succeeded(&[])), (Ok(0), Ok(false)));
        let kv = mvccpb::KeyValue { key: "k".into(), mod_revision: 17, ..Default::default() };
        let range = pb::RangeResponse { header: header(), kvs: vec![kv], ..Default::default() };
        let response = Some(pb::response_op::Response::ResponseRange(range));
        let reply = pb::TxnResponse {
            header: header(),
            responses: vec![pb::ResponseOp { response }],
            ..Default::default()
        };
        assert_eq!(txn_read_mod_revision(&reply.encode_to_vec()), Ok(17));
        assert_eq!(txn_read_mod_revision(&[]), Ok(0));
        let reply =
            pb::RangeResponse { header: header(), count: 1_000_000, ..Default::default() }.encode_to_vec();
        assert_eq!(range_count(&reply), Ok(1_000_000));
        let reply = pb::StatusResponse {
            header: header(),
            version: "3.7.1".into(),
            leader: 9,
            raft_applied_index: 70,
            ..Default::default()
        };
        let expected = Status { member: 2, version: "3.7.1".into(), leader: 9, applied: 70 };
        assert_eq!(status(&reply.encode_to_vec()), Ok(expected));
        let reply = pb::LeaseKeepAliveResponse { header: header(), id: -5, ttl: 60 }.encode_to_vec();
        assert_eq!(lease(&reply), Ok((-5, 60)));
    }

    #[test]
    fn watch_replies_are_told_apart_and_give_their_values() {
        let event = |mod_revision, value: &'static str| mvccpb::Event {
            kv: Some(mvccpb::KeyValue {
                key: "k".into(),
                mod_revision,
                value: value.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let read = |message: pb::WatchResponse| {
            let mut values = Vec::new();
            let kind = watch_message(&message.encode_to_vec(), |value| values.push(value.to_vec())).unwrap();
            (kind, values)
        };
        let base = pb::WatchResponse { header: header(), watch_id: 3, ..Default::default() };
        let created = pb::WatchResponse { created: true, ..base.clone() };
        assert_eq!(read(created), (WatchMessage::Created, vec![]));
        let canceled = pb::WatchResponse { canceled: true, compact_revision: 8, ..base.clone() };
        assert_eq!(read(canceled).0, WatchMessage::Canceled { compact_revision: 8 });
        let events = pb::WatchResponse { events: vec![event(10, "x"), event(11, "y")], ..base };
        let expected = WatchMessage::Events { count: 2, last_revision: 11 };
        assert_eq!(read(events), (expected, vec![b"x".to_vec(), b"y".to_vec()]));
    }
}
