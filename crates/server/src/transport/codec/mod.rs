//! Frames' contents to and from bytes: `quoratepb.PeerFrame`.
//!
//! Bytes come from outside (rule S9): whatever they are, decoding neither panics nor allocates much more than they are
//! long. What this version does not know is skipped, what cannot be is refused. Commands are slices of the frame that
//! brought them. Whether a message makes sense is for the raft core to judge ([`raft::Message::validate`]).

mod count;
mod message;
mod note;
mod snapshot;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use engine::note::PeerNote;
use prost::Message as _;
use proto::quoratepb::{PeerFrame, PeerPing, peer_frame::Content};
use raft::Message;

pub(super) use snapshot::SnapshotFrame;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message of raft.
    Message(Message),
    /// A note between engines.
    Note(PeerNote),
    /// "Are you there?" With the asker's clock, in nanoseconds.
    Ping(u64),
    /// "Yes."
    Pong(Pong),
    /// A part of the transfer of a snapshot.
    Snapshot(SnapshotFrame),
    /// Something that only newer versions know.
    Unknown,
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pong {
    /// The asker's clock, echoed.
    pub(super) sent: u64,
    /// What time of day it is for who answers, in nanoseconds of Unix time; 0: a member of an older release does not say.
    pub(super) answered: u64,
}

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// They are not protobuf, or not of this message.
    #[error("not a frame: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A part is missing, or impossible.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// More entries, proposals or keys than any member sends in one frame.
    #[error("a frame of more than {} items", super::limits::FRAME_ITEMS_MAX)]
    TooManyItems,
}

/// A frame ready to be written; its length is known.
pub(super) struct Encoded(PeerFrame);

impl Frame {
    /// Turns it into its wire form, which shares the commands' bytes.
    pub(super) fn encode(self) -> Encoded {
        let content = match self {
            Frame::Message(message) => Some(Content::Message(message::encode(message))),
            Frame::Note(note) => Some(note::encode(note)),
            Frame::Ping(sent) => Some(Content::Ping(PeerPing { sent, answered: 0 })),
            Frame::Pong(Pong { sent, answered }) => Some(Content::Pong(PeerPing { sent, answered })),
            Frame::Snapshot(part) => Some(snapshot::encode(part)),
            Frame::Unknown => None,
        };
        Encoded(PeerFrame { content })
    }

    /// The frame that these bytes are.
    ///
    /// # Errors
    /// [`CodecError`].
    pub(super) fn decode(bytes: Bytes) -> Result<Frame, CodecError> {
        count::check_items(&bytes)?;
        let known = match PeerFrame::decode(bytes)?.content {
            Some(Content::Message(message)) => message::decode(message)?.map(Frame::Message),
            Some(Content::Ping(ping)) => Some(Frame::Ping(ping.sent)),
            Some(Content::Pong(PeerPing { sent, answered })) => Some(Frame::Pong(Pong { sent, answered })),
            Some(content) => match snapshot::decode(content)? {
                Ok(part) => Some(Frame::Snapshot(part)),
                Err(content) => note::decode(content)?.map(Frame::Note),
            },
            None => None,
        };
        Ok(known.unwrap_or(Frame::Unknown))
    }
}

impl Encoded {
    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.encoded_len()
    }

    /// Appends the bytes.
    pub(super) fn put(&self, out: &mut BytesMut) {
        self.0.encode(out).expect("a BytesMut grows");
    }
}

/// What must be there.
fn required<T>(part: Option<T>, what: &'static str) -> Result<T, CodecError> {
    part.ok_or(CodecError::Malformed(what))
}
