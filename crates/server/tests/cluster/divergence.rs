//! A member whose state is not what the others hold is found out and gets theirs, and nobody is served from it meanwhile.

use std::path::Path;
use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::{Cluster, Server};

use crate::client::{channel, eventually, get, leader, put, status};
use crate::program;

/// What the log says then.
const DIFFERS: &str = "found data inconsistency with peers";
const WRONG: &str = "this member's state is wrong";

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
