//! Replies made comparable: what is a server's own goes, what has no order is sorted, and what an older etcd answers
//! otherwise than the contract is turned into what the contract wants.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::mvccpb::KeyValue;
use testkit::Version;

use crate::step::{Reply, Step};

/// The reply to `step` of a server of `version`, comparable to that of another server.
pub(crate) fn normalise(step: &Step, mut reply: Reply, version: Version) -> Reply {
    if let Some(header) = reply.header() {
        header.cluster_id = 0;
        header.member_id = 0;
        header.raft_term = 0;
    }
    match (step, &mut reply) {
        (Step::Range(request) | Step::RangeStream(request), Reply::Range(reply)) => {
            range(request, reply, version)
        }
        (Step::Txn(request), Reply::Txn(reply)) => txn(request, reply, version),
        (_, Reply::LeaseTimeToLive(reply)) => {
            // Seconds left depend on the moment; that it lives, and for how long it was granted, do not.
            reply.ttl = reply.ttl.min(0);
            reply.keys.sort_unstable();
        }
        // Ordered by expiry, which is a time of the server's own clock.
        (_, Reply::LeaseLeases(reply)) => reply.leases.sort_unstable_by_key(|lease| lease.id),
        // Since 3.6 (api.md section 2.3).
        (_, Reply::HashKv(reply)) if version < (Version { major: 3, minor: 6 }) => reply.hash_revision = 0,
        // 3.4 answers GET without a header (api.md section 4).
        (_, Reply::Alarm(reply)) if version < Version::CONTRACT => reply.header = None,
        (_, Reply::Watch(reply)) => reply.events.clear(),
        _ => {}
    }
    reply
}

fn txn(request: &pb::TxnRequest, reply: &mut pb::TxnResponse, version: Version) {
    let requests = if reply.succeeded { &request.success } else { &request.failure };
    for (request, reply) in requests.iter().zip(&mut reply.responses) {
        match (&request.request, &mut reply.response) {
            (Some(Request::RequestRange(request)), Some(Response::ResponseRange(reply))) => {
                range(request, reply, version);
            }
            (Some(Request::RequestTxn(request)), Some(Response::ResponseTxn(reply))) => {
                txn(request, reply, version)
            }
            _ => {}
        }
    }
}

fn range(request: &pb::RangeRequest, reply: &mut pb::RangeResponse, version: Version) {
    // semantics.md section 2, keys_only: 3.7 reads the index, which knows no leases, unless it sorts by value.
    if version < Version::CONTRACT && request.keys_only && request.sort_target != VALUE {
        reply.kvs.iter_mut().for_each(|kv| kv.lease = 0);
    }
    order_ties(request, reply);
}

const VERSION: i32 = pb::range_request::SortTarget::Version as i32;
const CREATE: i32 = pb::range_request::SortTarget::Create as i32;
const MOD: i32 = pb::range_request::SortTarget::Mod as i32;
const VALUE: i32 = pb::range_request::SortTarget::Value as i32;

/// The order of equal keys of a sort is not specified (semantics.md section 2, sort stability): they are put in the order
/// of the range's keys; which of those equal to the last one a limit has cut off is not specified either, so that
/// of them only what they are equal in stays.
fn order_ties(request: &pb::RangeRequest, reply: &mut pb::RangeResponse) {
    let rank = |kv: &KeyValue| match request.sort_target {
        VERSION => kv.version.to_be_bytes().to_vec(),
        CREATE => kv.create_revision.to_be_bytes().to_vec(),
        MOD => kv.mod_revision.to_be_bytes().to_vec(),
        VALUE => kv.value.to_vec(),
        _ => kv.key.to_vec(),
    };
    let Some(last) = reply.kvs.last().map(&rank) else { return };
    let mut ordered = Vec::new();
    for group in reply.kvs.chunk_by(|one, next| rank(one) == rank(next)) {
        let mut group = group.to_vec();
        group.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        if reply.more && rank(&group[0]) == last && request.sort_target != 0 {
            group.iter_mut().for_each(|kv| *kv = only_sorted_by(kv, request.sort_target));
        }
        ordered.extend(group);
    }
    reply.kvs = ordered;
}

fn only_sorted_by(kv: &KeyValue, target: i32) -> KeyValue {
    match target {
        VERSION => KeyValue { version: kv.version, ..KeyValue::default() },
        CREATE => KeyValue { create_revision: kv.create_revision, ..KeyValue::default() },
        MOD => KeyValue { mod_revision: kv.mod_revision, ..KeyValue::default() },
        _ => KeyValue { value: kv.value.clone(), ..KeyValue::default() },
    }
}

/// Whether the replies cannot be compared because one of the servers computes something else altogether.
pub(crate) fn incomparable(step: &Step, older: Version, compactions: &[i64]) -> bool {
    if !matches!(step, Step::HashKv(_)) {
        return false;
    }
    // semantics.md section 11, HashKV: 3.4 hashes other records once something is compacted, and refuses the revision of
    // the compaction.
    older < Version::CONTRACT && !compactions.is_empty()
}
