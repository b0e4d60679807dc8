//! What one member was told, all know; a majority is enough, and needed.

use testkit::Cluster;
use tonic::Code;

use crate::client::{eventually, get, get_serializable, leader, put, status};
use crate::program;

#[tokio::test]
async fn what_one_member_was_told_all_know() {
    let cluster = Cluster::start(&program(), 3, &[]);
    for (index, member) in cluster.members().iter().enumerate() {
        let key = format!("from {index}");
        let revision = put(member, &key, "here").await.expect("every member takes writes");
        assert_eq!(revision, 2 + index as i64);
        for other in cluster.members() {
            assert_eq!(get(other, &key).await.expect("a linearizable read"), Some("here".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_majority_goes_on_and_a_minority_does_not() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    put(cluster.member(0), "key", "before").await.expect("three are enough");

    let first = leader(&cluster, &[0, 1, 2]).await;
    let [second, third] = [(first + 1) % 3, (first + 2) % 3];
    cluster.member_mut(first).kill();
    eventually("two to take a write", || async { put(cluster.member(second), "key", "two").await.ok() })
        .await;
    assert_eq!(get(cluster.member(third), "key").await.expect("two are enough"), Some("two".to_owned()));

    cluster.member_mut(third).kill();
    let refused = put(cluster.member(second), "key", "one").await.expect_err("one of three is not enough");
    assert!(matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded), "{refused}");
    let refused = get(cluster.member(second), "key").await.expect_err("one of three is not enough");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let local = get_serializable(cluster.member(second), "key").await.expect("a local read needs nobody");
    assert_eq!(local, Some("two".to_owned()));
    eventually("the member to know that nobody leads", || async {
        let status = status(cluster.member(second)).await.expect("a member says how it is");
        (status.leader == 0).then_some(())
    })
    .await;

    cluster.member_mut(first).restart();
    cluster.member_mut(third).restart();
    for member in cluster.members() {
        // The write that was not acknowledged may have come through when there was a majority again.
        let found = eventually("all to read again", || async { get(member, "key").await.ok() }).await;
        assert!(matches!(found.as_deref(), Some("two" | "one")), "{found:?}");
    }
}

#[tokio::test]
async fn everything_is_there_after_all_members_were_killed() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    for number in 0..100 {
        let member = cluster.member(number % 3);
        put(member, &format!("key {number}"), &number.to_string()).await.expect("a write");
    }
    (0..3).for_each(|index| cluster.member_mut(index).kill());
    for index in 0..3 {
        cluster.member_mut(index).spawn().expect("it starts again");
    }
    for index in 0..3 {
        cluster.member_mut(index).await_serving().expect("it serves again");
    }
    for number in 0..100 {
        let member = cluster.member((number + 1) % 3);
        let found = eventually("a read", || async { get(member, &format!("key {number}")).await.ok() }).await;
        assert_eq!(found, Some(number.to_string()));
    }
}
