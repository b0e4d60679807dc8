//! Member and cluster ids: those of founders, and of members that are added to a running cluster.
//!
//! A member that is added has the time in its id instead of the token: two additions of the same URLs are two members.

pub use datadir::{ClusterId, Identity, MemberId, cluster_id, member_id};

use crate::config::Url;

/// The id of a member that is added to a running cluster, `unix_seconds` after 1970.
pub fn added_member_id(peer_urls: &[Url], unix_seconds: u64) -> MemberId {
    member_id(peer_urls, &unix_seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::url;

    #[test]
    fn the_time_makes_the_id_of_an_added_member() {
        let urls = url::parse_list("http://127.0.0.1:2380").unwrap();
        assert_ne!(added_member_id(&urls, 1), added_member_id(&urls, 2));
        assert_eq!(added_member_id(&urls, 17), member_id(&urls, "17"));
    }
}
