//! Member and cluster ids, derived exactly as etcd derives them.
//!
//! Ids are hashes, not random numbers, so that all founding members compute the same ones without talking to each
//! other: a member's id is the first 8 bytes of SHA-1 over its sorted peer URLs and the cluster token, the cluster's is the first 8
//! bytes of SHA-1 over the sorted member ids. They are computed once, when a data directory is founded; afterwards they come
//! from the data. A member that is added later has the time in its id instead of the token: two additions of the same URLs
//! are two members.

use sha1::{Digest, Sha1};

pub use datadir::{ClusterId, Identity, MemberId};

use crate::config::Url;

/// A founding member's id: over its peer URLs in order of their text, then the cluster token.
pub fn member_id(peer_urls: &[Url], token: &str) -> MemberId {
    member_id_of(peer_urls, token)
}

/// The id of a member that is added to a running cluster, `unix_seconds` after 1970.
pub fn added_member_id(peer_urls: &[Url], unix_seconds: u64) -> MemberId {
    member_id_of(peer_urls, &unix_seconds.to_string())
}

fn member_id_of(peer_urls: &[Url], salt: &str) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    urls.iter().for_each(|url| hash.update(url));
    hash.update(salt);
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
    use crate::config::url;

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

    #[test]
    fn the_time_makes_the_id_of_an_added_member() {
        let urls = url::parse_list("http://127.0.0.1:2380").unwrap();
        assert_ne!(added_member_id(&urls, 1), added_member_id(&urls, 2));
        assert_eq!(added_member_id(&urls, 17), member_id(&urls, "17"));
    }
}
