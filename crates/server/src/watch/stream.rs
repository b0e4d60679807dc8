//! One watch stream: the messages that wait for its client, and the ids in use on it.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::hub::WatcherId;
use super::reply::{EventRef, Kind, WatchReply};
use crate::grpc::reply::{Header, WireReply};
use crate::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_REVISIONS_MAX, WATCH_QUEUE_BYTES_MAX, WATCH_QUEUE_RESPONSES_MAX,
};

/// Who holds a watch id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A watcher.
    Live(WatcherId),
    /// A watcher that compaction cancelled: its id stays taken until the client cancels it too, as in etcd.
    Compacted,
}

/// Messages in order, and what is needed to make more.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    queue: VecDeque<(WatchReply, usize)>,
    queued_bytes: usize,
    waker: Option<Waker>,
    /// Ids in use.
    pub(crate) ids: BTreeMap<i64, Holder>,
    next_id: i64,
    /// Watchers that wait for room in the queue.
    pub(crate) stalled: Vec<WatcherId>,
}

impl Stream {
    /// Whether watchers should be fed from history for now.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= WATCH_QUEUE_RESPONSES_MAX || self.queued_bytes >= WATCH_QUEUE_BYTES_MAX
    }

    /// Whether stalled watchers may go on: with half of the queue gone, so that they do not stall at once again.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() <= WATCH_QUEUE_RESPONSES_MAX / 2 && self.queued_bytes <= WATCH_QUEUE_BYTES_MAX / 2
    }

    /// Queues a message and wakes whoever writes them.
    pub(crate) fn push(&mut self, reply: WatchReply) {
        let bytes = reply.wire_len();
        self.queued_bytes += bytes;
        self.queue.push_back((reply, bytes));
        self.wake();
    }

    /// Wakes whoever writes the messages.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Queues live events; they join the message before them if that is for the same watcher and not yet taken.
    pub(crate) fn push_events(&mut self, header: Header, watch_id: i64, events: Vec<EventRef>) {
        let added: usize = events.iter().map(|event| event.wire_len() + 4).sum();
        if let Some((last, bytes)) = self.queue.back_mut()
            && last.watch_id == watch_id
            && *bytes + added < CATCH_UP_BYTES_MAX
            && let Kind::Events { events: queued, more: false } = &mut last.kind
            && queued.len() < CATCH_UP_REVISIONS_MAX
        {
            queued.extend(events);
            last.header = header;
            *bytes += added;
            self.queued_bytes += added;
            return;
        }
        self.push(WatchReply { header, watch_id, kind: Kind::Events { events, more: false } });
    }

    /// Takes the next message, or remembers whom to wake.
    pub(crate) fn pop(&mut self, waker: &Waker) -> Option<WatchReply> {
        let Some((reply, bytes)) = self.queue.pop_front() else {
            self.waker = Some(waker.clone());
            return None;
        };
        self.queued_bytes -= bytes;
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
