//! Snapshots: each on a connection of its own, in chunks, at the pace of the slower side.
//!
//! ```text
//!   sender                                   receiver
//!   head: message, name of the content ────►
//!                                      ◄──── progress: has n chunks of it already
//!   chunk n, n+1 …  (eight unanswered) ────►
//!                                      ◄──── progress, after each; and each second while a disk is waited for
//!   end: there were m chunks           ────►
//!                                      ◄──── result
//! ```
//!
//! If the connection breaks, the receiver keeps what it has, and a transfer of the same content goes on there.
//!
//! The transport knows of a snapshot's content nothing but its name. Reading and writing are the work of a
//! [`SnapshotSource`] and a [`SnapshotSink`], off the transport's thread, which never waits for a disk. Frames are
//! checksummed and chunks numbered; that the whole is sound is for the sink to find out (rule W8).

mod receive;
mod send;
mod stream;

use bytes::Bytes;
use raft::{Message, NodeId};

pub(super) use receive::{Receiving, receive};
pub(super) use send::send;

/// Why a snapshot cannot be read, or is not taken.
pub(crate) type SnapshotFault = Box<dyn std::error::Error + Send + Sync>;

/// Chunks of a snapshot, to be sent. Dropped when the transfer has ended.
pub(crate) trait SnapshotSource: Send {
    /// The next chunk is to be this one, counted from 0: the receiver has those before it. Never a chunk that was handed
    /// out already.
    ///
    /// # Errors
    /// When the content cannot be read.
    fn skip_to(&mut self, chunk: u64) -> Result<(), SnapshotFault>;

    /// The next chunk, of at most [`SNAPSHOT_CHUNK_BYTES_MAX`](super::limits::SNAPSHOT_CHUNK_BYTES_MAX); `None` after the
    /// last one. A quarter of that is a good length: messages wait while a chunk is checksummed.
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

    /// All chunks were pushed: checks the whole, makes it durable and hands it to the engine, with the message that the
    /// raft node is to step (of the connection that brought the end; an earlier one may have had an older one).
    ///
    /// # Errors
    /// When the content is not sound, or cannot be written.
    fn finish(self: Box<Self>, message: Message) -> Result<(), SnapshotFault>;
}

/// A snapshot that a peer wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotOffer {
    /// What the raft node steps once the content is in place: an `InstallSnapshot`, whose sender is the peer.
    pub(crate) message: Message,
    /// Names the content: snapshots of one name are equal byte for byte and chunk by chunk.
    pub(crate) content: Bytes,
}

/// A snapshot to be sent.
pub(crate) struct SnapshotJob {
    /// What is offered; its addressee is the receiver.
    pub(crate) offer: SnapshotOffer,
    /// The content.
    pub(crate) source: Box<dyn SnapshotSource>,
    /// Told how it ended, on the transport's thread; not at all if the transport stops first, or if a
    /// snapshot of a later term takes its place.
    pub(crate) done: Box<dyn FnOnce(Result<(), SnapshotFailure>) + Send>,
}

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFailure {
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
