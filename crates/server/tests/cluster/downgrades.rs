//! The cluster is made ready for members of the version before, and that is called off. Texts and order as in etcd 3.7.1.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::downgrade_request::DowngradeAction::{Cancel, Enable, Validate};
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Cluster, Server, http};
use tonic::{Code, Status};

use crate::client::{channel, eventually, leader, status};
use crate::program;

/// Calls `Downgrade`; returns the cluster's version.
async fn downgrade(member: &Server, action: i32, version: &str) -> Result<String, Status> {
    let request = pb::DowngradeRequest { action, version: version.to_owned() };
    let reply = MaintenanceClient::new(channel(member)).downgrade(request).await?.into_inner();
    assert!(reply.header.is_some_and(|header| header.member_id != 0));
    Ok(reply.version)
}

async fn refusal(member: &Server, action: i32, version: &str) -> (Code, String) {
    let status = downgrade(member, action, version).await.expect_err("it is refused");
    (status.code(), status.message().to_owned())
}

/// Waits until every member is as the downgrade says: target, version of the cluster, storage version.
async fn all_are_at(cluster: &Cluster, target: &str, version: &str) {
    let expected = format!(r#""etcdcluster":"{version}","storage":"{version}""#);
    eventually("the version of the cluster", || async {
        for member in cluster.members() {
            let status = status(member).await.ok()?;
            let info = status.downgrade_info?;
            let is_there = info.target_version == target && info.enabled != target.is_empty();
            let versions = http::get(&member.client_address(), "/version").body;
            if !is_there || status.storage_version != version || !versions.contains(&expected) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_made_ready_for_the_version_before_until_that_is_called_off() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    all_are_at(&cluster, "", "3.7.0").await;
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let (follower, last) = ((leads + 1) % 3, (leads + 2) % 3);
    let (validate, enable, cancel) = (Validate as i32, Enable as i32, Cancel as i32);
    let wrong_format =
        (Code::InvalidArgument, "etcdserver: wrong downgrade target version format".to_owned());
    let invalid = (Code::InvalidArgument, "etcdserver: invalid downgrade target version".to_owned());
    let running =
        (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress".to_owned());

    let member = cluster.member(follower);
    for action in [validate, enable] {
        assert_eq!(refusal(member, action, "").await, wrong_format);
        for version in ["3.7", "3.5.0", "3.8", "2.6"] {
            assert_eq!(refusal(member, action, version).await, invalid, "{version}");
        }
    }
    let unknown = (Code::Unknown, "etcdserver: unknown method".to_owned());
    assert_eq!(refusal(member, 7, "3.6").await, unknown);
    // Whoever calls off what is not under way has what it asked for.
    assert_eq!(downgrade(member, cancel, "").await.expect("none is under way"), "3.7");
    assert_eq!(downgrade(member, validate, "3.6").await.expect("it may be"), "3.7");
    all_are_at(&cluster, "", "3.7.0").await;

    assert_eq!(downgrade(cluster.member(follower), enable, "3.6.0").await.expect("it is made ready"), "3.7");
    for action in [validate, enable] {
        assert_eq!(refusal(cluster.member(last), action, "3.6").await, running);
    }
    all_are_at(&cluster, "3.6.0", "3.6.0").await;
    for action in [validate, enable] {
        assert_eq!(refusal(cluster.member(leads), action, "3.6").await, invalid, "it is there");
        assert_eq!(refusal(cluster.member(leads), action, "3.5").await, running);
    }
    // It outlives a restart, and the next leader does not raise the version again.
    cluster.member_mut(leads).kill();
    leader(&cluster, &[follower, last]).await;
    cluster.member_mut(leads).restart();
    all_are_at(&cluster, "3.6.0", "3.6.0").await;
    let is_ready =
        || cluster.members().iter().all(|one| one.log().contains("The server is ready to downgrade"));
    eventually("the log lines", || async { is_ready().then_some(()) }).await;

    assert_eq!(downgrade(cluster.member(last), cancel, "").await.expect("it is called off"), "3.6");
    all_are_at(&cluster, "", "3.7.0").await;
}
