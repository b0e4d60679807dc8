//! Sending a snapshot.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::peers::{SnapshotFailure, SnapshotFault, SnapshotJob, SnapshotOffer, SnapshotSource};
use engine::spawn;
use raft::NodeId;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::super::codec::SnapshotFrame;
use super::super::context::{Context, Sending};
use super::super::dial::{self, PeerStream};
use super::super::frame::FrameReader;
use super::super::handshake::StreamKind;
use super::super::limits::{PING_INTERVAL, SNAPSHOT_ATTEMPTS_MAX, SNAPSHOT_WINDOW_CHUNKS};
use super::super::link::Hex;
use super::super::pause::Pause;
use super::stream::{self, Broken};
use crate::logging::messages;
use crate::metrics::peers;

/// Sends a snapshot in a task of its own. One that is on its way there since an earlier term ends: its receiver would refuse
/// it.
pub(in crate::transport) fn send(job: SnapshotJob, context: &Arc<Context>) {
    let SnapshotJob { offer, source, done } = job;
    let (to, term) = (offer.message.to, offer.message.term);
    let mut table = context.table.lock();
    match table.sending.remove(&to) {
        Some(before) if before.term >= term => {
            table.sending.insert(to, before);
            drop(table);
            return done(Err(SnapshotFailure::UnderWay(to)));
        }
        Some(before) => before.task.abort(),
        None => {}
    }
    let number = context.next_number();
    context.metrics.peers.of(to.0).snapshot_send.inflight.add(1);
    let under_way = UnderWay { to, number, context: context.clone() };
    // The task does not run before this one waits, so it finds itself in the table.
    let task = spawn::task("snapshot to a peer", async move {
        let context = under_way.context.clone();
        let metrics = context.metrics.peers.of(to.0);
        let started = Instant::now();
        tracing::info!("remote-peer-id" = %Hex(to), "{}", messages::SNAPSHOT_SENDING);
        let result = Transfer::new(offer, source, metrics.clone()).run(&context).await;
        match &result {
            Ok(()) => {
                metrics.snapshot_send.success.inc();
                metrics.snapshot_send.duration.observe(started.elapsed());
                tracing::info!("remote-peer-id" = %Hex(to), took = ?started.elapsed(), "{}", messages::SNAPSHOT_SENT);
            }
            Err(error) => {
                metrics.snapshot_send.failures.inc();
                tracing::warn!("remote-peer-id" = %Hex(to), error = %error, "{}", messages::SNAPSHOT_NOT_SENT);
            }
        }
        drop(under_way);
        done(result);
    });
    table.sending.insert(to, Sending { number, term, task: task.abort_handle() });
}

/// A transfer that is in the table until this is dropped, however it ends.
struct UnderWay {
    to: NodeId,
    number: u64,
    context: Arc<Context>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.context.metrics.peers.of(self.to.0).snapshot_send.inflight.add(-1);
        let mut table = self.context.table.lock();
        if table.sending.get(&self.to).is_some_and(|sending| sending.number == self.number) {
            table.sending.remove(&self.to);
        }
    }
}

/// Why an attempt failed.
enum Attempt {
    /// Another one may succeed.
    Again(String),
    /// None will.
    Final(SnapshotFailure),
}

impl From<Broken> for Attempt {
    fn from(broken: Broken) -> Self {
        Attempt::Again(broken.to_string())
    }
}

impl From<SnapshotFailure> for Attempt {
    fn from(failure: SnapshotFailure) -> Self {
        Attempt::Final(failure)
    }
}

/// One snapshot on its way, over as many connections as it takes.
struct Transfer {
    offer: SnapshotOffer,
    /// Not here while it is being read.
    source: Option<Box<dyn SnapshotSource>>,
    /// The source has no more.
    is_read: bool,
    /// The chunks that were read and are not acknowledged; the last of them is the one before `next`.
    window: VecDeque<Bytes>,
    /// Number of the chunk to be read next.
    next: u64,
    metrics: Arc<peers::Peer>,
}

/// A connection of a transfer.
struct Connection {
    read: ReadHalf<PeerStream>,
    write: WriteHalf<PeerStream>,
    reader: FrameReader,
    silence: Duration,
}

impl Transfer {
    fn new(offer: SnapshotOffer, source: Box<dyn SnapshotSource>, metrics: Arc<peers::Peer>) -> Self {
        Self { offer, source: Some(source), is_read: false, window: VecDeque::new(), next: 0, metrics }
    }

    fn to(&self) -> NodeId {
        self.offer.message.to
    }

    /// How many chunks the receiver is known to have.
    fn acknowledged(&self) -> u64 {
        self.next - self.window.len() as u64
    }

    async fn run(mut self, context: &Context) -> Result<(), SnapshotFailure> {
        let mut pause = Pause::new();
        let mut in_vain = 0;
        loop {
            let before = self.acknowledged();
            let error = match self.attempt(context).await {
                Ok(()) => return Ok(()),
                Err(Attempt::Final(failure)) => return Err(failure),
                Err(Attempt::Again(error)) => error,
            };
            in_vain = if self.acknowledged() > before { 0 } else { in_vain + 1 };
            if in_vain >= SNAPSHOT_ATTEMPTS_MAX {
                return Err(SnapshotFailure::Unreachable(error));
            }
            tracing::debug!("remote-peer-id" = %Hex(self.to()), error, "the transfer of a snapshot broke off");
            sleep(pause.next()).await;
        }
    }

    /// One connection.
    async fn attempt(&mut self, context: &Context) -> Result<(), Attempt> {
        let urls = context.link(self.to()).ok_or(SnapshotFailure::UnknownPeer(self.to()))?.urls();
        let stream = dial::dial(self.to(), &urls, StreamKind::Snapshot, context)
            .await
            .map_err(|error| Attempt::Again(error.to_string()))?;
        let (read, write) = tokio::io::split(stream);
        let silence = context.settings.read_timeout + 3 * PING_INTERVAL;
        let mut connection = Connection { read, write, reader: FrameReader::default(), silence };
        match self.converse(&mut connection).await {
            // Why the receiver closed the connection, it may have said before.
            Err(Attempt::Again(error)) => Err(self.last_words(&mut connection, error).await),
            ended => ended,
        }
    }

    async fn converse(&mut self, connection: &mut Connection) -> Result<(), Attempt> {
        self.write(SnapshotFrame::Head(self.offer.clone()), connection).await?;
        let mut sent = match self.hear(connection).await? {
            Heard::Progress(chunks) => self.start_at(chunks).await?,
            Heard::Success => return Ok(()),
        };
        let mut is_end_sent = false;
        loop {
            if sent < self.next {
                let place = (sent - self.acknowledged()) as usize;
                let chunk = SnapshotFrame::Chunk { number: sent, data: self.window[place].clone() };
                self.write(chunk, connection).await?;
                sent += 1;
            } else if !self.is_read && self.window.len() < SNAPSHOT_WINDOW_CHUNKS {
                self.read_chunk().await?;
            } else if self.is_read && !is_end_sent {
                self.write(SnapshotFrame::End { chunks: self.next }, connection).await?;
                is_end_sent = true;
            } else if let Heard::Success = self.hear(connection).await? {
                return Ok(());
            }
        }
    }

    /// Takes up the transfer where the receiver is.
    async fn start_at(&mut self, chunks: u64) -> Result<u64, Attempt> {
        if chunks < self.acknowledged() {
            return Err(SnapshotFailure::Lost.into());
        }
        self.acknowledge(chunks.min(self.next));
        if chunks > self.next {
            self.off_thread(move |source| source.skip_to(chunks)).await?;
            self.next = chunks;
        }
        Ok(chunks)
    }

    fn acknowledge(&mut self, chunks: u64) {
        let known = chunks.saturating_sub(self.acknowledged());
        self.window.drain(..(known as usize).min(self.window.len()));
    }

    /// Reads a chunk, and rests for as long as that took: a snapshot takes half of a core at most, and what clients are
    /// waiting for goes on.
    async fn read_chunk(&mut self) -> Result<(), Attempt> {
        let (chunk, took) = self
            .off_thread(|source| {
                let started = Instant::now();
                source.next_chunk().map(|chunk| (chunk, started.elapsed()))
            })
            .await?;
        match chunk {
            Some(chunk) => {
                self.window.push_back(chunk);
                self.next += 1;
                sleep(took).await;
            }
            None => self.is_read = true,
        }
        Ok(())
    }

    /// Has something done with the source where it may wait for a disk.
    async fn off_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut dyn SnapshotSource) -> Result<T, SnapshotFault> + Send + 'static,
    ) -> Result<T, Attempt> {
        let unreadable = |error: SnapshotFault| Attempt::Final(SnapshotFailure::Source(error));
        let mut source = self.source.take().ok_or_else(|| unreadable("its reader has died".into()))?;
        let done = spawn_blocking(move || {
            let result = work(source.as_mut());
            (source, result)
        });
        let (source, result) = done.await.map_err(|panic| unreadable(panic.into()))?;
        self.source = Some(source);
        result.map_err(unreadable)
    }

    async fn write(&mut self, part: SnapshotFrame, connection: &mut Connection) -> Result<(), Attempt> {
        Ok(stream::write(part, &mut connection.write, &self.metrics.sent_bytes).await?)
    }

    /// Waits for what the receiver says.
    async fn hear(&mut self, connection: &mut Connection) -> Result<Heard, Attempt> {
        let Connection { read, reader, silence, .. } = connection;
        match stream::read(reader, read, *silence, &self.metrics.received_bytes).await? {
            SnapshotFrame::Progress { chunks } => {
                self.acknowledge(chunks.min(self.next));
                Ok(Heard::Progress(chunks))
            }
            SnapshotFrame::Result(Ok(())) => Ok(Heard::Success),
            SnapshotFrame::Result(Err(why)) => Err(SnapshotFailure::Refused(why).into()),
            _ => Err(Broken::OutOfPlace.into()),
        }
    }

    /// What the receiver said before the connection broke.
    async fn last_words(&mut self, connection: &mut Connection, error: String) -> Attempt {
        let listen = async {
            loop {
                match self.hear(connection).await {
                    Ok(_) => {}
                    Err(attempt) => return attempt,
                }
            }
        };
        match timeout(PING_INTERVAL, listen).await {
            Ok(Attempt::Final(failure)) => Attempt::Final(failure),
            _ => Attempt::Again(error),
        }
    }
}

enum Heard {
    Progress(u64),
    Success,
}
