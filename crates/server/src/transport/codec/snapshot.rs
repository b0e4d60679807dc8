//! The parts of a snapshot's transfer.

use bytes::Bytes;
use engine::peers::{SNAPSHOT_CHUNK_BYTES_MAX, SnapshotOffer};
use proto::quoratepb as pb;
use proto::quoratepb::peer_frame::Content;
use raft::Body;

use super::super::limits::CONTENT_NAME_BYTES_MAX;
use super::{CodecError, message, required};

/// A part of the transfer of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) enum SnapshotFrame {
    /// Sender: this is what follows.
    Head(SnapshotOffer),
    /// Sender: a piece of it.
    Chunk {
        /// Counts from 0.
        number: u64,
        /// The piece.
        data: Bytes,
    },
    /// Sender: that was all.
    End {
        /// How many chunks there were, the ones skipped included.
        chunks: u64,
    },
    /// Receiver: all chunks before this number are here.
    Progress {
        /// How many these are.
        chunks: u64,
    },
    /// Receiver: that is how it ended.
    Result(Result<(), String>),
}

pub(super) fn encode(part: SnapshotFrame) -> Content {
    match part {
        SnapshotFrame::Head(offer) => Content::SnapshotHead(pb::SnapshotHead {
            message: Some(message::encode(offer.message)),
            content: offer.content,
        }),
        SnapshotFrame::Chunk { number, data } => Content::SnapshotChunk(pb::SnapshotChunk { number, data }),
        SnapshotFrame::End { chunks } => Content::SnapshotEnd(pb::SnapshotEnd { chunks }),
        SnapshotFrame::Progress { chunks } => Content::SnapshotProgress(pb::SnapshotProgress { chunks }),
        SnapshotFrame::Result(result) => {
            Content::SnapshotResult(pb::SnapshotResult { failure: result.err().unwrap_or_default() })
        }
    }
}

/// The part; the content itself if it is none.
#[allow(clippy::result_large_err)] // it is no error
pub(super) fn decode(content: Content) -> Result<Result<SnapshotFrame, Content>, CodecError> {
    Ok(Ok(match content {
        Content::SnapshotHead(head) => SnapshotFrame::Head(decode_offer(head)?),
        Content::SnapshotChunk(chunk) if chunk.data.len() > SNAPSHOT_CHUNK_BYTES_MAX => {
            return Err(CodecError::Malformed("a chunk that is too long"));
        }
        Content::SnapshotChunk(chunk) => SnapshotFrame::Chunk { number: chunk.number, data: chunk.data },
        Content::SnapshotEnd(end) => SnapshotFrame::End { chunks: end.chunks },
        Content::SnapshotProgress(progress) => SnapshotFrame::Progress { chunks: progress.chunks },
        Content::SnapshotResult(result) if result.failure.is_empty() => SnapshotFrame::Result(Ok(())),
        Content::SnapshotResult(result) => SnapshotFrame::Result(Err(result.failure)),
        other => return Ok(Err(other)),
    }))
}

fn decode_offer(head: pb::SnapshotHead) -> Result<SnapshotOffer, CodecError> {
    let message = message::decode(required(head.message, "a snapshot without its message")?)?;
    let message = message.filter(|message| matches!(message.body, Body::InstallSnapshot { .. }));
    if head.content.len() > CONTENT_NAME_BYTES_MAX {
        return Err(CodecError::Malformed("a snapshot with too long a name"));
    }
    let message = required(message, "a snapshot with another message")?;
    Ok(SnapshotOffer { message, content: head.content })
}
