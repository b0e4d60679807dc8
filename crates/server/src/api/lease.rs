//! `etcdserverpb.Lease`.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use engine::command::Field;
use engine::note::{Answer, LeaseTimes, Question};
use futures_util::{Stream, StreamExt};
use machine::auth::Access;
use machine::{Machine, lease, quota};
use mvcc::LeaseId;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tonic::Status;

use super::Api;
use super::status::rejected;
use crate::auth::Caller;
use crate::grpc::messages::Messages;
use crate::grpc::reply::{Plain, Spliced};
use crate::limits::KEEPALIVES_PER_STREAM_MAX;

/// The responses of a keepalive stream.
pub(crate) type KeepAlives =
    Pin<Box<dyn Stream<Item = Result<Plain<LeaseKeepAliveResponse>, Status>> + Send>>;

impl Api {
    /// Grants a lease.
    pub(crate) async fn lease_grant(
        &self,
        caller: &Caller,
        request: LeaseGrantRequest,
    ) -> Result<Spliced, Status> {
        self.check_quota(|| quota::LEASE_BYTES).await?;
        let id = if request.id == 0 { self.lease_id() } else { request.id };
        let ttl = lease::effective_ttl(request.ttl, self.settings.min_lease_ttl);
        let reply = self.propose(caller, Field::LeaseGrant, &LeaseGrantRequest { id, ttl }).await?;
        Ok(self.spliced(reply))
    }

    /// A positive id that no request before had.
    fn lease_id(&self) -> i64 {
        (self.shared.waiters.anonymous_id().0 & i64::MAX as u64) as i64
    }

    /// Revokes a lease and deletes its keys.
    pub(crate) async fn lease_revoke(
        &self,
        caller: &Caller,
        request: LeaseRevokeRequest,
    ) -> Result<Spliced, Status> {
        let reply = self.propose(caller, Field::LeaseRevoke, &request).await?;
        Ok(self.spliced(reply))
    }

    /// What is left of a lease.
    pub(crate) async fn lease_time_to_live(
        &self,
        caller: &Caller,
        request: LeaseTimeToLiveRequest,
    ) -> Result<Plain<LeaseTimeToLiveResponse>, Status> {
        // Waits until what was acknowledged before is applied here, a grant on another connection for example.
        self.read_barrier().await.map_err(|late| self.no_leader_or(late))?;
        if self.is_auth_enabled() {
            self.authorise_on_leases(caller, Access::of_time_to_live(&request)).await?;
        }
        let header = Some(self.header_now().to_message());
        let id = request.id;
        let times = match self.ask_leader(Question::LeaseTimeToLive { id }).await? {
            Answer::LeaseTimes(times) => times,
            // No such lease.
            _ => LeaseTimes { ttl: -1, granted_ttl: 0 },
        };
        // Every member knows the keys. So however many they are, they need not fit into a message of the leader.
        let keys = match request.keys {
            true => self.keys_of(caller, LeaseId(id)).await?,
            false => Vec::new(),
        };
        let LeaseTimes { granted_ttl, ttl } = times;
        Ok(Plain(LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys }))
    }

    /// Returns the keys of a lease, if the caller may read them all: asked of the same state.
    async fn keys_of(&self, caller: &Caller, id: LeaseId) -> Result<Vec<Bytes>, Status> {
        let author = self.author(caller).await?;
        let ask = move |machine: &Machine| {
            let permitted = machine.authorise(author.identity(), Access::LeaseKeys(id));
            permitted.map(|()| keys_of(machine, id))
        };
        self.ask(ask).await?.map_err(rejected)
    }

    /// All leases that this member knows, as in etcd: without asking the leader, so also when there is none.
    pub(crate) async fn lease_leases(
        &self,
        caller: &Caller,
        _request: LeaseLeasesRequest,
    ) -> Result<Plain<LeaseLeasesResponse>, Status> {
        if self.is_auth_enabled() {
            self.authorise_on_leases(caller, Access::LeaseList).await?;
        }
        let leases = self.lessor.leases().into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(Plain(LeaseLeasesResponse { header: Some(self.header_now().to_message()), leases }))
    }

    /// Renews leases, one response for each request, in order.
    pub(crate) fn lease_keep_alive(
        self: &Arc<Self>,
        caller: Caller,
        requests: Messages<LeaseKeepAliveRequest>,
    ) -> KeepAlives {
        let (api, caller) = (self.clone(), Arc::new(caller));
        let renewals = requests.map(move |request| {
            let (api, caller) = (api.clone(), caller.clone());
            async move { api.keep_alive_once(&caller, request?).await }
        });
        // Several at once share a round to the quorum, and none is expired because it waited for the one before it.
        Box::pin(renewals.buffered(KEEPALIVES_PER_STREAM_MAX))
    }

    pub(super) async fn keep_alive_once(
        &self,
        caller: &Caller,
        request: LeaseKeepAliveRequest,
    ) -> Result<Plain<LeaseKeepAliveResponse>, Status> {
        // The stream may be older than the follow.
        self.check_takes_writes()?;
        if self.is_auth_enabled() {
            // Whose keys the lease has is asked of a state that has all of them.
            self.read_barrier().await.map_err(|late| self.no_leader_or(late))?;
            self.authorise_on_leases(caller, Access::LeaseKeepAlive(LeaseId(request.id))).await?;
        }
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

fn keys_of(machine: &Machine, id: LeaseId) -> Vec<Bytes> {
    machine.lease(id).map(|lease| lease.keys().cloned().collect()).unwrap_or_default()
}
