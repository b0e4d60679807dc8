//! Pings of clients: how many are too many.
//!
//! The rules are grpc-go's, as etcd runs it, so that a client that etcd tolerates is tolerated, and one that would be
//! turned away by etcd learns it here too. A client may ping to measure the connection whenever it was sent something.
//! Otherwise a ping should come `--grpc-keepalive-min-time` after the one before it, and two hours after it
//! while no request is open. Two that come too early are forgiven.

use std::time::{Duration, Instant};

/// Early pings that are forgiven.
const STRIKES_MAX: u32 = 2;

/// Least time between pings while no request is open.
const MIN_TIME_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// What to do about a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer it.
    Tolerated,
    /// Say goodbye.
    TooMany,
}

/// What the connection was doing when a ping came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// A request is open.
    pub(super) is_busy: bool,
    /// Headers or data were sent since the ping before.
    pub(super) has_sent: bool,
}

/// The pings of one client.
#[derive(Debug)]
pub(super) struct Pings {
    min_time: Duration,
    last: Option<Instant>,
    strikes: u32,
}

impl Pings {
    pub(super) fn new(min_time: Duration) -> Self {
        Self { min_time, last: None, strikes: 0 }
    }

    /// A ping has come.
    pub(super) fn judge(&mut self, now: Instant, circumstances: Circumstances) -> Verdict {
        let before = self.last.replace(now);
        if circumstances.has_sent {
            self.strikes = 0;
            return Verdict::Tolerated;
        }
        let min_time = if circumstances.is_busy { self.min_time } else { MIN_TIME_IDLE };
        if before.is_some_and(|before| now < before + min_time) {
            self.strikes += 1;
        }
        if self.strikes > STRIKES_MAX { Verdict::TooMany } else { Verdict::Tolerated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Circumstances = Circumstances { is_busy: false, has_sent: false };
    const BUSY: Circumstances = Circumstances { is_busy: true, has_sent: false };
    const SENT: Circumstances = Circumstances { is_busy: true, has_sent: true };

    /// The number of the first ping that is one too many, of pings every so many seconds.
    fn first_refused(every: u64, circumstances: &[Circumstances]) -> Option<usize> {
        let mut pings = Pings::new(Duration::from_secs(5));
        let start = Instant::now();
        circumstances.iter().enumerate().position(|(number, circumstances)| {
            let now = start + Duration::from_secs(every) * number as u32;
            pings.judge(now, *circumstances) == Verdict::TooMany
        })
    }

    #[test]
    fn pings_are_to_be_five_seconds_apart_or_two_hours_without_a_request() {
        assert_eq!(first_refused(5, &[BUSY; 9]), None);
        assert_eq!(first_refused(4, &[BUSY; 9]), Some(3), "the first is never early, then two are forgiven");
        assert_eq!(first_refused(5, &[IDLE; 9]), Some(3));
        assert_eq!(first_refused(2 * 60 * 60, &[IDLE; 9]), None);
    }

    #[test]
    fn what_is_sent_wipes_the_slate() {
        assert_eq!(first_refused(0, &[SENT; 9]), None);
        assert_eq!(first_refused(0, &[BUSY, BUSY, BUSY, SENT, BUSY, BUSY, BUSY]), Some(6));
    }
}
