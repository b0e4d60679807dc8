//! What the consensus thread works with.

use std::time::Duration;

use raft::{Index, Node};

use super::clock::Pace;
use super::contradictions::Contradictions;
use super::disk_watch::DiskWatch;
use super::log_sizes::LogSizes;
use super::pending::Pending;
use super::queue::Changes;
use crate::event::ConsensusEvent;
use crate::handles::Handles;
use crate::inbox::Inbox;
use crate::snapshots::place::ReceivedStore;

/// Everything the thread works with.
pub struct ConsensusThread {
    pub(crate) node: Node,
    pub(crate) inbox: Inbox<ConsensusEvent>,
    pub(crate) handles: Handles,
    pub(super) pace: Pace,
    pub(super) pending: Pending,
    pub(super) changes: Changes,
    /// Time since the process started, as of the last tick.
    pub(super) uptime: Duration,
    /// A snapshot that raft is being told of.
    pub(super) received: Option<ReceivedStore>,
    pub(super) disk: DiskWatch,
    /// The last entry in a checkpoint.
    pub(super) checkpoint: Index,
    pub(super) log_sizes: LogSizes,
    pub(super) contradictions: Contradictions,
}

impl ConsensusThread {
    /// Returns the thread of a node that has just been restored.
    pub fn new(
        node: Node,
        inbox: Inbox<ConsensusEvent>,
        handles: Handles,
        pace: Pace,
        changes: Changes,
    ) -> Self {
        Self {
            node,
            inbox,
            handles,
            pace,
            pending: Pending::default(),
            changes,
            uptime: Duration::ZERO,
            received: None,
            disk: DiskWatch::default(),
            checkpoint: Index::ZERO,
            log_sizes: LogSizes::default(),
            contradictions: Contradictions::default(),
        }
    }

    /// Returns the time since the process started, in milliseconds, as of the last tick.
    pub(super) fn millis(&self) -> u64 {
        self.uptime.as_millis() as u64
    }

    /// Returns what the thread would have taken its events from.
    pub fn into_inbox(self) -> Inbox<ConsensusEvent> {
        self.inbox
    }
}
