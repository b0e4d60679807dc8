//! Leases, and the guard that keeps one alive.

use std::time::Duration;

use quorate_client::{Error, LeaseId};

use crate::setup::lone;

#[tokio::test]
async fn a_lease_is_granted_asked_about_and_revoked() {
    let (_server, client) = lone!();
    let lease = client.lease_grant(Duration::from_millis(59_500)).id(77).await.expect("a lease");
    assert_eq!((lease.id, lease.ttl), (LeaseId(77), Duration::from_secs(60)));
    client.put("k", "v").lease(lease.id).await.expect("a put");
    let left = client.lease_time_to_live(lease.id).keys().await.expect("an answer");
    assert!(left.remaining.is_some_and(|left| left <= lease.ttl));
    assert_eq!(left.keys, ["k"]);
    assert_eq!(client.leases().await.expect("an answer").ids, [lease.id]);
    client.lease_revoke(lease.id).await.expect("the end");
    assert_eq!(client.get("k").count_only().await.expect("a count").count, 0);
    let left = client.lease_time_to_live(lease.id).await.expect("an answer");
    assert_eq!(left.remaining, None);
}

#[tokio::test]
async fn a_lease_lives_as_long_as_its_guard() {
    let (_server, client) = lone!();
    let lease = client.lease(Duration::from_secs(1)).await.expect("a lease");
    client.put("k", "v").lease(lease.id()).await.expect("a put");
    // Much longer than it lives by itself.
    let lost = tokio::time::timeout(3 * lease.ttl(), lease.lost()).await;
    assert!(lost.is_err() && !lease.is_lost(), "it is renewed");
    assert_eq!(client.get("k").count_only().await.expect("a count").count, 1);
    let mut watch = client.watch("k").await.expect("a watch");
    drop(lease);
    let update = watch.next().await.expect("an update").expect("the deletion");
    assert_eq!(update.events.len(), 1);
}

#[tokio::test]
async fn the_loss_of_a_lease_is_reported() {
    let (mut server, client) = lone!();
    let lease = client.lease(Duration::from_secs(2)).await.expect("a lease");
    client.lease_revoke(lease.id()).await.expect("the end");
    lease.lost().await;
    assert!(matches!(lease.check(), Err(Error::LeaseLost(id)) if id == lease.id()));
    assert!(matches!(client.keep_alive(lease.id()).await, Err(Error::LeaseLost(_))));

    let unreachable = client.lease(Duration::from_secs(2)).await.expect("a lease");
    let renewal = client.keep_alive_once(unreachable.id()).await.expect("a renewal");
    assert_eq!((renewal.id, renewal.ttl), (unreachable.id(), Duration::from_secs(2)));
    server.kill();
    unreachable.lost().await;
}

#[tokio::test]
async fn renewals_are_reported_until_the_lease_is_lost() {
    let (_server, client) = lone!();
    let granted = client.lease_grant(Duration::from_secs(1)).await.expect("a lease");
    let id = granted.id;
    let mut lease = client.keep_alive(id).await.expect("a guard");
    for number in 0..3 {
        let renewal = lease.renewed().await.expect("a renewal");
        assert_eq!((renewal.id, renewal.ttl), (id, granted.ttl), "{number}");
        assert!(renewal.header.revision.0 > 0 && renewal.header.member.0 != 0, "{renewal:?}");
    }
    client.lease_revoke(id).await.expect("the end");
    // One may have been confirmed just before.
    while lease.renewed().await.is_some() {}
    assert!(lease.is_lost());
    assert_eq!(lease.renewed().await, None);
}
