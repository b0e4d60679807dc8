//! The frames of a transfer on its connection.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::super::codec::{Frame, SnapshotFrame};
use super::super::frame::{self, FrameError, FrameReader};
use super::super::limits::{SNAPSHOT_STALL, SNAPSHOT_WRITE_BYTES};
use crate::metrics::Counter;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the peer closed the connection")]
    ByPeer,
    #[error("nothing was heard for {0:?}")]
    Silence(Duration),
    #[error("nothing was taken for {0:?}")]
    Stall(Duration),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a frame that does not belong here")]
    OutOfPlace,
}

/// Reads the next frame. Nothing is lost if the caller stops waiting.
pub(super) async fn read(
    reader: &mut FrameReader,
    stream: &mut (impl AsyncRead + Unpin),
    silence: Duration,
    received: &Counter,
) -> Result<SnapshotFrame, Broken> {
    loop {
        while let Some((frame, _)) = reader.next()? {
            match frame {
                Frame::Snapshot(part) => return Ok(part),
                Frame::Unknown => {}
                _ => return Err(Broken::OutOfPlace),
            }
        }
        let read = timeout(silence, reader.fill(stream)).await;
        match read.map_err(|_| Broken::Silence(silence))?? {
            0 => return Err(Broken::ByPeer),
            bytes => received.add(bytes as u64),
        }
    }
}

/// Writes a frame, a piece at a time, so that messages of raft get their turns in between.
pub(super) async fn write(
    part: SnapshotFrame,
    stream: &mut (impl AsyncWrite + Unpin),
    sent: &Counter,
) -> Result<(), Broken> {
    let mut buffer = BytesMut::new();
    frame::put(Frame::Snapshot(part), &mut buffer);
    for mut piece in buffer.chunks(SNAPSHOT_WRITE_BYTES) {
        while !piece.is_empty() {
            let written = timeout(SNAPSHOT_STALL, stream.write(piece)).await;
            let written = written.map_err(|_| Broken::Stall(SNAPSHOT_STALL))??;
            if written == 0 {
                return Err(Broken::ByPeer);
            }
            sent.add(written as u64);
            piece = &piece[written..];
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
