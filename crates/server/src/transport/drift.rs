//! Whether it is the same time of day for a peer. Nothing that a member does depends on that, but certificates, logs and the times
//! of backups do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft::NodeId;

use crate::logging::messages;

/// How far apart two clocks may be, as in etcd.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// Answers to pings, which come each second, from one line in the log to the next.
const LOGGED_EVERY: u32 = 30;

/// The time of day of one peer, on one connection.
pub(super) struct Drift {
    peer: NodeId,
    /// Answers that pass before it may be logged again.
    quiet: u32,
}

impl Drift {
    /// Returns what is known of a peer before it has answered.
    pub(super) fn of(peer: NodeId) -> Self {
        Self { peer, quiet: 0 }
    }

    /// Looks at an answer to a ping: what time it was for the peer, and for this member when the answer came.
    pub(super) fn look(&mut self, answered: u64, round_trip: Duration, now: SystemTime) {
        self.quiet = self.quiet.saturating_sub(1);
        let Some(drift) = drift_of(answered, round_trip, now) else { return };
        if drift <= DRIFT_MAX || self.quiet > 0 {
            return;
        }
        self.quiet = LOGGED_EVERY;
        tracing::warn!(
            "remote-peer-id" = %self.peer,
            "clock-drift" = ?drift,
            rtt = ?round_trip,
            "{}",
            messages::CLOCK_DRIFT
        );
    }
}

/// Returns how far apart the two clocks are, to within half of the round trip; `None` if the peer has not said.
fn drift_of(answered: u64, round_trip: Duration, now: SystemTime) -> Option<Duration> {
    let answered = UNIX_EPOCH.checked_add(Duration::from_nanos(answered)).filter(|_| answered != 0)?;
    let then = now.checked_sub(round_trip / 2)?;
    Some(then.duration_since(answered).unwrap_or_else(|ahead| ahead.duration()))
}

/// Returns a time of day as it is sent.
pub(super) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_apart_in_both_directions() {
        let second = Duration::from_secs(1);
        let now = UNIX_EPOCH + 1_000_000 * second;
        let round_trip = 2 * second;
        for (peer, drift) in [(now - second, 0), (now + 4 * second, 5), (now - 4 * second, 3)] {
            assert_eq!(drift_of(unix_nanos(peer), round_trip, now), Some(drift * second));
        }
        assert_eq!(drift_of(0, round_trip, now), None, "an older release does not say");
        assert!(drift_of(u64::MAX, round_trip, now).is_some(), "the far future is no panic");
    }

    #[test]
    fn a_clock_that_is_wrong_is_logged_now_and_then() {
        let mut drift = Drift::of(NodeId(7));
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let wrong = unix_nanos(now + Duration::from_secs(60));
        drift.look(unix_nanos(now), Duration::ZERO, now);
        assert_eq!(drift.quiet, 0);
        drift.look(wrong, Duration::ZERO, now);
        assert_eq!(drift.quiet, LOGGED_EVERY);
        for _ in 0..LOGGED_EVERY - 1 {
            drift.look(wrong, Duration::ZERO, now);
        }
        assert_eq!(drift.quiet, 1);
        drift.look(wrong, Duration::ZERO, now);
        assert_eq!(drift.quiet, LOGGED_EVERY);
    }
}
