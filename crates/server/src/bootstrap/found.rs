//! Founding a cluster: the flags say who its members are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::remote::{self, Members};
use super::resolve::{self, RESOLVE_TIMEOUT};
use super::{BootstrapError, Origin};
use crate::config::Cluster;
use crate::config::url::{self, Url};
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
    let own = own_urls(name, cluster)?;
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

/// The URLs that the cluster lists for this member.
pub(super) fn own_urls<'a>(name: &str, cluster: &'a Cluster) -> Result<&'a [Url], BootstrapError> {
    let own = cluster.initial.get(name).map(Vec::as_slice);
    own.ok_or_else(|| BootstrapError::UnknownName(name.to_owned()))
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

pub(super) fn check_duplicates(members: &BTreeMap<String, Vec<Url>>) -> Result<(), BootstrapError> {
    let mut urls: Vec<&Url> = members.values().flatten().collect();
    urls.sort();
    if urls.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(BootstrapError::DuplicateUrl(cluster_text(members)));
    }
    Ok(())
}

/// What the member advertises must be what the cluster lists for it, or lead to the same addresses.
async fn check_advertised(name: &str, listed: &[Url], advertised: &[Url]) -> Result<(), BootstrapError> {
    let texts = |urls: &[Url]| urls.iter().map(Url::to_string).collect::<Vec<_>>();
    let Err(why) = resolve::same_places(&texts(advertised), &texts(listed), RESOLVE_TIMEOUT).await else {
        return Ok(());
    };
    let named = |urls: &[&Url]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");
    let missing: Vec<&Url> = listed.iter().filter(|url| !advertised.contains(url)).collect();
    if !missing.is_empty() {
        let advertised = url::join(advertised);
        return Err(BootstrapError::NotAdvertised { missing: named(&missing), advertised, why });
    }
    let missing: Vec<Url> = advertised.iter().filter(|url| !listed.contains(url)).cloned().collect();
    let listed = named(&advertised.iter().collect::<Vec<_>>());
    if missing.is_empty() {
        return Err(BootstrapError::Unresolved { advertised: url::join(advertised), listed, why });
    }
    Err(BootstrapError::NotListed { missing: url::join(&missing), listed })
}

fn cluster_text(members: &BTreeMap<String, Vec<Url>>) -> String {
    let pairs = members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::How;
    use crate::config::Config;

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
