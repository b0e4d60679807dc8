//! The metrics of the crate `metrics`, with the methods and the versions of this server.

use ::metrics::grpc::{MethodType, Row};

pub use ::metrics::*;

use crate::api::method;
use crate::version;

/// Returns all metrics at their starts.
pub(crate) fn of_server(detail: MetricsDetail) -> Metrics {
    let counted = method::Method::ALL.iter().filter(|method| method.has_metrics());
    let metrics = Metrics::new(detail, counted.map(|method| row(*method)).collect());
    metrics.server.version.set(version::ETCD);
    metrics
}

fn row(method: method::Method) -> Row {
    let kind = match method.kind() {
        method::Kind::Unary => MethodType::Unary,
        method::Kind::ServerStream => MethodType::ServerStream,
        method::Kind::BidiStream => MethodType::BidiStream,
    };
    Row { service: method.service(), method: method.name(), kind }
}

#[cfg(test)]
mod tests;
