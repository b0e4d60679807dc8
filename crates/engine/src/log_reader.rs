//! The thread that reads entries back from the raft log, for followers that are behind and for the own state machine
//! after a start.
//!
//! Beside the log writer, which has promised the new writes to be quick. The entries of a job cannot be unlinked while
//! it waits here.

use std::time::{Duration, Instant};

use raft::durable::{Error, FetchJob};

use crate::event::{ConsensusEvent, ReadLog};
use crate::fatal::stop_process;
use crate::inbox::{Inbox, Sender};

/// Pause before what could not be read for want of a descriptor is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Everything the thread works with.
pub struct LogReader {
    pub(crate) inbox: Inbox<ReadLog>,
    pub(crate) consensus: Sender<ConsensusEvent>,
}

impl LogReader {
    /// Runs until the member stops.
    pub fn run(self) {
        let mut jobs = Vec::new();
        let mut later = Vec::new();
        loop {
            let retry = (!later.is_empty()).then(|| Instant::now() + RETRY);
            if self.inbox.take(&mut jobs, retry).is_err() {
                return;
            }
            for job in later.drain(..).chain(jobs.drain(..)).collect::<Vec<_>>() {
                match job {
                    ReadLog::Read(job) => later.extend(self.read(job).map(ReadLog::Read)),
                    ReadLog::Stop => return,
                }
            }
        }
    }

    /// Reads entries and hands them over. Returns the job if it is to be tried again: the process has no descriptor left for
    /// a file of the log.
    pub(super) fn read(&self, job: FetchJob) -> Option<FetchJob> {
        let entries = match job.run() {
            Ok(entries) => entries,
            Err(error) if error.is_no_space() => {
                tracing::debug!(error = %error, "the raft log is read later");
                return Some(job);
            }
            // They were cut off by another leader, or replaced by a snapshot, after they were asked for. The answer is that
            // there is nothing; the node asks again if it still needs something.
            Err(Error::Wal(wal::Error::NoSuchRecord(_))) => Vec::new(),
            // Damage to what was durable once (rule W9).
            Err(error) => stop_process("the raft log cannot be read", &error),
        };
        let _ = self.consensus.send(ConsensusEvent::Fetched(*job.fetch(), entries));
        None
    }
}
