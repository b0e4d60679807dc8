//! What the calls of a load were like, and whether that is good enough.

use std::collections::BTreeMap;
use std::time::Duration;

/// A request slower than this fails the check, in seconds.
const SLOWEST_MAX: f64 = 0.5;

/// A standard deviation above this fails the check, in seconds.
const STDDEV_MAX: f64 = 0.1;

/// A throughput of this part of what was asked for, or less, fails the check.
const THROUGHPUT_MIN: f64 = 0.9;

/// How the calls of a load ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// The time that each call that was answered took, in seconds.
    latencies: Vec<f64>,
    /// How many calls failed with each text.
    errors: BTreeMap<String, u64>,
}

/// What is said of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The lines to print.
    pub(super) lines: Vec<String>,
    /// Whether all of it was good enough.
    pub(super) passed: bool,
}

impl Report {
    /// Adds a call that was answered after `took`.
    pub(super) fn answered(&mut self, took: Duration) {
        self.latencies.push(took.as_secs_f64());
    }

    /// Adds a call that failed.
    pub(super) fn failed(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    /// Adds what another report has.
    pub(super) fn merge(&mut self, other: Report) {
        self.latencies.extend(other.latencies);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    /// Returns one line for each error; none when every call was answered.
    pub(super) fn error_lines(&self) -> Vec<String> {
        if self.errors.is_empty() {
            return Vec::new();
        }
        let each = self.errors.iter().map(|(error, count)| format!("FAIL: ERROR({error}) -> {count}"));
        std::iter::once("FAIL: too many errors".to_owned()).chain(each).collect()
    }

    /// Returns what is said of a load that was to make `limit` writes a second, and took `total`.
    pub(super) fn verdict(&self, limit: u32, total: Duration) -> Verdict {
        let mut lines = self.error_lines();
        let findings = [self.throughput(limit, total), self.slowest(), self.stddev()];
        let passed = lines.is_empty() && findings.iter().all(|(passed, _)| *passed);
        lines.extend(findings.into_iter().map(|(_, line)| line));
        lines.push(if passed { "PASS" } else { "FAIL" }.to_owned());
        Verdict { lines, passed }
    }

    fn throughput(&self, limit: u32, total: Duration) -> (bool, String) {
        let rate = self.latencies.len() as f64 / total.as_secs_f64();
        // Rounded up, as etcdctl has it.
        let shown = rate as u64 + 1;
        if rate / f64::from(limit) <= THROUGHPUT_MIN {
            return (false, format!("FAIL: Throughput too low: {shown} writes/s"));
        }
        (true, format!("PASS: Throughput is {shown} writes/s"))
    }

    fn slowest(&self) -> (bool, String) {
        let slowest = self.latencies.iter().copied().fold(0.0, f64::max);
        if slowest > SLOWEST_MAX {
            return (false, format!("Slowest request took too long: {slowest:.6}s"));
        }
        (true, format!("PASS: Slowest request took {slowest:.6}s"))
    }

    fn stddev(&self) -> (bool, String) {
        let count = self.latencies.len() as f64;
        let average = self.latencies.iter().sum::<f64>() / count;
        let squares: f64 = self.latencies.iter().map(|latency| (latency - average).powi(2)).sum();
        let stddev = (squares / count).sqrt();
        if stddev > STDDEV_MAX {
            return (false, format!("Stddev too high: {stddev:.6}s"));
        }
        (true, format!("PASS: Stddev is {stddev:.6}s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(millis: &[u64]) -> Report {
        let mut report = Report::default();
        for &latency in millis {
            report.answered(Duration::from_millis(latency));
        }
        report
    }

    fn lines(report: &Report, limit: u32, seconds: u64) -> Vec<String> {
        report.verdict(limit, Duration::from_secs(seconds)).lines
    }

    #[test]
    fn a_load_that_keeps_up_passes() {
        let report = report(&[10, 20, 30, 40]);
        assert_eq!(
            lines(&report, 2, 2),
            [
                "PASS: Throughput is 3 writes/s",
                "PASS: Slowest request took 0.040000s",
                "PASS: Stddev is 0.011180s",
                "PASS",
            ]
        );
        assert!(report.verdict(2, Duration::from_secs(2)).passed);
    }

    #[test]
    fn each_bound_alone_fails_it() {
        // Exactly nine tenths are too few.
        assert_eq!(lines(&report(&[1; 9]), 10, 1)[0], "FAIL: Throughput too low: 10 writes/s");
        assert_eq!(lines(&report(&[1; 10]), 10, 1)[0], "PASS: Throughput is 11 writes/s");
        assert_eq!(lines(&report(&[500; 2]), 2, 1)[1], "PASS: Slowest request took 0.500000s");
        assert_eq!(lines(&report(&[501; 2]), 2, 1)[1], "Slowest request took too long: 0.501000s");
        assert_eq!(lines(&report(&[0, 202]), 2, 1)[2], "Stddev too high: 0.101000s");
        for slow in [report(&[1; 9]), report(&[501; 10]), report(&[0, 202, 0, 202, 0, 202, 0, 202, 0, 202])] {
            let verdict = slow.verdict(10, Duration::from_secs(1));
            assert!(!verdict.passed);
            assert_eq!(verdict.lines.last().map(String::as_str), Some("FAIL"));
        }
    }

    #[test]
    fn errors_fail_it_and_are_counted_by_text() {
        let mut first = report(&[1; 10]);
        first.failed("b".to_owned());
        first.failed("a".to_owned());
        let mut second = Report::default();
        second.failed("a".to_owned());
        first.merge(second);
        let verdict = first.verdict(10, Duration::from_secs(1));
        assert_eq!(
            verdict.lines[..3],
            ["FAIL: too many errors", "FAIL: ERROR(a) -> 2", "FAIL: ERROR(b) -> 1"]
        );
        assert!(!verdict.passed);
    }

    #[test]
    fn nothing_answered_is_no_division_by_zero() {
        assert_eq!(lines(&Report::default(), 150, 60)[0], "FAIL: Throughput too low: 1 writes/s");
    }
}
