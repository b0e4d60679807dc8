//! Founding a cluster: the flags say who its members are.

use std::sync::Arc;
use std::time::Duration;

use datadir::FoundingError;
use datadir::founding::{check_duplicates, disagreement, own_urls};

use super::remote::{self, Members};
use super::resolve::{self, RESOLVE_TIMEOUT};
use super::{BootstrapError, Origin};
use crate::config::{Cluster, Url};
use crate::ids::MemberId;
use crate::tls::Connector;

/// Time for other members to say whether this one has been here before; as in etcd. Usually they are not there yet.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

/// The members of a new cluster, and which of them this is.
pub(super) async fn found(
    name: &str,
    cluster: &Cluster,
    connector: &Arc<Connector>,
) -> Result<Origin, BootstrapError> {
    let own = own_urls(name, &cluster.initial)?;
    check_advertised(name, own, &cluster.advertise_peer).await?;
    check_duplicates(&cluster.initial)?;
    let origin = Origin::founded(own, &cluster.initial, &cluster.token);
    let id = origin.identity.member;
    let others = others(name, cluster);
    let answers = remote::ask_all(connector, &others, QUESTION_TIMEOUT).await;
    if answers.into_iter().next().is_some_and(|cluster| has_started(&cluster, id)) {
        return Err(BootstrapError::AlreadyBootstrapped(id));
    }
    Ok(origin)
}

/// The URLs of the other members, in order of their text.
pub(super) fn others(name: &str, cluster: &Cluster) -> Vec<Url> {
    let others = cluster.initial.iter().filter(|(other, _)| *other != name);
    let mut urls: Vec<Url> = others.flat_map(|(_, urls)| urls).cloned().collect();
    urls.sort();
    urls
}

/// A member that has started has told its cluster where clients reach it.
fn has_started(cluster: &Members, id: MemberId) -> bool {
    cluster.members.iter().any(|member| member.id == id.0 && !member.client_urls.is_empty())
}

/// What the member advertises must be what the cluster lists for it, or lead to the same addresses.
async fn check_advertised(name: &str, listed: &[Url], advertised: &[Url]) -> Result<(), FoundingError> {
    let texts = |urls: &[Url]| urls.iter().map(Url::to_string).collect::<Vec<_>>();
    let same = resolve::same_places(&texts(advertised), &texts(listed), RESOLVE_TIMEOUT).await;
    same.map_err(|why| disagreement(name, listed, advertised, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::How;
    use crate::config::{Config, url};

    fn cluster(initial: &str, advertised: &str) -> Cluster {
        let mut cluster = Config::default().cluster;
        cluster.initial = url::parse_cluster(initial).unwrap();
        cluster.advertise_peer = url::parse_list(advertised).unwrap();
        cluster
    }

    async fn founding(name: &str, initial: &str, advertised: &str) -> Result<Origin, BootstrapError> {
        found(name, &cluster(initial, advertised), &Connector::for_tests()).await
    }

    #[tokio::test]
    async fn the_default_member_has_etcds_ids() {
        let Origin { identity, how, members } =
            found("default", &Config::default().cluster, &Connector::for_tests()).await.unwrap();
        assert_eq!((identity.cluster.0, identity.member.0), (14841639068965178418, 10276657743932975437));
        assert_eq!(how, How::Founded);
        assert_eq!((members.len(), members[0].name.as_str()), (1, "default"));
    }

    #[tokio::test]
    async fn three_members_have_etcds_ids_whoever_computes_them() {
        let initial = "a=http://127.0.0.1:21380,b=http://127.0.0.1:22380,c=http://127.0.0.1:23380";
        // As an etcd 3.7.1 printed them.
        let ids = [("a", 0x69b3_8ac7_138d_e88d), ("b", 0x9e73_7feb_b6b9_9eee), ("c", 0x61f9_7220_ab05_2a12)];
        for (port, (name, id)) in [21380, 22380, 23380].into_iter().zip(ids) {
            let origin = founding(name, initial, &format!("http://127.0.0.1:{port}")).await.unwrap();
            assert_eq!((origin.identity.cluster.0, origin.identity.member.0), (0xf2cb_1557_076f_cb4d, id));
            assert!(origin.members.is_sorted_by_key(|member| member.id));
            let own = origin.members.iter().find(|member| member.name == name).unwrap();
            assert_eq!(own.id.0, id);
        }
    }

    #[tokio::test]
    async fn ids_do_not_depend_on_the_order_of_urls_or_members() {
        let urls = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
        let one = founding("a", "a=http://127.0.0.1:1,a=http://127.0.0.1:2", &urls.join(",")).await.unwrap();
        let other =
            founding("a", "a=http://127.0.0.1:2,a=http://127.0.0.1:1", &format!("{},{}", urls[1], urls[0]))
                .await
                .unwrap();
        assert_eq!(one, other);
    }

    #[tokio::test]
    async fn contradictions_have_etcds_words() {
        let cases = [
            (
                "c",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:1",
                "couldn't find local name \"c\" in the initial cluster configuration",
            ),
            (
                "a",
                "a=http://127.0.0.1:1,b=http://127.0.0.1:1",
                "http://127.0.0.1:1",
                "initial cluster a=http://127.0.0.1:1,b=http://127.0.0.1:1 has duplicate url",
            ),
            (
                "a",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:2",
                "--initial-cluster has a=http://127.0.0.1:1 but missing from \
                 --initial-advertise-peer-urls=http://127.0.0.1:2 (resolved urls: \"http://127.0.0.1:2\" != \
                 \"http://127.0.0.1:1\")",
            ),
            (
                "a",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:1,http://127.0.0.1:2",
                "--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from \
                 --initial-cluster=a=http://127.0.0.1:1,a=http://127.0.0.1:2",
            ),
        ];
        for (name, initial, advertised, text) in cases {
            assert_eq!(founding(name, initial, advertised).await.unwrap_err().to_string(), text);
        }
    }
}
