//! What the watch hub promises, as examples ([`rules`]), on the wire ([`wire`]) and for histories at random
//! ([`model`]).
//!
//! A [`World`] is everything around a hub without a thread: a real store, whose changes are published to the hub when
//! the test says so, and the catch-up thread's jobs, which are answered when the test says so.

mod model;
mod rules;
mod wire;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use metrics::{Metrics, MetricsDetail};
use mvcc::{Change, KeyRange, LeaseId, Store};
use wal::SimDisk;

use super::bounds::Bounds;
use super::hub::Hub;
use super::reply::{Kind, WatchReply};
use super::scan;
use super::watcher::{CatchUpJob, CaughtUp, CreateWatch, Options, StreamId};
use crate::memory::WatchQueues;
use crate::wire::Header;

/// Queues that are never full.
fn plenty() -> Arc<WatchQueues> {
    room_for(usize::MAX)
}

/// Queues for so many bytes in all streams.
pub(super) fn room_for(bytes: usize) -> Arc<WatchQueues> {
    WatchQueues::new(bytes, Arc::new(Metrics::new(MetricsDetail::Basic, Vec::new())))
}

/// Bounds that a few small changes reach.
const TIGHT: Bounds = Bounds {
    queue_responses: 4,
    queue_bytes: 1 << 10,
    reading: 2,
    resumed: 1,
    previous_reads: 1,
    response_revisions: 3,
    response_bytes: 1 << 10,
    fragment_bytes: 1 << 20,
    recent_revisions: 5,
    recent_bytes: 1 << 10,
};

/// One operation of a transaction.
#[derive(Debug, Clone)]
enum Op {
    Put(u8, u16),
    Delete(u8),
    DeleteAll,
}

fn key(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[b'a' + number])
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct World {
    store: Store,
    hub: Hub,
    /// Committed and not yet published, oldest first.
    unpublished: VecDeque<Arc<[Change]>>,
    jobs: VecDeque<CatchUpJob>,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self::with_history(bounds, 0)
    }

    /// A hub that begins when the store has had this many changes of key `a` already.
    fn with_history(bounds: Bounds, revisions: u16) -> Self {
        Self::within(plenty(), bounds, revisions)
    }

    /// The same, with a hub whose streams have their part of these queues.
    fn within(queues: Arc<WatchQueues>, bounds: Bounds, revisions: u16) -> Self {
        let disk = Arc::new(SimDisk::new(1));
        // What a checkpoint has is not in memory.
        let options =
            mvcc::Options { cache_bytes: 0, history_segment_bytes: 64 << 10, ..mvcc::Options::default() };
        let mut store = Store::open(disk, Path::new("/kv"), options).unwrap();
        for number in 0..revisions {
            commit(&mut store, &[Op::Put(0, number)]).unwrap();
        }
        let identity = Header { cluster_id: 1, member_id: 2, revision: 0, raft_term: 3 };
        let hub = Hub::new(identity, store.revision(), bounds, queues);
        Self { store, hub, unpublished: VecDeque::new(), jobs: VecDeque::new() }
    }

    /// Applies a transaction; the hub does not know of it yet.
    fn commit(&mut self, ops: &[Op]) -> Option<Arc<[Change]>> {
        let changes = commit(&mut self.store, ops)?;
        self.unpublished.push_back(changes.clone());
        Some(changes)
    }

    /// Publishes the oldest transaction that is not.
    fn publish_one(&mut self) {
        if let Some(changes) = self.unpublished.pop_front() {
            self.hub.publish([&changes]);
        }
        self.collect();
    }

    fn publish_all(&mut self) {
        while !self.unpublished.is_empty() {
            self.publish_one();
        }
    }

    /// A snapshot that holds everything committed replaces the store: what was not published never will be.
    fn restore(&mut self) {
        self.unpublished.clear();
        self.hub.restored(self.store.revision(), self.store.compact_revision());
        self.collect();
    }

    /// A put that is applied and published at once.
    fn put(&mut self, number: u8) {
        self.commit(&[Op::Put(number, 0)]);
        self.publish_all();
    }

    fn compact(&mut self, revision: i64) {
        self.store.compact(revision).unwrap();
        self.hub.compacted(revision);
    }

    fn create(&mut self, stream: StreamId, request: CreateWatch) {
        self.hub.create(stream, request, self.store.revision());
        self.collect();
    }

    fn collect(&mut self) {
        self.jobs.extend(self.hub.take_jobs());
    }

    /// Answers the oldest catch-up job as the catch-up thread does.
    fn answer_one(&mut self) {
        if let Some(job) = self.jobs.pop_front() {
            let found = scan::read_one(&self.store.view(), &job).unwrap();
            self.answer(&job, found);
        }
    }

    fn answer(&mut self, job: &CatchUpJob, found: CaughtUp) {
        self.hub.caught_up(job.stream, job.watcher, found);
        self.collect();
    }

    fn answer_all(&mut self) {
        while !self.jobs.is_empty() {
            self.answer_one();
        }
    }

    /// What the client of a stream reads next. Who writes the messages comes again when it is woken.
    fn next(&mut self, stream: StreamId) -> Option<WatchReply> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            let reply = self.hub.next_reply(stream, &waker);
            self.collect();
            if reply.is_some() || !woken.0.swap(false, Ordering::Relaxed) {
                return reply;
            }
        }
    }

    /// Everything that is sent once the client reads and the catch-up thread has answered.
    fn all(&mut self, stream: StreamId) -> Vec<WatchReply> {
        let mut replies = Vec::new();
        loop {
            while let Some(reply) = self.next(stream) {
                replies.push(reply);
            }
            if self.jobs.is_empty() {
                return replies;
            }
            self.answer_all();
        }
    }
}

fn commit(store: &mut Store, ops: &[Op]) -> Option<Arc<[Change]>> {
    let mut txn = store.txn();
    for op in ops {
        match op {
            Op::Put(number, len) => {
                txn.put(key(*number), vec![b'v'; usize::from(*len)].into(), LeaseId(0));
            }
            Op::Delete(number) => _ = txn.delete_range(&KeyRange::single(key(*number))),
            Op::DeleteAll => _ = txn.delete_range(&KeyRange::all()),
        }
    }
    txn.commit().map(|committed| committed.changes)
}

/// A watch of all keys from now on, to be changed by the test.
fn watch() -> CreateWatch {
    CreateWatch {
        range: KeyRange::all(),
        start_revision: None,
        watch_id: None,
        user: None,
        options: Options::default(),
    }
}

/// A watch of all keys from a revision on.
fn watch_from(revision: i64) -> CreateWatch {
    CreateWatch { start_revision: Some(revision), ..watch() }
}

/// A reply in one line: `watch id @ header revision: what`.
fn line(reply: &WatchReply) -> String {
    let what = match &reply.kind {
        Kind::Created => "created".to_owned(),
        Kind::Canceled => "canceled".to_owned(),
        Kind::Progress => "progress".to_owned(),
        Kind::Refused { reason } => format!("refused, {reason}"),
        Kind::Failed { reason } => format!("failed, {reason}"),
        Kind::Compacted { compact_revision } => format!("compacted {compact_revision}"),
        Kind::Events { events, fragment } => {
            let events: Vec<String> = events.iter().map(|event| event_text(&event.decoded())).collect();
            match fragment {
                super::reply::Fragment::Further => format!("{} …", events.join(" ")),
                _ => events.join(" "),
            }
        }
    };
    format!("{}@{}: {what}", reply.watch_id, reply.header.revision)
}

/// An event as `+key revision` for a put, `-key revision` for a delete.
fn event_text(event: &proto::mvccpb::Event) -> String {
    let sign = if event.r#type == 0 { '+' } else { '-' };
    let kv = event.kv.as_ref().expect("a key");
    format!("{sign}{}{}", String::from_utf8_lossy(&kv.key), kv.mod_revision)
}

fn lines(replies: &[WatchReply]) -> Vec<String> {
    replies.iter().map(line).collect()
}
