//! One watch: what it asked for, and how far it has come.
//!
//! `next` is the revision of the first change that was not delivered. It only grows, and it is where a watch goes on after a
//! break. What comes with a lower revision was delivered before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use proto::etcdserverpb as pb;
use proto::mvccpb;
use tokio::sync::{mpsc, oneshot};

use super::update::{Event, Update};
use crate::error::Error;
use crate::number::Revision;

/// Bytes that a watch may be ahead of its reader. A watch beyond that is suspended.
const UNREAD_BYTES_MAX: usize = 16 << 20;

/// A watch of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WatchId(i64);

impl WatchId {
    pub(super) fn fresh() -> WatchId {
        static LAST: AtomicI64 = AtomicI64::new(0);
        WatchId(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What is received and not yet read.
#[derive(Debug, Clone)]
pub(super) struct Load(Arc<Unread>);

#[derive(Debug)]
struct Unread {
    bytes: AtomicUsize,
    is_suspended: AtomicBool,
}

impl Load {
    pub(super) fn new() -> Load {
        Load(Arc::new(Unread { bytes: AtomicUsize::new(0), is_suspended: AtomicBool::new(false) }))
    }

    /// Notes that an update was read. Returns whether the watch was suspended and may go on.
    pub(super) fn is_to_resume_after(&self, read: &Update) -> bool {
        let left = self.0.bytes.fetch_sub(read.weight(), Ordering::AcqRel) - read.weight();
        left <= UNREAD_BYTES_MAX / 2 && self.0.is_suspended.swap(false, Ordering::AcqRel)
    }

    /// Notes that an update was received. Returns whether that is too much.
    fn add(&self, received: &Update) -> bool {
        self.0.bytes.fetch_add(received.weight(), Ordering::AcqRel) + received.weight() > UNREAD_BYTES_MAX
    }

    /// Notes that the watch is suspended. Returns `false` if the reader has caught up meanwhile and will not say so.
    fn suspend(&self) -> bool {
        self.0.is_suspended.store(true, Ordering::Release);
        let is_slow = self.0.bytes.load(Ordering::Acquire) > UNREAD_BYTES_MAX / 2;
        is_slow || !self.0.is_suspended.swap(false, Ordering::AcqRel)
    }
}

/// A watch that is to begin.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: WatchId,
    pub(super) message: pb::WatchCreateRequest,
    pub(super) updates: mpsc::UnboundedSender<Result<Update, Error>>,
    pub(super) created: oneshot::Sender<Result<Revision, Error>>,
    pub(super) load: Load,
}

/// A watch.
#[derive(Debug)]
pub(super) struct Entry {
    message: pb::WatchCreateRequest,
    /// Zero while the watch has not begun and is to begin with what comes.
    next: Revision,
    /// Events of a message that is not complete.
    fragments: Vec<Event>,
    pub(super) stage: Stage,
    updates: mpsc::UnboundedSender<Result<Update, Error>>,
    created: Option<oneshot::Sender<Result<Revision, Error>>>,
    load: Load,
}

/// How far a watch is at the member of the present stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is to be created when there is a stream.
    Waiting,
    /// It was asked for, under this id of the stream.
    Asked(i64),
    /// The member watches.
    Live(i64),
    /// It is not watched until its reader has caught up.
    Suspended,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The watch goes on.
    Fine,
    /// Its reader is too slow.
    TooMuch,
}

impl Entry {
    pub(super) fn new(order: Order) -> Entry {
        Entry {
            next: Revision(order.message.start_revision),
            message: order.message,
            fragments: Vec::new(),
            stage: Stage::Waiting,
            updates: order.updates,
            created: Some(order.created),
            load: order.load,
        }
    }

    /// Returns the request that begins the watch, or goes on with it, under an id of the stream.
    pub(super) fn ask(&mut self, stream_id: i64) -> pb::WatchCreateRequest {
        self.fragments.clear();
        self.stage = Stage::Asked(stream_id);
        let mut message = self.message.clone();
        (message.start_revision, message.watch_id) = (self.next.0, stream_id);
        message
    }

    /// Notes that the member watches. `at` is its revision.
    pub(super) fn begin(&mut self, stream_id: i64, at: Revision) {
        self.stage = Stage::Live(stream_id);
        if self.next.0 == 0 {
            self.next = at.next();
        }
        if let Some(created) = self.created.take() {
            let _ = created.send(Ok(self.next));
        }
    }

    /// Returns whether the watch was never confirmed.
    pub(super) fn is_new(&self) -> bool {
        self.created.is_some()
    }

    /// Takes a message's events; delivers them if the message is complete.
    pub(super) fn take(&mut self, events: Vec<mvccpb::Event>, is_fragment: bool) -> Delivered {
        self.fragments.extend(events.into_iter().map(Event::from));
        if is_fragment {
            return Delivered::Fine;
        }
        let mut events = std::mem::take(&mut self.fragments);
        events.retain(|event| event.kv.mod_revision >= self.next);
        match events.last() {
            None => Delivered::Fine,
            Some(last) => {
                let revision = last.kv.mod_revision;
                self.deliver(Update { revision, events })
            }
        }
    }

    /// Delivers a bookmark, if it is news.
    pub(super) fn bookmark(&mut self, revision: Revision) -> Delivered {
        if revision.next() < self.next || !self.fragments.is_empty() {
            return Delivered::Fine;
        }
        self.deliver(Update { revision, events: Vec::new() })
    }

    fn deliver(&mut self, update: Update) -> Delivered {
        self.next = self.next.max(update.revision.next());
        let is_too_much = self.load.add(&update);
        // A reader that is gone has said so.
        let _ = self.updates.send(Ok(update));
        if is_too_much && self.load.suspend() {
            return Delivered::TooMuch;
        }
        Delivered::Fine
    }

    /// Ends the watch with an error.
    pub(super) fn fail(self, error: Error) {
        match self.created {
            Some(created) => drop(created.send(Err(error))),
            None => drop(self.updates.send(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (Entry, mpsc::UnboundedReceiver<Result<Update, Error>>, Load) {
        let (updates, received) = mpsc::unbounded_channel();
        let (load, message) = (Load::new(), pb::WatchCreateRequest::default());
        let order = Order {
            id: WatchId::fresh(),
            message,
            updates,
            created: oneshot::channel().0,
            load: load.clone(),
        };
        (Entry::new(order), received, load)
    }

    fn event(revision: i64, size: usize) -> mvccpb::Event {
        let kv = mvccpb::KeyValue {
            key: "k".into(),
            value: vec![0; size].into(),
            mod_revision: revision,
            ..Default::default()
        };
        mvccpb::Event { kv: Some(kv), ..Default::default() }
    }

    fn revisions(update: &Update) -> Vec<i64> {
        update.events.iter().map(|event| event.kv.mod_revision.0).collect()
    }

    #[test]
    fn a_watch_goes_on_where_it_stopped() {
        let (mut entry, mut received, _) = entry();
        assert_eq!(entry.ask(1).start_revision, 0);
        entry.begin(1, Revision(4));
        entry.take(vec![event(5, 0), event(6, 0)], false);
        assert_eq!(entry.ask(2).start_revision, 7);
        entry.begin(2, Revision(9));
        // A member may repeat; the caller is told once.
        entry.take(vec![event(6, 0), event(7, 0)], false);
        let update = received.try_recv().expect("an update").expect("events");
        assert_eq!((update.revision, revisions(&update)), (Revision(6), vec![5, 6]));
        assert_eq!(revisions(&received.try_recv().expect("an update").expect("events")), [7]);
        entry.bookmark(Revision(20));
        assert_eq!(entry.ask(3).start_revision, 21);
    }

    #[test]
    fn fragments_are_put_together_and_forgotten_with_their_stream() {
        let (mut entry, mut received, _) = entry();
        entry.begin(1, Revision(4));
        entry.take(vec![event(5, 0)], true);
        assert!(received.try_recv().is_err());
        // The stream breaks: the fragment comes again.
        assert_eq!(entry.ask(2).start_revision, 5);
        entry.begin(2, Revision(5));
        entry.take(vec![event(5, 0)], true);
        entry.take(vec![event(5, 0)], false);
        let update = received.try_recv().expect("an update").expect("events");
        assert_eq!(revisions(&update), [5, 5]);
    }

    #[test]
    fn a_watch_with_a_slow_reader_is_suspended_until_it_has_caught_up() {
        let (mut entry, mut received, load) = entry();
        entry.begin(1, Revision(0));
        assert_eq!(entry.take(vec![event(1, UNREAD_BYTES_MAX / 2)], false), Delivered::Fine);
        assert_eq!(entry.take(vec![event(2, UNREAD_BYTES_MAX)], false), Delivered::TooMuch);
        let mut read = || received.try_recv().expect("an update").expect("events");
        assert!(!load.is_to_resume_after(&read()), "still too much");
        assert!(load.is_to_resume_after(&read()));
    }
}
