//! One measurement: load threads prepare and warm up, then all of them run between two readings of the counters.
//!
//! ```text
//! load threads   connect, warm up ─┐          ┌─ run ─────────────────┐
//! this thread                      └─ read it ┘                       └─ read again
//! ```
//!
//! Each load thread has a pinned current-thread runtime of its own with its share of the callers and the rate. One thread
//! makes 130,000 calls a second, more than the servers answer on a core; more threads are for machines with more cores.

use crate::cores::{self, Placement};
use crate::endpoint::Endpoint;
use crate::figures::{self, Sample, Spent};
use crate::stats::Load;
use crate::tickets::{Pace, Span};
use crate::usage::{self, Usage};
use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Where a measurement runs.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Its members; connections are spread over them.
    pub(crate) addresses: Vec<Endpoint>,
    /// The server's processes, to read their use of CPU, memory and disk; none when they are not ours to look into.
    pub(crate) processes: Vec<u32>,
    pub(crate) placement: Placement,
}

/// How long a measurement runs, and on how many threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) warm_up: Duration,
    pub(crate) span: Span,
    pub(crate) threads: usize,
}

/// A load thread's part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) thread: usize,
    pub(crate) threads: usize,
}

impl Share {
    /// Everything.
    pub(crate) const WHOLE: Share = Share { thread: 0, threads: 1 };

    /// Which of `total` things are this thread's: as even as can be, none left out, none twice.
    pub(crate) fn of(self, total: usize) -> std::ops::Range<usize> {
        total * self.thread / self.threads..total * (self.thread + 1) / self.threads
    }

    pub(crate) fn of_pace(self, pace: Pace) -> Pace {
        match pace {
            Pace::Closed => Pace::Closed,
            Pace::Open { per_second } => Pace::Open { per_second: per_second / self.threads as f64 },
        }
    }

    pub(crate) fn of_span(self, span: Span) -> Span {
        match span {
            Span::Operations(total) => Span::Operations(self.of(total as usize).len() as u64),
            other => other,
        }
    }
}

/// Something to measure.
pub(crate) trait Job: Sync {
    /// Connections, callers, streams.
    type Prepared;

    /// Opens what the share needs.
    async fn prepare(&self, addresses: &[Endpoint], share: Share) -> anyhow::Result<Self::Prepared>;

    /// Makes load for `span`; called once to warm up and once to measure.
    async fn run(&self, prepared: &mut Self::Prepared, share: Share, span: Span) -> Load;
}

/// Runs `job` and gives its figures.
pub(crate) fn measure<J: Job>(site: &Site, plan: &Plan, job: &J) -> anyhow::Result<Sample> {
    let (load, spent) = run(site, plan, job)?;
    Ok(figures::sample(&load, &spent))
}

/// Runs `job` and gives what was seen and used.
pub(crate) fn run<J: Job>(site: &Site, plan: &Plan, job: &J) -> anyhow::Result<(Load, Spent)> {
    let barrier = Barrier::new(plan.threads + 1);
    std::thread::scope(|scope| {
        let barrier = &barrier;
        let spawn = |thread| {
            let share = Share { thread, threads: plan.threads };
            scope.spawn(move || load_thread(site, plan, share, job, barrier))
        };
        let threads: Vec<_> = (0..plan.threads).map(spawn).collect();
        barrier.wait(); // warm
        let before = Reading::first(site);
        barrier.wait(); // go
        barrier.wait(); // done
        let after = Reading::take(site);
        let mut load = Load::default();
        for thread in threads {
            load.merge(&thread.join().expect("a load thread does not panic")?);
        }
        Ok((load, Reading::between(before?, after?, plan.threads)))
    })
}

/// What one load thread does. It passes every barrier, whatever fails, so that nobody waits for it.
fn load_thread<J: Job>(
    site: &Site,
    plan: &Plan,
    share: Share,
    job: &J,
    barrier: &Barrier,
) -> anyhow::Result<Load> {
    let pinned = cores::pin_thread(site.placement.load_core(share.thread).as_slice());
    let local = tokio::task::LocalSet::new();
    let prepared = pinned.context("pinning a load thread").and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let prepared = local.block_on(&runtime, async {
            let mut prepared = job.prepare(&site.addresses, share).await?;
            if !plan.warm_up.is_zero() {
                job.run(&mut prepared, share, Span::Time(plan.warm_up)).await;
            }
            anyhow::Ok(prepared)
        })?;
        Ok((runtime, prepared))
    });
    barrier.wait();
    barrier.wait();
    let load = prepared.map(|(runtime, mut prepared)| {
        let busy = thread_cpu_time();
        let mut load = local.block_on(&runtime, job.run(&mut prepared, share, share.of_span(plan.span)));
        load.generator_busy = thread_cpu_time() - busy;
        load
    });
    barrier.wait();
    load
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The counters at one moment.
pub(crate) struct Reading {
    server: Option<Usage>,
    machine_busy: Duration,
    at: Instant,
}

impl Reading {
    /// Lets the server's memory peak begin anew and reads the counters.
    pub(crate) fn first(site: &Site) -> anyhow::Result<Reading> {
        site.processes.iter().copied().try_for_each(usage::reset_peak)?;
        Reading::take(site)
    }

    /// Reads the counters.
    pub(crate) fn take(site: &Site) -> anyhow::Result<Reading> {
        let ours = !site.processes.is_empty();
        let server = ours.then(|| Usage::of_all(&site.processes)).transpose()?;
        Ok(Reading { server, machine_busy: usage::machine_busy()?, at: Instant::now() })
    }

    pub(crate) fn between(before: Reading, after: Reading, load_threads: usize) -> Spent {
        Spent {
            server: before.server.zip(after.server),
            machine_busy: after.machine_busy.saturating_sub(before.machine_busy),
            wall: after.at - before.at,
            load_threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for (total, threads) in [(64, 1), (64, 3), (2, 3), (7, 7)] {
            let covered: Vec<usize> =
                (0..threads).flat_map(|thread| Share { thread, threads }.of(total)).collect();
            assert_eq!(covered, (0..total).collect::<Vec<_>>(), "{total} over {threads}");
        }
        let share = Share { thread: 1, threads: 4 };
        assert_eq!(share.of_pace(Pace::Open { per_second: 100.0 }), Pace::Open { per_second: 25.0 });
        assert_eq!(share.of_span(Span::Operations(10)), Span::Operations(3));
    }
}
