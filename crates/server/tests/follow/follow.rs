//! A follower holds what its source holds, whatever is killed meanwhile.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::quorate_v1::Phase;
use testkit::{Program, Server, require};

use crate::support::{
    assert_equal, caught_up, channel, compact, eventually, fill, follower, followers, get, in_phase, leases,
    put, quorate, revision, status, users, write,
};

const KEYS: i64 = 300;

async fn is_held(source: &Program) {
    let source = Server::start(source, &[]);
    fill(&source, KEYS).await;
    let follower = follower(&source);
    caught_up(&follower, &source).await;
    assert_equal(&source, &follower).await;
    assert_eq!(users(&follower).await, users(&source).await);
    // What comes then.
    let mut kv = KvClient::new(channel(&source));
    for number in 0..KEYS {
        write(&mut kv, number, KEYS).await;
    }
    let mut stub = LeaseClient::new(channel(&source));
    stub.lease_grant(pb::LeaseGrantRequest { id: 99, ttl: 5_000 }).await.expect("a lease");
    stub.lease_revoke(pb::LeaseRevokeRequest { id: 7 }).await.expect("a revocation");
    compact(&source, revision(&source).await - 50).await;
    caught_up(&follower, &source).await;
    assert_equal(&source, &follower).await;
    let wanted = leases(&source).await;
    assert!(wanted.iter().any(|lease| lease.0 == 99) && wanted.iter().all(|lease| lease.0 != 7));
    eventually("the same leases", || async { (leases(&follower).await == wanted).then_some(()) }).await;
    let behind = status(&follower).await.expect("a status");
    assert_eq!((behind.phase(), &behind.fault[..], behind.loads), (Phase::Following, "", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_etcd_holds_is_held_with_its_revisions() {
    is_held(&require!("following an etcd", Program::etcd())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_quorate_holds_is_held_with_its_revisions() {
    is_held(&quorate()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_followed_from_its_first_write_on() {
    let source = Server::start(&quorate(), &[]);
    let follower = follower(&source);
    in_phase(&follower, Phase::Following).await;
    put(&source, "k", "v").await.expect("a put");
    caught_up(&follower, &source).await;
    assert_eq!(get(&follower, "k").await.expect("a read"), Some("v".to_owned()));
    assert_equal(&source, &follower).await;
}

/// The index of a member that leads.
async fn leader(cluster: &testkit::Cluster) -> usize {
    eventually("a leader", || async {
        for (index, member) in cluster.members().iter().enumerate() {
            let found = status(member).await;
            if found.is_some_and(|status| status.leader_id == status.member_id) {
                return Some(index);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_while_it_loads_and_while_it_follows() {
    let source = Server::start(&require!("killed leaders of a follower", Program::etcd()), &[]);
    fill(&source, 10 * KEYS).await;
    let mut cluster = followers(&source);
    // Wherever it is in loading: the next leader goes on, or begins anew.
    let first = leader(&cluster).await;
    cluster.member_mut(first).kill();
    let second = leader(&cluster).await;
    caught_up(cluster.member(second), &source).await;
    cluster.member_mut(first).restart();
    let mut kv = KvClient::new(channel(&source));
    for number in 0..KEYS {
        write(&mut kv, number, KEYS).await;
    }
    let leads = leader(&cluster).await;
    cluster.member_mut(leads).kill();
    for number in 0..KEYS {
        write(&mut kv, number, KEYS).await;
    }
    cluster.member_mut(leads).restart();
    for member in cluster.members() {
        caught_up(member, &source).await;
        assert_equal(&source, member).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_restarted_is_followed_on() {
    let mut source = Server::start(&require!("a restarted source", Program::etcd()), &[]);
    fill(&source, KEYS).await;
    let follower = follower(&source);
    caught_up(&follower, &source).await;
    source.kill();
    source.restart();
    put(&source, "after", "the restart").await.expect("a put");
    let status = caught_up(&follower, &source).await;
    assert_eq!(status.loads, 1, "nothing was loaded again");
    assert_equal(&source, &follower).await;
}

/// A watch from a revision on, of all keys.
async fn watch(server: &Server, from: i64) -> tonic::Streaming<pb::WatchResponse> {
    let create = pb::WatchCreateRequest {
        key: b"\0".to_vec().into(),
        range_end: b"\0".to_vec().into(),
        start_revision: from,
        ..Default::default()
    };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::iter([request]), tokio_stream::pending());
    let mut watch = WatchClient::new(channel(server)).watch(requests).await.expect("a watch").into_inner();
    let created = watch.message().await.expect("an answer").expect("an answer");
    assert!(created.created && !created.canceled, "{}", created.cancel_reason);
    watch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_compacted_what_comes_next_is_loaded_again_and_watchers_are_told_so() {
    let source = Server::start(&require!("a compacted source", Program::etcd()), &[]);
    fill(&source, KEYS).await;
    let mut cluster = followers(&source);
    for member in cluster.members() {
        caught_up(member, &source).await;
    }
    let leads = leader(&cluster).await;
    let stays = (leads + 1) % 3;
    let mut watching = watch(cluster.member(stays), 0).await;
    let before = revision(&source).await;
    // Nobody leads, and so nobody follows.
    for index in (0..3).filter(|index| *index != stays) {
        cluster.member_mut(index).kill();
    }
    let mut kv = KvClient::new(channel(&source));
    for number in 0..KEYS {
        write(&mut kv, number, KEYS).await;
    }
    compact(&source, revision(&source).await - 10).await;
    for index in (0..3).filter(|index| *index != stays) {
        cluster.member_mut(index).spawn().expect("it starts");
    }
    for index in 0..3 {
        caught_up(cluster.member(index), &source).await;
        assert_equal(&source, cluster.member(index)).await;
    }
    // What this one had yet to see is gone: it is told so, and misses nothing silently.
    let told = loop {
        let message = watching.message().await.expect("an answer").expect("an answer");
        assert!(message.events.is_empty(), "revision {before} is the last that it may have seen");
        if message.canceled {
            break message.compact_revision;
        }
    };
    assert!(told > before);
    let mut fresh = watch(cluster.member(stays), revision(&source).await).await;
    let seen = fresh.message().await.expect("an answer").expect("an answer");
    assert!(!seen.events.is_empty(), "the history from the load on can be watched");
}
