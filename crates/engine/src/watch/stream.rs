//! One watch stream: the messages that wait for its client, and the ids in use on it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use super::bounds::Bounds;
use super::reply::{Fragment, Kind, QueuedEvent, WatchReply};
use super::standing::Standing;
use super::watcher::WatcherId;
use crate::limits::WATCH_QUEUE_BYTES_FULL;
use crate::memory::WatchQueues;
use crate::wire::{Header, WireReply};

/// Who holds a watch id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A watcher.
    Live(WatcherId),
    /// A watcher that compaction cancelled: its id stays taken until the client cancels it too, as in etcd.
    Compacted,
}

/// Messages in order, and what is needed to make more.
#[derive(Debug)]
pub(crate) struct Stream {
    bounds: Bounds,
    /// What waits in all streams, this one's queue included.
    queues: Arc<WatchQueues>,
    queue: VecDeque<(WatchReply, usize)>,
    queued_bytes: usize,
    queued_events: usize,
    /// Who writes the messages.
    waker: Option<Waker>,
    /// Who reads the requests, while the queue is full.
    requests_waker: Option<Waker>,
    /// Ids in use.
    pub(crate) ids: BTreeMap<i64, Holder>,
    next_id: i64,
    /// Watchers that wait for room in the queue or for the catch-up thread, longest waiting first.
    pub(crate) stalled: VecDeque<WatcherId>,
    /// Catch-up jobs under way for watchers of this stream.
    pub(crate) reading: usize,
    /// How far its watchers are.
    pub(super) standing: Standing,
}

impl Stream {
    /// A stream without a watcher.
    pub(crate) fn new(bounds: Bounds, queues: Arc<WatchQueues>) -> Self {
        Self {
            bounds,
            queues,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_events: 0,
            waker: None,
            requests_waker: None,
            ids: BTreeMap::new(),
            next_id: 0,
            stalled: VecDeque::new(),
            reading: 0,
            standing: Standing::default(),
        }
    }

    /// Returns how many events wait in the queue.
    pub(crate) fn queued_events(&self) -> usize {
        self.queued_events
    }

    /// Whether watchers should be fed from history for now.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.bounds.queue_responses || self.queued_bytes >= self.bytes_max()
    }

    /// Returns how many bytes may wait: few while the queues of all streams are full.
    fn bytes_max(&self) -> usize {
        let is_short = self.queues.are_full();
        if is_short { WATCH_QUEUE_BYTES_FULL.min(self.bounds.queue_bytes) } else { self.bounds.queue_bytes }
    }

    /// Whether half of the queue is gone, so that who goes on does not stall at once again.
    fn has_room(&self) -> bool {
        self.queue.len() <= self.bounds.queue_responses / 2 && self.queued_bytes <= self.bytes_max() / 2
    }

    /// Whether the catch-up thread may read for one more watcher. What it brings goes into the queue however full
    /// that is by then.
    pub(crate) fn may_read(&self) -> bool {
        let jobs_max = if self.queues.are_full() { 1 } else { self.bounds.reading };
        self.reading < jobs_max
    }

    /// The next of the stalled watchers, if one may go on.
    pub(crate) fn next_stalled(&mut self) -> Option<WatcherId> {
        if self.may_resume() { self.stalled.pop_front() } else { None }
    }

    fn may_resume(&self) -> bool {
        self.has_room() && self.may_read() && !self.stalled.is_empty()
    }

    /// Has whoever writes the messages come again, if stalled watchers could go on.
    pub(crate) fn resume_later(&mut self) {
        if self.may_resume() {
            self.wake();
        }
    }

    /// Whether requests are taken; if not, remembers whom to wake.
    pub(crate) fn takes_requests(&mut self, waker: &Waker) -> bool {
        let full = self.is_full();
        self.requests_waker = full.then(|| waker.clone());
        !full
    }

    /// Queues a message and wakes whoever writes them.
    pub(crate) fn push(&mut self, reply: WatchReply) {
        let bytes = reply.wire_len();
        self.queued_bytes += bytes;
        self.queued_events += reply.event_count();
        self.queues.add(bytes);
        self.queue.push_back((reply, bytes));
        self.wake();
    }

    /// Wakes whoever writes the messages.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Queues live events; they join the message before them if that is for the same watcher and not yet taken.
    pub(crate) fn push_events(&mut self, header: Header, watch_id: i64, events: Vec<QueuedEvent>) {
        let added: usize = events.iter().map(QueuedEvent::field_len).sum();
        if let Some((last, bytes)) = self.queue.back_mut()
            && last.watch_id == watch_id
            && *bytes + added < self.bounds.response_bytes
            && let Kind::Events { events: queued, fragment: Fragment::Whole } = &mut last.kind
            && queued.len() + events.len() <= self.bounds.response_revisions
        {
            self.queued_events += events.len();
            queued.extend(events);
            last.header = header;
            *bytes += added;
            self.queued_bytes += added;
            self.queues.add(added);
            return;
        }
        self.push(WatchReply { header, watch_id, kind: Kind::Events { events, fragment: Fragment::Whole } });
    }

    /// Takes the next message, or remembers whom to wake.
    pub(crate) fn pop(&mut self, waker: &Waker) -> Option<WatchReply> {
        let Some((reply, bytes)) = self.queue.pop_front() else {
            self.waker = Some(waker.clone());
            return None;
        };
        self.queued_bytes -= bytes;
        self.queued_events -= reply.event_count();
        self.queues.remove(bytes);
        if self.has_room()
            && let Some(waker) = self.requests_waker.take()
        {
            waker.wake();
        }
        Some(reply)
    }

    /// The next id that is free, counting up; a freed id is not handed out again.
    pub(crate) fn pick_id(&mut self) -> i64 {
        while self.ids.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.queues.remove(self.queued_bytes);
    }
}
