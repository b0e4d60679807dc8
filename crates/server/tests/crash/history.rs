//! What clients know for certain, and whether a server's history agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// So many of a round's writes are also read at their revision.
const READS_BACK: usize = 32;

/// What fills large values up.
pub(crate) const FILLER: u8 = b'=';

/// What happened to one key; `None` is its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

/// The changes of each revision.
pub(crate) type Tape = BTreeMap<i64, Vec<Change>>;

/// What a writer knows.
pub(crate) enum Note {
    Written(i64, Vec<Change>),
    Granted(i64),
    /// About to revoke: from here on both outcomes are right.
    Revoking(i64),
    Revoked(i64),
    Compacted(i64),
}

/// A value without its filler, but with its length: what tests keep of it.
pub(crate) fn brief(value: &[u8]) -> String {
    let end = value.iter().rposition(|byte| *byte != FILLER).map_or(0, |last| last + 1);
    format!("{} of {} bytes", String::from_utf8_lossy(&value[..end]), value.len())
}

/// Watches all keys from behind what was `seen` until the connection ends or `end` comes, and checks the order.
pub(crate) async fn follow(
    channel: Channel,
    seen: Arc<AtomicI64>,
    end: impl Future<Output = ()> + Send,
) -> Tape {
    let mut tape = Tape::new();
    let Ok(mut responses) = watch(&channel, seen.load(Ordering::Relaxed) + 1).await else { return tape };
    let mut end = std::pin::pin!(end);
    loop {
        let response = tokio::select! {
            response = responses.message() => response,
            () = &mut end => return tape,
        };
        let Ok(Some(response)) = response else { return tape };
        assert!(!response.canceled, "the watcher is never behind a compaction: {response:?}");
        if let Some(last) = take_events(&mut tape, seen.load(Ordering::Relaxed), &response) {
            seen.store(last, Ordering::Relaxed);
        }
    }
}

/// A watch of all keys, on a stream of its own.
pub(crate) async fn watch(
    channel: &Channel,
    start_revision: i64,
) -> Result<Streaming<pb::WatchResponse>, Status> {
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
pub(crate) struct Known {
    /// Acknowledged writes since the last start.
    pub(crate) acknowledged: Vec<(i64, Vec<Change>)>,
    /// How many there were in all.
    pub(crate) writes: usize,
    /// Everything the watcher has seen.
    pub(crate) followed: Tape,
    /// Newest revision that anybody was told of.
    pub(crate) newest: i64,
    compacted: i64,
    leases: BTreeSet<i64>,
    revoked: BTreeSet<i64>,
}

impl Known {
    pub(crate) fn take(&mut self, note: Note) {
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
    pub(crate) fn seen(&self) -> i64 {
        self.followed.last_key_value().map_or(1, |(revision, _)| *revision)
    }

    /// Compares all this with what the server says.
    pub(crate) async fn verify(&mut self, channel: &Channel, what: &str) {
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
