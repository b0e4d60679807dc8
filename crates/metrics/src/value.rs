//! Counters, gauges and histograms: nothing but atomics.
//!
//! A handle is a field of a struct that the hot path already holds; an update is one or two relaxed atomic additions, with no lookup
//! and no lock. The library `prometheus-client` is not used for two reasons: its text encoder appends `_total` to every counter
//! (etcd has counters without it and gauges with it, and dashboards ask for exactly those names), and its histograms take a
//! lock on each observation.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::text::{self, Metric, Samples};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Counter {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        out.sample(&[], self.get() as f64);
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Replaces the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Adds to it, or takes away from it.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Gauge {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        out.sample(&[], self.get() as f64);
    }
}

/// What a histogram's numbers count. Observations are kept as whole numbers, durations in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Durations, exposed in seconds.
    Seconds,
    /// Durations, exposed in milliseconds.
    Milliseconds,
    /// Plain numbers.
    One,
}

impl Unit {
    /// What one exposed unit is in the whole numbers kept.
    fn scale(self) -> f64 {
        match self {
            Unit::Seconds => 1e9,
            Unit::Milliseconds => 1e6,
            Unit::One => 1.0,
        }
    }
}

/// How often a value fell below each of a row of bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    /// Upper bounds (inclusive) as exposed.
    bounds: Box<[f64]>,
    /// The same in whole numbers.
    limits: Box<[u64]>,
    /// Observations by bucket, not cumulated; one more than there are bounds.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// `count` buckets whose bounds start at `start` and double.
    pub fn doubling(unit: Unit, start: f64, count: usize) -> Histogram {
        let bounds: Vec<f64> =
            std::iter::successors(Some(start), |bound| Some(bound * 2.0)).take(count).collect();
        Histogram::with_bounds(unit, &bounds)
    }

    /// Buckets with these bounds, ascending.
    pub fn with_bounds(unit: Unit, bounds: &[f64]) -> Histogram {
        assert!(bounds.is_sorted(), "a histogram's bounds ascend");
        Histogram {
            unit,
            bounds: bounds.into(),
            limits: bounds.iter().map(|bound| (bound * unit.scale()).round() as u64).collect(),
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        self.observe_number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a whole number: nanoseconds where the unit is one of time.
    pub fn observe_number(&self, value: u64) {
        let bucket = self.limits.partition_point(|limit| *limit < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// Writes all samples with these labels.
    pub(super) fn labelled_samples(&self, labels: &[(&str, &str)], out: &mut Samples<'_>) {
        let mut total = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, bucket) in bounds.zip(&self.buckets) {
            total += bucket.load(Relaxed);
            let bound = text::number(bound);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            out.suffixed("_bucket", &labels, total as f64);
        }
        out.suffixed("_sum", labels, self.sum.load(Relaxed) as f64 / self.unit.scale());
        out.suffixed("_count", labels, total as f64);
    }
}

impl Metric for Histogram {
    const TYPE: &'static str = "histogram";

    fn samples(&self, out: &mut Samples<'_>) {
        self.labelled_samples(&[], out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Exposition;
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::doubling(Unit::Seconds, 0.001, 3);
        for micros in [0, 1000, 1001, 4000, 4001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut out = Exposition::default();
        out.family("x_seconds", "A test.", &histogram);
        let expected = "# HELP x_seconds A test.\n# TYPE x_seconds histogram\n\
            x_seconds_bucket{le=\"0.001\"} 2\nx_seconds_bucket{le=\"0.002\"} 3\nx_seconds_bucket{le=\"0.004\"} 4\n\
            x_seconds_bucket{le=\"+Inf\"} 5\nx_seconds_sum 0.010002\nx_seconds_count 5\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn counters_and_gauges_keep_their_names_as_they_are() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        counter.add(3);
        gauge.set(2_147_483_648);
        let mut out = Exposition::default();
        out.family("a_successes", "c", &counter);
        out.family("a_applied_total", "g", &gauge);
        let expected = "# HELP a_applied_total g\n# TYPE a_applied_total gauge\na_applied_total 2.147483648e+09\n\
            # HELP a_successes c\n# TYPE a_successes counter\na_successes 3\n";
        assert_eq!(out.finish(), expected);
    }
}
