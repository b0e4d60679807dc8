//! Watch fan-out: writes on one side, watchers that all see them on the other.
//!
//! Each value begins with the time at which its write was due, so every event tells its own latency, from the moment
//! the write should have been sent to the moment the watcher has read it. A run ends when each watcher has each
//! event; events that do not come are failures. The operations counted are events.
//!
//! Whether events share a message is the server's decision and depends on the load: a transaction of several puts
//! makes several events of one revision, which belong in one message; watchers that fall behind get several
//! revisions in one. The report says how many events a message had.

use super::{Shape, Unary};
use crate::client::{Connection, Stream};
use crate::driver::{self, Callers, Requests};
use crate::endpoint::Endpoint;
use crate::grpc::{Code, Failure};
use crate::harness::{Job, Share};
use crate::messages::{self, WatchMessage, path};
use crate::stats::Load;
use crate::tickets::{Span, Tickets};
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long no event may come before the missing ones are given up: longer than any stall that a server survives.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(20);

/// Where the watched keys are: apart from those of the other workloads.
const PREFIX: &str = "watch/";
const PREFIX_END: &str = "watch0";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WatchJob {
    /// Connections, writers, their pace, value size.
    pub(crate) shape: Shape,
    pub(crate) watchers: usize,
    /// Streams that the watchers are on, spread over the connections.
    pub(crate) streams: usize,
    /// Puts in each write: 1 is a plain put, more are a transaction.
    pub(crate) events_per_write: usize,
    /// How long no event may come before the missing ones are given up.
    pub(crate) stall_max: Duration,
}

/// Open watchers and the writers.
pub(crate) struct Prepared {
    writers: Callers,
    seen: Rc<Seen>,
    /// Ends the readers when dropped.
    _readers: JoinSet<()>,
    _connections: Vec<Connection>,
}

/// What the watchers saw in this run.
struct Seen {
    load: RefCell<Load>,
    progress: Notify,
    epoch: Instant,
}

impl Job for WatchJob {
    type Prepared = Prepared;

    /// # Panics
    /// With more than one load thread: watchers see the writes of all threads, so one must do all.
    async fn prepare(&self, addresses: &[Endpoint], share: Share) -> anyhow::Result<Prepared> {
        assert_eq!(share, Share::WHOLE, "the watch workload runs on one load thread");
        let epoch = Instant::now();
        let connections = driver::open(addresses, self.shape.connections).await?;
        let seen = Rc::new(Seen { load: RefCell::default(), progress: Notify::new(), epoch });
        let mut readers = JoinSet::new();
        for (number, connection) in (0..self.streams).zip(connections.iter().cycle()) {
            let watchers = Share { thread: number, threads: self.streams }.of(self.watchers).len();
            if watchers > 0 {
                readers.spawn_local(read(open_watchers(connection, watchers).await?, seen.clone()));
            }
        }
        let workload = Writes { epoch, events_per_write: self.events_per_write };
        let requests = (0..self.shape.clients).map(|number| workload.requests(&self.shape, number));
        // On a connection of their own: writers must not wait behind events.
        let writers = Callers::connect(addresses, 1, workload.path(), requests).await?;
        Ok(Prepared { writers, seen, _readers: readers, _connections: connections })
    }

    async fn run(&self, prepared: &mut Prepared, share: Share, span: Span) -> Load {
        let tickets = Rc::new(Tickets::new(share.of_pace(self.shape.pace), span));
        prepared.seen.load.take();
        let writes = prepared.writers.run(tickets.clone()).await;
        let expected = writes.operations * (self.events_per_write * self.watchers) as u64;
        prepared.seen.wait_for(expected, self.stall_max).await;
        let mut load = prepared.seen.load.take();
        load.elapsed = tickets.start().elapsed();
        load.lateness = writes.lateness;
        load.failures.add(&writes.failures);
        load
    }
}

impl Seen {
    /// Waits until `expected` events are in, or until none comes any more; then the missing ones are failures.
    async fn wait_for(&self, expected: u64, stall_max: Duration) {
        let mut seen = self.load.borrow().operations;
        while seen < expected {
            let progress = tokio::time::timeout(stall_max, self.progress.notified()).await;
            seen = self.load.borrow().operations;
            if progress.is_err() {
                let missing = Failure::new(Code::MissingEvent, format!("none for {stall_max:?}"));
                return self.load.borrow_mut().failures.record_many(&missing, expected - seen);
            }
        }
    }

    fn message(&self, message: &[u8]) -> Result<(), Failure> {
        let now = self.epoch.elapsed();
        let load = &mut *self.load.borrow_mut();
        let kind = messages::watch_message(message, |value| {
            if let Some(due) = due_time(value) {
                load.latencies.record(now.saturating_sub(due));
            }
        })?;
        match kind {
            WatchMessage::Events { count, .. } => {
                load.operations += count;
                load.event_messages += 1;
                load.received_bytes += message.len() as u64;
                self.progress.notify_one();
                Ok(())
            }
            WatchMessage::Created => Err(Failure::malformed("a watcher created twice")),
            WatchMessage::Canceled { .. } => Err(Failure::malformed("the server cancelled a watcher")),
        }
    }
}

/// Creates `count` watchers on one new stream, and waits until all are there.
async fn open_watchers(connection: &Connection, count: usize) -> Result<Stream, Failure> {
    let create = messages::watch_create(PREFIX.as_bytes(), PREFIX_END.as_bytes(), 0);
    let mut stream = connection.client(path::WATCH).stream(create.clone()).await?;
    (1..count).try_for_each(|_| stream.send(create.clone()))?;
    for _ in 0..count {
        let message = stream.next().await?;
        if messages::watch_message(&message, |_| {})? != WatchMessage::Created {
            return Err(Failure::malformed("a watcher was not created"));
        }
    }
    Ok(stream)
}

/// Reads a stream until it breaks.
async fn read(mut stream: Stream, seen: Rc<Seen>) {
    let failure = loop {
        let outcome = stream.next().await.and_then(|message| seen.message(&message));
        if let Err(failure) = outcome {
            break failure;
        }
    };
    seen.load.borrow_mut().failures.record(&failure);
}

/// The time, since the workload's epoch, that a value carries.
fn due_time(value: &[u8]) -> Option<Duration> {
    Some(Duration::from_nanos(u64::from_le_bytes(*value.first_chunk()?)))
}

/// The writers' side.
struct Writes {
    epoch: Instant,
    events_per_write: usize,
}

impl Unary for Writes {
    fn path(&self) -> &'static str {
        if self.events_per_write == 1 { path::PUT } else { path::TXN }
    }

    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests> {
        let key = |event| Bytes::from(format!("{PREFIX}{number:05}/{event:05}"));
        let keys = (0..self.events_per_write).map(key).collect();
        Box::new(StampedWrites { epoch: self.epoch, keys, value: vec![b'v'; shape.value_bytes.max(8)] })
    }
}

struct StampedWrites {
    epoch: Instant,
    keys: Vec<Bytes>,
    value: Vec<u8>,
}

impl Requests for StampedWrites {
    fn next(&mut self, due: Instant) -> Bytes {
        let stamp = due.saturating_duration_since(self.epoch).as_nanos() as u64;
        self.value[..8].copy_from_slice(&stamp.to_le_bytes());
        match &self.keys[..] {
            [key] => messages::put(key, &self.value),
            keys => messages::put_all(keys, &self.value),
        }
    }
}
