//! Ids of members and clusters, derived exactly as etcd derives them.
//!
//! Ids are hashes, not random numbers, so that all founding members compute the same ones without talking to each other.
//! They are computed once, when a data directory is founded or restored; afterwards they come from the data.

use std::fmt;

use sha1::{Digest, Sha1};

use crate::Url;

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

/// Whose something is: the ids of a founding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member itself.
    pub member: MemberId,
}

impl Identity {
    /// Returns the two numbers, cluster first: what the headers of logs and stores have.
    #[must_use]
    pub const fn numbers(self) -> [u64; 2] {
        [self.cluster.0, self.member.0]
    }
}

/// Returns the id of a founding member: the first 8 bytes of SHA-1 over its peer URLs in order of their text, then the cluster
/// token. A member that is added later has the time, in seconds since 1970, in the place of the token.
#[must_use]
pub fn member_id(peer_urls: &[Url], token: &str) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    urls.iter().for_each(|url| hash.update(url));
    hash.update(token);
    MemberId(first_eight(hash))
}

/// Returns the cluster's id: the first 8 bytes of SHA-1 over the ids of its founding members in ascending order.
#[must_use]
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
    use crate::url;

    #[test]
    fn ids_print_as_etcd_prints_them() {
        let urls = url::parse_list("http://localhost:2380").unwrap();
        let member = member_id(&urls, "etcd-cluster");
        assert_eq!(member, MemberId(10276657743932975437));
        assert_eq!(
            (member.to_string(), cluster_id(&[member]).to_string()),
            ("8e9e05c52164694d".into(), "cdf818194e3a8c32".into())
        );
    }
}
