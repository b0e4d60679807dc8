//! `Maintenance.Downgrade`: the cluster is made ready for members of the version before.
//!
//! ```text
//!  ENABLE 3.6 ──► target in the state ──► the leader lowers the cluster version ──► storage version follows: ready
//!  CANCEL     ──► no target           ──► the leader raises it to the lowest of the members' versions again
//! ```
//!
//! What a cluster is to be ready for is a member of etcd of that version, which is started from a backup or follows this cluster:
//! there is no other Quorate that speaks an older version. So a downgrade ends when it is called off, and never by itself.

use engine::command::Field;
use engine::release::Release;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::{DowngradeRequest, DowngradeResponse};
use proto::membershippb::DowngradeInfoSetRequest;
use tonic::Status;

use super::Api;
use crate::auth::Caller;
use crate::grpc::reply::Plain;

impl Api {
    /// Looks whether the cluster may be made ready for a version, makes it ready, or calls that off. Returns the cluster's
    /// version, as `X.Y`.
    pub(crate) async fn downgrade(
        &self,
        _caller: &Caller,
        request: DowngradeRequest,
    ) -> Result<Plain<DowngradeResponse>, Status> {
        let current = match DowngradeAction::try_from(request.action) {
            Ok(DowngradeAction::Validate) => {
                let target = parse(&request.version)?;
                self.check_downgrade(target).await?
            }
            Ok(DowngradeAction::Enable) => {
                let enabled = self.enable_downgrade(&request.version).await;
                enabled.inspect_err(|error| {
                    tracing::warn!(error = error.message(), "reject downgrade request")
                })?
            }
            Ok(DowngradeAction::Cancel) => self.cancel_downgrade().await?,
            Err(_) => return Err(Status::unknown("etcdserver: unknown method")),
        };
        let header = Some(self.header_now().to_message());
        Ok(Plain(DowngradeResponse { header, version: current.to_string() }))
    }

    async fn enable_downgrade(&self, version: &str) -> Result<Release, Status> {
        let target = parse(version)?;
        let current = self.check_downgrade(target).await?;
        let request = DowngradeInfoSetRequest { enabled: true, ver: target.with_patch() };
        self.propose_as_member(Field::DowngradeInfoSet, &request).await?;
        Ok(current)
    }

    /// Returns the cluster's version, if the next lower one is `target` and no downgrade is under way.
    async fn check_downgrade(&self, target: Release) -> Result<Release, Status> {
        // What was decided last may not be applied here yet. Without a version there is nothing to wait for.
        self.cluster_release()?;
        self.read_barrier().await?;
        let current = self.cluster_release()?;
        if Some(target) != current.before() {
            return Err(Status::invalid_argument("etcdserver: invalid downgrade target version"));
        }
        if self.status.downgrade_target().is_some() {
            return Err(Status::failed_precondition("etcdserver: cluster has a downgrade job in progress"));
        }
        Ok(current)
    }

    /// As in etcd, a failure is only logged: whoever calls a downgrade off that is not under way has what it asked for.
    async fn cancel_downgrade(&self) -> Result<Release, Status> {
        let current = self.cluster_release()?;
        if let Err(error) = self.end_downgrade().await {
            tracing::warn!(error = error.message(), "failed to cancel downgrade");
        }
        Ok(current)
    }

    async fn end_downgrade(&self) -> Result<(), Status> {
        self.read_barrier().await?;
        if self.status.downgrade_target().is_none() {
            return Err(Status::failed_precondition("etcdserver: no inflight downgrade job"));
        }
        let request = DowngradeInfoSetRequest { enabled: false, ver: String::new() };
        self.propose_as_member(Field::DowngradeInfoSet, &request).await.map(drop)
    }

    fn cluster_release(&self) -> Result<Release, Status> {
        let known = self.status.cluster_version();
        known.as_deref().and_then(Release::parse).ok_or_else(|| {
            Status::failed_precondition("etcdserver: cluster version not found during downgrade")
        })
    }
}

fn parse(version: &str) -> Result<Release, Status> {
    Release::parse_request(version)
        .ok_or_else(|| Status::invalid_argument("etcdserver: wrong downgrade target version format"))
}
