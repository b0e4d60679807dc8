//! The apply thread: committed entries, snapshots, checkpoints.

use std::io::ErrorKind;

use raft::durable::Error;
use raft::{Entry, Index, SnapshotMeta};

use crate::process::{ApplyWork, LogWork, Process, Report, state_error};
use crate::state::State;

/// What was applied, for the checkers.
pub(crate) enum Applied {
    Nothing,
    /// Each entry, with the state after it.
    Entries(Vec<(Entry, State)>),
    Snapshot(State),
}

impl Process {
    /// Does the oldest piece of work. An error ends the process.
    pub(crate) fn apply(&mut self) -> Result<Applied, Error> {
        match self.to_apply.pop_front() {
            None => Ok(Applied::Nothing),
            Some(ApplyWork::Entries(entries)) => Ok(self.apply_entries(entries)),
            Some(ApplyWork::Install(snapshot, content)) => self.install(snapshot, content),
        }
    }

    fn apply_entries(&mut self, entries: Vec<Entry>) -> Applied {
        let mut apply = |entry: Entry| {
            self.state.apply(&entry);
            (entry, self.state)
        };
        let applied = entries.into_iter().map(&mut apply).collect();
        self.reports.push_back(Report::Applied(self.state.last.index));
        Applied::Entries(applied)
    }

    fn install(&mut self, snapshot: SnapshotMeta, content: State) -> Result<Applied, Error> {
        assert_eq!(content.last, snapshot.last, "a snapshot contains what its message says");
        content.write(&self.disk).map_err(|source| state_error("write", source))?;
        (self.state, self.checkpoint) = (content, content);
        self.reports.push_back(Report::Installed(snapshot));
        Ok(Applied::Snapshot(content))
    }

    /// Writes the state to the disk once the log holds durably what it contains, and lets the log
    /// go up to `keep` entries before it. Returns whether it did.
    pub(crate) fn make_checkpoint(&mut self, keep: u64) -> Result<bool, Error> {
        let last = self.state.last.index;
        if last == Index::ZERO || last > self.node.stable() {
            return Ok(false);
        }
        match self.state.write(&self.disk) {
            // Tried again later.
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(false),
            other => other.map_err(|source| state_error("write", source))?,
        }
        self.checkpoint = self.state;
        let through = Index(last.0.saturating_sub(keep)).min(self.node.applied_index());
        if through > Index::ZERO {
            self.node.compact_to(through);
            self.log_work.push_back(LogWork::Release(through));
        }
        Ok(true)
    }
}
