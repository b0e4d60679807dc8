//! The handle that the engine holds: everything it asks of the transport, none of it ever waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use engine::note::PeerNote;
use engine::peers::{Peer, Peers, SnapshotJob};
use parking_lot::{Mutex, RwLock};
use raft::{Body, Message, NodeId};
use tokio::sync::Notify;

use super::limits::OUTBOX_BYTES_MAX;

/// Something for the transport's thread to do.
pub(super) enum Order {
    /// Send this, if its addressee can be reached.
    Message(Message),
    /// Send this, if the peer can be reached.
    Note(NodeId, PeerNote),
    /// These are the peers from now on.
    Peers(Vec<Peer>),
    /// Members with these ids are refused from now on.
    Removed(BTreeSet<NodeId>),
    /// Send this snapshot.
    Snapshot(SnapshotJob),
}

/// The way to the other members. Cheap to clone; usable from any thread. The default one leads nowhere until its thread
/// runs ([`TransportThread`](super::TransportThread)).
#[derive(Clone, Default)]
pub(crate) struct Transport(pub(super) Arc<Shared>);

/// What the handles and the transport's thread share.
#[derive(Default)]
pub(super) struct Shared {
    orders: Mutex<Orders>,
    wake: Notify,
    /// Peers known, and since when they have been connected.
    pub(super) activity: RwLock<BTreeMap<NodeId, Option<Instant>>>,
}

#[derive(Default)]
struct Orders {
    queue: Vec<Order>,
    /// Bytes of messages and notes in it.
    weight: usize,
    is_stopped: bool,
}

impl Transport {
    /// Takes nothing more, writes what was taken, closes every connection.
    pub(crate) fn stop(&self) {
        self.0.orders.lock().is_stopped = true;
        self.0.wake.notify_one();
    }

    /// The peers, callers that are no members among them.
    #[cfg(test)]
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.0.activity.read().keys().copied().collect()
    }
}

impl Peers for Transport {
    fn send(&self, messages: Vec<Message>) {
        let weigh = |message: Message| (weight(&message), Order::Message(message));
        self.0.give(messages.into_iter().map(weigh));
    }

    fn tell(&self, to: NodeId, note: PeerNote) {
        self.0.give([(note.weight(), Order::Note(to, note))]);
    }

    fn set_peers(&self, peers: Vec<Peer>) {
        self.0.give([(0, Order::Peers(peers))]);
    }

    fn set_removed(&self, removed: BTreeSet<NodeId>) {
        self.0.give([(0, Order::Removed(removed))]);
    }

    fn send_snapshot(&self, job: SnapshotJob) {
        self.0.give([(0, Order::Snapshot(job))]);
    }

    fn active_since(&self, peer: NodeId) -> Option<Instant> {
        self.0.activity.read().get(&peer).copied().flatten()
    }
}

impl Shared {
    fn give(&self, orders: impl IntoIterator<Item = (usize, Order)>) {
        let mut state = self.orders.lock();
        if state.is_stopped {
            return;
        }
        let was_empty = state.queue.is_empty();
        for (weight, order) in orders {
            if weight == 0 || state.weight + weight <= OUTBOX_BYTES_MAX {
                state.weight += weight;
                state.queue.push(order);
            }
        }
        let wake = was_empty && !state.queue.is_empty();
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Waits for orders and moves them all into `batch`. False when the transport is to stop and has done everything.
    pub(super) async fn take(&self, batch: &mut Vec<Order>) -> bool {
        loop {
            {
                let mut state = self.orders.lock();
                if !state.queue.is_empty() {
                    state.weight = 0;
                    batch.append(&mut state.queue);
                    return true;
                }
                if state.is_stopped {
                    return false;
                }
            }
            self.wake.notified().await;
        }
    }
}

/// What a message costs in memory, in bytes, for budgets.
pub(super) fn weight(message: &Message) -> usize {
    const FIXED: usize = 64;
    let entries = match &message.body {
        Body::Append { entries, .. } => entries.iter().map(raft::Entry::weight).sum(),
        _ => 0,
    };
    FIXED + entries
}
