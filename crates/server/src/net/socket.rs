//! A TCP stream as the HTTP library sees it.
//!
//! It says that it has no vectored writes. With vectored writes h2 copies payloads below 256 bytes into its buffer and
//! sends each longer one by a system call of its own; without, the border is 1,024 bytes. Replies with a small value,
//! and watch events, lie between: so the answers to many calls go out in one write.
//!
//! What is read is followed frame by frame (see [`super::frames`]): malformed authorities are put right, and pings are
//! counted. A client that pings too often is sent a GOAWAY with the reason, between two frames of the library's, and
//! then finds the connection closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::conversation::Conversation;
use super::frames::too_many_pings;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::pings::{Circumstances, Pings, Verdict};

/// A connected socket.
pub(super) struct Socket {
    stream: TcpStream,
    inbound: Inbound,
    pings: Pings,
    judged: u32,
    conversation: Arc<Conversation>,
    outbound: Outbound,
    farewell: Farewell,
}

/// How far the leaving of a client that pings too often is.
#[derive(Debug)]
enum Farewell {
    No,
    /// This is still to be written.
    Due(Vec<u8>),
    /// Nothing is read or written any more.
    Said,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, pings: Pings, conversation: Arc<Conversation>) -> Self {
        Self {
            stream,
            inbound: Inbound::new(),
            pings,
            judged: 0,
            conversation,
            outbound: Outbound::new(),
            farewell: Farewell::No,
        }
    }

    /// Hands on what is ready.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let ready = self.inbound.ready();
        let length = ready.len().min(buf.remaining());
        buf.put_slice(&ready.split_to(length));
    }

    /// Draws the conclusions from what has just come.
    fn note(&mut self) {
        let seen = *self.inbound.seen();
        if seen.has_spoken && !self.conversation.has_spoken() {
            self.conversation.set_spoken();
        }
        while self.judged < seen.pings {
            self.judged += 1;
            let circumstances = Circumstances {
                is_busy: self.conversation.is_busy(),
                has_sent: self.outbound.take_has_answered(),
            };
            if self.pings.judge(Instant::now(), circumstances) == Verdict::TooMany {
                self.farewell = Farewell::Due(too_many_pings(seen.last_stream));
                return;
            }
        }
    }

    /// Says goodbye if it is time to, at a place where no frame is under way. Whether it has been said.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while let Farewell::Due(rest) = &mut self.farewell {
            if rest.is_empty() {
                // Whatever becomes of it: the library closes the connection at the end of its input.
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                self.farewell = Farewell::Said;
                break;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(written) => drop(rest.drain(..written)),
                Err(_) => rest.clear(),
            }
        }
        Poll::Ready(matches!(self.farewell, Farewell::Said))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if matches!(self.farewell, Farewell::Due(_)) && !self.outbound.is_between_frames() {
                // The write that ends the frame wakes us.
                return Poll::Pending;
            }
            if ready!(self.poll_farewell(cx)) {
                return Poll::Ready(Ok(()));
            }
            if !self.inbound.ready().is_empty() {
                self.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let passed = self.inbound.take(&buf.filled()[before..]);
            buf.set_filled(before + passed);
            self.note();
            if passed > 0 && matches!(self.farewell, Farewell::No) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.farewell, Farewell::Said) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.outbound.follow(&bytes[..written]);
        if matches!(self.farewell, Farewell::Due(_)) && self.outbound.is_between_frames() {
            // Reading goes on with the farewell; it is the same task that does both.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
