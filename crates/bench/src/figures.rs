//! The figures of a measurement: a name, a value, a unit, and which way is better.
//!
//! Everything that is measured ends as a list of these, so that one report prints every workload and every scenario,
//! and takes medians and ratios of all of them in the same way.

use crate::stats::{Failures, Load};
use crate::usage::Usage;
use serde::Serialize;
use std::time::Duration;

/// CPU time is given for this many operations: a number one can remember.
const OPERATIONS: f64 = 100_000.0;

pub(crate) const RATE: &str = "operations/s";
pub(crate) const P50: &str = "p50";
pub(crate) const P99: &str = "p99";
pub(crate) const CPU: &str = "server CPU s per 100,000";
pub(crate) const RESIDENT: &str = "RSS after load, 5 s idle";
pub(crate) const READY: &str = "ready after kill -9";
pub(crate) const COUNT_CPU: &str = "count of all keys: CPU s per 100,000";
pub(crate) const COMPACTION_RATE: &str = "compaction: puts/s, during / before";
pub(crate) const COMPACTION_P99: &str = "compaction: put p99, during / before";
pub(crate) const FAILOVER: &str = "failover: first write, median";
pub(crate) const JOIN_P99: &str = "join: put p99, during / before";
pub(crate) const LOGINS_P99: &str = "logins: put p99, during / before";
pub(crate) const LIST_GET_P99: &str = "list of everything: get p99, during / before";
pub(crate) const LIST_PUT_P99: &str = "list of everything: put p99, during / before";
pub(crate) const PAST_GET_P99: &str = "list of the past: get p99, during / before";
pub(crate) const PAST_PUT_P99: &str = "list of the past: put p99, during / before";
pub(crate) const TXN_LISTS_GET_P99: &str = "transaction of lists: get p99, during / before";
pub(crate) const TXN_LISTS_PUT_P99: &str = "transaction of lists: put p99, during / before";
pub(crate) const BEHIND: &str = "all watchers have caught up";
pub(crate) const CATCH_UP_P99: &str = "catch-up: put p99, during / before";

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    PerSecond,
    Seconds,
    /// CPU seconds for 100,000 operations.
    CpuSeconds,
    Bytes,
    Percent,
    /// One part by another.
    Factor,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Better {
    Lower,
    Higher,
    /// Background that neither wins nor loses.
    Neither,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: Unit, better: Better) -> Figure {
        Figure { name: name.into(), value, unit, better }
    }

    pub(crate) fn seconds(name: impl Into<String>, value: Duration) -> Figure {
        Figure::new(name, value.as_secs_f64(), Unit::Seconds, Better::Lower)
    }

    pub(crate) fn bytes(name: impl Into<String>, value: u64) -> Figure {
        Figure::new(name, value as f64, Unit::Bytes, Better::Lower)
    }

    pub(crate) fn rate(name: impl Into<String>, value: f64) -> Figure {
        Figure::new(name, value, Unit::PerSecond, Better::Higher)
    }
}

/// One measurement of one server.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) figures: Vec<Figure>,
    /// How many operations failed.
    pub(crate) errors: u64,
    /// What failed, and what makes the figures doubtful: one line each.
    pub(crate) remarks: Vec<String>,
}

impl Sample {
    pub(crate) fn push(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(crate) fn fail(&mut self, failures: &Failures) {
        self.errors += failures.total();
        self.remarks.extend(failures.lines());
    }

    /// The value of the figure called `name`.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

/// What was used between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// The server's; `None` when it is not ours to look into.
    pub(crate) server: Option<(Usage, Usage)>,
    /// By all processes of the machine.
    pub(crate) machine_busy: Duration,
    pub(crate) wall: Duration,
    pub(crate) load_threads: usize,
}

impl Spent {
    /// Server CPU seconds for 100,000 of `operations`.
    pub(crate) fn cpu_for(&self, operations: u64) -> Option<f64> {
        let (before, after) = self.server?;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        (operations > 0).then(|| cpu / operations as f64 * OPERATIONS)
    }
}

/// The figures that all workloads have.
pub(crate) fn sample(load: &Load, spent: &Spent) -> Sample {
    let mut sample = Sample::default();
    sample.push(Figure::rate(RATE, load.per_second()));
    for (name, percent) in [(P50, 50.0), ("p90", 90.0), (P99, 99.0), ("p99.9", 99.9), ("max", 100.0)] {
        sample
            .figures
            .extend(load.latencies.percentile(percent).map(|latency| Figure::seconds(name, latency)));
    }
    if let Some(cpu) = spent.cpu_for(load.operations) {
        sample.push(Figure::new(CPU, cpu, Unit::CpuSeconds, Better::Lower));
    }
    if let Some((before, after)) = spent.server {
        sample.push(Figure::bytes("peak RSS", after.peak_bytes));
        sample.push(Figure::bytes("written to disk", after.written_bytes - before.written_bytes));
    }
    if load.event_messages > 0 {
        let per_message = load.operations as f64 / load.event_messages as f64;
        sample.push(Figure::new("events per message", per_message, Unit::Factor, Better::Neither));
    }
    background(load, spent, &mut sample);
    sample.fail(&load.failures);
    sample
}

/// What tells whether the other figures can be believed.
fn background(load: &Load, spent: &Spent, sample: &mut Sample) {
    let wall = spent.wall.as_secs_f64().max(f64::MIN_POSITIVE);
    let generator = load.generator_busy.as_secs_f64() / wall / spent.load_threads.max(1) as f64 * 100.0;
    sample.push(Figure::new("generator busy", generator, Unit::Percent, Better::Neither));
    if generator > 90.0 {
        sample.remarks.push(format!("the generator was {generator:.0} % busy: it limits these figures"));
    }
    let server = spent.server.map_or(Duration::ZERO, |(before, after)| after.cpu.saturating_sub(before.cpu));
    let others = spent.machine_busy.saturating_sub(server + load.generator_busy).as_secs_f64() / wall * 100.0;
    sample.push(Figure::new("other CPU use (100 = a core)", others, Unit::Percent, Better::Neither));
    if let Some(late) = load.lateness.percentile(99.0) {
        let late = Figure { better: Better::Neither, ..Figure::seconds("sent late, p99", late) };
        sample.push(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_ms: u64, written_bytes: u64) -> Usage {
        Usage { cpu: Duration::from_millis(cpu_ms), written_bytes, ..Usage::default() }
    }

    #[test]
    fn cpu_is_for_one_hundred_thousand_operations() {
        let mut load = Load { operations: 50_000, elapsed: Duration::from_secs(2), ..Load::default() };
        load.generator_busy = Duration::from_secs(1);
        load.latencies.record(Duration::from_millis(3));
        let spent = Spent {
            server: Some((usage(1_000, 10), usage(2_500, 4_106))),
            machine_busy: Duration::from_secs(3),
            wall: Duration::from_secs(2),
            load_threads: 1,
        };
        let sample = sample(&load, &spent);
        assert_eq!(sample.value(CPU), Some(3.0));
        assert_eq!(sample.value(RATE), Some(25_000.0));
        assert_eq!(sample.value("written to disk"), Some(4_096.0));
        assert_eq!(sample.value("generator busy"), Some(50.0));
        assert_eq!(sample.value("other CPU use (100 = a core)"), Some(25.0));
        assert!(sample.remarks.is_empty());
    }

    #[test]
    fn a_saturated_generator_is_said() {
        let load = Load { operations: 1, generator_busy: Duration::from_millis(1950), ..Load::default() };
        let spent = Spent { wall: Duration::from_secs(2), load_threads: 1, ..Spent::default() };
        assert_eq!(sample(&load, &spent).remarks.len(), 1);
        let spent = Spent { load_threads: 2, ..spent };
        assert!(sample(&load, &spent).remarks.is_empty());
    }
}
