//! A member with its disk, running or not.

use std::io::ErrorKind;

use raft::durable::Error;
use raft::{Membership, NodeId, Restored};
use wal::{Crash, SimDisk};

use crate::process::{Process, Settings, open};
use crate::state::State;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is killed, and the machine goes on: the page cache survives.
    Killed,
    /// The machine crashes.
    Crashed(Crash),
}

pub(crate) struct Server {
    pub(crate) id: NodeId,
    pub(crate) disk: SimDisk,
    pub(crate) process: Option<Process>,
    /// How often it was started.
    pub(crate) starts: u64,
    /// The configuration that the cluster began with; empty for a member that joins later.
    founders: Membership,
    /// After so many of a thousand inputs the node's effects are taken; after the others more
    /// inputs come first, and all of them make one piece of work.
    pub(crate) pace: usize,
    /// The process is stopped (SIGSTOP): it does nothing, and messages wait for it.
    pub(crate) is_paused: bool,
    /// The disk finishes nothing.
    pub(crate) is_stalled: bool,
    /// The disk was told to fail, so an error of it proves nothing.
    pub(crate) may_fail: bool,
    /// It lost entries and may not have got all of them back.
    pub(crate) is_in_trouble: bool,
}

impl Server {
    pub(crate) fn new(id: NodeId, seed: u64, founders: Membership) -> Server {
        Server {
            id,
            disk: SimDisk::new(seed ^ id.0),
            process: None,
            starts: 0,
            founders,
            pace: 1000,
            is_paused: false,
            is_stalled: false,
            may_fail: false,
            is_in_trouble: false,
        }
    }

    pub(crate) fn start(&mut self, settings: Settings) -> Result<Restored, Error> {
        self.starts += 1;
        let (process, restored) = Process::start(self.id, &self.disk, &self.founders, settings)?;
        self.process = Some(process);
        Ok(restored)
    }

    /// Ends the process. What the disk was told to fail at is over with it.
    pub(crate) fn end(&mut self, end: End) {
        self.process = None;
        self.disk = match end {
            End::Killed => self.disk.restart(),
            End::Crashed(crash) => self.disk.crash(crash),
        };
        self.is_paused = false;
        self.may_fail = false;
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Returns whether the process does anything at the moment.
    pub(crate) fn is_active(&self) -> bool {
        self.process.is_some() && !self.is_paused
    }

    /// Returns what the member would start from if its machine crashed now and lost everything that
    /// no sync covered.
    pub(crate) fn survives(&self) -> (Restored, State) {
        let disk = self.disk.crash(Crash::LoseAll);
        disk.set_capacity(None);
        let opened = open(self.id, &disk, &self.founders, 0);
        let (_, restored, state) =
            opened.unwrap_or_else(|error| panic!("{} could not start after a crash: {error}", self.id));
        (restored, state)
    }

    /// Throws the log away, then the state (rule A6), on the log of the running process. An error
    /// ends that.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        let mut process = self.process.take().expect("a process that runs");
        process.log.forget_entries()?;
        let cleared = State::default().write(&self.disk);
        cleared.map_err(|source| crate::process::state_error("write", source))
    }
}

/// Returns whether a member cannot start because its disk is full.
pub(crate) fn is_full(error: &Error) -> bool {
    let is_storage_full = |source: &std::io::Error| source.kind() == ErrorKind::StorageFull;
    match error {
        Error::Io { source, .. } | Error::Wal(wal::Error::Io { source, .. }) => is_storage_full(source),
        other => other.is_no_space(),
    }
}
