//! Joining a running cluster: its members know this one already, and say who it is.

use std::sync::Arc;
use std::time::Duration;

use datadir::FoundingError;
use datadir::founding::{check_duplicates, own_urls};

use super::found::others;
use super::remote::{self, Members, RemoteMember};
use super::resolve::{self, RESOLVE_TIMEOUT};
use super::{BootstrapError, How, KnownMember, Origin};
use crate::config::{Config, Url};
use crate::ids::{Identity, MemberId};
use crate::tls::Connector;
use crate::version;

/// Time for a member to answer; as in etcd.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Who this member is in the cluster that it was added to.
pub(super) async fn join(config: &Config, connector: &Arc<Connector>) -> Result<Origin, BootstrapError> {
    let cluster = &config.cluster;
    let own = own_urls(&config.name, &cluster.initial)?;
    check_duplicates(&cluster.initial)?;
    let remote = remote::ask_one_of(connector, &others(&config.name, cluster), QUESTION_TIMEOUT).await?;
    let listed: Vec<(&str, &[Url])> =
        cluster.initial.iter().map(|(name, urls)| (name.as_str(), urls.as_slice())).collect();
    let members = assign(&remote, &listed, RESOLVE_TIMEOUT).await?;
    let member = members.iter().find(|member| member.name == config.name).map(|member| member.id);
    let member = member.ok_or_else(|| FoundingError::UnknownName(config.name.clone()))?;
    if !remote.is_our_kind {
        return Err(BootstrapError::OtherKind(remote.cluster));
    }
    let timeout = Duration::from_secs(5) + 2 * config.raft.election_timeout;
    check_version(connector, &remote.members, member, timeout).await?;
    let learners = remote.members.iter().filter(|member| member.is_learner).count();
    if learners > config.cluster.learners_max {
        return Err(BootstrapError::TooManyLearners);
    }
    let own: Vec<String> = own.iter().map(Url::to_string).collect();
    tracing::info!(id = %member, cluster = %remote.cluster, urls = ?own, "joining a running cluster");
    Ok(Origin { identity: Identity { cluster: remote.cluster, member }, how: How::Joined, members })
}

/// Gives the members that the flags list the ids that the cluster gave them: by their URLs, as the names of members that have
/// not started are not known there.
async fn assign(
    remote: &Members,
    listed: &[(&str, &[Url])],
    timeout: Duration,
) -> Result<Vec<KnownMember>, BootstrapError> {
    let refused = |why: String| BootstrapError::Members { cluster: cluster_text(remote), why };
    if remote.members.len() != listed.len() {
        return Err(refused("member count is unequal".to_owned()));
    }
    let mut members = Vec::with_capacity(listed.len());
    for existing in &remote.members {
        let mut difference = String::new();
        let mut name = None;
        for (listed_name, urls) in listed {
            let urls: Vec<String> = urls.iter().map(Url::to_string).collect();
            match resolve::same_places(&existing.peer_urls, &urls, timeout).await {
                Ok(()) => name = Some((*listed_name).to_owned()),
                Err(why) => difference = why,
            }
            if name.is_some() {
                break;
            }
        }
        let Some(name) = name else {
            let (id, urls) = (MemberId(existing.id), existing.peer_urls.join(" "));
            return Err(refused(format!(
                "PeerURLs: no match found for existing member ({id}, [{urls}]), last resolver error ({difference})"
            )));
        };
        members.push(KnownMember { id: MemberId(existing.id), name, peer_urls: existing.peer_urls.clone() });
    }
    Ok(members)
}

/// At least one member must say that the cluster runs at a version that this one knows, and none another.
async fn check_version(
    connector: &Arc<Connector>,
    members: &[RemoteMember],
    own: MemberId,
    timeout: Duration,
) -> Result<(), BootstrapError> {
    let mut is_known = false;
    for member in members.iter().filter(|member| member.id != own.0) {
        let version = remote::cluster_version(connector, &member.peer_urls, timeout).await;
        let Some(version) = version else { continue };
        match minor(&version) {
            Some(found)
                if found > minor(version::ETCD).expect("our own version is one") || found < (3, 0) =>
            {
                let id = format!("{:x}", member.id);
                tracing::warn!(
                    "remote-member-id" = id,
                    "remote-member-cluster-version" = version,
                    "cluster version of remote member is not compatible"
                );
                return Err(BootstrapError::Incompatible);
            }
            Some(_) => is_known = true,
            // Not decided yet.
            None => {}
        }
    }
    if is_known { Ok(()) } else { Err(BootstrapError::Incompatible) }
}

/// Major and minor number of `X.Y.Z`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.splitn(3, '.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The cluster as etcd prints it.
fn cluster_text(remote: &Members) -> String {
    let member = |member: &RemoteMember| {
        format!(
            "&{{ID:{:x} RaftAttributes:{{PeerURLs:[{}] IsLearner:{}}} Attributes:{{Name:{} ClientURLs:[{}]}}}}",
            member.id,
            member.peer_urls.join(" "),
            member.is_learner,
            member.name,
            member.client_urls.join(" ")
        )
    };
    let members: Vec<String> = remote.members.iter().map(member).collect();
    format!("{{ClusterID:{} Members:[{}] RemovedMemberIDs:[]}}", remote.cluster, members.join(" "))
}

#[cfg(test)]
mod tests;
