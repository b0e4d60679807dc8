//! The thread that reads history for watchers that are behind.
//!
//! One for the whole member, so that however many watchers start in the past, they take one core's time at most, in
//! steps of bounded size and in turn, and no write waits for any of them. A step is made for all that it can serve: see
//! [`scan`].
//!
//! Each event that is found costs the network worker several times what it cost here, on the core that the answers to
//! writes need. So the thread rests between its steps while there are writes, but never so long that a watcher would not
//! gain on them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::inbox::{Inbox, Sender, inbox};
use crate::limits::CATCH_UP_REST;
use crate::mailbox::{Delivery, Mailbox};
use crate::memory::WatchQueues;
use crate::priority;
use crate::views::Views;
use crate::watch::scan;
use crate::watch::watcher::{CatchUpJob, CaughtUp};

/// Changes that a watcher gets for each one that is written meanwhile, at least; below that there is no rest.
const GAIN_MIN: u64 = 2;

/// Time without writes after which there is nobody to rest for. Writes come in batches: between two of them a few steps
/// pass that see none.
const QUIET: Duration = Duration::from_millis(100);

/// Pause before what could not be read for want of a descriptor is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A job and the worker that wants it.
struct Order {
    worker: usize,
    job: CatchUpJob,
}

/// The workers' end: where jobs are handed in.
#[derive(Clone)]
pub struct CatchUp(Sender<Order>);

impl CatchUp {
    /// Hands in jobs of a worker; the answers come through its mailbox.
    pub fn send(&self, worker: usize, jobs: Vec<CatchUpJob>) {
        // A member that stops has nobody left to answer.
        let _ = self.0.send_all(jobs.into_iter().map(|job| Order { worker, job }));
    }
}

/// The thread's end.
pub struct CatchUpThread {
    inbox: Inbox<Order>,
    views: Arc<Views>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    queues: Arc<WatchQueues>,
}

/// Both ends.
pub fn catch_up(
    views: Arc<Views>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    queues: Arc<WatchQueues>,
) -> (CatchUp, CatchUpThread) {
    let (sender, inbox) = inbox();
    (CatchUp(sender), CatchUpThread { inbox, views, mailboxes, queues })
}

impl CatchUpThread {
    /// Serves jobs in turn until no worker is left to send one. A member that starts over in the same process has other
    /// workers and another such thread, and this one would keep all of the old store in memory.
    pub fn run(self) {
        priority::yield_often();
        let mut orders = Vec::new();
        let mut waiting = VecDeque::new();
        let mut later = Vec::new();
        let mut pace = Pace { revision: self.views.get().revision(), written: None };
        loop {
            let now = Instant::now();
            let until = match (waiting.is_empty(), later.is_empty()) {
                // Whatever else there is to read needs a descriptor too.
                (_, false) => Some(now + RETRY),
                (false, true) => Some(now),
                (true, true) => None,
            };
            if self.inbox.take(&mut orders, until).is_err() {
                return;
            }
            waiting.extend(orders.drain(..).chain(later.drain(..)));
            match self.read(waiting.make_contiguous()) {
                Ok(found) => self.deliver(&mut waiting, found, &mut pace),
                // The history is all right: the process has no descriptor left for its files.
                Err(error) if error.is_retryable() => {
                    tracing::debug!(error = %error, "history is read for a watcher later");
                    later.extend(waiting.pop_front());
                }
                // Damage is reported by file and offset, here and to the client.
                Err(error) => {
                    let Some(Order { worker, job }) = waiting.pop_front() else { continue };
                    tracing::error!(error = %error, from = job.from, "cannot read history for a watcher");
                    self.answer(worker, &job, CaughtUp::Failed { reason: error.to_string() });
                }
            }
        }
    }

    /// Reads one step, and again if the store was replaced meanwhile: the files of the old one go away.
    fn read(&self, orders: &[Order]) -> Result<Vec<Option<CaughtUp>>, mvcc::Error> {
        let jobs: Vec<&CatchUpJob> = orders.iter().map(|order| &order.job).collect();
        loop {
            let replaced = self.views.replaced();
            match scan::read(&self.views.get(), &jobs, &self.queues) {
                Err(error) if self.views.may_be_gone(replaced) => {
                    tracing::debug!(error = %error, "history is read again from the store that replaces this one");
                    std::thread::sleep(RETRY);
                }
                found => return found,
            }
        }
    }

    /// Sends what was found to those for whom it was, one after the other. The others wait on, and the one that was first
    /// comes last when it wants more.
    fn deliver(&self, waiting: &mut VecDeque<Order>, found: Vec<Option<CaughtUp>>, pace: &mut Pace) {
        let served = found.iter().flatten().count();
        for found in found {
            let Some(order) = waiting.pop_front() else { return };
            let Some(found) = found else {
                waiting.push_back(order);
                continue;
            };
            let events = match &found {
                CaughtUp::Changes { batch, .. } => batch.len(),
                _ => 0,
            };
            self.answer(order.worker, &order.job, found);
            std::thread::sleep(pace.rest(self.views.get().revision(), Instant::now(), events, served));
        }
    }

    fn answer(&self, worker: usize, job: &CatchUpJob, found: CaughtUp) {
        self.mailboxes[worker].put(&mut vec![Delivery::CaughtUp(job.stream, job.watcher, found)]);
    }
}

/// What is known of the writes that go on beside the catching up.
struct Pace {
    /// The newest revision when it was last looked at.
    revision: i64,
    /// When it was last seen to have changed.
    written: Option<Instant>,
}

impl Pace {
    /// How long to leave the machine to others after a step that found so many events, with so many watchers in turn.
    fn rest(&mut self, revision: i64, now: Instant, events: usize, waiting: usize) -> Duration {
        let written = revision.abs_diff(std::mem::replace(&mut self.revision, revision));
        if written > 0 {
            self.written = Some(now);
        }
        let is_quiet = self.written.is_none_or(|at| now - at >= QUIET);
        // Until this watcher's next step, all those in turn will have had theirs.
        let gains = events as u64 >= GAIN_MIN * written * waiting as u64;
        if is_quiet || events == 0 || !gains { Duration::ZERO } else { CATCH_UP_REST / waiting as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::watcher::{StreamId, WatcherId};

    #[test]
    fn writes_get_a_rest_unless_the_watcher_would_not_gain_on_them() {
        let start = Instant::now();
        let rest_after = |written: i64, events: usize, waiting: usize| {
            let mut pace = Pace { revision: 5, written: None };
            pace.rest(5 + written, start, events, waiting)
        };
        // Nobody writes: nobody to leave the machine to.
        assert_eq!(rest_after(0, 1000, 1), Duration::ZERO);
        assert_eq!(rest_after(500, 1000, 1), CATCH_UP_REST);
        assert_eq!(rest_after(501, 1000, 1), Duration::ZERO);
        // A round takes as long for many as for one.
        assert_eq!(rest_after(50, 1000, 10), CATCH_UP_REST / 10);
        assert_eq!(rest_after(51, 1000, 10), Duration::ZERO);
        // Nothing found costs the network worker nothing.
        assert_eq!(rest_after(1, 0, 1), Duration::ZERO);
    }

    #[test]
    fn between_two_batches_of_writes_it_rests_too() {
        let start = Instant::now();
        let mut pace = Pace { revision: 5, written: None };
        assert_eq!(pace.rest(6, start, 1000, 1), CATCH_UP_REST);
        assert_eq!(pace.rest(6, start + QUIET / 2, 1000, 1), CATCH_UP_REST);
        assert_eq!(pace.rest(6, start + QUIET, 1000, 1), Duration::ZERO);
    }

    /// A process that has many connections may have no descriptor left for a file of the history. A watcher that is behind is
    /// not cancelled for that.
    #[test]
    fn history_that_no_descriptor_is_left_for_is_read_later() {
        let disk = wal::SimDisk::new(1);
        let open = || {
            let options = mvcc::Options { history_segment_bytes: 4096, ..Default::default() };
            mvcc::Store::open(Arc::new(disk.clone()), std::path::Path::new("/kv"), options).unwrap()
        };
        let mut store = open();
        let changes = 100;
        for number in 0..changes {
            let mut txn = store.txn();
            txn.put(format!("{number}").into(), vec![7; 1000].into(), mvcc::LeaseId(0));
            txn.commit();
            store.checkpoint().unwrap();
        }
        drop(store);
        let store = open();
        let mailbox = Mailbox::new();
        let (worker, thread) =
            catch_up(Arc::new(Views::new(store.view())), [mailbox.clone()].into(), WatchQueues::plenty());
        let running = std::thread::spawn(move || thread.run());
        // More than there are files that the log closes in its need.
        (0..24).for_each(|_| disk.inject_after(wal::Fault::NoDescriptor, 0));
        let range = mvcc::KeyRange::all();
        worker.send(
            0,
            vec![CatchUpJob {
                stream: StreamId(1),
                watcher: WatcherId(1),
                range,
                from: 2,
                is_alone: true,
                prev_kv: false,
            }],
        );
        let mut found = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(mailbox.take(&mut found));
        match &found[..] {
            [Delivery::CaughtUp(_, _, CaughtUp::Changes { batch, .. })] => {
                assert_eq!(batch.len(), changes);
                // Not a slice of the window that was read (rule I2).
                let is_alone = |change: &mvcc::Change| {
                    change.after.as_ref().is_some_and(|item| item.encoded.is_unique())
                };
                assert!(batch.iter().all(is_alone));
            }
            other => panic!("{other:?}"),
        }
        assert!(
            wal::Disk::open_dir(&disk, std::path::Path::new("/kv")).is_ok(),
            "it was tried as often as it failed"
        );
        drop(worker);
        running.join().unwrap();
    }

    /// A member that starts over in the same process must not keep the old store in memory.
    #[test]
    fn the_thread_ends_and_frees_the_store_when_the_last_worker_is_gone() {
        let disk = std::sync::Arc::new(wal::SimDisk::new(1));
        let store = mvcc::Store::open(disk, std::path::Path::new("/kv"), mvcc::Options::default()).unwrap();
        let views = Arc::new(Views::new(store.view()));
        let kept = Arc::downgrade(&views);
        let (worker, thread) = catch_up(views, [].into(), WatchQueues::plenty());
        let other = worker.clone();
        let running = std::thread::spawn(move || thread.run());
        drop((worker, other));
        running.join().unwrap();
        assert!(kept.upgrade().is_none());
    }
}
