//! When the next operation is due: the difference between closed and open loop, in one place.
//!
//! Callers take a ticket for each operation. In **closed loop** a ticket is due now: a caller sends as soon as its
//! last answer is there, so a server that stalls is asked less, and the stall shows in few latencies. In **open
//! loop** tickets fall due at a fixed rate, whatever the server does; one that found no free caller waits, and since
//! its latency counts from when it was due, the wait is in the figures (no "coordinated omission"). Latencies at a
//! given load are only honest in open loop; throughput is only found in closed loop.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// How fast operations are started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Each caller starts its next operation when the last one is answered.
    Closed,
    /// Operations fall due at this rate, evenly spaced.
    Open { per_second: f64 },
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Time(Duration),
    Operations(u64),
    /// Until [`Tickets::stop`].
    Stopped,
}

/// Hands out tickets to the callers of one runtime.
pub(crate) struct Tickets {
    pace: Pace,
    start: Instant,
    deadline: Option<Instant>,
    left: Cell<u64>,
    stopped: Cell<bool>,
    due: RefCell<VecDeque<Instant>>,
    wake: Notify,
}

impl Tickets {
    /// Tickets from now on. In open loop, [`Tickets::issue`] must run beside the callers.
    pub(crate) fn new(pace: Pace, span: Span) -> Tickets {
        let start = Instant::now();
        let (deadline, left) = match span {
            Span::Time(time) => (Some(start + time), u64::MAX),
            Span::Operations(count) => (None, count),
            Span::Stopped => (None, u64::MAX),
        };
        Tickets {
            pace,
            start,
            deadline,
            left: Cell::new(left),
            stopped: Cell::new(false),
            due: RefCell::default(),
            wake: Notify::new(),
        }
    }

    /// When the first ticket was or will be due.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Whether operations fall due by the clock.
    pub(crate) fn is_open_loop(&self) -> bool {
        matches!(self.pace, Pace::Open { .. })
    }

    /// No more tickets, not even those that are due.
    pub(crate) fn stop(&self) {
        self.due.borrow_mut().clear();
        self.stopped.set(true);
        self.wake.notify_waiters();
    }

    /// The time at which the caller's next operation is due; `None` when the run is over.
    pub(crate) async fn next(&self) -> Option<Instant> {
        match self.pace {
            Pace::Closed => self.take_one(Instant::now()),
            Pace::Open { .. } => loop {
                let notified = self.wake.notified();
                if let Some(due) = self.due.borrow_mut().pop_front() {
                    return Some(due);
                }
                if self.stopped.get() {
                    return None;
                }
                notified.await;
            },
        }
    }

    /// Lets tickets fall due; returns after the last. Does nothing in closed loop.
    pub(crate) async fn issue(&self) -> std::io::Result<()> {
        let Pace::Open { per_second } = self.pace else { return Ok(()) };
        let timer = Timer::new()?;
        for number in 0_u64.. {
            let due = self.start + Duration::from_secs_f64(number as f64 / per_second);
            timer.sleep_until(due).await?;
            if self.take_one(due).is_none() {
                break;
            }
            self.due.borrow_mut().push_back(due);
            self.wake.notify_one();
        }
        self.stopped.set(true);
        self.wake.notify_waiters();
        Ok(())
    }

    fn take_one(&self, due: Instant) -> Option<Instant> {
        let over = self.stopped.get() || self.left.get() == 0 || self.deadline.is_some_and(|end| due >= end);
        if over {
            return None;
        }
        self.left.set(self.left.get() - 1);
        Some(due)
    }
}

/// Sleeps exactly: tokio's timer rounds up to a millisecond, which at 5,000 operations a second is five late ones.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> std::io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Deprecated because a type's `AsRawFd` may lie about owning the descriptor; an `OwnedFd` does not, and what
        // replaces it is an unsafe function.
        #[expect(deprecated)]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Timer(timer))
    }

    async fn sleep_until(&self, due: Instant) -> std::io::Result<()> {
        let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) else {
            return Ok(());
        };
        let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(wait) };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        let mut expirations = [0; 8];
        loop {
            let mut guard = self.0.readable().await?;
            let read = guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?));
            if let Ok(read) = read {
                return read.map(drop);
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn closed_loop_gives_as_many_tickets_as_asked_for() {
        let tickets = Tickets::new(Pace::Closed, Span::Operations(3));
        let taken = block_on(async {
            let mut taken = 0;
            while tickets.next().await.is_some() {
                taken += 1;
            }
            taken
        });
        assert_eq!(taken, 3);
    }

    #[test]
    fn open_loop_tickets_are_evenly_spaced_and_none_is_lost_while_callers_are_busy() {
        let tickets = Tickets::new(Pace::Open { per_second: 1000.0 }, Span::Operations(20));
        let due = block_on(async {
            // Nobody takes a ticket before all have been issued: a stalled server, in effect.
            tickets.issue().await.unwrap();
            let mut due = Vec::new();
            while let Some(ticket) = tickets.next().await {
                due.push(ticket - tickets.start());
            }
            due
        });
        let expected: Vec<_> = (0..20).map(Duration::from_millis).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn callers_that_wait_are_woken_by_tickets_and_by_the_end() {
        let tickets = Tickets::new(Pace::Open { per_second: 10_000.0 }, Span::Operations(50));
        let caller = async || {
            let mut taken = 0;
            while tickets.next().await.is_some() {
                taken += 1;
            }
            taken
        };
        let (issued, one, two) = block_on(async { tokio::join!(tickets.issue(), caller(), caller()) });
        issued.unwrap();
        assert_eq!(one + two, 50);
    }

    #[test]
    fn a_stopped_run_gives_no_more_tickets() {
        let tickets = Tickets::new(Pace::Closed, Span::Stopped);
        assert!(block_on(tickets.next()).is_some());
        tickets.stop();
        assert!(block_on(tickets.next()).is_none());
    }
}
