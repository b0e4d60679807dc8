//! How fast a backup is made while clients write.
//!
//! Making one takes as much of a core as it gets, the worker that sends it a good part of another, and a client on the same machine still
//! more. Where no core is left, what suffers is the log: a sync ends when threads of the kernel have done their part, and those wait for a
//! core as everybody does. So while somebody writes, each stretch of work is followed by a rest of some times the time that it took:
//! the fewer cores there are, the longer. On a slow machine a stretch takes longer, and so does the rest.

use std::cell::{Cell, RefCell};
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use mvcc::View;
use rustix::time::{ClockId, clock_gettime};

use crate::limits::{BACKUP_PARTS, BACKUP_REST_MAX};

/// Time without writes after which there is nobody to rest for. Those of one client may be some rests apart.
const QUIET: Duration = Duration::from_secs(1);

/// The pace of one backup. Only the thread that makes it may use it.
pub(crate) struct BackupPace {
    view: View,
    writes: RefCell<Writes>,
    /// What the thread had worked at its last rest.
    worked: Cell<Option<Duration>>,
}

impl BackupPace {
    /// Returns the pace of a backup that is made beside the writes to this store.
    pub(crate) fn new(view: View) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let writes = Writes { revision: view.revision(), seen: None, rests: rests(cores) };
        let writes = RefCell::new(writes);
        Self { view, writes, worked: Cell::new(None) }
    }

    /// Leaves the cores to others for a while, if somebody writes.
    pub(crate) fn rest(&self) {
        let worked = worked();
        let before = self.worked.replace(Some(worked)).unwrap_or(worked);
        let rest = self.writes.borrow_mut().rest(self.view.revision(), Instant::now(), worked - before);
        if rest > Duration::ZERO {
            thread::sleep(rest);
        }
    }
}

/// Returns how much longer than a stretch of work its rest is, on so many cores.
fn rests(cores: usize) -> u32 {
    u32::try_from(cores).map_or(0, |cores| (BACKUP_PARTS / cores).saturating_sub(1))
}

/// Returns how long this thread has had a core so far. Waiting for a client is no work.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// What is known of the writes beside a backup.
struct Writes {
    /// The newest revision when it was last looked at.
    revision: i64,
    /// When it was last seen to have changed.
    seen: Option<Instant>,
    /// How much longer than a stretch its rest is.
    rests: u32,
}

impl Writes {
    /// Returns how long to rest after a stretch of so much work.
    fn rest(&mut self, revision: i64, now: Instant, worked: Duration) -> Duration {
        if std::mem::replace(&mut self.revision, revision) != revision {
            self.seen = Some(now);
        }
        let is_quiet = self.seen.is_none_or(|seen| now - seen >= QUIET);
        if is_quiet { Duration::ZERO } else { (worked * self.rests).min(BACKUP_REST_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_rest_for_as_long_as_somebody_writes_and_no_longer() {
        let start = Instant::now();
        let mut writes = Writes { revision: 5, seen: None, rests: 7 };
        let stretch = Duration::from_micros(300);
        let mut rest = |revision, after| writes.rest(revision, start + after, stretch);
        assert_eq!(rest(5, Duration::ZERO), Duration::ZERO, "nobody has written");
        assert_eq!(rest(6, QUIET), stretch * 7);
        assert_eq!(rest(6, QUIET * 2 - stretch), stretch * 7, "between two writes");
        assert_eq!(rest(6, QUIET * 2), Duration::ZERO, "nobody writes any more");
        assert_eq!(rest(7, QUIET * 2), stretch * 7);
    }

    #[test]
    fn the_more_cores_the_shorter_the_rest() {
        let rests = [1, 2, 3, 4, 8, 16, 100].map(rests);
        assert_eq!(rests, [15, 7, 4, 3, 1, 0, 0]);
    }

    #[test]
    fn a_long_stretch_has_no_endless_rest() {
        let mut writes = Writes { revision: 5, seen: None, rests: 7 };
        assert_eq!(writes.rest(6, Instant::now(), Duration::from_secs(60)), BACKUP_REST_MAX);
    }

    #[test]
    fn work_is_noticed() {
        let before = worked();
        // It ends when the thread has worked.
        while worked() == before {
            std::hint::spin_loop();
        }
    }
}
