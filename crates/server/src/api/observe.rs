//! What every call leaves in the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tonic::Code;

use super::method::{Kind, Method};
use crate::metrics::{CallType, ClientRequests, Counter, Metrics};

/// Client versions remembered; a cluster has one or two.
const VERSIONS_MAX: usize = 8;

/// The metrics, with the handles of the methods found beforehand.
pub(crate) struct Observer {
    pub(crate) metrics: Arc<Metrics>,
    /// Of each method; `None` for one that is not counted.
    places: Vec<Option<usize>>,
    versions: Mutex<Vec<Version>>,
}

/// A client version that was seen, and where its calls are counted.
struct Version {
    kind: Kind,
    label: String,
    calls: Arc<Counter>,
}

/// A call that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started(Instant);

impl Started {
    /// How long ago that was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

impl Observer {
    /// Finds the handles.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let place = |method: &Method| metrics.grpc.place(method.service(), method.name());
        Self { places: Method::ALL.iter().map(place).collect(), metrics, versions: Mutex::default() }
    }

    fn method(&self, method: Method) -> Option<&crate::metrics::Method> {
        self.places[method as usize].map(|place| self.metrics.grpc.at(place))
    }

    /// A call begins.
    pub(crate) fn started(&self, method: Method) -> Started {
        if let Some(counters) = self.method(method) {
            counters.started.inc();
        }
        Started(Instant::now())
    }

    /// A message came in.
    pub(crate) fn received(&self, method: Method, bytes: usize) {
        if let Some(counters) = self.method(method) {
            counters.received.inc();
        }
        self.metrics.network.client_received_bytes.add(bytes as u64);
    }

    /// A message goes out.
    pub(crate) fn sent(&self, method: Method, bytes: usize) {
        if let Some(counters) = self.method(method) {
            counters.sent.inc();
        }
        self.metrics.network.client_sent_bytes.add(bytes as u64);
    }

    /// A call ends.
    pub(crate) fn handled(&self, method: Method, started: Started, code: Code) {
        let Some(handles) = self.method(method) else { return };
        let duration = if handles.wants_duration() { started.elapsed() } else { Duration::ZERO };
        handles.handled(code as i32, duration);
    }

    /// A client of this version called.
    pub(crate) fn client(&self, kind: Kind, version: Option<&[u8]>) {
        // What is remembered is never longer than a label may be.
        let label = ClientRequests::label(version);
        let mut versions = self.versions.lock();
        let known = versions.iter().find(|known| known.kind == kind && known.label == label);
        if let Some(known) = known {
            return known.calls.inc();
        }
        let call = if kind == Kind::Unary { CallType::Unary } else { CallType::Stream };
        let calls = self.metrics.server.client_requests.handle(call, version);
        calls.inc();
        if versions.len() < VERSIONS_MAX {
            versions.push(Version { kind, label: label.to_owned(), calls });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MetricsDetail;

    /// A client's metadata may have megabytes.
    #[test]
    fn of_a_clients_version_no_more_is_kept_than_a_label() {
        let observer = Observer::new(Arc::new(crate::metrics::of_server(MetricsDetail::Basic)));
        for length in 1000..1000 + 2 * VERSIONS_MAX {
            observer.client(Kind::Unary, Some(&vec![b'x'; length]));
        }
        observer.client(Kind::Unary, Some(b"3.7"));
        observer.client(Kind::BidiStream, None);
        let versions = observer.versions.lock();
        let labels: Vec<&str> = versions.iter().map(|version| &version.label[..]).collect();
        assert_eq!(labels, ["unknown", "3.7", "unknown"]);
        let calls: Vec<u64> = versions.iter().map(|version| version.calls.get()).collect();
        assert_eq!(calls, [2 * VERSIONS_MAX as u64, 1, 1]);
    }
}
