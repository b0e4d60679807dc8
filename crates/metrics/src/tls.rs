//! Metrics about TLS: handshakes, and when certificates end.

use std::collections::BTreeMap;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::text::{Metric, Samples};
use super::value::Counter;

/// Whose handshake; the label `endpoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the labels
pub enum Endpoint {
    Client,
    Peer,
}

/// How a handshake ended; the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeResult {
    /// The connection is served.
    Ok,
    /// It was rejected, or the other side gave up.
    Failed,
    /// It took too long.
    TimedOut,
    /// It made room for another.
    Evicted,
}

/// Handshakes by endpoint and result.
#[derive(Debug, Default)]
pub struct Handshakes([[Counter; 4]; 2]);

impl Handshakes {
    /// The counter of this endpoint and result.
    pub fn of(&self, endpoint: Endpoint, result: HandshakeResult) -> &Counter {
        &self.0[endpoint as usize][result as usize]
    }
}

impl Metric for Handshakes {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        for (endpoint, counters) in ["client", "peer"].into_iter().zip(&self.0) {
            for (result, counter) in ["ok", "failed", "timeout", "evicted"].into_iter().zip(counters) {
                out.sample(&[("endpoint", endpoint), ("result", result)], counter.get() as f64);
            }
        }
    }
}

/// When what is in each file ends, in seconds since 1970. There are as many as flags that name a file.
#[derive(Debug, Default)]
pub struct Ends(Mutex<BTreeMap<(String, &'static str), i64>>);

impl Ends {
    /// Notes when what is in a file ends.
    pub fn set(&self, file: &str, kind: &'static str, not_after: i64) {
        self.0.lock().insert((file.to_owned(), kind), not_after);
    }

    /// Returns whether there is any such file.
    pub(super) fn are_known(&self) -> bool {
        !self.0.lock().is_empty()
    }
}

impl Metric for Ends {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for ((file, kind), not_after) in self.0.lock().iter() {
            let days = (*not_after as f64 - now.as_secs_f64()) / 86_400.0;
            out.sample(&[("file", file), ("kind", kind)], days);
        }
    }
}
