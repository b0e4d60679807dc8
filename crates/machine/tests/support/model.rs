//! The state machine once more, as naively as possible: a map of key-values for each revision, copied whole, and
//! responses built as messages. What the real one answers must be these bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use machine::Rejection;
use prost::Message;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::*;
use proto::mvccpb::KeyValue;

type Keys = BTreeMap<Bytes, KeyValue>;
type Answer = Result<(i64, Vec<u8>), Rejection>;

#[derive(Clone)]
pub(crate) struct Model {
    /// The keys at each revision; revision 1 is the first.
    history: Vec<Keys>,
    compacted: i64,
    /// Time to live and epoch.
    leases: BTreeMap<i64, (i64, u64)>,
    alarms: Vec<(i32, u64)>,
}

/// A transaction under way.
struct Writing {
    keys: Keys,
    changed: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { history: vec![Keys::new()], compacted: -1, leases: BTreeMap::new(), alarms: Vec::new() }
    }

    fn revision(&self) -> i64 {
        self.history.len() as i64
    }

    /// The keys as they are.
    pub(crate) fn now(&self) -> &Keys {
        self.history.last().unwrap()
    }

    /// The command's answer: revision of the header, and the response without header.
    pub(crate) fn apply(&mut self, index: u64, term: u64, entry: &InternalRaftRequest) -> Answer {
        let before = self.clone();
        let answer = self.dispatch(index, term, entry);
        if answer.is_err() {
            *self = before;
        }
        answer
    }

    fn dispatch(&mut self, index: u64, term: u64, entry: &InternalRaftRequest) -> Answer {
        let is_on = |kind| self.alarms.iter().any(|&(alarm, _)| alarm == kind);
        let is_data_command = entry.put.is_some()
            || entry.range.is_some()
            || entry.delete_range.is_some()
            || entry.txn.is_some()
            || entry.compaction.is_some()
            || entry.lease_grant.is_some()
            || entry.lease_revoke.is_some()
            || entry.lease_expire.is_some();
        if is_data_command && is_on(2) {
            return Err(Rejection::Corrupt);
        }
        let adds =
            entry.put.is_some() || entry.lease_grant.is_some() || entry.txn.as_ref().is_some_and(has_put);
        if adds && is_on(1) {
            return Err(Rejection::NoSpace);
        }
        if let Some(request) = &entry.put {
            self.check_put(request)?;
            let mut writing = self.begin();
            let response = self.put(&mut writing, request)?;
            self.end(writing);
            Ok((self.revision(), response.encode_to_vec()))
        } else if let Some(request) = &entry.range {
            let response = self.range(&self.begin(), request)?;
            Ok((self.revision(), response.encode_to_vec()))
        } else if let Some(request) = &entry.delete_range {
            let mut writing = self.begin();
            let response = delete(&mut writing, request);
            self.end(writing);
            Ok((self.revision(), response.encode_to_vec()))
        } else if let Some(request) = &entry.txn {
            self.txn(request)
        } else if let Some(request) = &entry.compaction {
            if request.revision <= self.compacted {
                return Err(Rejection::Compacted);
            }
            if request.revision > self.revision() {
                return Err(Rejection::FutureRevision);
            }
            self.compacted = request.revision;
            Ok((self.revision(), Vec::new()))
        } else if let Some(request) = &entry.alarm {
            Ok((self.revision(), self.alarm(request).encode_to_vec()))
        } else if entry.cluster_version_set.is_some() {
            Ok((self.revision(), Vec::new()))
        } else {
            self.lease(index, term, entry)
        }
    }

    fn lease(&mut self, index: u64, term: u64, entry: &InternalRaftRequest) -> Answer {
        if let Some(LeaseGrantRequest { ttl, id }) = entry.lease_grant {
            if id == 0 {
                return Err(Rejection::LeaseNotFound);
            }
            if self.leases.insert(id, (ttl, index)).is_some() {
                return Err(Rejection::LeaseExists);
            }
            let response = LeaseGrantResponse { id, ttl, ..LeaseGrantResponse::default() };
            Ok((self.revision(), response.encode_to_vec()))
        } else if let Some(request) = &entry.lease_revoke {
            self.end_lease(request.id)
        } else if let Some(request) = &entry.lease_expire {
            let (_, epoch) = self.leases.get(&request.id).ok_or(Rejection::LeaseNotFound)?;
            if (request.term, request.renew_epoch) != (term, *epoch) {
                return Err(Rejection::LeaseExpiryVoid);
            }
            self.end_lease(request.id)
        } else if let Some(request) = &entry.lease_checkpoint {
            for checkpoint in request.checkpoints.iter().filter(|checkpoint| checkpoint.remaining_ttl == 0) {
                self.leases.entry(checkpoint.id).and_modify(|(_, epoch)| *epoch = index);
            }
            Ok((self.revision(), Vec::new()))
        } else {
            Err(Rejection::UnknownCommand)
        }
    }

    fn end_lease(&mut self, id: i64) -> Answer {
        self.leases.remove(&id).ok_or(Rejection::LeaseNotFound)?;
        let mut writing = self.begin();
        writing.keys.retain(|_, kv| kv.lease != id);
        writing.changed = writing.keys.len() < self.now().len();
        self.end(writing);
        Ok((self.revision(), Vec::new()))
    }

    fn alarm(&mut self, request: &AlarmRequest) -> AlarmResponse {
        let key = (request.alarm, request.member_id);
        let is_active = self.alarms.contains(&key);
        let answered = match request.action() {
            AlarmAction::Get => self
                .alarms
                .iter()
                .filter(|alarm| request.alarm == 0 || alarm.0 == request.alarm)
                .copied()
                .collect(),
            AlarmAction::Activate if request.alarm == 0 => vec![],
            AlarmAction::Activate => {
                if !is_active {
                    self.alarms.push(key);
                    self.alarms.sort();
                }
                vec![key]
            }
            AlarmAction::Deactivate => {
                self.alarms.retain(|alarm| *alarm != key);
                if is_active { vec![key] } else { vec![] }
            }
        };
        let alarms =
            answered.into_iter().map(|(alarm, member_id)| AlarmMember { member_id, alarm }).collect();
        AlarmResponse { header: None, alarms }
    }

    fn begin(&self) -> Writing {
        Writing { keys: self.now().clone(), changed: false }
    }

    fn end(&mut self, writing: Writing) {
        if writing.changed {
            self.history.push(writing.keys);
        }
    }

    fn seen(&self, writing: &Writing) -> i64 {
        self.revision() + i64::from(writing.changed)
    }

    fn check_put(&self, request: &PutRequest) -> Result<(), Rejection> {
        if request.lease != 0 && !self.leases.contains_key(&request.lease) {
            return Err(Rejection::LeaseNotFound);
        }
        if (request.ignore_value || request.ignore_lease) && !self.now().contains_key(&request.key) {
            return Err(Rejection::KeyNotFound);
        }
        Ok(())
    }

    fn put(&self, writing: &mut Writing, request: &PutRequest) -> Result<PutResponse, Rejection> {
        let old = writing.keys.get(&request.key).cloned();
        if (request.ignore_value || request.ignore_lease) && old.is_none() {
            return Err(Rejection::KeyNotFound);
        }
        let kept = old.clone().unwrap_or_default();
        let mod_revision = self.revision() + 1;
        writing.changed = true;
        writing.keys.insert(
            request.key.clone(),
            KeyValue {
                key: request.key.clone(),
                create_revision: if old.is_some() { kept.create_revision } else { mod_revision },
                mod_revision,
                version: kept.version + 1,
                value: if request.ignore_value { kept.value } else { request.value.clone() },
                lease: if request.ignore_lease { kept.lease } else { request.lease },
            },
        );
        Ok(PutResponse { header: None, prev_kv: if request.prev_kv { old } else { None } })
    }

    fn range(&self, writing: &Writing, request: &RangeRequest) -> Result<RangeResponse, Rejection> {
        let at = if request.revision <= 0 { self.seen(writing) } else { request.revision };
        if at > self.seen(writing) {
            return Err(Rejection::FutureRevision);
        }
        if at < self.compacted {
            return Err(Rejection::Compacted);
        }
        let keys = if at > self.revision() || request.revision <= 0 {
            &writing.keys
        } else {
            &self.history[at as usize - 1]
        };
        let mut kvs: Vec<KeyValue> = within(keys, &request.key, &request.range_end).cloned().collect();
        let count = kvs.len() as i64;
        if request.count_only {
            return Ok(RangeResponse { header: None, kvs: vec![], more: false, count });
        }
        let bounds = [
            request.max_mod_revision,
            request.min_mod_revision,
            request.max_create_revision,
            request.min_create_revision,
        ];
        let by_key = request.sort_order() == SortOrder::None
            || (request.sort_target() == SortTarget::Key && request.sort_order() == SortOrder::Ascend);
        let limit = if request.limit > 0 { request.limit as usize } else { usize::MAX - 1 };
        if by_key && bounds == [0; 4] {
            kvs.truncate(limit + 1);
        }
        let ok = |bound: i64, holds: bool| bound == 0 || holds;
        kvs.retain(|kv| {
            ok(bounds[0], kv.mod_revision <= bounds[0]) && ok(bounds[1], kv.mod_revision >= bounds[1])
        });
        kvs.retain(|kv| {
            ok(bounds[2], kv.create_revision <= bounds[2]) && ok(bounds[3], kv.create_revision >= bounds[3])
        });
        // Descending order is no reversal: keys that are equal stay in key order.
        let rank = |kv: &KeyValue| match request.sort_target() {
            SortTarget::Key => (0, kv.key.clone()),
            SortTarget::Version => (kv.version, Bytes::new()),
            SortTarget::Create => (kv.create_revision, Bytes::new()),
            SortTarget::Mod => (kv.mod_revision, Bytes::new()),
            SortTarget::Value => (0, kv.value.clone()),
        };
        if request.sort_order() == SortOrder::Descend {
            kvs.sort_by_key(|kv| std::cmp::Reverse(rank(kv)));
        } else {
            kvs.sort_by_key(rank);
        }
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        for kv in kvs.iter_mut().filter(|_| request.keys_only) {
            kv.value = Bytes::new();
            kv.lease = if request.sort_target() == SortTarget::Value { kv.lease } else { 0 };
        }
        Ok(RangeResponse { header: None, kvs, more, count })
    }

    fn txn(&mut self, request: &TxnRequest) -> Answer {
        let mut writing = self.begin();
        self.check_txn(request)?;
        let response = self.run(&mut writing, request)?;
        self.end(writing);
        Ok((self.revision(), response.encode_to_vec()))
    }

    fn taken<'a>(&self, request: &'a TxnRequest) -> (bool, &'a [RequestOp]) {
        let succeeded = request.compare.iter().all(|compare| self.compare(compare));
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }

    fn check_txn(&self, request: &TxnRequest) -> Result<(), Rejection> {
        for operation in self.taken(request).1 {
            match operation.request.as_ref().unwrap() {
                Request::RequestRange(range) if range.revision > self.revision() => {
                    return Err(Rejection::FutureRevision);
                }
                Request::RequestRange(range) if range.revision != 0 && range.revision < self.compacted => {
                    return Err(Rejection::Compacted);
                }
                Request::RequestPut(put) => self.check_put(put)?,
                Request::RequestTxn(nested) => self.check_txn(nested)?,
                Request::RequestRange(_) | Request::RequestDeleteRange(_) => {}
            }
        }
        Ok(())
    }

    fn run(&self, writing: &mut Writing, request: &TxnRequest) -> Result<TxnResponse, Rejection> {
        let (succeeded, operations) = self.taken(request);
        let mut responses = Vec::new();
        for operation in operations {
            let header = |revision| Some(ResponseHeader { revision, ..ResponseHeader::default() });
            let response = match operation.request.as_ref().unwrap() {
                Request::RequestRange(range) => {
                    let response = self.range(writing, range)?;
                    Response::ResponseRange(RangeResponse { header: header(self.seen(writing)), ..response })
                }
                Request::RequestPut(put) => {
                    let response = self.put(writing, put)?;
                    Response::ResponsePut(PutResponse { header: header(self.seen(writing)), ..response })
                }
                Request::RequestDeleteRange(range) => {
                    let response = delete(writing, range);
                    Response::ResponseDeleteRange(DeleteRangeResponse {
                        header: header(self.seen(writing)),
                        ..response
                    })
                }
                Request::RequestTxn(nested) => {
                    let response = self.run(writing, nested)?;
                    Response::ResponseTxn(TxnResponse { header: Some(ResponseHeader::default()), ..response })
                }
            };
            responses.push(ResponseOp { response: Some(response) });
        }
        Ok(TxnResponse { header: None, succeeded, responses })
    }

    fn compare(&self, compare: &Compare) -> bool {
        let found: Vec<&KeyValue> = within(self.now(), &compare.key, &compare.range_end).collect();
        if !found.is_empty() {
            return found.into_iter().all(|kv| compare_one(compare, kv));
        }
        CompareTarget::try_from(compare.target) != Ok(CompareTarget::Value)
            && compare_one(compare, &KeyValue::default())
    }
}

fn within<'a>(keys: &'a Keys, key: &'a Bytes, range_end: &'a Bytes) -> impl Iterator<Item = &'a KeyValue> {
    keys.values().filter(move |kv| match &range_end[..] {
        [] => kv.key == key,
        [0] => kv.key >= key,
        end => kv.key >= key && &kv.key[..] < end,
    })
}

fn delete(writing: &mut Writing, request: &DeleteRangeRequest) -> DeleteRangeResponse {
    let gone: Vec<KeyValue> = within(&writing.keys, &request.key, &request.range_end).cloned().collect();
    gone.iter().for_each(|kv| drop(writing.keys.remove(&kv.key)));
    writing.changed |= !gone.is_empty();
    let deleted = gone.len() as i64;
    DeleteRangeResponse { header: None, deleted, prev_kvs: if request.prev_kv { gone } else { vec![] } }
}

fn compare_one(compare: &Compare, kv: &KeyValue) -> bool {
    let union = compare.target_union.clone();
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => {
            kv.version.cmp(&if let Some(TargetUnion::Version(number)) = union { number } else { 0 })
        }
        Ok(CompareTarget::Create) => {
            kv.create_revision.cmp(&if let Some(TargetUnion::CreateRevision(number)) = union {
                number
            } else {
                0
            })
        }
        Ok(CompareTarget::Mod) => {
            kv.mod_revision.cmp(&if let Some(TargetUnion::ModRevision(number)) = union { number } else { 0 })
        }
        Ok(CompareTarget::Lease) => {
            kv.lease.cmp(&if let Some(TargetUnion::Lease(number)) = union { number } else { 0 })
        }
        Ok(CompareTarget::Value) => {
            kv.value.cmp(&if let Some(TargetUnion::Value(value)) = union { value } else { Bytes::new() })
        }
        Err(_) => std::cmp::Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

fn has_put(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|operation| match &operation.request {
        Some(Request::RequestPut(_)) => true,
        Some(Request::RequestTxn(nested)) => has_put(nested),
        _ => false,
    })
}
