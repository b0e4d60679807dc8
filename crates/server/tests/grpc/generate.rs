//! Random requests: mostly sensible, on few keys so that they meet, with every option, and now and then wrong in every
//! way that a request can be wrong.

use bytes::Bytes;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;
use testkit::Version;

use crate::step::{Reply, Step};
use testkit::Random;

/// Watch streams that are open from the first to the last step.
pub(crate) const STREAMS: usize = 2;
/// Watches at a time; each costs a little with every step.
const WATCHES_MAX: usize = 12;
/// Live leases at a time are at most about these.
const LEASES: i64 = 12;
/// No lease expires while the test runs.
const TTL_MIN: i64 = 100_000;
/// What a transaction may hold (server.md section 2, `--max-txn-ops`).
const OPERATIONS_MAX: usize = 128;
const DEPTH_MAX: usize = 3;

/// Makes requests; learns from replies which revisions and watches there are.
pub(crate) struct Generator {
    random: Random,
    /// Both servers' requests must make sense to the older of the two.
    version: Version,
    /// Newest revision seen.
    pub(crate) revision: i64,
    /// Newest compaction, 0 for none.
    pub(crate) compacted: i64,
    watches: Vec<(usize, i64)>,
    /// Steps until the alarm that is on goes off.
    alarm: Option<(usize, i32)>,
}

impl Generator {
    pub(crate) fn new(seed: u64, version: Version) -> Generator {
        Generator {
            random: Random::new(seed),
            version,
            revision: 1,
            compacted: 0,
            watches: Vec::new(),
            alarm: None,
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> Step {
        if let Some(step) = self.end_of_alarm() {
            return step;
        }
        match self.random.below(1000) {
            0..300 => Step::Put(self.put()),
            300..520 => Step::Range(self.range()),
            520..540 => self.range_stream(),
            540..620 => Step::DeleteRange(self.delete_range()),
            620..860 => Step::Txn(self.txn(0, OPERATIONS_MAX)),
            860..868 => Step::Compact(self.compact()),
            868..895 => Step::LeaseGrant(self.lease_grant()),
            895..910 => Step::LeaseRevoke(pb::LeaseRevokeRequest { id: self.lease() }),
            910..930 => {
                let keys = self.random.chance(60);
                Step::LeaseTimeToLive(pb::LeaseTimeToLiveRequest { id: self.lease(), keys })
            }
            930..940 => Step::LeaseKeepAlive(pb::LeaseKeepAliveRequest { id: self.lease() }),
            940..948 => Step::LeaseLeases,
            948..968 => Step::HashKv(pb::HashKvRequest { revision: self.hash_revision() }),
            968..984 => self.watch_create(),
            984..992 => self.watch_cancel(),
            992..996 => Step::WatchProgress { stream: self.random.below(STREAMS) },
            _ => self.alarm(),
        }
    }

    /// Takes in what the request did.
    pub(crate) fn learn(&mut self, step: &Step, reply: &Reply) {
        let mut reply = reply.clone();
        if let Some(header) = reply.header() {
            self.revision = self.revision.max(header.revision);
        }
        match (step, reply) {
            (Step::Compact(request), Reply::Compact(_)) => self.compacted = request.revision,
            (Step::WatchCreate { stream, .. }, Reply::Watch(created)) if !created.canceled => {
                self.watches.push((*stream, created.watch_id));
            }
            (Step::WatchCancel { stream, watch_id }, _) => {
                self.watches.retain(|watch| watch != &(*stream, *watch_id));
            }
            _ => {}
        }
    }

    fn key(&mut self) -> Bytes {
        match self.random.below(100) {
            0 => Bytes::new(),
            1 => Bytes::from_static(b"\x00"),
            2 => Bytes::from_static(b"\xff\xff"),
            3 => Bytes::from_static(b"a\x00b"),
            _ => {
                let letter = self.random.pick(b"abcdef");
                let digit = self.random.pick(b"123456");
                if self.random.chance(20) { vec![letter].into() } else { vec![letter, b'/', digit].into() }
            }
        }
    }

    /// A key and the end of a range from it.
    fn key_range(&mut self) -> (Bytes, Bytes) {
        let key = self.key();
        match self.random.below(100) {
            0..40 => (key, Bytes::new()),
            40..65 => {
                let letter = self.random.pick(b"abcdef");
                (vec![letter].into(), vec![letter + 1].into())
            }
            65..85 => (key, self.key()),
            85..93 => (key, Bytes::from_static(b"\x00")),
            _ => (Bytes::from_static(b"\x00"), Bytes::from_static(b"\x00")),
        }
    }

    fn value(&mut self) -> Bytes {
        let length = match self.random.below(100) {
            0..5 => 0,
            5..98 => self.random.below(12),
            _ => self.random.below(20_000),
        };
        (0..length).map(|_| self.random.pick(b"xyz\x00\xff")).collect::<Vec<u8>>().into()
    }

    /// A lease that often exists.
    fn lease(&mut self) -> i64 {
        match self.random.below(20) {
            0 => 0,
            1 => -5,
            _ => self.random.between(1, LEASES),
        }
    }

    /// A revision of interest: the newest, old ones, the compaction's neighbours, none.
    fn some_revision(&mut self) -> i64 {
        match self.random.below(20) {
            0 => self.revision + self.random.between(1, 3),
            1 => self.compacted + self.random.between(-1, 1),
            2 => -self.random.between(1, 3),
            3 => self.revision,
            4 => 1,
            5..10 => self.random.between(self.compacted.max(1), self.revision),
            10..13 => (self.revision - self.random.between(0, 20)).max(1),
            _ => 0,
        }
    }

    fn range(&mut self) -> pb::RangeRequest {
        let (key, range_end) = self.key_range();
        let sorted = self.random.chance(50);
        let mut bound = |percent| if self.random.chance(percent) { self.some_revision() } else { 0 };
        let filters = [bound(6), bound(6), bound(6), bound(6)];
        pb::RangeRequest {
            key,
            range_end,
            limit: if self.random.chance(40) { self.random.between(-1, 6) } else { 0 },
            revision: self.some_revision(),
            sort_order: if sorted { self.sort_option(3) } else { 0 },
            sort_target: if sorted { self.sort_option(5) } else { 0 },
            serializable: self.random.chance(30),
            keys_only: self.random.chance(15),
            count_only: self.random.chance(10),
            min_mod_revision: filters[0],
            max_mod_revision: filters[1],
            min_create_revision: filters[2],
            max_create_revision: filters[3],
        }
    }

    /// A number of an enum of `count` values, rarely another.
    fn enumeration(&mut self, count: i64) -> i32 {
        let number = if self.random.chance(2) {
            self.random.pick(&[-1, count, 99])
        } else {
            self.random.between(0, count - 1)
        };
        i32::try_from(number).expect("small")
    }

    /// An unknown number of a sort option makes etcd 3.4 panic, where the contract refuses it (errors.md,
    /// InvalidSortOption).
    fn sort_option(&mut self, count: i64) -> i32 {
        let number = self.enumeration(count);
        if self.version < Version::CONTRACT {
            number.clamp(0, i32::try_from(count).expect("small") - 1)
        } else {
            number
        }
    }

    /// Only etcd 3.7 has the call (api.md section 1); an older one is asked for the same range at once.
    fn range_stream(&mut self) -> Step {
        let request = self.range();
        if self.version < Version::CONTRACT { Step::Range(request) } else { Step::RangeStream(request) }
    }

    fn put(&mut self) -> pb::PutRequest {
        let ignore_value = self.random.chance(6);
        let ignore_lease = self.random.chance(6);
        let empty_value = ignore_value && !self.random.chance(10);
        let mut without_lease = (ignore_lease && !self.random.chance(10)) || self.random.chance(70);
        // Of a put in a transaction that lacks its key and its lease, etcd 3.4 names the key; the contract the lease
        // (semantics.md section 3, "checked at apply, before key check").
        without_lease |= ignore_value && self.version < Version::CONTRACT;
        pb::PutRequest {
            key: self.key(),
            value: if empty_value { Bytes::new() } else { self.value() },
            lease: if without_lease { 0 } else { self.lease() },
            prev_kv: self.random.chance(30),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete_range(&mut self) -> pb::DeleteRangeRequest {
        let (key, range_end) = match self.random.chance(85) {
            true => (self.key(), Bytes::new()),
            false => self.key_range(),
        };
        pb::DeleteRangeRequest { key, range_end, prev_kv: self.random.chance(40) }
    }

    fn txn(&mut self, depth: usize, budget: usize) -> pb::TxnRequest {
        let compares = self.random.below(3);
        let mut count = || match self.random.below(100) {
            0 if depth == 0 => budget + self.random.below(2),
            _ => self.random.below(5),
        };
        let (success, failure) = (count(), count());
        pb::TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.operations(success, depth),
            failure: self.operations(failure, depth),
        }
    }

    fn operations(&mut self, count: usize, depth: usize) -> Vec<pb::RequestOp> {
        // Many operations are ranges, or they would nearly always have a key twice.
        (0..count).map(|_| self.operation(depth, count > 10)).collect()
    }

    fn operation(&mut self, depth: usize, range: bool) -> pb::RequestOp {
        let request = match self.random.below(100) {
            _ if range => Some(Request::RequestRange(self.range())),
            0..45 => Some(Request::RequestPut(self.put())),
            45..75 => Some(Request::RequestRange(self.range_in_txn())),
            75..90 => Some(Request::RequestDeleteRange(self.delete_in_txn())),
            90..99 if self.nests(depth) => Some(Request::RequestTxn(self.txn(depth + 1, OPERATIONS_MAX))),
            90..99 => Some(Request::RequestRange(self.range_in_txn())),
            _ => None,
        };
        pb::RequestOp { request }
    }

    /// etcd 3.4 does not count the puts of nested transactions as needing space (semantics.md section 9, cost), so that
    /// it takes them while the NOSPACE alarm is on.
    fn nests(&self, depth: usize) -> bool {
        depth < DEPTH_MAX && (self.version == Version::CONTRACT || self.alarm.is_none())
    }

    /// Rarely at a revision that does not exist: the whole transaction would fail. Of a transaction in which more than one
    /// operation is wrong, etcd 3.4 names the first put, the contract the first operation (semantics.md section 5,
    /// "pre-checks on taken path only"): there only the puts are wrong.
    fn range_in_txn(&mut self) -> pb::RangeRequest {
        let mut range = self.range();
        if self.version < Version::CONTRACT || !self.random.chance(10) {
            range.revision = 0;
        }
        range
    }

    /// Without an open end: such a delete is not seen to overlap a put (semantics.md section 5, "known hole"), and what a
    /// watcher from the revision of a compaction sees of the key that is deleted and put at once then depends on when the
    /// server removes the old version. The etcdctl script has the hole.
    fn delete_in_txn(&mut self) -> pb::DeleteRangeRequest {
        let mut delete = self.delete_range();
        if delete.range_end.as_ref() == b"\x00" {
            delete.range_end = Bytes::new();
        }
        delete
    }

    fn compare(&mut self) -> pb::Compare {
        let target = self.enumeration(5);
        // Rarely the operand of another target.
        let operand = if self.random.chance(3) { self.enumeration(5) } else { target };
        let number = self.some_revision().max(0);
        let target_union = match operand {
            0 => Some(TargetUnion::Version(self.random.between(0, 3))),
            1 => Some(TargetUnion::CreateRevision(number)),
            2 => Some(TargetUnion::ModRevision(number)),
            3 => Some(TargetUnion::Value(self.value())),
            4 => Some(TargetUnion::Lease(self.lease())),
            _ => None,
        };
        let (key, range_end) =
            if self.random.chance(80) { (self.key(), Bytes::new()) } else { self.key_range() };
        pb::Compare { result: self.enumeration(4), target, key, range_end, target_union }
    }

    fn compact(&mut self) -> pb::CompactionRequest {
        let revision = match self.random.below(10) {
            0 => self.revision + 1,
            1 => self.compacted.max(1),
            2 => self.revision,
            3 => -1,
            // Not 0, which is taken once: from then on etcd answers a hash of "now" (0) with that of the empty store,
            // which it took at that compaction.
            _ => self.random.between(self.compacted.max(1), self.revision),
        };
        pb::CompactionRequest { revision, physical: self.random.chance(50) }
    }

    fn lease_grant(&mut self) -> pb::LeaseGrantRequest {
        let id = match self.random.below(20) {
            0 => -5,
            _ => self.random.between(1, LEASES),
        };
        let ttl = match self.random.below(20) {
            0 => 9_000_000_000,
            1 => 9_000_000_001,
            _ => self.random.between(TTL_MIN, TTL_MIN * 10),
        };
        pb::LeaseGrantRequest { ttl, id }
    }

    fn hash_revision(&mut self) -> i64 {
        match self.random.below(4) {
            0 => self.some_revision().max(0),
            _ => 0,
        }
    }

    fn watch_create(&mut self) -> Step {
        if self.watches.len() >= WATCHES_MAX {
            return self.watch_cancel();
        }
        let (key, range_end) = self.key_range();
        let mut start_revision = if self.random.chance(50) { 0 } else { self.some_revision() };
        if self.version < Version::CONTRACT {
            start_revision = self.start_that_older_ones_know(start_revision);
        }
        let request = pb::WatchCreateRequest {
            key,
            range_end,
            start_revision,
            progress_notify: false,
            filters: self.random.pick(&[vec![], vec![], vec![], vec![0], vec![1], vec![0, 1]]),
            prev_kv: self.random.chance(50),
            watch_id: if self.random.chance(20) { self.random.between(1, 40) } else { 0 },
            fragment: self.random.chance(20),
        };
        Step::WatchCreate { stream: self.random.below(STREAMS), request }
    }

    /// Older ones take a negative start for "from now on" (semantics.md section 7.1), and have dropped the deletions of the
    /// very revision of the compaction (section 6, "effect").
    fn start_that_older_ones_know(&self, start: i64) -> i64 {
        if start == self.compacted { start + 1 } else { start.max(0) }
    }

    fn watch_cancel(&mut self) -> Step {
        let unknown = self.watches.is_empty() || self.random.chance(10);
        let (stream, watch_id) = if unknown { (0, 777) } else { self.random.pick(&self.watches) };
        Step::WatchCancel { stream, watch_id }
    }

    fn alarm(&mut self) -> Step {
        let alarm = self.random.pick(&[0, 1, 1, 2]);
        let action = if alarm == 0 { 0 } else { 1 };
        if action == 1 {
            self.alarm = Some((self.random.below(8), alarm));
        }
        Step::Alarm(pb::AlarmRequest { action, member_id: 7, alarm })
    }

    fn end_of_alarm(&mut self) -> Option<Step> {
        let (steps, alarm) = self.alarm?;
        self.alarm = steps.checked_sub(1).map(|steps| (steps, alarm));
        (steps == 0).then_some(Step::Alarm(pb::AlarmRequest { action: 2, member_id: 7, alarm }))
    }
}
