//! `etcdserverpb.Lease`.

use std::pin::Pin;
use std::sync::Arc;

use machine::lease_clock::RenewError;
use machine::{Machine, lease, quota};
use mvcc::LeaseId;
use proto::etcdserverpb::{
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::Api;
use crate::engine::command::Field;
use crate::grpc::reply::{Plain, Spliced};

/// The responses of a keepalive stream.
pub(crate) type KeepAlives =
    Pin<Box<dyn Stream<Item = Result<Plain<LeaseKeepAliveResponse>, Status>> + Send>>;

impl Api {
    /// Grants a lease.
    pub(crate) async fn lease_grant(&self, request: LeaseGrantRequest) -> Result<Spliced, Status> {
        self.check_quota(|| quota::LEASE_BYTES).await?;
        let id = if request.id == 0 { self.lease_id() } else { request.id };
        let ttl = lease::effective_ttl(request.ttl, self.settings.min_lease_ttl);
        let reply = self.propose(Field::LeaseGrant, &LeaseGrantRequest { id, ttl }).await?;
        Ok(self.spliced(reply))
    }

    /// A positive id that no request before had.
    fn lease_id(&self) -> i64 {
        (self.shared.waiters.anonymous_id().0 & i64::MAX as u64) as i64
    }

    /// Revokes a lease and deletes its keys.
    pub(crate) async fn lease_revoke(&self, request: LeaseRevokeRequest) -> Result<Spliced, Status> {
        let reply = self.propose(Field::LeaseRevoke, &request).await?;
        Ok(self.spliced(reply))
    }

    /// What is left of a lease.
    pub(crate) async fn lease_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<Plain<LeaseTimeToLiveResponse>, Status> {
        // Waits until what was acknowledged before is applied here, a grant on another connection for example.
        self.read_barrier().await?;
        let id = LeaseId(request.id);
        let header = Some(self.header_now().to_message());
        let Some(left) = self.lessor.time_to_live(id) else {
            let ttl = -1;
            return Ok(Plain(LeaseTimeToLiveResponse { header, id: request.id, ttl, ..Default::default() }));
        };
        let Some(remaining) = left.remaining_seconds else { return Err(super::status::leader_changed()) };
        let keys =
            if request.keys { self.ask(move |machine| keys_of(machine, id)).await? } else { Vec::new() };
        Ok(Plain(LeaseTimeToLiveResponse {
            header,
            id: request.id,
            ttl: remaining,
            granted_ttl: left.granted_seconds,
            keys,
        }))
    }

    /// All leases.
    pub(crate) async fn lease_leases(
        &self,
        _request: LeaseLeasesRequest,
    ) -> Result<Plain<LeaseLeasesResponse>, Status> {
        self.read_barrier().await?;
        let leases = self.lessor.leases().into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(Plain(LeaseLeasesResponse { header: Some(self.header_now().to_message()), leases }))
    }

    /// Renews leases, one response for each request, in order.
    pub(crate) fn lease_keep_alive(
        self: &Arc<Self>,
        requests: Streaming<LeaseKeepAliveRequest>,
    ) -> KeepAlives {
        let api = self.clone();
        Box::pin(requests.then(move |request| {
            let api = api.clone();
            async move { api.keep_alive_once(request?).await }
        }))
    }

    async fn keep_alive_once(
        &self,
        request: LeaseKeepAliveRequest,
    ) -> Result<Plain<LeaseKeepAliveResponse>, Status> {
        // The header shows the revision before the renewal (contract: api, section 4).
        let header = Some(self.header_now().to_message());
        self.read_barrier().await.map_err(|_| Status::unknown("not a primary lessor"))?;
        let ttl = match self.lessor.renew(LeaseId(request.id)).await {
            Ok(renewed) => {
                if renewed.resets_checkpoint {
                    self.reset_checkpoint(request.id).await?;
                }
                renewed.ttl_seconds
            }
            Err(RenewError::NotFound | RenewError::Expiring) => 0,
            Err(RenewError::NotPrimary) => return Err(Status::unknown("not a primary lessor")),
        };
        self.metrics.lease.renewed.inc();
        Ok(Plain(LeaseKeepAliveResponse { header, id: request.id, ttl }))
    }

    /// Makes every member forget what was left of a lease before it was renewed (L3).
    async fn reset_checkpoint(&self, id: i64) -> Result<(), Status> {
        let checkpoints = vec![LeaseCheckpoint { id, remaining_ttl: 0 }];
        self.propose(Field::LeaseCheckpoint, &LeaseCheckpointRequest { checkpoints }).await.map(drop)
    }
}

fn keys_of(machine: &Machine, id: LeaseId) -> Vec<bytes::Bytes> {
    machine.lease(id).map(|lease| lease.keys().cloned().collect()).unwrap_or_default()
}
