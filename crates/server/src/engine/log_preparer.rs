//! The thread that makes the next file of the raft log before it is needed.
//!
//! Reserving 64 MiB and syncing that takes a disk tens of milliseconds, for which the log writer would not sync what
//! others wait for. While a file is being made, an append waits for it only if the current one is full.

use super::inbox::{Inbox, Sender};
use super::log_writer::LogEvent;

/// What the thread is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepare {
    /// Make the next file, unless it is there, and report to the log writer.
    NextFile,
    /// The member stops.
    Stop,
}

/// Everything the thread works with.
pub(crate) struct LogPreparer {
    pub(crate) preparer: wal::Preparer,
    pub(crate) inbox: Inbox<Prepare>,
    pub(crate) log: Sender<LogEvent>,
}

impl LogPreparer {
    /// Runs until the member stops.
    pub(crate) fn run(self) {
        let mut asked = Vec::new();
        while self.inbox.take(&mut asked, None).is_ok() {
            if asked.contains(&Prepare::Stop) {
                return;
            }
            asked.clear();
            self.prepare();
        }
    }

    /// Makes the next file.
    pub(crate) fn prepare(&self) {
        let result = self.preparer.prepare().map_err(raft::durable::Error::from);
        let _ = self.log.send(LogEvent::Prepared(result));
    }
}
