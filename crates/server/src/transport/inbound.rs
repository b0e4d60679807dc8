//! What the transport asks of the engine.

use std::sync::Arc;

use raft::{Message, NodeId};
use tokio::sync::OwnedSemaphorePermit;

use super::note::PeerNote;
use super::snapshot::{SnapshotFault, SnapshotOffer, SnapshotSink};

/// The engine, as the transport sees it. Every call returns at once, but for [`Inbound::snapshot_offered`].
pub(crate) trait Inbound: Send + Sync + 'static {
    /// This arrived, in the order in which the peer sent it.
    fn received(&self, batch: Incoming);

    /// A peer says that this member was removed from the cluster.
    fn removed_by(&self, peer: NodeId);

    /// A peer wants to send a snapshot. Called on a thread of the transfer's own, which may wait for a disk.
    ///
    /// # Errors
    /// Why it is not wanted, or cannot be taken now; the peer is told.
    fn snapshot_offered(&self, offer: &SnapshotOffer) -> Result<Box<dyn SnapshotSink>, SnapshotFault>;
}

/// What one read of a peer's connection brought.
///
/// Dropping it gives its room back: a peer's connection is not read while the engine has more than
/// [`INBOUND_BYTES_MAX`](super::limits::INBOUND_BYTES_MAX) of it in hand.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Who sent it; the `from` of each message.
    pub(crate) from: NodeId,
    /// Messages for the raft node, addressed to it.
    pub(crate) messages: Vec<Message>,
    /// Notes for the engine.
    pub(crate) notes: Vec<PeerNote>,
    /// Held until the engine has dealt with it.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.notes.is_empty()
    }
}

/// An engine that others share.
pub(crate) type SharedInbound = Arc<dyn Inbound>;

#[cfg(test)]
impl Incoming {
    /// One message, as from its sender.
    pub(crate) fn of(message: raft::Message) -> Self {
        Self { from: message.from, messages: vec![message], notes: Vec::new(), room: None }
    }
}
