//! What the threads of a member share, and their ways to each other.

use std::sync::Arc;
use std::time::Duration;

use metrics::Metrics;

use crate::event::{ApplyEvent, ConsensusEvent, LogEvent};
use crate::inbox::{Inbox, Sender, inbox};
use crate::lessor::Lessor;
use crate::mailbox::Mailbox;
use crate::memory::{Shares, WatchQueues};
use crate::peers::Peers;
use crate::shared::Shared;
use crate::status::EngineStatus;
use crate::waiters::Waiters;

/// Each thread has all of it. A state is changed through here by sending its owner an event, or, where a field says so, by
/// its one writer.
#[derive(Clone)]
pub struct Handles {
    /// Published numbers, and the callers that wait.
    pub shared: Arc<Shared>,
    /// Replicated facts.
    pub status: Arc<EngineStatus>,
    /// The leases' times.
    pub lessor: Arc<Lessor>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The way to the other members.
    pub peers: Arc<dyn Peers>,
    /// What clients may fill of the memory.
    pub shares: Shares,
    /// What waits in watch streams.
    pub watch_queues: Arc<WatchQueues>,
    /// The way to each network worker.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// The way to the consensus thread.
    pub consensus: Sender<ConsensusEvent>,
    /// The way to the log writer.
    pub log: Sender<LogEvent>,
    /// The way to the apply thread.
    pub apply: Sender<ApplyEvent>,
}

/// Where the threads take their events from.
pub struct Inboxes {
    /// Those of the consensus thread.
    pub consensus: Inbox<ConsensusEvent>,
    /// Those of the log writer.
    pub log: Inbox<LogEvent>,
    /// Those of the apply thread.
    pub apply: Inbox<ApplyEvent>,
}

/// What a member is, before anything of its state is known.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its id.
    pub member_id: u64,
    /// The storage version of its release, as `X.Y.Z`.
    pub storage_version: &'static str,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Where its request ids begin, which must differ from life to life.
    pub first_request: u64,
    /// What clients may fill of its memory.
    pub shares: Shares,
}

impl Handles {
    /// Returns what the threads of a member share that has so many network workers, and the other ends of their queues.
    pub fn new(
        identity: Identity,
        workers: usize,
        peers: Arc<dyn Peers>,
        metrics: Arc<Metrics>,
    ) -> (Self, Inboxes) {
        let waiters = Waiters::new(identity.member_id, identity.first_request, identity.shares.in_flight);
        let (consensus, consensus_inbox) = inbox();
        let (log, log_inbox) = inbox();
        let (apply, apply_inbox) = inbox();
        let handles = Self {
            shared: Arc::new(Shared::new(waiters, identity.request_timeout)),
            status: Arc::new(EngineStatus::of(identity.member_id, identity.storage_version)),
            lessor: Arc::new(Lessor::new(metrics.clone())),
            shares: identity.shares,
            watch_queues: WatchQueues::new(identity.shares.watch_queues, metrics.clone()),
            metrics,
            peers,
            mailboxes: (0..workers).map(|_| Mailbox::new()).collect(),
            consensus,
            log,
            apply,
        };
        (handles, Inboxes { consensus: consensus_inbox, log: log_inbox, apply: apply_inbox })
    }
}

#[cfg(test)]
impl Handles {
    /// Returns the handles of a member with one network worker, whose messages reach nobody.
    pub(crate) fn for_tests(member_id: u64) -> (Self, Inboxes) {
        let identity = Identity {
            member_id,
            storage_version: "3.7.0",
            request_timeout: Duration::from_secs(7),
            first_request: 0,
            shares: Shares::of(1 << 40, 1 << 20),
        };
        let metrics = Metrics::new(metrics::MetricsDetail::Basic, Vec::new());
        Self::new(identity, 1, Arc::new(crate::peers::Nobody), Arc::new(metrics))
    }
}
