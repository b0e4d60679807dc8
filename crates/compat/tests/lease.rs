//! Leases.

mod common;

use etcd_client::{EventType, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions};

#[tokio::test]
async fn a_lease_lives_with_its_keys() {
    let (_member, mut client) = common::member().await;
    let granted = client.lease_grant(100, Some(LeaseGrantOptions::new().with_id(42))).await.unwrap();
    assert_eq!((granted.id(), granted.ttl()), (42, 100));
    assert!(client.lease_grant(100, Some(LeaseGrantOptions::new().with_id(42))).await.is_err());
    for key in ["a", "b"] {
        client.put(key, "1", Some(PutOptions::new().with_lease(42))).await.unwrap();
    }
    let left = client.lease_time_to_live(42, Some(LeaseTimeToLiveOptions::new().with_keys())).await.unwrap();
    assert_eq!(left.granted_ttl(), 100);
    assert!((1..=100).contains(&left.ttl()));
    let mut keys = left.keys().to_vec();
    keys.sort();
    assert_eq!(keys, [b"a".to_vec(), b"b".to_vec()]);
    let ids: Vec<i64> = client.leases().await.unwrap().leases().iter().map(|lease| lease.id()).collect();
    assert_eq!(ids, [42]);
    let revoked = client.lease_revoke(42).await.unwrap();
    assert_eq!(revoked.header().unwrap().revision(), 4);
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
    assert_eq!(client.lease_time_to_live(42, None).await.unwrap().ttl(), -1);
    assert!(client.lease_revoke(42).await.is_err());
}

#[tokio::test]
async fn a_lease_is_kept_alive() {
    let (_member, mut client) = common::member().await;
    let id = client.lease_grant(50, None).await.unwrap().id();
    let (mut keeper, mut answers) = client.lease_keep_alive(id).await.unwrap();
    for _ in 0..3 {
        keeper.keep_alive().await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.id(), answer.ttl()), (id, 50));
    }
}

#[tokio::test]
async fn the_keys_of_a_lease_that_runs_out_are_deleted() {
    let (_member, mut client) = common::member().await;
    let id = client.lease_grant(1, None).await.unwrap().id();
    client.put("a", "1", Some(PutOptions::new().with_lease(id))).await.unwrap();
    let mut stream = client.watch("a", None).await.unwrap();
    stream.message().await.unwrap();
    let response = stream.message().await.unwrap().unwrap();
    assert_eq!(response.events()[0].event_type(), EventType::Delete);
    assert_eq!(client.lease_time_to_live(id, None).await.unwrap().ttl(), -1);
}
