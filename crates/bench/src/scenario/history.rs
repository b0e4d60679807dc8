//! A long history: what puts feel of a watcher far behind, and of a compaction.
//!
//! The same load of puts runs before and during the disturbance, on the same connections without a pause, and the two
//! are compared on the same server. **Catch-up** is measured in open loop, at a rate that both servers carry:
//! watchers that start far behind come one after the other, and "during" is the time in which there is one. **Compaction**
//! is measured in closed loop: "during" begins with the call and ends with its answer (`physical`: when the old data is
//! gone), but lasts two seconds at least, or the percentiles of a fast compaction would stand on too few puts.

use crate::client::{Connection, Keep};
use crate::endpoint::Endpoint;
use crate::figures::{self, Better, Figure, Sample, Unit};
use crate::harness::Site;
use crate::messages::{self, Consistency, Content, WatchMessage, path};
use crate::process;
use crate::stats::Load;
use crate::tickets::{Pace, Span, Tickets};
use crate::workload::KeyShape;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How much a catching-up watcher takes at a time, so that reading it does not hold up the puts' answers on this side.
const CATCH_UP_WINDOW_BYTES: u32 = 1 << 20;

/// When a watcher is given up: etcd sends one that is alone 1,000 revisions at a time, ten times a second at best, and
/// some never catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// The shortest time that is "during".
const DURING_MIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct History {
    /// Length of the history before anything is measured.
    pub(crate) revisions: u64,
    /// How far behind the watchers start.
    pub(crate) behind: u64,
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
    /// Rate of the puts beside the watchers.
    pub(crate) puts_per_second: f64,
    /// How long "before" is measured.
    pub(crate) before: Duration,
}

/// What watchers that started far behind got.
struct CaughtUp {
    events: u64,
    time: Duration,
    /// Whether each of them got to the end.
    complete: bool,
}

impl History {
    pub(crate) fn run(&self, site: &Site) -> anyhow::Result<Sample> {
        super::load(site, self.revisions, self.keys, self.value_bytes)?;
        let mut sample = Sample::default();
        process::block_on(async {
            self.catch_up(&site.addresses[0], &mut sample).await?;
            self.compact(&site.addresses[0], &mut sample).await
        })??;
        Ok(sample)
    }

    async fn catch_up(&self, address: &Endpoint, sample: &mut Sample) -> anyhow::Result<()> {
        let pace = Pace::Open { per_second: self.puts_per_second };
        let mut callers = super::put_callers(address, self.keys, self.value_bytes).await?;
        callers.run(tickets(pace, Span::Time(self.before / 5))).await;
        let before = callers.run(tickets(pace, Span::Time(self.before))).await;

        let during = tickets(pace, Span::Stopped);
        let watching = async {
            let outcome = self.watch_repeatedly(address).await;
            during.stop();
            outcome
        };
        let (during, caught_up) = tokio::join!(callers.run(during.clone()), watching);
        let caught_up = caught_up?;
        compare_latencies(sample, "catch-up", figures::CATCH_UP_P99, &before, &during);
        let events_per_second = caught_up.events as f64 / caught_up.time.as_secs_f64();
        sample.push(Figure::rate("catch-up: events/s to the watcher", events_per_second));
        if !caught_up.complete {
            sample.remarks.push(format!("the watcher had not caught up after {CATCH_UP_MAX:?}"));
        }
        sample.fail(&before.failures);
        sample.fail(&during.failures);
        Ok(())
    }

    /// Watchers that start `behind` revisions back, one after the other, for as long as "before" was.
    async fn watch_repeatedly(&self, address: &Endpoint) -> anyhow::Result<CaughtUp> {
        let start = Instant::now();
        let events = Cell::new(0);
        let mut complete = true;
        while complete && start.elapsed() < self.before.max(DURING_MIN) {
            let watcher = self.watch_from_behind(address, &events);
            complete = match tokio::time::timeout(CATCH_UP_MAX, watcher).await {
                Ok(outcome) => outcome.map(|()| true)?,
                Err(_) => false,
            };
        }
        Ok(CaughtUp { events: events.get(), time: start.elapsed(), complete })
    }

    /// One watcher, until it has seen what was the newest revision when it started; `events` counts what it gets.
    async fn watch_from_behind(&self, address: &Endpoint, events: &Cell<u64>) -> anyhow::Result<()> {
        let newest = newest_revision(address).await?;
        let connection = Connection::with_stream_window(address, CATCH_UP_WINDOW_BYTES).await?;
        let start = newest - self.behind as i64;
        let create = messages::watch_create(KeyShape::START, KeyShape::END, start);
        let mut stream = connection.client(path::WATCH).stream(create).await?;
        loop {
            match messages::watch_message(&stream.next().await?, |_| {})? {
                WatchMessage::Created => {}
                WatchMessage::Canceled { compact_revision } => {
                    anyhow::bail!("the watcher was cancelled (compacted at {compact_revision})")
                }
                WatchMessage::Events { count, last_revision } => {
                    events.set(events.get() + count);
                    if last_revision >= newest {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn compact(&self, address: &Endpoint, sample: &mut Sample) -> anyhow::Result<()> {
        let mut callers = super::put_callers(address, self.keys, self.value_bytes).await?;
        callers.run(tickets(Pace::Closed, Span::Time(self.before / 5))).await;
        let before = callers.run(tickets(Pace::Closed, Span::Time(self.before))).await;

        let during = tickets(Pace::Closed, Span::Stopped);
        let compacting = async {
            let outcome = compact_all(address).await;
            during.stop();
            outcome
        };
        let (during, outcome) = tokio::join!(callers.run(during.clone()), compacting);
        sample.push(Figure::seconds("compaction: time to its answer", outcome?));
        sample.push(Figure::rate("compaction: puts/s before", before.per_second()));
        sample.push(Figure::rate("compaction: puts/s during", during.per_second()));
        let kept = during.per_second() / before.per_second();
        sample.push(Figure::new(figures::COMPACTION_RATE, kept, Unit::Factor, Better::Higher));
        compare_latencies(sample, "compaction", figures::COMPACTION_P99, &before, &during);
        sample.fail(&before.failures);
        sample.fail(&during.failures);
        Ok(())
    }
}

pub(super) fn tickets(pace: Pace, span: Span) -> Rc<Tickets> {
    Rc::new(Tickets::new(pace, span))
}

/// p99 and maximum before and during, and by how much p99 grew.
pub(super) fn compare_latencies(sample: &mut Sample, of: &str, growth: &str, before: &Load, during: &Load) {
    for (when, load) in [("before", before), ("during", during)] {
        for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("max", 100.0)] {
            let latency = load.latencies.percentile(percent);
            let figure = |latency| Figure::seconds(format!("{of}: put {name} {when}"), latency);
            sample.figures.extend(latency.map(figure));
        }
    }
    if let (Some(before), Some(during)) =
        (before.latencies.percentile(99.0), during.latencies.percentile(99.0))
    {
        let factor = during.as_secs_f64() / before.as_secs_f64();
        sample.push(Figure::new(growth, factor, Unit::Factor, Better::Lower));
    }
}

async fn newest_revision(address: &Endpoint) -> anyhow::Result<i64> {
    let read = messages::range(b"revision?", b"", Consistency::Linearizable, Content::CountOnly);
    let reply = Connection::open(address).await?.client(path::RANGE).call(read, Keep::Whole).await?;
    Ok(messages::revision(&reply.message)?)
}

/// Compacts everything up to now and waits until it is done; the time it took. Returns after [`DURING_MIN`] at the earliest.
async fn compact_all(address: &Endpoint) -> anyhow::Result<Duration> {
    let newest = newest_revision(address).await?;
    let connection = Connection::open(address).await?;
    let start = Instant::now();
    connection.client(path::COMPACT).call(messages::compact_and_wait(newest), Keep::Head).await?;
    let time = start.elapsed();
    tokio::time::sleep(DURING_MIN.saturating_sub(time)).await;
    Ok(time)
}
