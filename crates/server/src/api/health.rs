//! `grpc.health.v1.Health`.

use std::pin::Pin;
use std::sync::Arc;

use proto::health::health_check_response::ServingStatus;
use proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use tokio_stream::Stream;
use tonic::Status;

use super::Api;
use super::router::UntilEnd;
use crate::auth::Caller;
use crate::grpc::reply::Plain;

/// The responses of a health watch.
pub(crate) type HealthWatch = Pin<Box<dyn Stream<Item = Result<Plain<HealthCheckResponse>, Status>> + Send>>;

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

impl Api {
    /// Whether the server serves: it does, or there would be nobody to answer. Only the server as a whole (`""`) is
    /// known.
    pub(crate) async fn health_check(
        &self,
        _caller: &Caller,
        request: HealthCheckRequest,
    ) -> Result<Plain<HealthCheckResponse>, Status> {
        if request.service.is_empty() {
            Ok(Plain(response(ServingStatus::Serving)))
        } else {
            Err(Status::not_found("unknown service"))
        }
    }

    /// The state of every service that is known.
    pub(crate) async fn health_list(
        &self,
        _caller: &Caller,
        _request: HealthListRequest,
    ) -> Result<Plain<HealthListResponse>, Status> {
        let statuses = [(String::new(), response(ServingStatus::Serving))].into_iter().collect();
        Ok(Plain(HealthListResponse { statuses }))
    }

    /// The state now; it does not change for as long as the connection lives.
    pub(crate) async fn health_watch(
        self: &Arc<Self>,
        _caller: &Caller,
        request: HealthCheckRequest,
    ) -> Result<UntilEnd<HealthWatch>, Status> {
        let known = request.service.is_empty();
        let status = if known { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        let first = tokio_stream::once(Ok(Plain(response(status))));
        let states: HealthWatch = Box::pin(tokio_stream::StreamExt::chain(first, tokio_stream::pending()));
        Ok(UntilEnd::new(self, states, false))
    }
}
