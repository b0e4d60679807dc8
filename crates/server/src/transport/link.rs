//! The way to one peer: what waits for it, and the task that writes it.
//!
//! ```text
//!   engine ──orders──► switch ──frames──► queue ──one write──► socket
//!                              dropped if the peer is not connected, or over the bound
//! ```
//!
//! Frames are encoded as they are queued, one behind the other, so that what has gathered while the socket was busy
//! leaves in one write.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use engine::note::PeerNote;
use parking_lot::Mutex;
use raft::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout, timeout_at};

use super::codec::Frame;
use super::context::Context;
use super::dial::{self, DialError, PeerStream};
use super::drift::Drift;
use super::frame::{self, FrameError, FrameReader};
use super::handshake::StreamKind;
use super::limits::{PAUSE_MAX, PEER_QUEUE_BYTES_MAX, PEER_QUEUE_FRAMES_MAX, PING_INTERVAL, STOP_GRACE};
use super::pause::Pause;
use crate::config::Url;
use crate::logging::messages;
use crate::metrics::peers;

/// The way to one peer.
pub(super) struct Link {
    pub(super) id: NodeId,
    pub(super) metrics: Arc<peers::Peer>,
    state: Mutex<State>,
    /// There is something to write, or to do.
    work: Notify,
    /// It may be worth a try to connect now.
    chance: Notify,
    /// Closed when the task has ended.
    ended: Semaphore,
}

#[derive(Default)]
struct State {
    urls: Vec<Url>,
    is_connected: bool,
    /// No more is taken; what is queued is written, then the task ends.
    is_closing: bool,
    /// Encoded frames.
    queue: BytesMut,
    frames: usize,
    /// What to tell the own engine if the queue is not written.
    if_unsent: Vec<PeerNote>,
    /// Bytes that the task has taken out and not yet written.
    writing: usize,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("this member has no more to say")]
    Closing,
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
}

/// A buffer that grew beyond this while a peer was slow is not kept.
const KEPT_BYTES: usize = 256 << 10;

impl Link {
    /// A way to this peer; `run` must be started.
    pub(super) fn new(id: NodeId, urls: Vec<Url>, context: &Context) -> Arc<Self> {
        Arc::new(Self {
            id,
            metrics: context.metrics.peers.of(id.0),
            state: Mutex::new(State { urls, ..State::default() }),
            work: Notify::new(),
            chance: Notify::new(),
            ended: Semaphore::new(0),
        })
    }

    /// Queues a frame, or drops it; then `if_unsent` comes back. Call [`Link::flush`] when there are no more.
    pub(super) fn put(&self, frame: Frame, if_unsent: Option<PeerNote>) -> Option<PeerNote> {
        let mut state = self.state.lock();
        let waiting = state.queue.len() + state.writing;
        let fits = waiting < PEER_QUEUE_BYTES_MAX && state.frames < PEER_QUEUE_FRAMES_MAX;
        let taken = state.is_connected && !state.is_closing && fits && frame::put(frame, &mut state.queue);
        if taken {
            state.frames += 1;
            state.if_unsent.extend(if_unsent);
            None
        } else {
            self.metrics.sent_failures.inc();
            if_unsent
        }
    }

    /// Has the queue written.
    pub(super) fn flush(&self) {
        self.work.notify_one();
    }

    /// Where the peer is.
    pub(super) fn urls(&self) -> Vec<Url> {
        self.state.lock().urls.clone()
    }

    /// From now on the peer is there. A connection that stands is kept: it is the right member, wherever it is.
    pub(super) fn set_urls(&self, urls: Vec<Url>) {
        let mut state = self.state.lock();
        if state.urls != urls {
            state.urls = urls;
            drop(state);
            self.chance.notify_one();
        }
    }

    /// The peer was heard of: if it is not connected, this is the time to try.
    pub(super) fn encourage(&self) {
        if !self.state.lock().is_connected {
            self.chance.notify_one();
        }
    }

    /// Nothing more is taken, and the task ends when it has written what there is.
    pub(super) fn close(&self) {
        self.state.lock().is_closing = true;
        self.work.notify_one();
        self.chance.notify_one();
    }

    fn is_closing(&self) -> bool {
        self.state.lock().is_closing
    }

    /// Connects and writes, again and again, until the link is closed.
    pub(super) async fn run(self: Arc<Self>, context: Arc<Context>) {
        let mut pause = Pause::new();
        let mut complaint = String::new();
        while !self.is_closing() {
            match self.dial(&context).await {
                Ok(stream) => {
                    complaint.clear();
                    let since = Instant::now();
                    self.connected(&context);
                    let ended = self.speak(stream, &context).await;
                    self.disconnected(&context, &ended);
                    // One that ends at once, time and again, is called less and less.
                    if since.elapsed() >= PAUSE_MAX {
                        pause.reset();
                    }
                }
                Err(error) => self.not_connected(&context, &error, &mut complaint),
            }
            if !self.is_closing() {
                let _ = timeout(pause.next(), self.chance.notified()).await;
            }
        }
        self.ended.close();
    }

    /// Returns when a closed link has written what it had.
    pub(super) async fn closed(&self) {
        let _ = self.ended.acquire().await;
    }

    /// One attempt to connect. If it takes long (nothing answers) and the peer itself calls meanwhile, it is the time for
    /// another one. Not sooner: two members that call each other would have each other begin anew for ever.
    async fn dial(&self, context: &Context) -> Result<PeerStream, DialError> {
        let urls = self.urls();
        tokio::select! {
            dialed = dial::dial(self.id, &urls, StreamKind::Messages, context) => dialed,
            () = async { sleep(PAUSE_MAX).await; self.chance.notified().await } => Err(DialError::Interrupted),
        }
    }

    fn connected(&self, context: &Context) {
        self.state.lock().is_connected = true;
        context.shared.activity.write().entry(self.id).and_modify(|since| *since = Some(Instant::now()));
        self.metrics.active.set(1);
        tracing::info!("peer-id" = %Hex(self.id), "{}", messages::PEER_ACTIVE);
    }

    fn disconnected(&self, context: &Context, why: &Ended) {
        let unsent = {
            let mut state = self.state.lock();
            state.is_connected = false;
            // Raft sends again what is still wanted; what is old would only be in the way.
            let lost = std::mem::take(&mut state.frames);
            state.queue = BytesMut::new();
            state.writing = 0;
            self.metrics.sent_failures.add(lost as u64);
            std::mem::take(&mut state.if_unsent)
        };
        context.tell_engine(self.id, unsent);
        context.shared.activity.write().entry(self.id).and_modify(|since| *since = None);
        self.metrics.active.set(0);
        self.metrics.disconnected.inc();
        match why {
            Ended::Closing => tracing::info!("remote-peer-id" = %Hex(self.id), "{}", messages::PEER_CLOSED),
            _ => tracing::warn!("peer-id" = %Hex(self.id), error = %why, "{}", messages::PEER_INACTIVE),
        }
    }

    /// Logged once for each reason, not for each attempt.
    fn not_connected(&self, context: &Context, error: &DialError, complaint: &mut String) {
        if let DialError::Interrupted = error {
            return self.chance.notify_one();
        }
        let text = error.to_string();
        if text != *complaint {
            tracing::warn!("remote-peer-id" = %Hex(self.id), error = %text, "{}", messages::PEER_UNREACHABLE);
            *complaint = text;
        }
        if error.is_removed() {
            context.inbound.removed_by(self.id);
        }
    }

    /// Writes and listens, until one of the two fails.
    async fn speak<S>(&self, stream: S, context: &Context) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (read, write) = tokio::io::split(stream);
        let ended = tokio::select! {
            ended = self.write(write, context) => ended,
            ended = self.listen(read, context) => ended,
        };
        match ended {
            Ok(never) => match never {},
            Err(Ended::ByPeer) if self.is_closing() => Ended::Closing,
            Err(ended) => ended,
        }
    }

    async fn write<S: AsyncWrite>(
        &self,
        mut stream: WriteHalf<S>,
        context: &Context,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut next_ping = Instant::now();
        let mut buffer = BytesMut::new();
        loop {
            let is_closing = self.take(&mut buffer);
            if buffer.is_empty() {
                if is_closing {
                    return Err(say_goodbye(stream).await);
                }
                let _ = timeout_at(next_ping.into(), self.work.notified()).await;
                self.take(&mut buffer);
            }
            // Also under load, when there is always something to write.
            if Instant::now() >= next_ping {
                frame::put(Frame::Ping(context.clock()), &mut buffer);
                next_ping = Instant::now() + PING_INTERVAL;
            }
            self.write_all(&mut stream, &buffer, context.settings.write_timeout).await?;
            buffer.clear();
            if buffer.capacity() > KEPT_BYTES {
                buffer = BytesMut::new();
            }
        }
    }

    /// Swaps what is queued for the empty `buffer`. Whether the link is closing.
    fn take(&self, buffer: &mut BytesMut) -> bool {
        let mut state = self.state.lock();
        state.writing = state.queue.len();
        state.frames = 0;
        state.if_unsent.clear();
        std::mem::swap(&mut state.queue, buffer);
        state.is_closing
    }

    async fn write_all<S: AsyncWrite>(
        &self,
        stream: &mut WriteHalf<S>,
        mut bytes: &[u8],
        stall: Duration,
    ) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let written = timeout(stall, stream.write(bytes)).await.map_err(|_| Ended::Stall(stall))??;
            if written == 0 {
                return Err(Ended::ByPeer);
            }
            bytes = &bytes[written..];
            self.metrics.sent_bytes.add(written as u64);
            self.state.lock().writing = bytes.len();
        }
        Ok(())
    }

    /// The peer says nothing here but that it is there.
    async fn listen<S: AsyncRead>(
        &self,
        mut stream: ReadHalf<S>,
        context: &Context,
    ) -> Result<std::convert::Infallible, Ended> {
        let silence = context.settings.read_timeout;
        let mut reader = FrameReader::default();
        let mut drift = Drift::of(self.id);
        loop {
            match timeout(silence, reader.fill(&mut stream)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return Err(Ended::ByPeer),
                Ok(Err(error)) => return Err(error.into()),
                // The ping waits behind data that the peer is still taking.
                Err(_) if self.state.lock().writing > 0 => continue,
                Err(_) => return Err(Ended::Silence(silence)),
            }
            while let Some((frame, _)) = reader.next()? {
                if let Frame::Pong(pong) = frame {
                    let round_trip = Duration::from_nanos(context.clock().saturating_sub(pong.sent));
                    self.metrics.round_trip.observe(round_trip);
                    drift.look(pong.answered, round_trip, SystemTime::now());
                }
            }
        }
    }
}

/// Closes the writing side, and leaves the peer time to read and to close its own: closing a socket with unread pongs in
/// it would make the system discard what the peer has yet to read.
async fn say_goodbye<S: AsyncWrite>(mut stream: WriteHalf<S>) -> Ended {
    if stream.shutdown().await.is_ok() {
        sleep(STOP_GRACE).await;
    }
    Ended::Closing
}

/// A member's id as etcd prints it.
pub(super) struct Hex(pub(super) NodeId);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0.0)
    }
}
