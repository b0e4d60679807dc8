//! Signs of life of one connection.
//!
//! A connection whose other side has vanished without a word (a paused process, a dropped route) looks like an idle one.
//! The pulse notes when bytes last came in and since when bytes that went out wait for any to come back. The watchdog
//! (`watchdog.rs`) reads it, and cuts the connection through it: everything that waits on the connection then ends at
//! once, with an error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The state of a connection as its bytes tell it. Times are milliseconds since it began, plus one: zero is "never".
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    last_read: AtomicU64,
    /// When the first bytes went out after the last ones came in.
    waits_since: AtomicU64,
    /// Calls and streams that have not ended.
    in_flight: AtomicUsize,
    is_cut: AtomicBool,
    reader: AtomicWaker,
    /// Whoever waits for the first bytes.
    dialer: AtomicWaker,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Pulse> {
        Arc::new(Pulse {
            began: Instant::now(),
            last_read: AtomicU64::new(0),
            waits_since: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            is_cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            dialer: AtomicWaker::new(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Returns whether anything has ever come in; if not, the task is woken when it does.
    pub(crate) fn has_beaten(&self, context: &Context<'_>) -> bool {
        self.dialer.register(context.waker());
        self.last_read.load(Ordering::Acquire) > 0
    }

    /// Returns for how long nothing has come in, or for how long what went out has had no answer if that is less.
    pub(crate) fn silence(&self) -> Duration {
        let since = self.last_read.load(Ordering::Relaxed).max(self.waits_since.load(Ordering::Relaxed));
        Duration::from_millis(self.now().saturating_sub(since))
    }

    /// Returns for how long bytes that went out have waited for any to come back.
    pub(crate) fn waits(&self) -> Duration {
        match self.waits_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }

    /// Returns whether a call or stream has not ended.
    pub(crate) fn is_in_use(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Counts a call until what is returned is dropped.
    pub(crate) fn enter(self: Arc<Self>) -> Flight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight(self)
    }

    /// Ends the connection: its next read fails.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.reader.wake();
    }

    fn note_read(&self) {
        self.waits_since.store(0, Ordering::Relaxed);
        if self.last_read.swap(self.now(), Ordering::AcqRel) == 0 {
            self.dialer.wake();
        }
    }

    fn note_write(&self) {
        if self.waits_since.load(Ordering::Relaxed) == 0 {
            self.waits_since.store(self.now(), Ordering::Relaxed);
        }
    }
}

/// A call or stream that has not ended.
#[derive(Debug)]
pub(crate) struct Flight(Arc<Pulse>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A byte stream that keeps its pulse.
#[derive(Debug)]
pub(crate) struct Monitored<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Monitored<S> {
    pub(crate) fn new(stream: S, pulse: Arc<Pulse>) -> Monitored<S> {
        Monitored { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Monitored<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Registered before the flag is looked at, so that a cut between the two is not missed.
        self.pulse.reader.register(context.waker());
        if self.pulse.is_cut.load(Ordering::Acquire) {
            let why = "the connection was silent for too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.note_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Monitored<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pulse.note_write();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pulse.note_write();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
