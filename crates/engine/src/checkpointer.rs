//! When checkpoints are made, and the thread that writes them.

use std::time::{Duration, Instant};

use raft::Index;
use tokio::sync::oneshot;

use crate::event::ApplyEvent;
use crate::inbox::Sender;
use crate::shared::StableMark;

/// Time after which even a small change is checkpointed, so that an idle member's log can be released.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// Pause after a checkpoint that failed, on a full disk for example.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Runs one checkpoint at a time in the background.
pub(crate) struct Checkpointer {
    apply: Sender<ApplyEvent>,
    running: Option<std::thread::JoinHandle<()>>,
    /// Of the store in use: what is reported of an earlier one does not count.
    generation: u64,
    /// To be written once the log on the disk has what it holds: the entries up to this one.
    held: Option<(Index, mvcc::CheckpointJob)>,
    next: Instant,
    /// The last one failed: not before `next` again, however much has changed.
    backing_off: bool,
    /// Who waits for one, and what it must hold.
    awaited: Vec<(Index, oneshot::Sender<()>)>,
}

impl Checkpointer {
    /// Reports to the apply thread.
    pub(crate) fn new(apply: Sender<ApplyEvent>) -> Self {
        let next = Instant::now() + CHECKPOINT_INTERVAL;
        Self {
            apply,
            running: None,
            generation: 0,
            held: None,
            next,
            backing_off: false,
            awaited: Vec::new(),
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_none() && self.held.is_none()
    }

    /// When the apply thread should look again even if nothing happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.is_idle().then_some(self.next)
    }

    /// Whether to make a checkpoint now: enough has changed, somebody waits for it, or it has been a while.
    pub(crate) fn is_due(&self, enough_changed: bool) -> bool {
        let wanted = enough_changed || !self.awaited.is_empty();
        self.is_idle() && (wanted && !self.backing_off || Instant::now() >= self.next)
    }

    /// Makes a checkpoint due, and answers when one that holds everything through `applied` is on the disk. If it fails
    /// it is tried again, and the caller waits.
    pub(crate) fn await_through(&mut self, applied: Index, answer: oneshot::Sender<()>) {
        self.awaited.push((applied, answer));
    }

    /// Everything through `applied` is on the disk.
    pub(crate) fn reached(&mut self, applied: Index) {
        for (_, answer) in self.awaited.extract_if(.., |(wanted, _)| *wanted <= applied) {
            // A caller that has gone away does not miss its answer.
            let _ = answer.send(());
        }
    }

    /// Keeps a checkpoint until the log on the disk has everything that it holds: the entries of a follower may be
    /// committed by others before its own disk has them, and a state must not outlive a log that it is ahead of.
    pub(crate) fn hold(&mut self, applied: Index, job: mvcc::CheckpointJob) {
        self.held = Some((applied, job));
    }

    /// Starts the checkpoint that waits, if the log on the disk has what it holds. The event that made the caller ask
    /// may be of an earlier checkpoint that waited.
    pub(crate) fn start_held(&mut self, stable: &StableMark) {
        if let Some((_, job)) = self.held.take_if(|(applied, _)| stable.wait_for(*applied)) {
            self.start(job);
        }
    }

    /// Writes a checkpoint in the background.
    pub(crate) fn start(&mut self, job: mvcc::CheckpointJob) {
        let (apply, generation) = (self.apply.clone(), self.generation);
        // One that is made because memory fills must not wait for those who fill it.
        let has_time = Instant::now() >= self.next;
        let write = move || {
            if has_time {
                crate::priority::stand_back();
            }
            let started = Instant::now();
            let event = match job.run() {
                Ok(done) => ApplyEvent::Checkpointed(generation, Box::new(done), started.elapsed()),
                Err(error) => ApplyEvent::CheckpointFailed(generation, error),
            };
            let _ = apply.send(event);
        };
        // A panic ends the process there: nobody would report the checkpoint, and there would never be another.
        match crate::spawn::thread("checkpoint", write) {
            Ok(thread) => self.running = Some(thread),
            // The store hands the job out again (rule I6).
            Err(error) => {
                tracing::warn!(error = %error, "no thread for a checkpoint, which will be tried again");
                self.finished(false);
            }
        }
    }

    /// The checkpoint is over.
    pub(crate) fn finished(&mut self, written: bool) {
        self.join();
        self.backing_off = !written;
        self.next = Instant::now() + if written { CHECKPOINT_INTERVAL } else { RETRY_INTERVAL };
    }

    /// Another store is used from now on: waits for the checkpoint of the old one that is being written, and forgets it.
    pub(crate) fn start_over(&mut self) {
        self.join();
        self.held = None;
        self.generation += 1;
        self.backing_off = false;
        self.next = Instant::now() + CHECKPOINT_INTERVAL;
    }

    /// Whether a report is of the store in use.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Waits for the checkpoint that is being written.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.running.take() {
            // One that panics has ended the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_makes_a_checkpoint_due_and_is_answered_when_it_holds_enough() {
        let (apply, _inbox) = super::super::inbox::inbox();
        let mut checkpointer = Checkpointer::new(apply);
        assert!(!checkpointer.is_due(false));
        let (early, mut early_answer) = oneshot::channel();
        let (late, mut late_answer) = oneshot::channel();
        checkpointer.await_through(Index(7), early);
        checkpointer.await_through(Index(9), late);
        assert!(checkpointer.is_due(false));

        checkpointer.reached(Index(6));
        assert!(early_answer.try_recv().is_err());
        checkpointer.reached(Index(8));
        assert!(early_answer.try_recv().is_ok());
        assert!(late_answer.try_recv().is_err());
        assert!(checkpointer.is_due(false));
        checkpointer.reached(Index(9));
        assert!(late_answer.try_recv().is_ok());
        assert!(!checkpointer.is_due(false));
    }

    /// The event that the disk has caught up may be late, and of a checkpoint that waited before.
    #[test]
    fn a_checkpoint_that_is_held_is_not_started_by_a_word_of_an_earlier_one() {
        let disk = std::sync::Arc::new(wal::SimDisk::new(1));
        let mut store =
            mvcc::Store::open(disk, std::path::Path::new("/kv"), mvcc::Options::default()).unwrap();
        store.set_applied(mvcc::Applied { index: 9, term: 1 });
        let (apply, inbox) = super::super::inbox::inbox();
        let mut checkpointer = Checkpointer::new(apply);
        let stable = StableMark::default();
        stable.reached(Index(5));
        assert!(!stable.wait_for(Index(9)));
        checkpointer.hold(Index(9), store.freeze().expect("something has changed"));
        checkpointer.start_held(&stable);
        assert!(checkpointer.running.is_none(), "its log is not durable");
        assert!(stable.reached(Index(9)), "it still waits");
        checkpointer.start_held(&stable);
        checkpointer.join();
        let mut events = Vec::new();
        inbox.take(&mut events, None).unwrap();
        assert!(matches!(events[..], [ApplyEvent::Checkpointed(..)]));
    }

    #[test]
    fn a_checkpoint_that_failed_is_not_tried_at_once_however_many_wait() {
        let (apply, _inbox) = super::super::inbox::inbox();
        let mut checkpointer = Checkpointer::new(apply);
        checkpointer.await_through(Index(1), oneshot::channel().0);
        checkpointer.finished(false);
        assert!(!checkpointer.is_due(true));
    }
}
