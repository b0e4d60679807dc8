//! The thread that makes the next file of the raft log before it is needed.
//!
//! Reserving 64 MiB and syncing that takes a disk tens of milliseconds, for which the log writer would not sync what
//! others wait for. While a file is being made, an append waits for it only if the current one is full.

use crate::event::{LogEvent, Prepare};
use crate::inbox::{Inbox, Sender};

/// Everything the thread works with.
pub struct LogPreparer {
    pub(crate) preparer: wal::Preparer,
    pub(crate) inbox: Inbox<Prepare>,
    pub(crate) log: Sender<LogEvent>,
}

impl LogPreparer {
    /// Runs until the member stops.
    pub fn run(self) {
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
    pub fn prepare(&self) {
        let result = self.preparer.prepare().map_err(raft::durable::Error::from);
        let _ = self.log.send(LogEvent::Prepared(result));
    }
}
