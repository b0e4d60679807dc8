//! `quorate.v1.Follow`, and what is refused while another cluster is followed.

use std::time::Duration;

use machine::follow::{Follow, Phase};
use proto::quorate_v1 as v1;
use tokio::sync::oneshot;
use tonic::Status;

use super::Api;
use super::method::Method;
use crate::auth::Caller;
use crate::follow::Order;
use crate::grpc::reply::Plain;

impl Api {
    /// Says how far the follow is.
    pub(crate) async fn follow_status(
        &self,
        _caller: &Caller,
        _request: v1::FollowStatusRequest,
    ) -> Result<Plain<v1::FollowStatusResponse>, Status> {
        let follow = self.status.follow();
        let known = self.follow.known();
        let view = self.view();
        let mut response = v1::FollowStatusResponse {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            leader_id: self.leader_id(),
            source_cluster_id: follow.as_ref().map_or(0, |follow| follow.source),
            revision: view.revision(),
            compact_revision: view.compact_revision(),
            source_revision: known.revision,
            behind_ms: known.equal_at.map_or(-1, |at| at.elapsed().as_millis() as i64),
            fault: known.fault,
            loads: known.loads,
            endpoints: self.follow.endpoints.clone(),
            ..Default::default()
        };
        response.set_phase(phase_of(follow.as_deref()));
        match follow.as_deref().map(|follow| &follow.phase) {
            Some(Phase::Ended { at }) => response.ended_revision = *at,
            Some(Phase::Stopped { reason, .. }) => response.reason.clone_from(reason),
            _ => {}
        }
        Ok(Plain(response))
    }

    /// Ends the follow: this cluster takes writes from here on.
    pub(crate) async fn follow_cutover(
        &self,
        _caller: &Caller,
        request: v1::CutoverRequest,
    ) -> Result<Plain<v1::CutoverResponse>, Status> {
        self.check_leads()?;
        match self.status.follow().as_deref().map(|follow| &follow.phase) {
            Some(Phase::Following) => {}
            Some(Phase::CuttingOver) => return Err(refused("a cut-over is under way already")),
            Some(Phase::Ended { .. }) => return Err(refused("the cluster takes writes already")),
            Some(Phase::Loading) => return Err(refused("the keys of the source are not all here yet")),
            Some(Phase::Stopped { reason, .. }) => {
                return Err(refused(&format!("the follow has stopped: {reason}")));
            }
            None => return Err(refused("no other cluster is followed")),
        }
        let fault = self.follow.known().fault;
        if !fault.is_empty() {
            return Err(refused(&format!("the source cannot be followed at the moment: {fault}")));
        }
        let fence = v1::Fence::try_from(request.fence)
            .map_err(|_| Status::invalid_argument("quorate: the fence is unknown"))?;
        let patience = u64::try_from(request.timeout_ms).ok().filter(|millis| *millis > 0);
        let (answer, answered) = oneshot::channel();
        let order = Order { patience: patience.map(Duration::from_millis), fence, answer };
        if !self.follow.order(order) {
            return Err(refused("a cut-over is under way already"));
        }
        match answered.await {
            Ok(Ok(done)) => Ok(Plain(done)),
            Ok(Err(why)) => Err(Status::aborted(format!("quorate: the cut-over was called off: {why}"))),
            Err(_) => Err(Status::unavailable("quorate: the source is not followed at the moment")),
        }
    }

    /// Calls off the cut-over that is under way.
    pub(crate) async fn follow_cancel(
        &self,
        _caller: &Caller,
        _request: v1::CancelRequest,
    ) -> Result<Plain<v1::CancelResponse>, Status> {
        self.check_leads()?;
        if !self.status.follow().is_some_and(|follow| follow.phase == Phase::CuttingOver) {
            return Err(refused("no cut-over is under way"));
        }
        self.follow.call_off();
        Ok(Plain(v1::CancelResponse {}))
    }

    fn check_leads(&self) -> Result<(), Status> {
        let leader = self.leader_id();
        if leader == self.member_id {
            return Ok(());
        }
        Err(refused(&format!("member {leader:x} leads, and must be asked")))
    }

    /// Whether another cluster's writes count, and not those of clients.
    pub(crate) fn is_following(&self) -> bool {
        match self.status.follow() {
            Some(follow) => !follow.takes_writes(),
            // It has yet to begin.
            None => !self.follow.endpoints.is_empty(),
        }
    }

    /// Refuses what a cluster that follows another one does not do.
    ///
    /// # Errors
    /// `FailedPrecondition` for writes; `Unavailable` for reads as long as half of the keys are here.
    pub(super) fn check_follow(&self, method: Method) -> Result<(), Status> {
        if writes(method) {
            return self.check_takes_writes();
        }
        let is_readable = self.status.follow().is_none_or(|follow| follow.is_readable());
        if is_readable || !reads(method) {
            return Ok(());
        }
        Err(Status::unavailable(format!(
            "quorate: the keys of {} are being loaded and not all here: see `quoratectl follow status`",
            self.source_name()
        )))
    }

    /// Refuses a write while another cluster is followed.
    ///
    /// # Errors
    /// `FailedPrecondition`.
    pub(super) fn check_takes_writes(&self) -> Result<(), Status> {
        if !self.is_following() {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "quorate: this cluster follows {} and takes no writes before `quoratectl follow cutover`",
            self.source_name()
        )))
    }

    fn source_name(&self) -> String {
        match self.status.follow() {
            _ if !self.follow.endpoints.is_empty() => self.follow.endpoints.join(","),
            Some(follow) => format!("cluster {:x}", follow.source),
            None => "another cluster".to_owned(),
        }
    }
}

fn refused(why: &str) -> Status {
    Status::failed_precondition(format!("quorate: {why}"))
}

/// The phase as the API has it.
pub(crate) fn phase_of(follow: Option<&Follow>) -> v1::Phase {
    match follow.map(|follow| &follow.phase) {
        None => v1::Phase::None,
        Some(Phase::Loading) => v1::Phase::Loading,
        Some(Phase::Following) => v1::Phase::Following,
        Some(Phase::CuttingOver) => v1::Phase::CuttingOver,
        Some(Phase::Ended { .. }) => v1::Phase::Ended,
        Some(Phase::Stopped { .. }) => v1::Phase::Stopped,
    }
}

/// Whether a method only writes. Transactions are looked into.
fn writes(method: Method) -> bool {
    matches!(
        method,
        Method::Put
            | Method::DeleteRange
            | Method::Compact
            | Method::LeaseGrant
            | Method::LeaseRevoke
            | Method::LeaseKeepAlive
            | Method::AuthEnable
            | Method::AuthDisable
            | Method::UserAdd
            | Method::UserDelete
            | Method::UserChangePassword
            | Method::UserGrantRole
            | Method::UserRevokeRole
            | Method::RoleAdd
            | Method::RoleDelete
            | Method::RoleGrantPermission
            | Method::RoleRevokePermission
            | Method::Lock
            | Method::Unlock
            | Method::Campaign
            | Method::Proclaim
            | Method::Resign
    )
}

/// Whether a method reads what comes from the source.
fn reads(method: Method) -> bool {
    matches!(
        method,
        Method::Range
            | Method::RangeStream
            | Method::Txn
            | Method::Watch
            | Method::LeaseTimeToLive
            | Method::LeaseLeases
            | Method::Hash
            | Method::HashKv
            | Method::Snapshot
            | Method::Leader
            | Method::Observe
    )
}
