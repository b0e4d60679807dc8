//! A connection as the HTTP library sees it, with TLS around it or without.
//!
//! It says that it has no vectored writes. With vectored writes h2 copies payloads below 256 bytes into its buffer and
//! sends each longer one by a system call of its own; without, the border is 1,024 bytes. Replies with a small value,
//! and watch events, lie between: so the answers to many calls go out in one write.
//!
//! What is read is followed frame by frame (see [`super::frames`]): malformed authorities are put right, pings are
//! counted, unfinished heads are measured, and what the library counts is handed to it in small helpings (see
//! [`super::intake`]). A client that asks for too much is sent a GOAWAY with the reason, between two frames of the
//! library's, and then finds the connection closed. So does one that has said nothing when the member leaves: the library
//! would close the connection without a word, and the client could not know whether the request that it is just sending
//! was read (rule K1).
//!
//! A connection that the library ends is closed on this side first, and lingers (RFC 9112, section 9.6): what still comes is
//! read and dropped until the client has closed its own side, for a moment at most. With bytes that nobody has read the system would reset the connection, and a
//! client that is just writing would meet the reset before it reads the GOAWAY that says which requests were not looked at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::conversation::{Conversation, Last};
use super::frames::{Seen, enhance_your_calm, nothing_was_read};
use super::heads::Head;
use super::inbound::Inbound;
use super::intake::Intake;
use super::outbound::Outbound;
use super::pings::{Circumstances, Pings, Verdict};
use crate::limits::LINGER_TIME;
use crate::tls::Stream;

/// What an HTTP/1.1 request's head ends with. A line may end without CR (RFC 9112, section 2.2).
const EMPTY_LINES: [&[u8]; 2] = [b"\n\r\n", b"\n\n"];

/// Bytes of the longest of them.
const EMPTY_LINE_BYTES: usize = 3;

/// A connected socket.
pub(super) struct Socket {
    stream: Stream,
    inbound: Inbound,
    intake: Intake,
    head: Head,
    /// Bytes of an HTTP/1.1 request's head.
    head_bytes: usize,
    /// The newest bytes of HTTP/1.1.
    newest: [u8; EMPTY_LINE_BYTES],
    pings: Pings,
    judged: u32,
    conversation: Arc<Conversation>,
    outbound: Outbound,
    farewell: Farewell,
}

/// How far the goodbye to a client is.
#[derive(Debug)]
enum Farewell {
    No,
    /// This is still to be written.
    Due {
        rest: Vec<u8>,
        then: Then,
    },
    /// This side is closed. What the client sends is read and dropped until it closes its own or the time is over, and what
    /// the library writes is dropped.
    Lingers(Pin<Box<Sleep>>),
    /// Nothing is read or written any more.
    Said,
}

/// What follows a farewell.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The connection is closed.
    Close,
    /// The connection lingers.
    Linger,
}

impl Farewell {
    /// A farewell to a client that asks for too much.
    fn to_offender(words: Vec<u8>) -> Self {
        Farewell::Due { rest: words, then: Then::Close }
    }

    fn lingers() -> Self {
        Farewell::Lingers(Box::pin(sleep(LINGER_TIME)))
    }

    fn is_due(&self) -> bool {
        matches!(self, Farewell::Due { .. })
    }
}

impl Socket {
    pub(super) fn new(stream: Stream, pings: Pings, head: Head, conversation: Arc<Conversation>) -> Self {
        Self {
            stream,
            inbound: Inbound::new(),
            intake: Intake::default(),
            head,
            head_bytes: 0,
            newest: [0; EMPTY_LINE_BYTES],
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

    /// Draws the conclusions from the bytes that have just come, of HTTP/2.
    fn note_http2(&mut self) {
        let seen = *self.inbound.seen();
        let load = self.inbound.load();
        self.intake.has_read(load, self.conversation.turn());
        if seen.has_spoken {
            self.conversation.frames_came(load.block_bytes > 0);
        }
        if !self.head.is_now(load.block_bytes) {
            self.farewell =
                Farewell::to_offender(enhance_your_calm(seen.last_stream, "too_many_header_bytes"));
        }
        self.judge_pings(seen);
    }

    /// As [`note_http2`](Self::note_http2), for HTTP/1.1: whatever comes while no request is open belongs to a head.
    fn note_http1(&mut self, bytes: &[u8]) {
        let newest = &bytes[bytes.len().saturating_sub(EMPTY_LINE_BYTES)..];
        self.newest.rotate_left(newest.len());
        self.newest[EMPTY_LINE_BYTES - newest.len()..].copy_from_slice(newest);
        let is_complete = EMPTY_LINES.iter().any(|line| self.newest.ends_with(line));
        let last = if is_complete { Last::EmptyLine } else { Last::Other };
        let begins = self.conversation.bytes_came(last);
        let before = if begins { 0 } else { self.head_bytes };
        self.head_bytes = if self.conversation.is_busy() { 0 } else { before + bytes.len() };
        if !self.head.is_now(self.head_bytes) {
            self.farewell = Farewell::to_offender(Vec::new());
        }
    }

    /// The head of an HTTP/1.1 request is complete when its answer is written.
    fn note_answer(&mut self) {
        if self.head_bytes > 0 && !self.conversation.is_amid_head() {
            self.head_bytes = 0;
            self.head.is_now(0);
        }
    }

    /// Whether bytes of a farewell may be written now.
    fn is_between_frames(&self) -> bool {
        self.inbound.is_other() || self.outbound.is_between_frames()
    }

    fn judge_pings(&mut self, seen: Seen) {
        while self.judged < seen.pings {
            self.judged += 1;
            let circumstances = Circumstances {
                is_busy: self.conversation.is_busy(),
                has_sent: self.outbound.take_has_answered(),
            };
            if self.pings.judge(Instant::now(), circumstances) == Verdict::TooMany {
                self.farewell = Farewell::to_offender(enhance_your_calm(seen.last_stream, "too_many_pings"));
                return;
            }
        }
    }

    /// Says goodbye if it is time to, at a place where no frame is under way. Whether it has been said.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while let Farewell::Due { rest, then } = &mut self.farewell {
            if rest.is_empty() {
                let then = *then;
                // Whatever becomes of it: the library closes the connection at the end of its input.
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                self.farewell = match then {
                    Then::Close => Farewell::Said,
                    Then::Linger => Farewell::lingers(),
                };
                break;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(written) => drop(rest.drain(..written)),
                Err(_) => rest.clear(),
            }
        }
        ready!(self.poll_linger(cx));
        Poll::Ready(matches!(self.farewell, Farewell::Said))
    }

    /// Reads and drops what the client sends, if the connection lingers.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut dropped = [0; 1024];
        while let Farewell::Lingers(end) = &mut self.farewell {
            let is_over = end.as_mut().poll(cx).is_ready();
            let mut buf = ReadBuf::new(&mut dropped);
            if is_over
                || ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)).is_err()
                || buf.filled().is_empty()
            {
                self.farewell = Farewell::Said;
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.conversation.is_turned_away() && matches!(self.farewell, Farewell::No) {
            self.farewell = Farewell::Due { rest: nothing_was_read(), then: Then::Linger };
        }
        loop {
            if self.farewell.is_due() && !self.is_between_frames() {
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
            let turn = self.conversation.turn();
            ready!(self.intake.poll(turn, cx));
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let passed = self.inbound.take(&buf.filled()[before..]);
            if self.inbound.is_other() {
                self.note_http1(&buf.filled()[before..]);
            } else {
                self.note_http2();
            }
            buf.set_filled(before + passed);
            if passed > 0 && matches!(self.farewell, Farewell::No) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.farewell {
            Farewell::Said => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Farewell::Lingers(_) => return Poll::Ready(Ok(bytes.len())),
            Farewell::No | Farewell::Due { .. } => {}
        }
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) else {
            self.intake.is_blocked();
            return Poll::Pending;
        };
        self.intake.is_unblocked(cx);
        let written = written?;
        self.outbound.follow(&bytes[..written]);
        self.note_answer();
        if self.farewell.is_due() && self.is_between_frames() {
            // Reading goes on with the farewell; it is the same task that does both.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.farewell, Farewell::No | Farewell::Due { .. }) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.farewell = Farewell::lingers();
        }
        self.poll_linger(cx).map(Ok)
    }
}
