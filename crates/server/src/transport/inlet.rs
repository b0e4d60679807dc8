//! What a peer says: its stream of messages, read and handed to the engine.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use engine::note::PeerNote;
use engine::peers::Incoming;
use raft::{Body, Message, NodeId};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::codec::{Frame, Pong};
use super::context::Context;
use super::drift;
use super::frame::{self, FrameError, FrameReader};
use super::limits::{INBOUND_BYTES_MAX, PING_INTERVAL};

/// Why a stream is read no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the peer closed the connection")]
    ByPeer,
    #[error("the peer closed the connection amid a frame")]
    AmidFrame,
    #[error("nothing was heard for {0:?}")]
    Silence(Duration),
    #[error("nothing was taken for {0:?}")]
    Stall(Duration),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message of {from} to {to}")]
    ForAnother { from: NodeId, to: NodeId },
    #[error("a frame that does not belong here")]
    OutOfPlace,
}

/// Reads the stream of messages of a peer until it ends.
pub(super) async fn read<S>(peer: NodeId, mut stream: S, context: Arc<Context>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let metrics = context.metrics.peers.of(peer.0);
    let room = Arc::new(Semaphore::new(INBOUND_BYTES_MAX));
    let silence = silence(&context);
    let mut reader = FrameReader::default();
    loop {
        match timeout(silence, reader.fill(&mut stream)).await {
            Err(_) => return Ended::Silence(silence),
            Ok(Err(error)) => return error.into(),
            Ok(Ok(0)) if reader.is_amid_frame() => return Ended::AmidFrame,
            Ok(Ok(0)) => return Ended::ByPeer,
            Ok(Ok(read)) => metrics.received_bytes.add(read as u64),
        }
        let arrived = match gather(peer, &mut reader, &context) {
            Ok(arrived) => arrived,
            Err(ended) => return ended,
        };
        let ping = arrived.ping;
        hand_over(peer, arrived, &room, &context).await;
        if let Some(sent) = ping
            && let Err(ended) = answer(&mut stream, sent, context.settings.write_timeout).await
        {
            return ended;
        }
    }
}

/// A peer that lives pings each second; one whose pings are late is given three more before it is taken for dead.
fn silence(context: &Context) -> Duration {
    context.settings.read_timeout + 3 * PING_INTERVAL
}

/// Everything that has arrived whole.
#[derive(Default)]
struct Arrived {
    messages: Vec<Message>,
    notes: Vec<PeerNote>,
    /// What it took on the wire.
    bytes: usize,
    /// The last ping among it.
    ping: Option<u64>,
}

fn gather(peer: NodeId, reader: &mut FrameReader, context: &Context) -> Result<Arrived, Ended> {
    let mut arrived = Arrived::default();
    while let Some((frame, bytes)) = reader.next()? {
        arrived.bytes += bytes;
        match frame {
            Frame::Message(message) => arrived.messages.push(check(message, peer, context)?),
            Frame::Note(note) => arrived.notes.push(note),
            Frame::Ping(sent) => arrived.ping = Some(sent),
            Frame::Unknown => {}
            Frame::Pong(_) | Frame::Snapshot(_) => return Err(Ended::OutOfPlace),
        }
    }
    Ok(arrived)
}

/// Rule M2: nobody speaks for another. And a snapshot's message comes with the snapshot, or the raft node would install
/// what is not there.
fn check(message: Message, peer: NodeId, context: &Context) -> Result<Message, Ended> {
    if message.from != peer || message.to != context.id() {
        return Err(Ended::ForAnother { from: message.from, to: message.to });
    }
    if let Body::InstallSnapshot { .. } = message.body {
        return Err(Ended::OutOfPlace);
    }
    Ok(message)
}

/// Waits for room, if the engine has too much of this peer's in hand; the socket is not read meanwhile.
async fn hand_over(peer: NodeId, arrived: Arrived, room: &Arc<Semaphore>, context: &Context) {
    if arrived.messages.is_empty() && arrived.notes.is_empty() {
        return;
    }
    let wanted = arrived.bytes.min(INBOUND_BYTES_MAX) as u32;
    let taken = room.clone().acquire_many_owned(wanted).await.ok();
    context.inbound.received(Incoming::new(peer, arrived.messages, arrived.notes, taken));
}

async fn answer<S>(stream: &mut S, sent: u64, stall: Duration) -> Result<(), Ended>
where
    S: AsyncWrite + Unpin,
{
    let mut pong = BytesMut::new();
    frame::put(Frame::Pong(Pong { sent, answered: drift::unix_nanos(SystemTime::now()) }), &mut pong);
    // A peer that does not read the answers to its questions has them pile up here, in the system's buffers, and then
    // is given up.
    Ok(timeout(stall, stream.write_all(&pong)).await.map_err(|_| Ended::Stall(stall))??)
}
