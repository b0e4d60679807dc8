//! `kill -9` of the leader under load, again and again, and what clients may count on.
//!
//! Writers, readers and a watcher work on all members, until the leader is killed; they go on with the others until these
//! have taken some more. The whole history, as one of the others tells it, must agree with what the clients know (see
//! `crash`), and the watcher that resumes elsewhere must not miss or repeat an event. Then the killed member comes back.
//!
//! `QUORATE_LEADER_KILLS=20` kills more often than every test run does.

use testkit::{Cluster, Random, wait};

use crate::client::{channel, eventually, get, leader};
use crate::history::Known;
use crate::program;
use crate::traffic::Traffic;
use crate::writer::{Kind, Load};

/// Leaders killed in every test run.
const KILLS: u64 = 3;

/// Acknowledged writes before a kill, at most.
const BEFORE_MAX: usize = 300;

/// Acknowledged writes after it.
const AFTER: usize = 50;

const LOADS: [Load; 3] = [
    Load { kinds: &[Kind::Put, Kind::Put, Kind::Delete], value_bytes: 0 },
    Load { kinds: &[Kind::Put, Kind::Txn, Kind::Lease, Kind::Revoke], value_bytes: 100 },
    Load { kinds: &[Kind::Put, Kind::Txn, Kind::Delete, Kind::Compact], value_bytes: 2_000 },
];

#[tokio::test]
async fn what_was_acknowledged_outlives_every_leader() {
    let kills =
        std::env::var("QUORATE_LEADER_KILLS").map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let mut known = Known::default();
    for (round, load) in (0..kills).zip(LOADS.into_iter().cycle()) {
        let what = format!("round {round}");
        let killed =
            tokio::time::timeout(2 * wait::DEADLINE, kill_leader(&mut cluster, round, load, &mut known))
                .await
                .unwrap_or_else(|_| panic!("{what} hangs"));
        let witness = cluster.member((killed + 1 + round as usize % 2) % 3);
        eventually("a linearizable read", || async { get(witness, "any").await.ok() }).await;
        tokio::time::timeout(wait::DEADLINE, known.verify(&channel(witness), &what))
            .await
            .unwrap_or_else(|_| panic!("{what}: the history does not come"));
        cluster.member_mut(killed).restart();
        let back = cluster.member(killed);
        eventually("a read on the member that is back", || async { get(back, "any").await.ok() }).await;
    }
    println!("{kills} leaders: {} revisions, {} acknowledged", known.newest, known.writes);
}

/// The load and the end of the leader, which is returned.
async fn kill_leader(cluster: &mut Cluster, round: u64, load: Load, known: &mut Known) -> usize {
    let mut random = Random::stream(7, round);
    let before = 1 + random.below(BEFORE_MAX);
    let watched = random.below(3);
    let mut traffic = Traffic::start(cluster, load, &format!("r{round}"), random, watched, known);
    traffic.go_on(known, before).await;
    let leads = leader(cluster, &[0, 1, 2]).await;
    cluster.member_mut(leads).kill();
    traffic.go_on(known, AFTER).await;
    traffic.stop(known).await;
    leads
}
