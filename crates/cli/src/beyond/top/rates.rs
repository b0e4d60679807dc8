//! Rates from counters.

use std::time::Duration;

use crate::beyond::metrics::Metrics;

/// The counters of a member at one time. They only grow, until it is started anew.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    puts: f64,
    ranges: f64,
    txns: f64,
    deletes: f64,
    requests: f64,
    watchers: Option<f64>,
    pending: Option<f64>,
    fsync: Option<Duration>,
}

/// How much a member is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Puts a second that this member answered.
    pub puts: f64,
    /// Ranges a second.
    pub ranges: f64,
    /// Transactions a second.
    pub txns: f64,
    /// Deletions a second.
    pub deletes: f64,
    /// Calls of any method a second.
    pub requests: f64,
    /// Watchers that are open.
    pub watchers: Option<f64>,
    /// Proposals that wait to be committed.
    pub pending: Option<f64>,
    /// What 99 of 100 syncs of the log since its start took at most.
    pub fsync: Option<Duration>,
}

const HANDLED: &str = "grpc_server_handled_total";

impl Counters {
    /// Reads them from a member's metrics.
    pub fn of(metrics: &Metrics) -> Counters {
        let method = |name| metrics.value_of(HANDLED, "grpc_method", &[name]).unwrap_or_default();
        Counters {
            puts: method("Put"),
            ranges: method("Range"),
            txns: method("Txn"),
            deletes: method("DeleteRange"),
            requests: metrics.value(HANDLED).unwrap_or_default(),
            watchers: metrics.value("etcd_debugging_mvcc_watcher_total"),
            pending: metrics.value("etcd_server_proposals_pending"),
            fsync: metrics.quantile("etcd_disk_wal_fsync_duration_seconds", 0.99),
        }
    }

    /// Returns the rates since an earlier time. Counters that shrank began anew: their rate is what they have now.
    pub fn since(&self, earlier: &Counters, elapsed: Duration) -> Rates {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = |now: f64, then: f64| if now >= then { (now - then) / seconds } else { now / seconds };
        Rates {
            puts: rate(self.puts, earlier.puts),
            ranges: rate(self.ranges, earlier.ranges),
            txns: rate(self.txns, earlier.txns),
            deletes: rate(self.deletes, earlier.deletes),
            requests: rate(self.requests, earlier.requests),
            watchers: self.watchers,
            pending: self.pending,
            fsync: self.fsync,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_by_time() {
        let text = |puts: u64| {
            format!("{HANDLED}{{grpc_method=\"Put\"}} {puts}\n{HANDLED}{{grpc_method=\"Watch\"}} 4\n")
        };
        let counters = |puts| Counters::of(&Metrics::parse(&text(puts)));
        let rates = counters(110).since(&counters(10), Duration::from_secs(2));
        assert_eq!((rates.puts, rates.requests, rates.ranges), (50.0, 50.0, 0.0));
        let restarted = counters(6).since(&counters(1000), Duration::from_secs(2));
        assert_eq!(restarted.puts, 3.0);
    }
}
