//! A leader with entries that nobody else has, cut off during two changes of leader, and what it makes of both new leaders'
//! messages when they reach it at once.
//!
//! `QUORATE_TWO_ELECTIONS=20` does it more often than every test run: whether the messages meet in one round of the old
//! leader's consensus is a matter of luck.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Cluster, Server, http};

use crate::client::{channel, eventually, get, leader, put, status};
use crate::network::Network;
use crate::program;

/// Times that every test run does it.
const ROUNDS: usize = 3;

const IMPATIENT: &[&str] = &["--heartbeat-interval=50", "--election-timeout=500"];

/// Length of a value that only the old leader gets.
const VALUE_BYTES: usize = 10_000;

async fn id(member: &Server) -> u64 {
    status(member).await.expect("a status").header.expect("a header").member_id
}

/// Tells the network who is where.
async fn introduce(cluster: &Cluster, network: &Network) {
    let members = ClusterClient::new(channel(cluster.member(0)))
        .member_list(pb::MemberListRequest::default())
        .await
        .expect("the members");
    for member in members.into_inner().members {
        network.name(&member.peer_ur_ls[0], member.id);
    }
}

/// Bytes that a member has written to its log.
fn log_bytes(member: &Server) -> f64 {
    http::metric(&member.client_address(), "etcd_disk_wal_write_bytes_total").expect("a metric")
}

/// Has three values appended to the log of the leader, which is cut off.
async fn append_alone(member: &Server, round: usize) {
    let before = log_bytes(member);
    for number in 0..3 {
        let (address, key) = (channel(member), format!("alone {round} {number}"));
        tokio::spawn(async move {
            let request = pb::PutRequest {
                key: key.into(),
                value: vec![b'x'; VALUE_BYTES].into(),
                ..pb::PutRequest::default()
            };
            // It cannot be committed.
            let _ = pb::kv_client::KvClient::new(address).put(request).await;
        });
    }
    eventually("the entries in the log of the old leader", || async {
        (log_bytes(member) - before >= 3.0 * VALUE_BYTES as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_missed_two_elections_comes_back_with_what_was_committed() {
    let rounds = std::env::var("QUORATE_TWO_ELECTIONS")
        .map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let (mut cluster, network) = Network::found(&program(), 3, IMPATIENT);
    introduce(&cluster, &network).await;
    for round in 0..rounds {
        let value = format!("of round {round}");
        let old = leader(&cluster, &[0, 1, 2]).await;
        let others = [(old + 1) % 3, (old + 2) % 3];
        let old_id = id(cluster.member(old)).await;
        network.hold(old_id);
        append_alone(cluster.member(old), round).await;

        // Nothing is written in between: the second leader goes on from the first one's own entry.
        let first = leader(&cluster, &others).await;
        let second = if first == others[0] { others[1] } else { others[0] };
        let target_id = id(cluster.member(second)).await;
        MaintenanceClient::new(channel(cluster.member(first)))
            .move_leader(pb::MoveLeaderRequest { target_id })
            .await
            .expect("the leader hands over");
        eventually("the second leader", || async {
            (leader(&cluster, &others).await == second).then_some(())
        })
        .await;
        eventually("a write", || async { put(cluster.member(second), "key", &value).await.ok() }).await;

        let ids = [id(cluster.member(first)).await, target_id];
        cluster.member(old).pause();
        network.release();
        eventually("what both leaders have sent", || async {
            ids.iter().all(|from| network.passed(*from, old_id) > 0).then_some(())
        })
        .await;
        cluster.member(old).resume();

        let found =
            eventually("a read on the old leader", || async { get(cluster.member(old), "key").await.ok() });
        assert_eq!(found.await, Some(value.clone()));
        assert!(!cluster.member_mut(old).has_ended(), "{}", cluster.member(old).log_tail());
        for index in 0..3 {
            let found = eventually("a read", || async {
                get(cluster.member(index), &format!("alone {round} 0")).await.ok()
            });
            assert_eq!(found.await, None, "{}: nobody else had it", cluster.member(index).name());
        }
    }
    for index in 0..3 {
        cluster.member_mut(index).kill();
        cluster.member_mut(index).restart();
        let found = eventually("a read", || async { get(cluster.member(index), "key").await.ok() }).await;
        assert_eq!(found, Some(format!("of round {}", rounds - 1)));
    }
}
