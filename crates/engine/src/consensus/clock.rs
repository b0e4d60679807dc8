//! The time of the consensus thread.

use std::time::{Duration, Instant};

/// The pace of the thread.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// One tick: `--heartbeat-interval`.
    pub tick: Duration,
    /// `--election-timeout`.
    pub election_timeout: Duration,
    /// `--snapshot-catchup-entries`: entries kept behind a checkpoint for followers that are behind.
    pub catch_up_entries: u64,
    /// Bytes of the log that are kept for followers, whatever their number.
    pub catch_up_bytes: u64,
}

/// The thread's sense of time.
pub(super) struct Clock {
    pace: Pace,
    pub(super) started: Instant,
    last_tick: Instant,
    pub(super) next_tick: Instant,
    /// By how much the last tick was later than heartbeats may be.
    exceeded: Option<Duration>,
}

/// What a look at the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// No tick is due.
    Early,
    /// A tick is due.
    TickDue,
    /// A tick is due, and has been for longer than an election takes: the process was asleep.
    WasLost,
}

impl Clock {
    pub(super) fn new(pace: Pace) -> Self {
        let now = Instant::now();
        Self { pace, started: now, last_tick: now, next_tick: now + pace.tick, exceeded: None }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.last_tick - self.started
    }

    /// Looks, and counts a tick that is due. After a pause of the process the missed ticks are not made up for: they
    /// would look like one long silence of the leader that never was.
    pub(super) fn look(&mut self) -> Time {
        self.look_at(Instant::now())
    }

    /// Returns by how much the tick that was just counted came later than two intervals after the one before.
    pub(super) fn exceeded(&self) -> Option<Duration> {
        self.exceeded
    }

    pub(super) fn look_at(&mut self, now: Instant) -> Time {
        self.exceeded = None;
        if now < self.next_tick {
            return Time::Early;
        }
        let gap = now - self.last_tick;
        self.exceeded = gap.checked_sub(2 * self.pace.tick).filter(|late| !late.is_zero());
        self.last_tick = now;
        self.next_tick = now + self.pace.tick;
        if gap > self.pace.election_timeout { Time::WasLost } else { Time::TickDue }
    }
}
