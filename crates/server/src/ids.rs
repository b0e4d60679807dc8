//! Member and cluster ids, derived exactly as etcd derives them, and the checks of a founding.
//!
//! Ids are hashes, not random numbers, so that all founding members compute the same ones without talking to each
//! other: a member's id is the first 8 bytes of SHA-1 over its sorted peer URLs and the cluster token, the cluster's is the first 8
//! bytes of SHA-1 over the sorted member ids. They are computed once, when a data directory is founded; afterwards they come
//! from the data.

use std::collections::BTreeMap;
use std::fmt;

use sha1::{Digest, Sha1};

use crate::config::url::{self, Url};
use crate::config::{Cluster, ClusterState};

/// A member's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A cluster's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The ids of a founding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member itself.
    pub member: MemberId,
}

/// Why a cluster cannot be founded with these settings. The texts are etcd's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    /// The own name is not among the founding members.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    UnknownName(String),
    /// Two members claim one URL.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// The cluster lists a URL that the member does not advertise.
    #[error("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised}")]
    NotAdvertised {
        /// `name=url` of what is missing.
        missing: String,
        /// What is advertised.
        advertised: String,
    },
    /// The member advertises a URL that the cluster does not list.
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={listed}")]
    NotListed {
        /// What is missing.
        missing: String,
        /// What the cluster lists for this member.
        listed: String,
    },
    /// The member should join a cluster.
    #[error(
        "--initial-cluster-state=existing asks to join a running cluster, which this version of quorate does not serve yet"
    )]
    Joining,
}

impl Identity {
    /// The ids of a cluster founded with these settings by the member of this name.
    ///
    /// # Errors
    /// When the settings contradict each other (see [`FoundingError`]).
    pub fn founding(name: &str, cluster: &Cluster) -> Result<Identity, FoundingError> {
        if cluster.state == ClusterState::Existing {
            return Err(FoundingError::Joining);
        }
        let own = cluster.initial.get(name).ok_or_else(|| FoundingError::UnknownName(name.to_owned()))?;
        check_duplicates(&cluster.initial)?;
        check_advertised(name, own, &cluster.advertise_peer)?;
        let members: Vec<_> = cluster.initial.values().map(|urls| member_id(urls, &cluster.token)).collect();
        Ok(Identity { cluster: cluster_id(&members), member: member_id(own, &cluster.token) })
    }
}

fn check_duplicates(members: &BTreeMap<String, Vec<Url>>) -> Result<(), FoundingError> {
    let mut urls: Vec<&Url> = members.values().flatten().collect();
    urls.sort();
    if urls.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(FoundingError::DuplicateUrl(cluster_text(members)));
    }
    Ok(())
}

fn check_advertised(name: &str, listed: &[Url], advertised: &[Url]) -> Result<(), FoundingError> {
    if let Some(missing) = listed.iter().find(|url| !advertised.contains(url)) {
        let (missing, advertised) = (format!("{name}={missing}"), url::join(advertised));
        return Err(FoundingError::NotAdvertised { missing, advertised });
    }
    if let Some(missing) = advertised.iter().find(|url| !listed.contains(url)) {
        let listed: Vec<_> = listed.iter().map(|url| format!("{name}={url}")).collect();
        return Err(FoundingError::NotListed { missing: missing.to_string(), listed: listed.join(",") });
    }
    Ok(())
}

fn cluster_text(members: &BTreeMap<String, Vec<Url>>) -> String {
    let pairs = members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
    pairs.collect::<Vec<_>>().join(",")
}

/// A founding member's id: over its peer URLs in order of their text, then the cluster token.
pub fn member_id(peer_urls: &[Url], token: &str) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    urls.iter().for_each(|url| hash.update(url));
    hash.update(token);
    MemberId(first_eight(hash))
}

/// The cluster's id: over the ids of its founding members in ascending order.
pub fn cluster_id(members: &[MemberId]) -> ClusterId {
    let mut members = members.to_vec();
    members.sort_unstable();
    let mut hash = Sha1::new();
    members.iter().for_each(|member| hash.update(member.0.to_be_bytes()));
    ClusterId(first_eight(hash))
}

fn first_eight(hash: Sha1) -> u64 {
    let digest = hash.finalize();
    u64::from_be_bytes(*digest.first_chunk().expect("a SHA-1 digest has 20 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn founding(name: &str, initial: &str, advertised: &str) -> Result<Identity, FoundingError> {
        let mut cluster = Config::default().cluster;
        cluster.initial = url::parse_cluster(initial).unwrap();
        cluster.advertise_peer = url::parse_list(advertised).unwrap();
        Identity::founding(name, &cluster)
    }

    #[test]
    fn the_default_member_has_etcds_ids() {
        let identity = Identity::founding("default", &Config::default().cluster).unwrap();
        assert_eq!(identity.cluster, ClusterId(14841639068965178418));
        assert_eq!(identity.member, MemberId(10276657743932975437));
        assert_eq!(
            (identity.member.to_string(), identity.cluster.to_string()),
            ("8e9e05c52164694d".into(), "cdf818194e3a8c32".into())
        );
    }

    #[test]
    fn ids_do_not_depend_on_the_order_of_urls_or_members() {
        let one = founding("a", "a=http://h:1,a=http://h:2,b=http://i:1", "http://h:1,http://h:2").unwrap();
        let other = founding("a", "b=http://i:1,a=http://h:2,a=http://h:1", "http://h:2,http://h:1").unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn contradictions_have_etcds_words() {
        let cases = [
            (
                "c",
                "a=http://h:1",
                "http://h:1",
                "couldn't find local name \"c\" in the initial cluster configuration",
            ),
            (
                "a",
                "a=http://h:1,b=http://h:1",
                "http://h:1",
                "initial cluster a=http://h:1,b=http://h:1 has duplicate url",
            ),
            (
                "a",
                "a=http://h:1",
                "http://h:2",
                "--initial-cluster has a=http://h:1 but missing from --initial-advertise-peer-urls=http://h:2",
            ),
            (
                "a",
                "a=http://h:1",
                "http://h:1,http://h:2",
                "--initial-advertise-peer-urls has http://h:2 but missing from --initial-cluster=a=http://h:1",
            ),
        ];
        for (name, initial, advertised, text) in cases {
            assert_eq!(founding(name, initial, advertised).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn joining_is_refused() {
        let mut cluster = Config::default().cluster;
        cluster.state = ClusterState::Existing;
        assert_eq!(Identity::founding("default", &cluster), Err(FoundingError::Joining));
    }
}
