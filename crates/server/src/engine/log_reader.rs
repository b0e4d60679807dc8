//! The thread that reads entries back from the raft log, for followers that are behind and for the own state machine
//! after a start.
//!
//! Beside the log writer, which has promised the new writes to be quick. The entries of a job cannot be unlinked while
//! it waits here.

use raft::durable::FetchJob;

use super::consensus::ConsensusEvent;
use super::fatal::stop_process;
use super::inbox::{Inbox, Sender};

/// What the log reader is asked to do.
pub(crate) enum ReadLog {
    /// Read these entries, and hand them to consensus.
    Read(FetchJob),
    /// The member stops.
    Stop,
}

/// Everything the thread works with.
pub(crate) struct LogReader {
    pub(crate) inbox: Inbox<ReadLog>,
    pub(crate) consensus: Sender<ConsensusEvent>,
}

impl LogReader {
    /// Runs until the member stops.
    pub(crate) fn run(self) {
        let mut jobs = Vec::new();
        loop {
            self.inbox.take(&mut jobs, None);
            for job in jobs.drain(..) {
                match job {
                    ReadLog::Read(job) => self.read(&job),
                    ReadLog::Stop => return,
                }
            }
        }
    }

    fn read(&self, job: &FetchJob) {
        match job.run() {
            Ok(entries) => drop(self.consensus.send(ConsensusEvent::Fetched(*job.fetch(), entries))),
            // Damage to what was durable once (rule W9).
            Err(error) => stop_process("the raft log cannot be read", &error),
        }
    }
}
