//! Members that the log cannot serve any more get a snapshot while they run, and nobody who watches there notices.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::{Cluster, Server, http, wait};

use crate::client::{channel, eventually, get, leader, put, status};
use crate::history::watch;
use crate::program;

/// A log line that says that it happened.
const INSTALLED: &str = "applied snapshot";

/// So few entries are kept behind a checkpoint that whoever misses more needs a snapshot.
const FEW_ENTRIES: &[&str] = &["--snapshot-catchup-entries=5"];

/// More than a leader sends to a follower that does not answer.
const MANY: i64 = 600;

/// Has a member make a checkpoint, and so release its log: a physical compaction waits for that.
async fn release_log(member: &Server, revision: i64) {
    let request = pb::CompactionRequest { revision, physical: true };
    KvClient::new(channel(member)).compact(request).await.expect("a compaction");
}

#[tokio::test]
async fn a_follower_far_behind_gets_a_snapshot_and_its_watchers_miss_nothing() {
    let cluster = Cluster::start(&program(), 3, FEW_ENTRIES);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let follower = cluster.member((leads + 1) % 3);
    let first = put(cluster.member(leads), "key", "0").await.expect("a write");
    eventually("the follower to have the first write", || async {
        get(follower, "key").await.ok().flatten()
    })
    .await;
    let mut events = watch(&channel(follower), first).await.expect("a watch on the follower");
    assert!(events.message().await.expect("a watch").expect("a watch").created);

    follower.pause();
    for number in 1..=MANY {
        put(cluster.member(leads), "key", &number.to_string()).await.expect("two of three are enough");
    }
    // The log is kept for a follower that is there.
    eventually("the leader to miss the follower", || async {
        cluster.member(leads).log().contains("peer became inactive").then_some(())
    })
    .await;
    release_log(cluster.member(leads), first).await;
    follower.resume();

    let seen = tokio::time::timeout(2 * wait::DEADLINE, async {
        let mut seen = Vec::new();
        while seen.last() != Some(&(first + MANY)) {
            let response = events.message().await.expect("the watch goes on").expect("the watch goes on");
            assert!(!response.canceled, "{response:?}");
            seen.extend(response.events.iter().map(|event| event.kv.as_ref().expect("a key").mod_revision));
        }
        seen
    });
    let seen = seen.await.expect("the watcher sees everything in the end");
    assert!(seen.into_iter().eq(first..=first + MANY), "every event once, in order");
    for line in ["applying snapshot", "applySnapshot: opened snapshot backend", INSTALLED] {
        assert!(follower.log().contains(line), "the follower got a snapshot: {line}");
    }
    for histogram in ["etcd_snap_fsync", "etcd_snap_db_fsync", "etcd_snap_db_save_total"] {
        let series = format!("{histogram}_duration_seconds_count");
        assert_eq!(http::metric(&follower.client_address(), &series), Some(1.0), "{series}");
    }
    let found = eventually("a read on the follower", || async { get(follower, "key").await.ok() }).await;
    assert_eq!(found, Some(MANY.to_string()));
}

#[tokio::test]
async fn a_member_that_joins_under_load_gets_a_snapshot_and_then_its_vote() {
    let program = program();
    let mut cluster = Cluster::start(&program, 1, FEW_ENTRIES);
    for number in 0..100 {
        put(cluster.member(0), &format!("key {number}"), "before").await.expect("a write");
    }
    release_log(cluster.member(0), 2).await;

    let mut joiner = Server::prepare(&program, "joiner", &["--initial-cluster-state=existing"]);
    let request = pb::MemberAddRequest {
        peer_ur_ls: vec![format!("http://{}", joiner.peer_address())],
        is_learner: false,
    };
    ClusterClient::new(channel(cluster.member(0))).member_add(request).await.expect("a member is added");
    // It costs nobody the quorum before it is there.
    put(cluster.member(0), "key", "between").await.expect("the cluster does not wait for it");
    let entries = format!("{},{}", cluster.member(0).peer_entry(), joiner.peer_entry());
    joiner.set_cluster(&entries);
    joiner.spawn().expect("it starts");
    let joiner = cluster.push(joiner);
    let mut number = 100;
    eventually("the new member to have everything", || {
        number += 1;
        let (old, new) = (cluster.member(0), cluster.member(joiner));
        async move {
            put(old, &format!("key {number}"), "meanwhile").await.expect("writes go on");
            let last = format!("key {number}");
            get(new, &last).await.ok().flatten().filter(|_| new.log().contains(INSTALLED))
        }
    })
    .await;
    let found = get(cluster.member(joiner), "key 99").await.expect("a linearizable read");
    assert_eq!(found, Some("before".to_owned()));

    // With its vote it is needed: alone the old one is no majority.
    eventually("the new member to vote", || async {
        let log = cluster.member(0).log();
        log.contains("votes from now on").then_some(())
    })
    .await;
    assert!(!status(cluster.member(joiner)).await.expect("a status").is_learner);
    cluster.member_mut(joiner).kill();
    put(cluster.member(0), "key", "alone").await.expect_err("one of two is not enough");
    cluster.member_mut(joiner).restart();
    eventually("writes again", || async { put(cluster.member(0), "key", "together").await.ok() }).await;
}
