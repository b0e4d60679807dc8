//! When checkpoints are made, and the thread that writes them.

use std::time::{Duration, Instant};

use super::apply::ApplyEvent;
use super::inbox::Sender;

/// Time after which even a small change is checkpointed, so that an idle member's log can be released.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// Pause after a checkpoint that failed, on a full disk for example.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Runs one checkpoint at a time in the background.
pub(crate) struct Checkpointer {
    apply: Sender<ApplyEvent>,
    running: Option<std::thread::JoinHandle<()>>,
    next: Instant,
    /// The last one failed: not before `next` again, however much has changed.
    backing_off: bool,
}

impl Checkpointer {
    /// Reports to the apply thread.
    pub(crate) fn new(apply: Sender<ApplyEvent>) -> Self {
        Self { apply, running: None, next: Instant::now() + CHECKPOINT_INTERVAL, backing_off: false }
    }

    /// When the apply thread should look again even if nothing happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.running.is_none().then_some(self.next)
    }

    /// Whether to make a checkpoint now: enough has changed, or it has been a while.
    pub(crate) fn is_due(&self, enough_changed: bool) -> bool {
        self.running.is_none() && (enough_changed && !self.backing_off || Instant::now() >= self.next)
    }

    /// Writes a checkpoint in the background.
    pub(crate) fn start(&mut self, job: mvcc::CheckpointJob) {
        let apply = self.apply.clone();
        let write = move || {
            let started = Instant::now();
            let event = match job.run() {
                Ok(done) => ApplyEvent::Checkpointed(Box::new(done), started.elapsed()),
                Err(error) => ApplyEvent::CheckpointFailed(error),
            };
            let _ = apply.send(event);
        };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(write);
        match thread {
            Ok(thread) => self.running = Some(thread),
            Err(error) => super::fatal::stop_process("no thread for a checkpoint", &error),
        }
    }

    /// The checkpoint is over.
    pub(crate) fn finished(&mut self, written: bool) {
        self.join();
        self.backing_off = !written;
        self.next = Instant::now() + if written { CHECKPOINT_INTERVAL } else { RETRY_INTERVAL };
    }

    /// Waits for the checkpoint that is being written.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.running.take()
            && thread.join().is_err()
        {
            super::fatal::stop_process("a checkpoint", &"panicked");
        }
    }
}
