//! The cluster's version: what all members understand. The leader sets it, as in etcd.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::membershippb::ClusterVersionSetRequest;

use crate::api::Api;
use crate::engine::command::Field;
use crate::version;

/// How often the leader looks, as in etcd.
const INTERVAL: Duration = Duration::from_secs(4);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        decide(&api).await;
    }
}

/// Sets the version if this member leads and it is not what it should be.
pub(crate) async fn decide(api: &Api) {
    let leads = api.shared.leader.load(Ordering::Relaxed) == api.member_id;
    if !leads || api.status.cluster_version().as_deref() == Some(version::ETCD_CLUSTER) {
        return;
    }
    let request = ClusterVersionSetRequest { ver: version::ETCD_CLUSTER.to_owned() };
    if let Err(status) = api.propose_as_leader(Field::ClusterVersionSet, &request).await {
        tracing::debug!(status = %status, "the cluster version was not set");
    }
}
