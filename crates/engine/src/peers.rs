//! Members among each other, as the engine sees them: what it asks of the transport, and what the transport asks of it.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use raft::{Message, NodeId};
use tokio::sync::OwnedSemaphorePermit;

use crate::note::{ConsensusNote, PeerNote};

/// Longest chunk of a snapshot.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 1 << 20;

/// Another member, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: NodeId,
    /// Its peer URLs; tried in turn.
    pub urls: Vec<String>,
}

/// The way to the other members. No call waits for anything.
pub trait Peers: Send + Sync {
    /// Sends messages, each to its addressee, in order. What cannot be sent soon is dropped.
    fn send(&self, messages: Vec<Message>);

    /// Sends a note. If it cannot be sent soon it is dropped.
    fn tell(&self, to: NodeId, note: PeerNote);

    /// Replaces the peers; connections to others are closed. This member itself may be among them.
    fn set_peers(&self, peers: Vec<Peer>);

    /// Refuses connections of members with these ids from now on: they were removed from the cluster, and are told.
    fn set_removed(&self, removed: BTreeSet<NodeId>);

    /// Sends a snapshot to the addressee of its message. One at a time goes to each peer.
    fn send_snapshot(&self, job: SnapshotJob);

    /// Returns since when a peer has been connected; `None` if it is not.
    fn active_since(&self, peer: NodeId) -> Option<Instant>;
}

/// The engine, as the transport sees it. Every call returns at once, but for [`Inbound::snapshot_offered`].
pub trait Inbound: Send + Sync + 'static {
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
/// Dropping it gives its room back: a peer's connection is not read while the engine has much of it in hand.
#[derive(Debug)]
pub struct Incoming {
    /// Who sent it; the `from` of each message.
    pub from: NodeId,
    /// Messages for the raft node, addressed to it.
    pub messages: Vec<Message>,
    /// Notes for the engine.
    pub notes: Vec<PeerNote>,
    /// Held until the engine has dealt with it.
    room: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    /// Returns a batch whose sender is not read on while its `room` is taken.
    pub fn new(
        from: NodeId,
        messages: Vec<Message>,
        notes: Vec<PeerNote>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { from, messages, notes, room }
    }

    /// Takes the notes out, and returns the rest with those of them that are for consensus.
    pub(crate) fn for_consensus(self, notes: Vec<ConsensusNote>) -> Heard {
        Heard { from: self.from, messages: self.messages, notes, _room: self.room }
    }
}

/// What consensus has of one read of a peer's connection.
#[derive(Debug)]
pub struct Heard {
    /// Who sent it.
    pub(crate) from: NodeId,
    /// Messages for the raft node.
    pub(crate) messages: Vec<Message>,
    /// Notes for consensus.
    pub(crate) notes: Vec<ConsensusNote>,
    /// Held until consensus has dealt with it.
    _room: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
impl Heard {
    /// One message, as from its sender.
    pub(crate) fn of(message: Message) -> Self {
        Self { from: message.from, messages: vec![message], notes: Vec::new(), _room: None }
    }
}

/// Why a snapshot cannot be read, or is not taken.
pub type SnapshotFault = Box<dyn std::error::Error + Send + Sync>;

/// Chunks of a snapshot, to be sent. Dropped when the transfer has ended.
pub trait SnapshotSource: Send {
    /// The next chunk is to be this one, counted from 0: the receiver has those before it. Never a chunk that was handed
    /// out already.
    ///
    /// # Errors
    /// When the content cannot be read.
    fn skip_to(&mut self, chunk: u64) -> Result<(), SnapshotFault>;

    /// The next chunk, of at most [`SNAPSHOT_CHUNK_BYTES_MAX`]; `None` after the
    /// last one. A quarter of that is a good length: messages wait while a chunk is checksummed.
    ///
    /// # Errors
    /// When the content cannot be read.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotFault>;
}

/// Where the chunks of a snapshot go. Dropped unfinished when the transfer has failed for good; it cleans up after itself.
pub trait SnapshotSink: Send {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// When the content is not sound, or cannot be written.
    fn push(&mut self, chunk: Bytes) -> Result<(), SnapshotFault>;

    /// All chunks were pushed: checks the whole, makes it durable and hands it to the engine, with the message that the
    /// raft node is to step (of the connection that brought the end; an earlier one may have had an older one).
    ///
    /// # Errors
    /// When the content is not sound, or cannot be written.
    fn finish(self: Box<Self>, message: Message) -> Result<(), SnapshotFault>;
}

/// A snapshot that a peer wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOffer {
    /// What the raft node steps once the content is in place: an `InstallSnapshot`, whose sender is the peer.
    pub message: Message,
    /// Names the content: snapshots of one name are equal byte for byte and chunk by chunk.
    pub content: Bytes,
}

/// A snapshot to be sent.
pub struct SnapshotJob {
    /// What is offered; its addressee is the receiver.
    pub offer: SnapshotOffer,
    /// The content.
    pub source: Box<dyn SnapshotSource>,
    /// Told how it ended, on the transport's thread; not at all if the transport stops first, or if a
    /// snapshot of a later term takes its place.
    pub done: Box<dyn FnOnce(Result<(), SnapshotFailure>) + Send>,
}

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailure {
    /// Another one is under way to this peer.
    #[error("a snapshot is under way to {0} already")]
    UnderWay(NodeId),
    /// No such peer, or not any more.
    #[error("{0} is no peer")]
    UnknownPeer(NodeId),
    /// The receiver does not want it, or found it unsound.
    #[error("the receiver: {0}")]
    Refused(String),
    /// The content cannot be read.
    #[error("cannot read the snapshot: {0}")]
    Source(SnapshotFault),
    /// The receiver wants chunks again that are gone.
    #[error("the receiver has lost what it had")]
    Lost,
    /// The connection broke again and again.
    #[error("cannot send the snapshot: {0}")]
    Unreachable(String),
}

/// Peers that hear nothing and are not there.
#[cfg(test)]
pub struct Nobody;

#[cfg(test)]
impl Peers for Nobody {
    fn send(&self, _: Vec<Message>) {}

    fn tell(&self, _: NodeId, _: PeerNote) {}

    fn set_peers(&self, _: Vec<Peer>) {}

    fn set_removed(&self, _: BTreeSet<NodeId>) {}

    fn send_snapshot(&self, _: SnapshotJob) {}

    fn active_since(&self, _: NodeId) -> Option<Instant> {
        None
    }
}
