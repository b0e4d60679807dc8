//! The thread that reads history for watchers that are behind.
//!
//! One for the whole member, so that however many watchers start in the past, they take one core's time at most, in
//! steps of bounded size and in turn, and no write waits for any of them.

use std::sync::Arc;

use mvcc::{Change, ReadError, View};

use super::hub::{CatchUpJob, CaughtUp};
use crate::engine::inbox::{Inbox, Sender, inbox};
use crate::engine::mailbox::{Delivery, Mailbox};
use crate::limits::{CATCH_UP_BYTES_MAX, CATCH_UP_REVISIONS_MAX};

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
        let mut orders = Vec::new();
        loop {
            self.inbox.take(&mut orders, None);
            for Order { worker, job } in orders.drain(..) {
                let found = match read(&self.view, &job) {
                    Ok(found) => found,
                    // Damage is reported by file and offset; the watcher stays where it is and its stream open.
                    Err(error) => {
                        tracing::error!(error = %error, from = job.from, "cannot read history for a watcher");
                        continue;
                    }
                };
                self.mailboxes[worker].put(&mut vec![Delivery::CaughtUp(job.watcher, found)]);
            }
        }
    }
}

/// Reads one step: the changes of the range from the wanted revision on, up to a bound.
fn read(view: &View, job: &CatchUpJob) -> Result<CaughtUp, mvcc::Error> {
    let through = view.revision();
    let mut history = match view.history(job.from) {
        Ok(history) => history,
        Err(ReadError::Compacted(_)) => {
            return Ok(CaughtUp::Compacted { compact_revision: view.compact_revision() });
        }
        Err(ReadError::Future(_)) => return Ok(CaughtUp::Changes { batch: Arc::new([]), through }),
        Err(ReadError::Store(error)) => return Err(error),
    };
    let mut step = Step::default();
    for changes in &mut history {
        let changes = changes?;
        if changes.revision > through {
            break;
        }
        step.add(job, &changes.changes);
        if step.is_full() {
            return Ok(CaughtUp::Changes { batch: step.found.into(), through: changes.revision });
        }
    }
    Ok(CaughtUp::Changes { batch: step.found.into(), through })
}

#[derive(Default)]
struct Step {
    found: Vec<Change>,
    revisions: usize,
    bytes: usize,
    scanned_bytes: usize,
}

/// Bytes of history looked at in one step, wanted or not: what bounds the time of a step.
const SCAN_BYTES_MAX: usize = 8 << 20;

impl Step {
    fn add(&mut self, job: &CatchUpJob, changes: &[Change]) {
        let before = self.found.len();
        for change in changes {
            let bytes = size(change);
            self.scanned_bytes += bytes;
            if job.range.contains(&change.key) {
                self.bytes += bytes;
                self.found.push(change.clone());
            }
        }
        self.revisions += usize::from(self.found.len() > before);
    }

    fn is_full(&self) -> bool {
        self.revisions >= CATCH_UP_REVISIONS_MAX
            || self.bytes >= CATCH_UP_BYTES_MAX
            || self.scanned_bytes >= SCAN_BYTES_MAX
    }
}

fn size(change: &Change) -> usize {
    let item = |item: &Option<mvcc::Item>| item.as_ref().map_or(0, |item| item.encoded.len());
    change.key.len() + item(&change.after) + item(&change.before)
}
