//! The `grpc_server_*` families: one set of counters for each method, all there and 0 from the start, so that a rate over a method
//! that was never called is 0 and not missing.
//!
//! A service asks for its methods' handles once ([`Grpc::method`]) and keeps them.

use std::time::Duration;

use super::text::{Metric, Samples};
use super::value::{Counter, Histogram, Unit};
use crate::MetricsDetail;

/// The kind of a method: the label `grpc_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the labels
pub enum MethodType {
    BidiStream,
    ServerStream,
    Unary,
}

impl MethodType {
    fn label(self) -> &'static str {
        match self {
            MethodType::BidiStream => "bidi_stream",
            MethodType::ServerStream => "server_stream",
            MethodType::Unary => "unary",
        }
    }
}

/// A method that has counters from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Package and service; the label `grpc_service`.
    pub service: &'static str,
    /// The method's own name; the label `grpc_method`.
    pub method: &'static str,
    /// Its kind; the label `grpc_type`.
    pub kind: MethodType,
}

/// gRPC's status codes by number, as the label `grpc_code` spells them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Upper bounds of the handling times, in seconds: the defaults of Go's Prometheus library.
const HANDLING_BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counters of one method.
#[derive(Debug)]
pub struct Method {
    /// Calls begun.
    pub started: Counter,
    /// Messages received from clients.
    pub received: Counter,
    /// Messages sent to clients.
    pub sent: Counter,
    handled: [Counter; CODES.len()],
    handling: Option<Histogram>,
}

impl Method {
    fn new(detail: MetricsDetail) -> Method {
        Method {
            started: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            handled: Default::default(),
            handling: match detail {
                MetricsDetail::Basic => None,
                MetricsDetail::Extensive => Some(Histogram::with_bounds(Unit::Seconds, &HANDLING_BOUNDS)),
            },
        }
    }

    /// Counts the end of a call: its status code by number (anything that is none counts as `Unknown`) and its duration.
    pub fn handled(&self, code: i32, duration: Duration) {
        let place = usize::try_from(code).ok().filter(|place| *place < CODES.len()).unwrap_or(2);
        self.handled[place].inc();
        if let Some(handling) = &self.handling {
            handling.observe(duration);
        }
    }

    /// Whether durations are wanted at all; when not, a caller may save asking the clock.
    pub fn wants_duration(&self) -> bool {
        self.handling.is_some()
    }
}

/// The counters of all methods.
#[derive(Debug)]
pub struct Grpc {
    methods: Box<[(Row, Method)]>,
}

impl Grpc {
    /// Returns the counters of these methods, which are exposed in the order of their names and then of their services.
    pub(super) fn new(detail: MetricsDetail, mut rows: Vec<Row>) -> Grpc {
        rows.sort_by_key(|row| (row.method, row.service));
        Grpc { methods: rows.into_iter().map(|row| (row, Method::new(detail))).collect() }
    }

    /// The handle of a method: `method("etcdserverpb.KV", "Range")`. For each call, ask [`Grpc::place`] once instead.
    pub fn method(&self, service: &str, method: &str) -> Option<&Method> {
        self.place(service, method).map(|place| self.at(place))
    }

    /// The place of a method's handle. To be asked for once, not for each call.
    pub fn place(&self, service: &str, method: &str) -> Option<usize> {
        self.methods.iter().position(|(row, _)| (row.service, row.method) == (service, method))
    }

    /// The handle at a place that [`Grpc::place`] returned.
    ///
    /// # Panics
    /// At any other place.
    pub fn at(&self, place: usize) -> &Method {
        &self.methods[place].1
    }

    fn labelled(&self) -> impl Iterator<Item = ([(&'static str, &'static str); 3], &Method)> {
        self.methods.iter().map(|(row, counters)| {
            let kind = row.kind.label();
            ([("grpc_method", row.method), ("grpc_service", row.service), ("grpc_type", kind)], counters)
        })
    }
}

macro_rules! by_method {
    ($name:ident, $field:ident) => {
        pub(super) struct $name<'a>(pub(super) &'a Grpc);

        impl Metric for $name<'_> {
            const TYPE: &'static str = "counter";

            fn samples(&self, out: &mut Samples<'_>) {
                for (labels, method) in self.0.labelled() {
                    out.sample(&labels, method.$field.get() as f64);
                }
            }
        }
    };
}

by_method!(Started, started);
by_method!(Received, received);
by_method!(Sent, sent);

pub(super) struct Handled<'a>(pub(super) &'a Grpc);

impl Metric for Handled<'_> {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        let mut codes: Vec<_> = CODES.iter().copied().enumerate().collect();
        codes.sort_by_key(|(_, code)| *code);
        for (place, code) in codes {
            for ([method, service, kind], counters) in self.0.labelled() {
                let labels = [("grpc_code", code), method, service, kind];
                out.sample(&labels, counters.handled[place].get() as f64);
            }
        }
    }
}

pub(super) struct Handling<'a>(pub(super) &'a Grpc);

impl Metric for Handling<'_> {
    const TYPE: &'static str = "histogram";

    fn samples(&self, out: &mut Samples<'_>) {
        for (labels, method) in self.0.labelled() {
            if let Some(handling) = &method.handling {
                handling.labelled_samples(&labels, out);
            }
        }
    }
}
