//! `kill -9` at any moment, and what a client may count on afterwards.
//!
//! Writers and a watcher work on the real binary until, after a seeded number of acknowledged writes, the process is
//! killed (or asked to stop). It is started again on the same directory, and its whole history is compared with what the
//! clients know:
//!
//! * every acknowledged write is in the history, at its revision, whole;
//! * no revision has two contents: what the watcher saw before the crash is what the history says after it;
//! * the watcher, which resumes behind the last revision it saw, sees every event once and in order;
//! * no write is there twice, and the current state is what the history leads to;
//! * acknowledged compactions, leases and revocations hold; revisions only grow.
//!
//! What was in flight may be there or not: both are right, as long as everybody is told the same.
//!
//! `QUORATE_CRASH_ROUNDS=200` runs more rounds than the few of every test run, `QUORATE_CRASH_SEED` other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;
use testkit::{Program, Server, wait};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Concurrent writers.
const WRITERS: u64 = 6;

/// Keys that all of them write to.
const KEYS: u64 = 40;

/// A round ends after at most so many acknowledged writes.
const WRITES_MAX: u64 = 300;

/// So many of a round's writes are also read at their revision.
const READS_BACK: usize = 32;

/// Far longer than the test: nothing expires by itself.
const LEASE_SECONDS: i64 = 36_000;

/// What fills large values up.
const FILLER: u8 = b'=';

/// One request of a writer.
#[derive(Clone, Copy)]
enum Kind {
    Put,
    Delete,
    /// Two puts, or a put and a delete: all of it or nothing.
    Txn,
    /// A lease, and a key of its own under it.
    Lease,
    /// The end of a lease, and of its key.
    Revoke,
    /// Never beyond what the watcher has seen.
    Compact,
}

/// How a round ends.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Terminate,
}

/// The load of a round.
struct Round {
    kinds: &'static [Kind],
    /// Length of a value: large ones cause checkpoints in the middle of the load.
    value_bytes: usize,
    end: End,
}

/// Repeated in this order.
const ROUNDS: [Round; 6] = [
    Round { kinds: &[Kind::Put, Kind::Put, Kind::Delete], value_bytes: 0, end: End::Kill },
    Round { kinds: &[Kind::Txn, Kind::Put], value_bytes: 0, end: End::Kill },
    Round { kinds: &[Kind::Put, Kind::Txn, Kind::Delete, Kind::Compact], value_bytes: 200, end: End::Kill },
    Round { kinds: &[Kind::Put, Kind::Lease, Kind::Lease, Kind::Revoke], value_bytes: 0, end: End::Kill },
    Round {
        kinds: &[Kind::Put, Kind::Txn, Kind::Lease, Kind::Delete],
        value_bytes: 2_000,
        end: End::Terminate,
    },
    Round { kinds: &[Kind::Put, Kind::Txn, Kind::Compact], value_bytes: 256 << 10, end: End::Kill },
];

/// What happened to one key; `None` is its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    key: String,
    value: Option<String>,
}

/// The changes of each revision.
type Tape = BTreeMap<i64, Vec<Change>>;

/// What a writer knows.
enum Note {
    Written(i64, Vec<Change>),
    Granted(i64),
    /// About to revoke: from here on both outcomes are right.
    Revoking(i64),
    Revoked(i64),
    Compacted(i64),
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_every_crash() {
    let rounds = number("QUORATE_CRASH_ROUNDS").unwrap_or(ROUNDS.len() as u64);
    let seed = number("QUORATE_CRASH_SEED").unwrap_or(1);
    let program = Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built");
    let mut server = Server::start(&program, &[]);
    let mut known = Known::default();
    for (number, round) in (0..rounds).zip(ROUNDS.iter().cycle()) {
        let random = Random::new(seed, number);
        let what = format!("round {number} of seed {seed}");
        let crashed = run_until_crash(&mut server, round, number, random, &mut known);
        tokio::time::timeout(wait::DEADLINE, crashed).await.unwrap_or_else(|_| panic!("{what} hangs"));
        server.restart();
        let channel = connect(&server).await;
        tokio::time::timeout(wait::DEADLINE, known.verify(&channel, &what))
            .await
            .unwrap_or_else(|_| panic!("{what}: the history does not come"));
    }
    println!("{rounds} rounds of seed {seed}: {} revisions, {} acknowledged", known.newest, known.writes);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
    endpoint.connect().await.expect("a server that serves accepts a connection")
}

/// The load, the end of the process, and everything that was acknowledged until then.
async fn run_until_crash(
    server: &mut Server,
    round: &'static Round,
    number: u64,
    mut random: Random,
    known: &mut Known,
) {
    let target = 1 + random.below(WRITES_MAX);
    let channel = connect(server).await;
    let seen = Arc::new(AtomicI64::new(known.seen()));
    let follower = tokio::spawn(follow(channel.clone(), seen.clone()));
    let (send, mut notes) = unbounded_channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let name = format!("r{number}w{writer}");
            let random = Random::new(random.next(), writer);
            tokio::spawn(Writer::new(&channel, round, name, random, seen.clone(), send.clone()).run())
        })
        .collect();
    drop(send);
    known.acknowledged.clear();
    while known.acknowledged.len() < target as usize {
        known.take(notes.recv().await.expect("no writer fails before the crash"));
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()), "no writer fails before the crash");
    match round.end {
        End::Kill => server.kill(),
        End::Terminate => server.signal_terminate(),
    }
    for writer in writers {
        // Why it ended does not matter: the outcome of its last request is unknown.
        let _: Status = writer.await.expect("a writer does not panic");
    }
    // What came through before the connection broke is acknowledged, too.
    while let Some(note) = notes.recv().await {
        known.take(note);
    }
    known.followed.append(&mut follower.await.expect("the watcher sees nothing wrong"));
    if let End::Terminate = round.end {
        assert_eq!(server.wait().signal(), Some(15), "a clean stop ends by the signal that asked for it");
    }
}

/// Sends one request after the other until one fails.
struct Writer {
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    round: &'static Round,
    name: String,
    random: Random,
    /// What the watcher has seen.
    seen: Arc<AtomicI64>,
    notes: UnboundedSender<Note>,
    /// Number of the last value.
    values: u64,
    leases: Vec<(i64, String)>,
}

impl Writer {
    fn new(
        channel: &Channel,
        round: &'static Round,
        name: String,
        random: Random,
        seen: Arc<AtomicI64>,
        notes: UnboundedSender<Note>,
    ) -> Writer {
        let (kv, lease) = (KvClient::new(channel.clone()), LeaseClient::new(channel.clone()));
        Writer { kv, lease, round, name, random, seen, notes, values: 0, leases: Vec::new() }
    }

    async fn run(mut self) -> Status {
        loop {
            let kinds = self.round.kinds;
            let sent = match kinds[self.random.below(kinds.len() as u64) as usize] {
                Kind::Put => self.put().await,
                Kind::Delete => self.delete().await,
                Kind::Txn => self.txn().await,
                Kind::Lease => self.put_under_lease().await,
                Kind::Revoke => self.revoke().await,
                Kind::Compact => self.compact().await,
            };
            if let Err(status) = sent {
                return status;
            }
        }
    }

    async fn put(&mut self) -> Result<(), Status> {
        let key = self.random.key();
        self.put_at(key, 0).await
    }

    async fn put_at(&mut self, key: String, lease: i64) -> Result<(), Status> {
        let (request, change) = self.put_request(key, lease);
        let header = self.kv.put(request).await?.into_inner().header;
        self.written(header, vec![change]);
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), Status> {
        let key = self.random.key();
        let reply = self.kv.delete_range(delete_request(&key)).await?.into_inner();
        let changes = if reply.deleted == 0 { Vec::new() } else { vec![Change { key, value: None }] };
        self.written(reply.header, changes);
        Ok(())
    }

    async fn txn(&mut self) -> Result<(), Status> {
        let (first, second) = self.random.two_keys();
        let absent = pb::Compare {
            target: pb::compare::CompareTarget::Create as i32,
            key: second.clone().into(),
            target_union: Some(pb::compare::TargetUnion::CreateRevision(0)),
            ..pb::Compare::default()
        };
        let (put_first, first) = self.put_request(first, 0);
        let (put_second, other) = self.put_request(second.clone(), 0);
        let put = |request| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(request)) };
        let delete = pb::request_op::Request::RequestDeleteRange(delete_request(&second));
        let request = pb::TxnRequest {
            compare: vec![absent],
            success: vec![put(put_first.clone()), put(put_second)],
            failure: vec![put(put_first), pb::RequestOp { request: Some(delete) }],
        };
        let reply = self.kv.txn(request).await?.into_inner();
        let last = if reply.succeeded { other } else { Change { key: second, value: None } };
        self.written(reply.header, vec![first, last]);
        Ok(())
    }

    async fn put_under_lease(&mut self) -> Result<(), Status> {
        let request = pb::LeaseGrantRequest { ttl: LEASE_SECONDS, ..pb::LeaseGrantRequest::default() };
        let lease = self.lease.lease_grant(request).await?.into_inner().id;
        self.note(Note::Granted(lease));
        let key = format!("lease/{lease:x}");
        self.put_at(key.clone(), lease).await?;
        self.leases.push((lease, key));
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), Status> {
        let Some((id, key)) = self.leases.pop() else { return self.put().await };
        self.note(Note::Revoking(id));
        let reply = self.lease.lease_revoke(pb::LeaseRevokeRequest { id }).await?.into_inner();
        self.note(Note::Revoked(id));
        self.written(reply.header, vec![Change { key, value: None }]);
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), Status> {
        let revision = self.seen.load(Ordering::Relaxed) - self.random.below(KEYS) as i64;
        let request = pb::CompactionRequest { revision, ..pb::CompactionRequest::default() };
        match self.kv.compact(request).await {
            Ok(_) => self.note(Note::Compacted(revision)),
            // Another writer was faster, or nothing is there yet.
            Err(status) if status.code() == tonic::Code::OutOfRange => {}
            Err(status) => return Err(status),
        }
        Ok(())
    }

    /// No two values are the same.
    fn put_request(&mut self, key: String, lease: i64) -> (pb::PutRequest, Change) {
        self.values += 1;
        let mut value = format!("{}n{}", self.name, self.values).into_bytes();
        value.resize(value.len().max(self.round.value_bytes), FILLER);
        let change = Change { key: key.clone(), value: Some(brief(&value)) };
        let request =
            pb::PutRequest { key: key.into(), value: value.into(), lease, ..pb::PutRequest::default() };
        (request, change)
    }

    fn written(&self, header: Option<pb::ResponseHeader>, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.note(Note::Written(header.expect("a reply has a header").revision, changes));
        }
    }

    fn note(&self, note: Note) {
        self.notes.send(note).expect("somebody takes notes until the last writer ends");
    }
}

fn delete_request(key: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key.to_owned().into(), ..pb::DeleteRangeRequest::default() }
}

/// A value without its filler, but with its length: what tests keep of it.
fn brief(value: &[u8]) -> String {
    let end = value.iter().rposition(|byte| *byte != FILLER).map_or(0, |last| last + 1);
    format!("{} of {} bytes", String::from_utf8_lossy(&value[..end]), value.len())
}

/// Watches all keys from behind what was `seen` until the connection ends, and checks the order.
async fn follow(channel: Channel, seen: Arc<AtomicI64>) -> Tape {
    let mut tape = Tape::new();
    let Ok(mut responses) = watch(&channel, seen.load(Ordering::Relaxed) + 1).await else { return tape };
    while let Ok(Some(response)) = responses.message().await {
        assert!(!response.canceled, "the watcher is never behind a compaction: {response:?}");
        if let Some(last) = take_events(&mut tape, seen.load(Ordering::Relaxed), &response) {
            seen.store(last, Ordering::Relaxed);
        }
    }
    tape
}

/// A watch of all keys, on a stream of its own.
async fn watch(channel: &Channel, start_revision: i64) -> Result<Streaming<pb::WatchResponse>, Status> {
    let create = pb::WatchCreateRequest {
        key: b"\0".as_slice().into(),
        range_end: b"\0".as_slice().into(),
        start_revision,
        ..pb::WatchCreateRequest::default()
    };
    let request =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    Ok(WatchClient::new(channel.clone())
        .max_decoding_message_size(usize::MAX)
        .watch(requests)
        .await?
        .into_inner())
}

/// Adds a response's events, all of them behind `last`; returns the new last revision.
fn take_events(tape: &mut Tape, last: i64, response: &pb::WatchResponse) -> Option<i64> {
    let mut newest = last;
    for event in &response.events {
        let (revision, change) = change_of(event);
        assert!(
            revision > last && revision >= newest,
            "r{revision} comes after r{newest} (response after r{last})"
        );
        newest = revision;
        tape.entry(revision).or_default().push(change);
    }
    (newest > last).then_some(newest)
}

fn change_of(event: &Event) -> (i64, Change) {
    let kv = event.kv.as_ref().expect("an event has a key");
    let value = (event.r#type() == EventType::Put).then(|| brief(&kv.value));
    (kv.mod_revision, Change { key: String::from_utf8_lossy(&kv.key).into_owned(), value })
}

/// What the clients know for certain.
#[derive(Default)]
struct Known {
    /// Acknowledged writes since the last start.
    acknowledged: Vec<(i64, Vec<Change>)>,
    /// How many there were in all.
    writes: usize,
    /// Everything the watcher has seen.
    followed: Tape,
    /// Newest revision that anybody was told of.
    newest: i64,
    compacted: i64,
    leases: BTreeSet<i64>,
    revoked: BTreeSet<i64>,
}

impl Known {
    fn take(&mut self, note: Note) {
        match note {
            Note::Written(revision, changes) => {
                self.newest = self.newest.max(revision);
                self.writes += 1;
                self.acknowledged.push((revision, changes));
            }
            Note::Granted(lease) => drop(self.leases.insert(lease)),
            Note::Revoking(lease) => drop(self.leases.remove(&lease)),
            Note::Revoked(lease) => drop(self.revoked.insert(lease)),
            Note::Compacted(revision) => self.compacted = self.compacted.max(revision),
        }
    }

    /// Last revision the watcher has seen.
    fn seen(&self) -> i64 {
        self.followed.last_key_value().map_or(1, |(revision, _)| *revision)
    }

    /// Compares all this with what the server says.
    async fn verify(&mut self, channel: &Channel, what: &str) {
        let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        let state = kv.range(everything()).await.expect("a read is served").into_inner();
        let revision = state.header.expect("a reply has a header").revision;
        assert!(
            revision >= self.newest.max(self.seen()),
            "{what}: r{revision}, but r{} was seen",
            self.newest
        );
        self.newest = revision;

        let (compacted, mut history) = read_history(channel, revision).await;
        assert!(compacted >= self.compacted, "{what}: the compaction at r{} is undone", self.compacted);
        self.compacted = compacted;
        let followed: Tape =
            self.followed.range(compacted + 1..).map(|(at, changes)| (*at, changes.clone())).collect();
        let unseen = history.split_off(&(self.seen() + 1));
        assert_same(&followed, &history, &format!("{what}: what the watcher saw, and the history"));

        let mut whole = self.followed.clone();
        whole.extend(unseen);
        assert!(whole.keys().copied().eq(2..=revision), "{what}: every revision has a change");
        for (at, changes) in &self.acknowledged {
            assert_eq!(whole.get(at), Some(changes), "{what}: acknowledged at r{at}");
        }
        assert_eq!(
            current_state(&state.kvs),
            replay(&whole),
            "{what}: current state, and what history leads to"
        );
        self.verify_old_revisions(&mut kv, what).await;
        self.verify_leases(channel, what).await;
    }

    async fn verify_old_revisions(&self, kv: &mut KvClient<Channel>, what: &str) {
        let step = self.acknowledged.len().div_ceil(READS_BACK).max(1);
        for (revision, changes) in self.acknowledged.iter().step_by(step) {
            let Change { key, value } = changes.last().expect("a write changes something");
            let request = pb::RangeRequest {
                key: key.clone().into(),
                revision: *revision,
                ..pb::RangeRequest::default()
            };
            match kv.range(request).await {
                Ok(reply) => {
                    let found = reply.into_inner().kvs.pop().map(|kv| (kv.mod_revision, brief(&kv.value)));
                    assert_eq!(
                        found,
                        value.clone().map(|value| (*revision, value)),
                        "{what}: {key} at r{revision}"
                    );
                }
                Err(status) => {
                    let compacted =
                        status.message() == "etcdserver: mvcc: required revision has been compacted";
                    assert!(
                        compacted && *revision < self.compacted,
                        "{what}: {key} at r{revision}: {status}"
                    );
                }
            }
        }
    }

    async fn verify_leases(&self, channel: &Channel, what: &str) {
        let reply = LeaseClient::new(channel.clone()).lease_leases(pb::LeaseLeasesRequest {}).await;
        let leases: BTreeSet<i64> =
            reply.expect("a read is served").into_inner().leases.iter().map(|lease| lease.id).collect();
        assert!(self.leases.is_subset(&leases), "{what}: an acknowledged lease is gone");
        assert!(self.revoked.is_disjoint(&leases), "{what}: a revoked lease is back");
    }
}

fn everything() -> pb::RangeRequest {
    let all = b"\0".as_slice();
    pb::RangeRequest { key: all.into(), range_end: all.into(), ..pb::RangeRequest::default() }
}

/// The compaction revision, and all changes behind it up to `revision`.
async fn read_history(channel: &Channel, revision: i64) -> (i64, Tape) {
    let mut compacted = 0;
    let mut tape = Tape::new();
    let mut last = 0;
    let mut responses = watch(channel, 1).await.expect("a watch is served");
    while last < revision {
        let response = responses.message().await.expect("the watch goes on").expect("the watch goes on");
        if response.canceled {
            assert!(response.compact_revision > compacted, "{response:?}");
            compacted = response.compact_revision;
            last = compacted;
            responses = watch(channel, compacted + 1).await.expect("a watch is served");
        }
        last = take_events(&mut tape, last, &response).unwrap_or(last);
    }
    (compacted, tape)
}

/// Equal, or the first difference.
fn assert_same(left: &Tape, right: &Tape, what: &str) {
    for revision in left.keys().chain(right.keys()) {
        assert_eq!(left.get(revision), right.get(revision), "{what}, differ at r{revision}");
    }
}

/// Keys with modification revision and value.
type State = BTreeMap<String, (i64, String)>;

fn current_state(kvs: &[proto::mvccpb::KeyValue]) -> State {
    kvs.iter()
        .map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), (kv.mod_revision, brief(&kv.value))))
        .collect()
}

/// What the changes lead to; none of the values may have been written twice.
fn replay(tape: &Tape) -> State {
    let mut state = State::new();
    let mut values = BTreeSet::new();
    for (revision, changes) in tape {
        for Change { key, value } in changes {
            match value {
                Some(value) => {
                    assert!(values.insert(value), "{value} is written again at r{revision}");
                    state.insert(key.clone(), (*revision, value.clone()));
                }
                None => {
                    assert!(state.remove(key).is_some(), "{key} is deleted at r{revision}, and was not there")
                }
            }
        }
    }
    state
}

/// SplitMix64: one seed, one sequence.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn key(&mut self) -> String {
        format!("key/{}", self.below(KEYS))
    }

    fn two_keys(&mut self) -> (String, String) {
        let first = self.below(KEYS);
        let second = (first + 1 + self.below(KEYS - 1)) % KEYS;
        (format!("key/{first}"), format!("key/{second}"))
    }
}
