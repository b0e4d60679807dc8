//! The thread that reads history for watchers that are behind.
//!
//! One for the whole member, so that however many watchers start in the past, they take one core's time at most, in
//! steps of bounded size and in turn, and no write waits for any of them.

use std::sync::Arc;

use mvcc::{Change, ReadError, View};

use super::hub::{CatchUpJob, CaughtUp};
use crate::engine::inbox::{Inbox, Sender, inbox};
use crate::engine::mailbox::{Delivery, Mailbox};
use crate::limits::{CATCH_UP_BYTES_MAX, CATCH_UP_CHANGES_MAX};

/// A job and the worker that wants it.
struct Order {
    worker: usize,
    job: CatchUpJob,
}

/// The workers' end: where jobs are handed in.
#[derive(Clone)]
pub(crate) struct CatchUp(Sender<Order>);

impl CatchUp {
    /// Hands in jobs of a worker; the answers come through its mailbox.
    pub(crate) fn send(&self, worker: usize, jobs: Vec<CatchUpJob>) {
        // A member that stops has nobody left to answer.
        let _ = self.0.send_all(jobs.into_iter().map(|job| Order { worker, job }));
    }
}

/// The thread's end.
pub(crate) struct CatchUpThread {
    inbox: Inbox<Order>,
    view: View,
    mailboxes: Vec<Arc<Mailbox>>,
}

/// Both ends.
pub(crate) fn catch_up(view: View, mailboxes: Vec<Arc<Mailbox>>) -> (CatchUp, CatchUpThread) {
    let (sender, inbox) = inbox();
    (CatchUp(sender), CatchUpThread { inbox, view, mailboxes })
}

impl CatchUpThread {
    /// Serves jobs in turn until the member ends.
    pub(crate) fn run(self) {
        yield_to_others();
        let mut orders = Vec::new();
        loop {
            self.inbox.take(&mut orders, None);
            for Order { worker, job } in orders.drain(..) {
                // Damage is reported by file and offset, here and to the client.
                let found = read(&self.view, &job).unwrap_or_else(|error| {
                    tracing::error!(error = %error, from = job.from, "cannot read history for a watcher");
                    CaughtUp::Failed { reason: error.to_string() }
                });
                self.mailboxes[worker].put(&mut vec![Delivery::CaughtUp(job.stream, job.watcher, found)]);
            }
        }
    }
}

/// How much less of a contended core the thread gets than those that serve requests: about a tenth of their share.
const NICENESS: i32 = 10;

/// Lowers the priority of this thread. Where that is refused, watchers that are behind cost the others more.
fn yield_to_others() {
    // On Linux a priority is a thread's own, under the thread's id.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::debug!(error = %error, "the priority of the catch-up thread stays as it is");
    }
}

/// Reads one step: the changes of the range from the wanted revision on, up to a bound.
pub(super) fn read(view: &View, job: &CatchUpJob) -> Result<CaughtUp, mvcc::Error> {
    let compact_revision = view.compact_revision();
    if job.from < compact_revision {
        return Ok(CaughtUp::Compacted { compact_revision });
    }
    let mut history = view.history(job.from);
    let mut found: Vec<Change> = Vec::new();
    let mut bytes = 0;
    let mut scanned = 0;
    // A batch is about a thousand changes, wanted or not; revisions are never split between batches.
    while bytes < CATCH_UP_BYTES_MAX && scanned < CATCH_UP_CHANGES_MAX {
        let batch = match history.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) | Err(ReadError::Future(_)) => break,
            Err(ReadError::Compacted(compact_revision)) if found.is_empty() => {
                return Ok(CaughtUp::Compacted { compact_revision });
            }
            // What was read before is sent; the next step says that the rest is gone.
            Err(ReadError::Compacted(_)) => break,
            Err(ReadError::Store(error)) => return Err(error),
        };
        scanned += batch.len();
        for change in batch.into_iter().filter(|change| job.range.contains(&change.key)) {
            bytes += size(&change);
            found.push(change);
        }
    }
    // Nothing newer happened, or a whole batch was read: everything before the next revision is in.
    Ok(CaughtUp::Changes { batch: found.into(), through: history.next_revision() - 1 })
}

fn size(change: &Change) -> usize {
    let item = |item: &Option<mvcc::Item>| item.as_ref().map_or(0, |item| item.encoded.len());
    change.key.len() + item(&change.after) + item(&change.before)
}
