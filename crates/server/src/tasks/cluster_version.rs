//! The cluster's version: what all members understand. The leader sets it, as in etcd.
//!
//! It is the lowest of the members' versions, without the patch, and is only raised, for what a member of today has put
//! into the log, one of yesterday must not meet; but while a downgrade is under way it is the downgrade's target.

use std::sync::Arc;
use std::time::Duration;

use engine::command::Field;
use engine::release::Release;
use proto::membershippb::{ClusterVersionSetRequest, Member};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::bootstrap::server_version;
use crate::tls::Connector;
use crate::version;

/// How often the leader looks, as in etcd.
const INTERVAL: Duration = Duration::from_secs(4);

/// How long a member may take to say its version.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>) {
    let mut ready_for = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        decide(&api).await;
        let target = api.status.downgrade_target().filter(|target| *target == api.status.storage_version());
        if target.is_some() && target != ready_for {
            tracing::info!(
                "target-version" = target,
                "server-version" = version::ETCD,
                "The server is ready to downgrade"
            );
        }
        ready_for = target;
    }
}

/// Sets the version if this member leads and it is to be another one.
pub(crate) async fn decide(api: &Api) {
    if !api.leads() {
        return;
    }
    let current = api.status.cluster_version().as_deref().and_then(Release::parse);
    let target = api.status.downgrade_target().as_deref().and_then(Release::parse);
    let Some(own) = Release::parse(version::ETCD) else { return };
    let next = match target {
        Some(target) => lower(current, target),
        None if current.is_some_and(|current| current >= own) => None,
        None => {
            let others = versions(&api.connector, &api.status.members(), api.member_id).await;
            raise(current, own, &others)
        }
    };
    let Some(next) = next else { return };
    match current {
        None => tracing::info!("cluster-version" = %next, "setting up initial cluster version using v3 API"),
        Some(current) => {
            tracing::info!(from = %current, to = %next, "updating cluster version using v3 API");
        }
    }
    let request = ClusterVersionSetRequest { ver: next.with_patch() };
    match api.propose_as_leader(Field::ClusterVersionSet, &request).await {
        Ok(_) => tracing::info!("cluster-version" = %next, "cluster version is updated"),
        Err(status) => tracing::debug!(status = %status, "the cluster version was not set"),
    }
}

/// Returns what the version is to be while a downgrade is under way; `None` if it stays.
fn lower(current: Option<Release>, target: Release) -> Option<Release> {
    current.filter(|current| current.before() == Some(target)).map(|_| target)
}

/// Returns what the version is to be otherwise; `None` if it stays. Who does not answer may be of any version, so nothing is raised then;
/// but a cluster that has no version yet gets one from those that are there.
fn raise(current: Option<Release>, own: Release, others: &[Option<Release>]) -> Option<Release> {
    if current.is_some() && others.contains(&None) {
        return None;
    }
    let lowest = others.iter().flatten().copied().fold(own, Release::min);
    (current < Some(lowest)).then_some(lowest)
}

/// The versions of all other members.
async fn versions(connector: &Arc<Connector>, members: &[Member], own_id: u64) -> Vec<Option<Release>> {
    let mut asked = JoinSet::new();
    for member in members.iter().filter(|member| member.id != own_id) {
        let urls = member.raft_attributes.as_ref().map(|raft| raft.peer_urls.clone()).unwrap_or_default();
        let connector = connector.clone();
        asked.spawn(async move { server_version(&connector, &urls, ANSWER_TIMEOUT).await });
    }
    asked.join_all().await.iter().map(|version| version.as_deref().and_then(Release::parse)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_lowest_and_is_only_raised() {
        let (old, new) = (Release::new(3, 6), Release::new(3, 7));
        for (current, others, expected) in [
            (None, vec![], Some(new)),
            (None, vec![Some(new), Some(old)], Some(old)),
            (None, vec![None, Some(new)], Some(new)),
            (Some(old), vec![Some(new), None], None),
            (Some(old), vec![Some(new), Some(new)], Some(new)),
            (Some(old), vec![Some(new), Some(old)], None),
            (Some(new), vec![Some(old)], None),
        ] {
            assert_eq!(raise(current, new, &others), expected, "{current:?} {others:?}");
        }
    }

    #[test]
    fn a_downgrade_lowers_it_once() {
        let [old, new, later] = [6, 7, 8].map(|minor| Release::new(3, minor));
        assert_eq!(lower(Some(new), old), Some(old));
        for current in [Some(old), Some(later), None] {
            assert_eq!(lower(current, old), None, "{current:?}");
        }
    }
}
