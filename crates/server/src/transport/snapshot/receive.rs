//! Receiving a snapshot: one at a time (rule W8).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::peers::{SnapshotFault, SnapshotOffer, SnapshotSink};
use engine::spawn;
use raft::{Body, EntryId, NodeId, Term};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::super::codec::SnapshotFrame;
use super::super::context::Context;
use super::super::dial::PeerStream;
use super::super::frame::FrameReader;
use super::super::limits::{CONNECT_TIMEOUT, PING_INTERVAL, SNAPSHOT_PARKED};
use super::super::link::Hex;
use super::stream::{self, Broken};
use crate::logging::messages;
use crate::metrics::peers;

/// The snapshot that is being received, or a part of one that waits for its sender to come back.
#[derive(Default)]
pub(in crate::transport) struct Receiving {
    active: Option<Active>,
    parked: Option<Parked>,
}

/// The transfer that has its turn.
struct Active {
    from: NodeId,
    term: Term,
    /// It is to give up its turn.
    cancel: Arc<Notify>,
    /// It has.
    left: Arc<Notify>,
}

/// What a transfer that broke off has left.
struct Parked {
    number: u64,
    part: Part,
}

/// Which content, how much of it is here, and where.
struct Part {
    content: Bytes,
    last: EntryId,
    chunks: u64,
    sink: Box<dyn SnapshotSink>,
}

/// Why a transfer ended without success.
enum Ended {
    /// The connection broke, or another one takes its place: what is here is kept.
    Broken(Broken),
    Cancelled,
    /// The peer is told, and what is here is of no use.
    Refused(SnapshotFault),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Ended::Broken(broken)
    }
}

impl From<SnapshotFault> for Ended {
    fn from(fault: SnapshotFault) -> Self {
        Ended::Refused(fault)
    }
}

/// Receives a snapshot on a connection of a peer.
pub(in crate::transport) async fn receive(from: NodeId, stream: PeerStream, context: Arc<Context>) {
    let metrics = context.metrics.peers.of(from.0);
    let silence = context.settings.read_timeout + 3 * PING_INTERVAL;
    let mut connection = Connection { stream, reader: FrameReader::default(), silence, metrics };
    // However often the peer says something else: it has come to offer a snapshot.
    let Ok(Ok(offer)) = timeout(CONNECT_TIMEOUT, connection.head(from, &context)).await else { return };
    let Some((cancel, left)) = take_turn(&offer, &context).await else {
        return connection.refuse("another snapshot is being received").await;
    };
    let transfers = &connection.metrics.clone().snapshot_receive;
    let started = Instant::now();
    transfers.inflight.add(1);
    tracing::info!("remote-peer-id" = %Hex(from), "{}", messages::SNAPSHOT_RECEIVING);
    let ended = receive_offered(&mut connection, &offer, &cancel, &context).await;
    transfers.inflight.add(-1);
    context.receiving.lock().active = None;
    left.notify_one();
    match &ended {
        Ok(()) => {
            transfers.success.inc();
            transfers.duration.observe(started.elapsed());
            tracing::info!("remote-peer-id" = %Hex(from), took = ?started.elapsed(), "{}", messages::SNAPSHOT_RECEIVED);
        }
        Err(why) => {
            transfers.failures.inc();
            let error = match why {
                Ended::Broken(broken) => broken.to_string(),
                Ended::Cancelled => "another one takes its place".to_owned(),
                Ended::Refused(fault) => fault.to_string(),
            };
            tracing::warn!("remote-peer-id" = %Hex(from), error, "{}", messages::SNAPSHOT_NOT_RECEIVED);
        }
    }
    match ended {
        Ok(()) => connection.tell(SnapshotFrame::Result(Ok(()))).await,
        Err(Ended::Refused(fault)) => connection.refuse(&fault.to_string()).await,
        Err(_) => {}
    }
}

/// Waits for the turn of this offer. A sender that comes again has given its old connection up, and a leader of a later
/// term goes before one of an earlier; else first come, first served.
async fn take_turn(offer: &SnapshotOffer, context: &Context) -> Option<(Arc<Notify>, Arc<Notify>)> {
    let (from, term) = (offer.message.from, offer.message.term);
    loop {
        let left = {
            let mut receiving = context.receiving.lock();
            match &receiving.active {
                None => {
                    let (cancel, left) = (Arc::<Notify>::default(), Arc::<Notify>::default());
                    receiving.active =
                        Some(Active { from, term, cancel: cancel.clone(), left: left.clone() });
                    return Some((cancel, left));
                }
                Some(active) if active.from == from || active.term < term => {
                    active.cancel.notify_one();
                    active.left.clone()
                }
                Some(_) => return None,
            }
        };
        // It ends between two chunks.
        timeout(CONNECT_TIMEOUT, left.notified()).await.ok()?;
    }
}

async fn receive_offered(
    connection: &mut Connection,
    offer: &SnapshotOffer,
    cancel: &Notify,
    context: &Arc<Context>,
) -> Result<(), Ended> {
    let mut part = Some(connection.begin(offer, context).await?);
    let ended = connection.take_chunks(&mut part, offer, cancel).await;
    match (ended, part) {
        (Err(Ended::Refused(fault)), part) => {
            // Removing files may take a while.
            let _ = spawn_blocking(move || drop(part)).await;
            Err(Ended::Refused(fault))
        }
        (ended, Some(part)) if part.chunks > 0 => {
            park(part, context);
            ended
        }
        (ended, _) => ended,
    }
}

/// Keeps a part for a while.
fn park(part: Part, context: &Arc<Context>) {
    let number = context.next_number();
    context.receiving.lock().parked = Some(Parked { number, part });
    let context = context.clone();
    spawn::task("part of a snapshot", async move {
        sleep(SNAPSHOT_PARKED).await;
        let mut receiving = context.receiving.lock();
        if receiving.parked.as_ref().is_some_and(|parked| parked.number == number) {
            let parked = receiving.parked.take();
            spawn_blocking(move || drop(parked));
        }
    });
}

/// A connection that brings a snapshot.
struct Connection {
    stream: PeerStream,
    reader: FrameReader,
    silence: Duration,
    metrics: Arc<peers::Peer>,
}

impl Connection {
    /// What the peer offers.
    async fn head(&mut self, from: NodeId, context: &Context) -> Result<SnapshotOffer, Broken> {
        match self.read().await? {
            // Rule M2: nobody speaks for another.
            SnapshotFrame::Head(offer) if offer.message.from == from && offer.message.to == context.id() => {
                Ok(offer)
            }
            _ => Err(Broken::OutOfPlace),
        }
    }

    /// The part of this content that is here already, or the place for a new one.
    async fn begin(&mut self, offer: &SnapshotOffer, context: &Arc<Context>) -> Result<Part, Ended> {
        let last = last_of(offer);
        let parked = context.receiving.lock().parked.take().map(|parked| parked.part);
        let (context, offer) = (context.clone(), offer.clone());
        let begun = spawn_blocking(move || match parked {
            Some(part) if part.content == offer.content && part.last == last => Ok(part),
            other => {
                drop(other);
                let sink = context.inbound.snapshot_offered(&offer)?;
                Ok(Part { content: offer.content, last, chunks: 0, sink })
            }
        });
        self.wait(begun, 0).await
    }

    /// Takes chunks until the end. `part` is gone if it was finished, or is of no use.
    async fn take_chunks(
        &mut self,
        part: &mut Option<Part>,
        offer: &SnapshotOffer,
        cancel: &Notify,
    ) -> Result<(), Ended> {
        loop {
            let Some(here) = part.take() else { return Err(Broken::OutOfPlace.into()) };
            let chunks = here.chunks;
            *part = Some(here);
            self.write(SnapshotFrame::Progress { chunks }).await?;
            let frame = tokio::select! {
                frame = self.read() => frame?,
                () = cancel.notified() => return Err(Ended::Cancelled),
            };
            let Some(mut here) = part.take() else { return Err(Broken::OutOfPlace.into()) };
            match frame {
                SnapshotFrame::Chunk { number, data } if number == chunks => {
                    let pushed = spawn_blocking(move || {
                        here.sink.push(data)?;
                        here.chunks += 1;
                        Ok(here)
                    });
                    *part = Some(self.wait(pushed, chunks).await?);
                }
                SnapshotFrame::End { chunks: all } if all == chunks => {
                    let message = offer.message.clone();
                    let finished = spawn_blocking(move || here.sink.finish(message));
                    return self.wait(finished, chunks).await;
                }
                _ => return Err(Ended::Refused("chunks are missing".into())),
            }
        }
    }

    /// Waits for work that is done elsewhere, and lets the sender know each second that it is.
    async fn wait<T>(
        &mut self,
        mut work: JoinHandle<Result<T, SnapshotFault>>,
        chunks: u64,
    ) -> Result<T, Ended> {
        loop {
            match timeout(PING_INTERVAL, &mut work).await {
                Ok(Ok(done)) => return Ok(done?),
                Ok(Err(panic)) => return Err(Ended::Refused(panic.into())),
                // If the connection is broken, the next use of it shows that.
                Err(_) => drop(self.write(SnapshotFrame::Progress { chunks }).await),
            }
        }
    }

    async fn read(&mut self) -> Result<SnapshotFrame, Broken> {
        let Self { stream, reader, silence, metrics } = self;
        stream::read(reader, stream, *silence, &metrics.received_bytes).await
    }

    async fn write(&mut self, part: SnapshotFrame) -> Result<(), Broken> {
        stream::write(part, &mut self.stream, &self.metrics.sent_bytes).await
    }

    /// Says the last word.
    async fn tell(mut self, part: SnapshotFrame) {
        if self.write(part).await.is_ok() {
            // The sender closes when it has read it; closing first, with chunks unread, would discard it.
            let _ = timeout(CONNECT_TIMEOUT, async { while self.read().await.is_ok() {} }).await;
        }
    }

    async fn refuse(self, why: &str) {
        // Empty would be success.
        let why = if why.is_empty() { "refused" } else { why };
        self.tell(SnapshotFrame::Result(Err(why.to_owned()))).await;
    }
}

/// The last entry in an offered snapshot.
fn last_of(offer: &SnapshotOffer) -> EntryId {
    match &offer.message.body {
        Body::InstallSnapshot { snapshot, .. } => snapshot.last,
        _ => EntryId::ZERO,
    }
}
