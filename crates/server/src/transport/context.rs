//! What the tasks of the transport's thread share.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::note::PeerNote;
use engine::peers::{Inbound, Incoming};
use parking_lot::Mutex;
use raft::{NodeId, Term};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::handle::Shared;
use super::limits::SNAPSHOT_STREAMS_MAX;
use super::link::Link;
use super::snapshot::Receiving;
use crate::ids::Identity;
use crate::metrics::Metrics;
use crate::tls::Connector;

/// What a transport is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The cluster and this member.
    pub(crate) identity: Identity,
    /// Where peers reach this member (`--initial-advertise-peer-urls`, or as changed since).
    pub(crate) advertised: Vec<String>,
    /// A connection on which nothing arrives for so long is given up (`--raft-read-timeout`). A peer that lives says
    /// something each second.
    pub(crate) read_timeout: Duration,
    /// A connection that takes no byte for so long is given up (`--raft-write-timeout`).
    pub(crate) write_timeout: Duration,
    /// Makes TLS of connections to peers whose URLs want it.
    pub(crate) connector: Arc<Connector>,
}

/// Everything that one task wants of another. Only the transport's thread takes the lock, so nobody waits for it.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) shared: Arc<Shared>,
    pub(super) inbound: Arc<dyn Inbound>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) table: Mutex<Table>,
    pub(super) receiving: Mutex<Receiving>,
    /// The places for connections of snapshots.
    pub(super) snapshot_places: Arc<Semaphore>,
    /// Which process of this member it is.
    pub(super) process: u64,
    started: Instant,
    numbers: AtomicU64,
}

/// Who is out there.
#[derive(Default)]
pub(super) struct Table {
    /// Members, and those that called without being known as members.
    pub(super) links: BTreeMap<NodeId, Arc<Link>>,
    /// The members among them.
    pub(super) members: BTreeSet<NodeId>,
    /// Members of the past.
    pub(super) removed: BTreeSet<NodeId>,
    /// Streams of messages that peers have opened, one for each.
    pub(super) inlets: BTreeMap<NodeId, Inlet>,
    /// The snapshots that are on their way, by receiver.
    pub(super) sending: BTreeMap<NodeId, Sending>,
}

/// A snapshot on its way.
pub(super) struct Sending {
    /// Tells this transfer from the next one to the same peer.
    pub(super) number: u64,
    /// The term in which this member sends it. In a later one the receiver would refuse it, after all the work.
    pub(super) term: Term,
    /// Ends it.
    pub(super) task: AbortHandle,
}

/// A peer's stream of messages.
pub(super) struct Inlet {
    /// Tells this stream from the peer's next one.
    pub(super) number: u64,
    /// Which process of the peer has opened it.
    pub(super) process: u64,
    /// Ends it.
    pub(super) task: AbortHandle,
}

impl Context {
    pub(super) fn new(
        settings: Settings,
        shared: Arc<Shared>,
        inbound: Arc<dyn Inbound>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            shared,
            inbound,
            metrics,
            table: Mutex::default(),
            receiving: Mutex::default(),
            snapshot_places: Arc::new(Semaphore::new(SNAPSHOT_STREAMS_MAX)),
            process: std::hash::RandomState::new().build_hasher().finish(),
            started: Instant::now(),
            numbers: AtomicU64::new(0),
        })
    }

    /// This member.
    pub(super) fn id(&self) -> NodeId {
        NodeId(self.settings.identity.member.0)
    }

    /// Nanoseconds since the transport started: what pings carry.
    pub(super) fn clock(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// A number that was not given out before.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells the own engine something in a peer's place.
    pub(super) fn tell_engine(&self, peer: NodeId, notes: Vec<PeerNote>) {
        if !notes.is_empty() {
            self.inbound.received(Incoming::new(peer, Vec::new(), notes, None));
        }
    }

    /// The way to a peer.
    pub(super) fn link(&self, peer: NodeId) -> Option<Arc<Link>> {
        self.table.lock().links.get(&peer).cloned()
    }
}
