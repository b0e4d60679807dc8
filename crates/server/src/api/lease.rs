//! `etcdserverpb.Lease`.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use machine::{Machine, lease, quota};
use mvcc::LeaseId;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tonic::{Status, Streaming};

use super::Api;
use crate::engine::command::Field;
use crate::grpc::reply::{Plain, Spliced};
use crate::limits::KEEPALIVES_PER_STREAM_MAX;
use crate::transport::{Answer, LeaseTimes, Question};

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
        self.read_barrier().await.map_err(|late| self.no_leader_or(late))?;
        let header = Some(self.header_now().to_message());
        let id = request.id;
        let times = match self.ask_leader(Question::LeaseTimeToLive { id }).await? {
            Answer::LeaseTimes(times) => times,
            // No such lease.
            _ => LeaseTimes { ttl: -1, granted_ttl: 0 },
        };
        // Every member knows the keys. So however many they are, they need not fit into a message of the leader.
        let keys = match request.keys {
            true => self.ask(move |machine| keys_of(machine, LeaseId(id))).await?,
            false => Vec::new(),
        };
        let LeaseTimes { granted_ttl, ttl } = times;
        Ok(Plain(LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys }))
    }

    /// All leases that this member knows, as in etcd: without asking the leader, so also when there is none.
    pub(crate) async fn lease_leases(
        &self,
        _request: LeaseLeasesRequest,
    ) -> Result<Plain<LeaseLeasesResponse>, Status> {
        let leases = self.lessor.leases().into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(Plain(LeaseLeasesResponse { header: Some(self.header_now().to_message()), leases }))
    }

    /// Renews leases, one response for each request, in order.
    pub(crate) fn lease_keep_alive(
        self: &Arc<Self>,
        requests: Streaming<LeaseKeepAliveRequest>,
    ) -> KeepAlives {
        let api = self.clone();
        let renewals = requests.map(move |request| {
            let api = api.clone();
            async move { api.keep_alive_once(request?).await }
        });
        // Several at once share a round to the quorum, and none is expired because it waited for the one before it.
        Box::pin(renewals.buffered(KEEPALIVES_PER_STREAM_MAX))
    }

    async fn keep_alive_once(
        &self,
        request: LeaseKeepAliveRequest,
    ) -> Result<Plain<LeaseKeepAliveResponse>, Status> {
        // The header shows the revision before the renewal (contract: api, section 4).
        let header = Some(self.header_now().to_message());
        let ttl = match self.ask_leader(Question::LeaseRenew { id: request.id }).await? {
            Answer::LeaseRenewed { ttl } => ttl,
            // No such lease.
            _ => 0,
        };
        self.metrics.lease.renewed.inc();
        Ok(Plain(LeaseKeepAliveResponse { header, id: request.id, ttl }))
    }
}

fn keys_of(machine: &Machine, id: LeaseId) -> Vec<bytes::Bytes> {
    machine.lease(id).map(|lease| lease.keys().cloned().collect()).unwrap_or_default()
}
