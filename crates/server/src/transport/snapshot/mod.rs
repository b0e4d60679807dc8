//! Snapshots: each on a connection of its own, in chunks, at the pace of the slower side.
//!
//! The transport knows of a snapshot's content nothing but its name. Reading and writing are the work of a
//! [`SnapshotSource`] and a [`SnapshotSink`], each on a thread of the transfer's own: disks are never waited for
//! on the transport's thread.

use bytes::Bytes;
use raft::{Message, NodeId};

/// Why a snapshot cannot be read, or is not taken.
pub(crate) type SnapshotFault = Box<dyn std::error::Error + Send + Sync>;

/// Names a snapshot's content: two snapshots of the same name, and of the same last entry, are equal byte for byte and
/// chunk by chunk. A state hash will do.
pub(crate) type ContentName = [u8; 16];

/// Chunks of a snapshot, to be sent. Dropped when the transfer has ended.
pub(crate) trait SnapshotSource: Send {
    /// The next chunk is to be this one, counted from 0: the receiver has those before it.
    ///
    /// # Errors
    /// When the content cannot be read.
    fn seek(&mut self, chunk: u64) -> Result<(), SnapshotFault>;

    /// The next chunk, of at most [`SNAPSHOT_CHUNK_BYTES_MAX`](super::limits::SNAPSHOT_CHUNK_BYTES_MAX); `None` after the
    /// last one.
    ///
    /// # Errors
    /// When the content cannot be read.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotFault>;
}

/// Where the chunks of a snapshot go. Dropped unfinished when the transfer has failed for good; it cleans up after itself.
pub(crate) trait SnapshotSink: Send {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// When the content is not sound, or cannot be written.
    fn push(&mut self, chunk: Bytes) -> Result<(), SnapshotFault>;

    /// All chunks were pushed, and the hash over them is right: makes the content durable and tells the engine.
    ///
    /// # Errors
    /// When the content is not sound, or cannot be written.
    fn finish(self: Box<Self>) -> Result<(), SnapshotFault>;
}

/// A snapshot that a peer wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotOffer {
    /// What the raft node steps once the content is in place: an `InstallSnapshot`, whose sender is the peer.
    pub(crate) message: Message,
    /// Names the content.
    pub(crate) content: ContentName,
}

/// A snapshot to be sent.
pub(crate) struct SnapshotJob {
    /// What is offered; its addressee is the receiver.
    pub(crate) offer: SnapshotOffer,
    /// The content.
    pub(crate) source: Box<dyn SnapshotSource>,
    /// Told how it ended, on a thread of the transport's.
    pub(crate) done: Box<dyn FnOnce(Result<(), SnapshotFailure>) + Send>,
}

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFailure {
    /// Another one is under way to this peer.
    #[error("a snapshot is under way to {0} already")]
    UnderWay(NodeId),
    /// No such peer.
    #[error("{0} is no peer")]
    UnknownPeer(NodeId),
    /// The transport stopped.
    #[error("the transport has stopped")]
    Stopped,
}

/// The snapshot that is being received, if there is one.
#[derive(Default)]
pub(super) struct Receiving;

/// Sends a snapshot.
pub(super) fn send(job: SnapshotJob, _context: &std::sync::Arc<super::context::Context>) {
    (job.done)(Err(SnapshotFailure::Stopped));
}

/// Receives a snapshot.
pub(super) async fn receive(
    _peer: NodeId,
    _stream: super::dial::PeerStream,
    _context: std::sync::Arc<super::context::Context>,
) {
}
