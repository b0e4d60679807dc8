//! How much is read off a connection before others have their turn.
//!
//! The HTTP/2 library reads for as long as there is something to read, and only then gives the streams that came to those
//! who serve them. What it counts meanwhile grows with what the socket happens to hold: requests that were given up
//! before they were accepted, and small DATA frames that nobody has read. At a limit it ends the connection, watches and
//! all (hyperium/h2#668); grpc-go has no such limits. So after a read with such frames the next one comes only when the
//! connection's task has its next turn: the streams are accepted and read from meanwhile, and the counts go down again.
//!
//! The same where many frames came in a turn, whatever they are: frames that mean nothing, a few bytes each, may come as fast as
//! they can be read, and others on this thread would wait for as long as the library likes to read on (rule I1).
//!
//! What an attack with rapid resets (etcd-io/etcd#16740) can cost stays bounded: with each turn no more than one read's
//! worth of requests is taken up, each is dropped at its first rest, and other connections have their turns in between.
//!
//! The library answers some frames by itself (a reset for a malformed request, or for data of a stream that is over), and
//! its answers wait in memory when the client does not read. So once the client has been sent many frames that it does
//! not make room for, nothing more is read from it, as grpc-go does with the answers of its transport.

use std::task::{Context, Poll};

use super::frames::Load;
use crate::limits::{FRAMES_IN_A_TURN_MAX, FRAMES_WHILE_BLOCKED_MAX};
use crate::turn::others_first;

/// The reading side of one connection.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// What was read so far.
    load: Load,
    /// The turn in which something was read last, and the frames that had been read before it.
    turn: (u64, u64),
    /// The turn in which nothing more is read.
    over: Option<u64>,
    /// Frames that had been read when the socket stopped taking bytes.
    blocked_at: Option<u64>,
    /// A read waits until the socket takes bytes again.
    is_waiting: bool,
}

impl Intake {
    /// Notes what has been read in this turn.
    pub(super) fn has_read(&mut self, load: Load, turn: u64) {
        if self.turn.0 != turn {
            self.turn = (turn, self.load.frames);
        }
        if load.counted > self.load.counted || load.frames - self.turn.1 > FRAMES_IN_A_TURN_MAX {
            self.over = Some(turn);
        }
        self.load = load;
    }

    /// Returns ready when something may be read.
    pub(super) fn poll(&mut self, turn: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.over == Some(turn) {
            others_first(cx);
            return Poll::Pending;
        }
        self.is_waiting = self.blocked_at.is_some_and(|at| self.load.frames - at > FRAMES_WHILE_BLOCKED_MAX);
        if self.is_waiting { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Notes that the socket takes no bytes.
    pub(super) fn is_blocked(&mut self) {
        self.blocked_at.get_or_insert(self.load.frames);
    }

    /// Notes that the socket takes bytes; a read that waits for it goes on.
    pub(super) fn is_unblocked(&mut self, cx: &mut Context<'_>) {
        self.blocked_at = None;
        if std::mem::take(&mut self.is_waiting) {
            // It is the same task that reads and writes.
            cx.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frames(frames: u64) -> Load {
        Load { frames, ..Load::default() }
    }

    #[test]
    fn after_frames_that_are_counted_nothing_is_read_in_the_same_turn() {
        let (mut intake, mut cx) = (Intake::default(), Context::from_waker(Waker::noop()));
        assert!(intake.poll(1, &mut cx).is_ready());
        intake.has_read(Load { frames: 2, counted: 1, block_bytes: 0 }, 1);
        assert!(intake.poll(1, &mut cx).is_pending() && intake.poll(1, &mut cx).is_pending());
        assert!(intake.poll(2, &mut cx).is_ready());
        intake.has_read(Load { frames: 3, counted: 1, block_bytes: 0 }, 2);
        assert!(intake.poll(2, &mut cx).is_ready());
    }

    #[test]
    fn after_many_frames_of_any_kind_nothing_is_read_in_the_same_turn() {
        let (mut intake, mut cx) = (Intake::default(), Context::from_waker(Waker::noop()));
        for turn in 1..4 {
            let before = (turn - 1) * (FRAMES_IN_A_TURN_MAX + 1);
            intake.has_read(frames(before + 1), turn);
            intake.has_read(frames(before + FRAMES_IN_A_TURN_MAX), turn);
            assert!(intake.poll(turn, &mut cx).is_ready());
            intake.has_read(frames(before + FRAMES_IN_A_TURN_MAX + 1), turn);
            assert!(intake.poll(turn, &mut cx).is_pending());
            assert!(intake.poll(turn + 1, &mut cx).is_ready());
        }
    }

    #[test]
    fn from_a_client_that_does_not_read_not_too_much_is_read() {
        let (mut intake, mut cx) = (Intake::default(), Context::from_waker(Waker::noop()));
        intake.has_read(frames(1_000_000), 1);
        assert!(intake.poll(2, &mut cx).is_ready(), "it reads");
        intake.is_blocked();
        intake.has_read(frames(1_000_000 + FRAMES_WHILE_BLOCKED_MAX), 2);
        intake.is_blocked();
        assert!(intake.poll(3, &mut cx).is_ready());
        intake.has_read(frames(1_000_001 + FRAMES_WHILE_BLOCKED_MAX), 3);
        assert!(intake.poll(4, &mut cx).is_pending());
        intake.is_unblocked(&mut cx);
        assert!(intake.poll(4, &mut cx).is_ready());
    }
}
