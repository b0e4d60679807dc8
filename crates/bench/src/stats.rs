//! What a load generator saw: how many operations, how long each took, what failed.

use crate::grpc::{Code, Failure};
use crate::tickets::Tickets;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest latency that is told apart from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(600);

/// Latencies, kept to three significant digits.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    pub(crate) fn add(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("both histograms have the same bounds");
    }

    /// The smallest latency that `percent` of all are not above; `None` when nothing was recorded.
    pub(crate) fn percentile(&self, percent: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.value_at_percentile(percent)))
    }

    /// How many were recorded.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX.as_nanos() as u64, 3);
        Latencies(histogram.expect("constant bounds are valid"))
    }
}

/// Failures by code, each with the first message that came with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures(BTreeMap<Code, (u64, String)>);

impl Failures {
    pub(crate) fn record(&mut self, failure: &Failure) {
        self.record_many(failure, 1);
    }

    pub(crate) fn record_many(&mut self, failure: &Failure, times: u64) {
        self.0.entry(failure.code).or_insert_with(|| (0, failure.message.clone())).0 += times;
    }

    pub(crate) fn add(&mut self, other: &Failures) {
        for (code, (times, message)) in &other.0 {
            self.record_many(&Failure::new(*code, message.clone()), *times);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|(times, _)| times).sum()
    }

    /// One line for each code: how often, and the first message.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(code, (times, message)): (&Code, &(u64, String))| format!("{times} x {code}: {message}");
        self.0.iter().map(line).collect()
    }
}

/// The result of one run of one workload on one server, seen from the client's side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Operations that succeeded: calls, events, keepalives.
    pub(crate) operations: u64,
    /// From the start to the last answer.
    pub(crate) elapsed: Duration,
    /// In open loop from when an operation was due, not from when it could be sent.
    pub(crate) latencies: Latencies,
    /// How late the generator itself sent what was due; empty in closed loop.
    pub(crate) lateness: Latencies,
    /// Bytes of reply messages.
    pub(crate) received_bytes: u64,
    /// Messages that events came in; 0 for workloads without events.
    pub(crate) event_messages: u64,
    /// CPU time that the generator used.
    pub(crate) generator_busy: Duration,
    pub(crate) failures: Failures,
}

impl Load {
    /// Counts one operation that was due at `due`, sent at `sent` and is answered now; `outcome` has the answer's size.
    pub(crate) fn record(
        &mut self,
        tickets: &Tickets,
        due: Instant,
        sent: Instant,
        outcome: Result<usize, Failure>,
    ) {
        if tickets.is_open_loop() {
            self.lateness.record(sent.saturating_duration_since(due));
        }
        match outcome {
            Ok(received) => {
                self.operations += 1;
                self.received_bytes += received as u64;
                self.latencies.record(due.elapsed());
            }
            Err(failure) => self.failures.record(&failure),
        }
    }

    /// Joins what parallel threads saw.
    pub(crate) fn merge(&mut self, other: &Load) {
        self.operations += other.operations;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latencies.add(&other.latencies);
        self.lateness.add(&other.lateness);
        self.received_bytes += other.received_bytes;
        self.event_messages += other.event_messages;
        self.generator_busy += other.generator_busy;
        self.failures.add(&other.failures);
    }

    /// Operations a second; 0 for an empty run.
    pub(crate) fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.operations as f64 / self.elapsed.as_secs_f64() }
    }
}

/// The middle value, or the mean of the two middle ones; `None` for no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[1.0, 100.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn percentiles_are_within_two_thousandths() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50.0), None);
        (1..=1000).for_each(|micros| latencies.record(Duration::from_micros(micros)));
        // A thousandth for the histogram's buckets, another for the sample that 99.9 % falls on.
        for percent in [50.0, 90.0, 99.0, 99.9, 100.0] {
            let found = latencies.percentile(percent).unwrap().as_nanos() as f64;
            let exact = percent * 10_000.0;
            assert!((found / exact - 1.0).abs() <= 0.002, "{percent} %: {found} for {exact}");
        }
    }

    #[test]
    fn a_latency_beyond_the_bounds_is_kept_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_secs(86_400));
        assert!(latencies.percentile(100.0).unwrap() >= LATENCY_MAX);
    }

    #[test]
    fn failures_add_up_by_code_and_keep_the_first_message() {
        let mut failures = Failures::default();
        failures.record(&Failure::new(Code::Status(14), "no leader"));
        failures.record(&Failure::new(Code::Status(14), "another"));
        let mut others = Failures::default();
        others.record(&Failure::new(Code::Status(8), "too many requests"));
        failures.add(&others);
        assert_eq!(failures.total(), 3);
        assert_eq!(
            failures.lines(),
            ["1 x ResourceExhausted: too many requests", "2 x Unavailable: no leader"]
        );
    }

    #[test]
    fn merged_loads_ran_side_by_side() {
        let mut load = Load { operations: 100, elapsed: Duration::from_secs(1), ..Load::default() };
        load.merge(&Load { operations: 300, elapsed: Duration::from_secs(2), ..Load::default() });
        assert_eq!(load.per_second(), 200.0);
    }
}
