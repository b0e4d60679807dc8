//! A member whose state is not what the others hold is found out and gets theirs, and nobody is served from it meanwhile.

use std::path::Path;
use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::{Cluster, Server, http};

use crate::client::{channel, eventually, get, get_serializable, leader, put, status};
use crate::program;

/// What the log says then.
const DIFFERS: &str = "found data inconsistency with peers";
const WRONG: &str = "this member's state is wrong";

/// etcd's switches of its own comparisons, which are off there if they are not given.
const COMPARISONS: [&str; 3] = [
    "--corrupt-check-time=1h",
    "--compact-hash-check-time=1h",
    "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
];

/// A lease that nobody granted.
const STRAY: i64 = 0x5712a7;

/// Writes the lease into a stopped member's store, with every checksum right: what a bug would do, not what a disk does.
fn tamper(data_dir: &Path, identity: [u64; 2]) {
    let options = mvcc::Options { identity, ..mvcc::Options::default() };
    let dir = data_dir.join("member/kv");
    let mut store = mvcc::Store::open(Arc::new(wal::OsDisk), &dir, options).expect("a store");
    // docs/format/side-tables.md: format, time to live, remaining time, epoch.
    let mut lease = vec![1];
    [3600_i64, 0, 1].iter().for_each(|number| lease.extend(number.to_be_bytes()));
    store.side_put(mvcc::TableId(1), &STRAY.to_be_bytes(), lease);
    store.checkpoint().expect("a checkpoint");
}

async fn identity(member: &Server) -> [u64; 2] {
    let header = status(member).await.expect("a status").header.expect("a header");
    [header.cluster_id, header.member_id]
}

async fn leases(member: &Server) -> Option<Vec<i64>> {
    let reply = LeaseClient::new(channel(member)).lease_leases(pb::LeaseLeasesRequest {}).await.ok()?;
    Some(reply.into_inner().leases.iter().map(|lease| lease.id).collect())
}

async fn tampered_with(cluster: &mut Cluster, number: usize) {
    let ids = identity(cluster.member(number)).await;
    cluster.member_mut(number).terminate();
    tamper(cluster.member(number).data_dir(), ids);
    cluster.member_mut(number).restart();
}

#[tokio::test]
async fn a_follower_that_differs_is_found_out_and_gets_the_right_state() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    put(cluster.member(leads), "key", "before").await.expect("a write");
    let follower = (leads + 1) % 3;
    tampered_with(&mut cluster, follower).await;

    put(cluster.member(leads), "key", "after").await.expect("a write");
    eventually("the difference to be noticed", || async {
        cluster.member(follower).log().contains(WRONG).then_some(())
    })
    .await;
    assert!(cluster.member(follower).log().contains(DIFFERS));
    let right = eventually("the member to serve again", || async {
        leases(cluster.member(follower)).await.filter(|leases| leases.is_empty())
    });
    right.await;
    let found = eventually("a read", || async { get(cluster.member(follower), "key").await.ok() }).await;
    assert_eq!(found, Some("after".to_owned()));
    for other in [leads, (leads + 2) % 3] {
        assert!(!cluster.member(other).log().contains(DIFFERS), "the others agree");
    }
}

/// Flips a bit of a value in a stopped member's database.
fn damage(data_dir: &Path, value: &[u8]) {
    let path = data_dir.join("member/kv/current.redb");
    let mut content = std::fs::read(&path).expect("a database");
    let places: Vec<_> = (0..content.len()).filter(|&at| content[at..].starts_with(value)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| content[at] ^= 1);
    std::fs::write(&path, content).expect("the file can be written");
}

#[tokio::test]
async fn a_member_with_a_damaged_value_fetches_it_and_serves_everything_else_meanwhile() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    put(cluster.member(leads), "damaged", "a value like no other").await.expect("a write");
    put(cluster.member(leads), "other", "sound").await.expect("a write");
    let follower = (leads + 1) % 3;
    eventually("the follower to have it", || async {
        get_serializable(cluster.member(follower), "other").await.ok().flatten()
    })
    .await;
    cluster.member_mut(follower).terminate();
    damage(cluster.member(follower).data_dir(), b"a value like no other");
    cluster.member_mut(follower).restart();
    let member = cluster.member(follower);
    let refused = eventually("the damage to be found", || async {
        get_serializable(member, "damaged")
            .await
            .err()
            .filter(|status| status.code() == tonic::Code::DataLoss)
    })
    .await;
    assert!(refused.message().contains("key \"damaged\""), "{refused:?}");
    assert_eq!(get_serializable(member, "other").await.expect("a read"), Some("sound".to_owned()));
    // Nobody writes: the members talk about it all the same.
    let found =
        eventually("the right value", || async { get_serializable(member, "damaged").await.ok().flatten() });
    assert_eq!(found.await, "a value like no other");
    assert!(member.log().contains(WRONG) && !member.log().contains(DIFFERS));
    for other in [leads, (leads + 2) % 3] {
        assert!(!cluster.member(other).log().contains(DIFFERS), "nobody doubts the others");
    }
}

#[tokio::test]
async fn a_leader_that_differs_from_the_majority_gives_way() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    leader(&cluster, &[0, 1, 2]).await;
    put(cluster.member(0), "key", "before").await.expect("a write");
    tampered_with(&mut cluster, 0).await;
    let id = eventually("the member to be back", || async { status(cluster.member(0)).await.ok() }).await;
    let id = id.header.expect("a header").member_id;
    eventually("the member to lead", || async {
        let leads = leader(&cluster, &[0, 1, 2]).await;
        let request = pb::MoveLeaderRequest { target_id: id };
        let mut client = pb::maintenance_client::MaintenanceClient::new(channel(cluster.member(leads)));
        let _ = client.move_leader(request).await;
        (leads == 0).then_some(())
    })
    .await;
    put(cluster.member(1), "key", "after").await.ok();
    eventually("the leader to notice", || async { cluster.member(0).log().contains(WRONG).then_some(()) })
        .await;
    for number in 0..3 {
        let right = eventually("every member to serve the right state", || async {
            leases(cluster.member(number)).await.filter(|leases| leases.is_empty())
        });
        right.await;
    }
    for number in 1..3 {
        assert!(!cluster.member(number).log().contains(WRONG), "the majority keeps its state");
    }
    eventually("writes to go on", || async { put(cluster.member(0), "key", "later").await.ok() }).await;
}

/// Of two members nobody knows which one is wrong: what is said of it stays, until somebody looks.
async fn is_found_out_and_stays(flags: &[&str]) -> Cluster {
    let mut cluster = Cluster::start(&program(), 2, flags);
    leader(&cluster, &[0, 1]).await;
    put(cluster.member(0), "key", "before").await.expect("a write");
    tampered_with(&mut cluster, 1).await;
    let has_alarm = |member: &Server| {
        let answer = http::try_get(&member.client_address(), "/health").ok()?;
        (answer.status == 503 && answer.body.contains("ALARM CORRUPT")).then_some(())
    };
    let members = cluster.members();
    let found = eventually("the alarm", || async {
        // Each write is followed by a comparison.
        let _ = put(&members[0], "key", "after").await;
        members.iter().find(|member| has_alarm(member).is_some())
    })
    .await;
    assert!(found.log().contains(DIFFERS));
    let address = found.client_address();
    let ready = http::get(&address, "/readyz/data_corruption");
    assert_eq!((ready.status, ready.body.contains("alarm activated: CORRUPT")), (503, true), "{ready:?}");
    let [_, id] = identity(found).await;
    let raised = format!("etcd_debugging_server_alarms{{alarm_type=\"CORRUPT\",server_id=\"{id:x}\"}} 1");
    let metrics = http::get(&address, "/metrics").body;
    assert!(metrics.contains(&raised), "{raised}");
    let refused = get_serializable(found, "key").await.expect_err("nobody is served from it");
    assert_eq!(refused.message(), "etcdserver: corrupt cluster");
    for member in members {
        assert!(!member.log().contains(WRONG), "nothing is thrown away that may be right");
    }
    cluster
}

#[tokio::test]
async fn members_are_compared_if_nothing_is_asked_for() {
    is_found_out_and_stays(&[]).await;
}

#[tokio::test]
async fn etcds_switches_of_comparisons_are_taken_and_change_nothing() {
    let cluster = is_found_out_and_stays(&COMPARISONS).await;
    let settings = ["--corrupt-check-time", "--compact-hash-check-time"];
    let gates = ["feature gate InitialCorruptCheck=true", "feature gate CompactHashCheck=true"];
    for member in cluster.members() {
        let log = member.log();
        for setting in settings.into_iter().chain(gates) {
            let says = |line: &str| line.contains("without effect") && line.contains(setting);
            assert!(log.lines().any(says), "the log does not say that {setting} has no effect");
        }
        let metrics = http::get(&member.client_address(), "/metrics").body;
        for gate in ["InitialCorruptCheck", "CompactHashCheck"] {
            let is_on = format!("etcd_server_feature_enabled{{name=\"{gate}\",stage=\"ALPHA\"}} 1");
            assert!(metrics.contains(&is_on), "{is_on}");
        }
    }
}
