//! Requests for the metrics themselves, under the names of Go's HTTP handler for them.

use super::text::{Exposition, Metric, Samples};
use super::value::{Counter, Gauge};

/// What was asked for the metrics.
#[derive(Debug, Default)]
pub struct Scrapes {
    in_flight: Gauge,
    answered: Counter,
}

/// A scrape, until it is dropped.
#[derive(Debug)]
pub struct Scrape<'a>(&'a Scrapes);

impl Scrapes {
    /// Begins one: it sees itself in flight, and not yet answered.
    pub fn begin(&self) -> Scrape<'_> {
        self.in_flight.add(1);
        Scrape(self)
    }

    pub(super) fn collect(&self, out: &mut Exposition) {
        out.family(
            "promhttp_metric_handler_requests_in_flight",
            "Current number of scrapes being served.",
            &self.in_flight,
        );
        out.family(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            &Answered(&self.answered),
        );
    }
}

impl Drop for Scrape<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1);
        self.0.answered.inc();
    }
}

/// Scrapes by status code. There is nothing that could fail.
struct Answered<'a>(&'a Counter);

impl Metric for Answered<'_> {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        out.sample(&[("code", "200")], self.0.get() as f64);
        out.sample(&[("code", "500")], 0.0);
        out.sample(&[("code", "503")], 0.0);
    }
}
