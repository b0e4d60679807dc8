//! Members without a leader, and leaders that were away.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::watch_client::WatchClient;
use testkit::{Cluster, http, wait};
use tonic::{Code, Request};

use crate::client::{channel, eventually, get, get_serializable, leader, leaderless, put, status};
use crate::program;

/// How long a caller waits that gives up early.
const HASTE: std::time::Duration = std::time::Duration::from_millis(500);

/// The metadata by which a client insists on a leader.
fn insisting<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().expect("ASCII"));
    request
}

#[tokio::test]
async fn who_insists_on_a_leader_is_told_when_there_is_none() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let create = pb::WatchCreateRequest { key: "key".into(), ..pb::WatchCreateRequest::default() };
    let create =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(create), tokio_stream::pending());
    let mut watch = WatchClient::new(channel(cluster.member(0)))
        .watch(insisting(requests))
        .await
        .expect("there is a leader")
        .into_inner();
    assert!(watch.message().await.expect("a watch").expect("a watch").created);

    cluster.member_mut(1).kill();
    cluster.member_mut(2).kill();
    let ended = tokio::time::timeout(wait::DEADLINE, watch.message()).await.expect("the watch ends");
    let status = ended.expect_err("the watch ends");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));

    let range = pb::RangeRequest { key: "key".into(), serializable: true, ..pb::RangeRequest::default() };
    let mut kv = KvClient::new(channel(cluster.member(0)));
    let refused = kv.range(insisting(range.clone())).await.expect_err("there is no leader");
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "etcdserver: no leader"));
    kv.range(range).await.expect("who does not insist is served");
}

#[tokio::test]
async fn a_leader_that_stops_hands_over() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let other = (leads + 1) % 3;
    let own = status(cluster.member(leads)).await.expect("a status").leader;
    cluster.member_mut(leads).terminate();
    for line in ["leadership is handed over", "leadership transfer starting"] {
        assert!(cluster.member(leads).log().contains(line), "{line}: {}", cluster.member(leads).log_tail());
    }
    eventually("a successor", || async {
        let now = status(cluster.member(other)).await.expect("a status");
        (now.leader != 0 && now.leader != own).then_some(())
    })
    .await;
    put(cluster.member(other), "key", "value").await.expect("writes go on at once");
}

/// As when a whole cluster is shut down, one member after another.
#[tokio::test]
async fn a_leader_does_not_hand_over_to_a_member_that_has_just_gone() {
    let everybody = [0, 1, 2, 3, 4];
    let mut cluster = Cluster::start(&program(), everybody.len(), &[]);
    put(cluster.member(0), "key", "value").await.expect("a write");
    let leads = leader(&cluster, &everybody).await;
    let mut ids = Vec::new();
    for index in everybody {
        let header = status(cluster.member(index)).await.expect("a status").header.expect("a header");
        ids.push(header.member_id);
    }
    // All have the same log; among equals the last by its id was chosen.
    let followers = everybody.iter().copied().filter(|index| *index != leads);
    let gone = followers.clone().max_by_key(|index| ids[*index]).expect("there are followers");
    cluster.member_mut(gone).terminate();
    cluster.member_mut(leads).terminate();
    for other in followers.filter(|index| *index != gone) {
        let now = status(cluster.member(other)).await.expect("a status").leader;
        assert!(now != 0 && now != ids[leads] && now != ids[gone], "{now:x} leads, of {ids:x?}");
    }
}

#[tokio::test]
async fn a_leader_that_was_paused_serves_nothing_stale() {
    let cluster = Cluster::start(&program(), 3, &[]);
    put(cluster.member(0), "key", "old").await.expect("a write");
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    cluster.member(leads).pause();
    eventually("a write without the old leader", || async {
        put(cluster.member(others[0]), "key", "new").await.ok()
    })
    .await;
    cluster.member(leads).resume();
    // Whatever it answers first: it has seen the write, or it says that it cannot tell.
    for _ in 0..50 {
        match get(cluster.member(leads), "key").await {
            Ok(found) => assert_eq!(found.as_deref(), Some("new")),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
        }
    }
    let now = leader(&cluster, &[0, 1, 2]).await;
    let term = status(cluster.member(now)).await.expect("a status").raft_term;
    assert_eq!(status(cluster.member(leads)).await.expect("a status").raft_term, term);
}

/// A write that nobody leads waits for a leader as long as its caller does, and no longer: a caller that was told of its
/// deadline does not find the write done much later.
#[tokio::test]
async fn a_write_that_waits_for_a_leader_goes_with_its_caller() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    put(cluster.member(0), "key", "before").await.expect("a write");
    cluster.member_mut(1).kill();
    cluster.member_mut(2).kill();
    leaderless(cluster.member(0)).await;
    let (put_alone, got_alone) =
        tokio::join!(put(cluster.member(0), "key", "patient"), get(cluster.member(0), "key"));
    got_alone.expect_err("nobody confirms that it is up to date");
    let late = http::metric(&cluster.member(0).client_address(), "etcd_server_slow_read_indexes_total");
    assert_eq!(late, Some(1.0));
    assert!(cluster.member(0).log().contains("timed out waiting for read index response"));
    let refused = put_alone.expect_err("nobody leads");
    assert_eq!((refused.code(), refused.message()), (Code::DeadlineExceeded, "context deadline exceeded"));
    let hasty = put(cluster.member(0), "key", "hasty");
    assert!(tokio::time::timeout(HASTE, hasty).await.is_err(), "it waits");
    cluster.member_mut(1).spawn().expect("it starts");
    eventually("writes to go on", || async { put(cluster.member(0), "after", "value").await.ok() }).await;
    let found = get_serializable(cluster.member(0), "key").await.expect("a read");
    assert_eq!(found.as_deref(), Some("before"));
}
