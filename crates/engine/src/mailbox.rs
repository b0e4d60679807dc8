//! The way from the threads that own the state back to a network worker.
//!
//! The apply thread puts a whole batch of answers and published changes in and wakes the worker once; the worker's
//! pump hands them out on its own thread, where waking a task is a push onto a local queue and not a system call.

use std::sync::Arc;

use mvcc::Changes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::reply::{CommandReply, Unserved};
use crate::watch::watcher::{CaughtUp, StreamId, WatcherId};

/// Something for a network worker.
#[derive(Debug)]
pub enum Delivery {
    /// The changes of a batch of commands, to be seen by watchers before the callers get their replies.
    Published(Arc<[Changes]>),
    /// Users or permissions have changed: watches that are not permitted any longer end now, and not
    /// with the next change of a key.
    AuthChanged,
    /// The history up to this revision is released.
    Compacted(i64),
    /// A snapshot has replaced the store: it is at `revision` now, which may be far ahead of what was published.
    Restored {
        /// The store's revision.
        revision: i64,
        /// Everything before it is compacted.
        compact_revision: i64,
    },
    /// The answer to a command.
    Reply(oneshot::Sender<CommandReply>, CommandReply),
    /// These reads may be served now, or not at all.
    Reads(Vec<oneshot::Sender<Result<(), Unserved>>>, Result<(), Unserved>),
    /// Somebody waits until the worker has done what waits on its sockets.
    Turn(oneshot::Sender<()>),
    /// What the catch-up thread read for a watcher.
    CaughtUp(StreamId, WatcherId, CaughtUp),
}

/// Unbounded by itself: everything in it answers something that was admitted under a bound, or is a published
/// batch, whose events are shared by all workers.
#[derive(Default)]
pub struct Mailbox {
    queue: Mutex<Vec<Delivery>>,
    ready: Notify,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds deliveries in order, draining `deliveries`, and wakes the worker.
    pub fn put(&self, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        let was_empty = queue.is_empty();
        queue.append(deliveries);
        drop(queue);
        if was_empty {
            self.ready.notify_one();
        }
    }

    /// Everything that was put in.
    #[cfg(test)]
    pub(super) fn taken(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.queue.lock())
    }

    /// Waits for deliveries and moves them all into `batch`.
    pub async fn take(&self, batch: &mut Vec<Delivery>) {
        loop {
            {
                let mut queue = self.queue.lock();
                if !queue.is_empty() {
                    std::mem::swap(&mut *queue, batch);
                    return;
                }
            }
            self.ready.notified().await;
        }
    }
}
