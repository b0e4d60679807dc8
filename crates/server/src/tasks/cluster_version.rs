//! The cluster's version: what all members understand. The leader sets it, as in etcd.
//!
//! It is the lowest of the members' versions, without the patch, and is only ever raised: what a member of today has put
//! into the log, one of yesterday must not meet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::membershippb::{ClusterVersionSetRequest, Member};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::bootstrap::server_version;
use crate::engine::command::Field;
use crate::tls::Connector;
use crate::version;

/// How often the leader looks, as in etcd.
const INTERVAL: Duration = Duration::from_secs(4);

/// How long a member may take to say its version.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Major and minor.
type Version = (u32, u32);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        decide(&api).await;
    }
}

/// Sets the version if this member leads and it could be higher.
pub(crate) async fn decide(api: &Api) {
    let leads = api.shared.leader.load(Ordering::Relaxed) == api.member_id;
    let current = api.status.cluster_version().as_deref().and_then(parse);
    let Some(own) = parse(version::ETCD).filter(|own| leads && current.is_none_or(|current| current < *own))
    else {
        return;
    };
    let others = versions(&api.connector, &api.status.members(), api.member_id).await;
    let Some((major, minor)) = next(current, own, &others) else { return };
    let request = ClusterVersionSetRequest { ver: format!("{major}.{minor}.0") };
    if let Err(status) = api.propose_as_leader(Field::ClusterVersionSet, &request).await {
        tracing::debug!(status = %status, "the cluster version was not set");
    }
}

/// What the version is to be; `None` if it stays. Who does not answer may be of any version, so nothing is raised then;
/// but a cluster that has no version yet gets one from those that are there.
fn next(current: Option<Version>, own: Version, others: &[Option<Version>]) -> Option<Version> {
    if current.is_some() && others.contains(&None) {
        return None;
    }
    let lowest = others.iter().flatten().copied().fold(own, Version::min);
    (current < Some(lowest)).then_some(lowest)
}

/// The versions of all other members.
async fn versions(connector: &Arc<Connector>, members: &[Member], own_id: u64) -> Vec<Option<Version>> {
    let mut asked = JoinSet::new();
    for member in members.iter().filter(|member| member.id != own_id) {
        let urls = member.raft_attributes.as_ref().map(|raft| raft.peer_urls.clone()).unwrap_or_default();
        let connector = connector.clone();
        asked.spawn(async move { server_version(&connector, &urls, ANSWER_TIMEOUT).await });
    }
    asked.join_all().await.iter().map(|version| version.as_deref().and_then(parse)).collect()
}

fn parse(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_lowest_and_is_only_raised() {
        let (old, new) = ((3, 6), (3, 7));
        for (current, others, expected) in [
            (None, vec![], Some(new)),
            (None, vec![Some(new), Some(old)], Some(old)),
            (None, vec![None, Some(new)], Some(new)),
            (Some(old), vec![Some(new), None], None),
            (Some(old), vec![Some(new), Some(new)], Some(new)),
            (Some(old), vec![Some(new), Some(old)], None),
            (Some(new), vec![Some(old)], None),
        ] {
            assert_eq!(next(current, new, &others), expected, "{current:?} {others:?}");
        }
    }

    #[test]
    fn the_patch_does_not_count() {
        assert_eq!(parse("3.7.1"), Some((3, 7)));
        assert_eq!(parse("3.10.0"), Some((3, 10)));
        assert_eq!(parse("not_decided"), None);
    }
}
