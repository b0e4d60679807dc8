//! Whether the own disk still takes the log.

use std::time::Duration;

use raft::Index;

/// Since when the durable part of the log has not grown, although there is more.
#[derive(Debug, Default)]
pub(crate) struct DiskWatch {
    stable: Index,
    since_millis: u64,
}

impl DiskWatch {
    /// How long the disk has not made anything durable of what waits for it, at `now` on the caller's clock.
    pub(super) fn stalled_for(&mut self, stable: Index, last: Index, now_millis: u64) -> Duration {
        if stable != self.stable || stable == last {
            *self = Self { stable, since_millis: now_millis };
        }
        Duration::from_millis(now_millis.saturating_sub(self.since_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_stalls_when_there_is_something_to_do_and_it_does_nothing() {
        let mut disk = DiskWatch::default();
        for (stable, last, now, expected) in [
            (5, 5, 100, 0),
            (5, 9, 200, 100),
            (5, 12, 900, 800),
            (6, 12, 1000, 0),
            (6, 12, 1500, 500),
            (12, 12, 1600, 0),
            (12, 12, 9000, 0),
            (12, 13, 9100, 100),
        ] {
            let stall = disk.stalled_for(Index(stable), Index(last), now);
            assert_eq!(stall, Duration::from_millis(expected), "{stable} of {last} at {now}");
        }
    }
}
