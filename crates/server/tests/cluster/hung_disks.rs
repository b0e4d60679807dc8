//! A disk that answers nothing any more, neither well nor with an error: the member is there, and keeps nothing.
//!
//! The others go on. A leader commits through its followers for a while, and then another one leads. Whatever is
//! acknowledged meanwhile is there in the end, on every member, and no read is older than it.

use testkit::{Cluster, Random, wait};

use crate::client::{channel, eventually, get, leader, put, status};
use crate::disks::{self, hang};
use crate::history::Known;
use crate::traffic::{Traffic, refusal};
use crate::writer::{Kind, Load};

/// A leader gives its disk five election timeouts.
const IMPATIENT: &[&str] = &["--heartbeat-interval=50", "--election-timeout=500"];

/// Nobody is elected because a test takes its time.
const PATIENT: &[&str] = &["--election-timeout=2000"];

/// Acknowledged writes in each stage.
const WRITES: usize = 100;

const LOAD: Load = Load {
    kinds: &[Kind::Put, Kind::Put, Kind::Delete, Kind::Txn, Kind::Lease, Kind::Revoke],
    value_bytes: 100,
};

/// Every member has it all, and tells the same.
async fn verify(cluster: &Cluster, known: &mut Known) {
    for member in cluster.members() {
        eventually("a read on every member", || async { get(member, "any").await.ok() }).await;
        tokio::time::timeout(wait::DEADLINE, known.verify(&channel(member), member.name()))
            .await
            .unwrap_or_else(|_| panic!("{}: the history does not come", member.name()));
    }
}

/// Writes before, and after the disk of the leader hangs; which member that is. At the end another one leads.
async fn hang_leader(cluster: &Cluster, traffic: &mut Traffic, known: &mut Known) -> (usize, disks::Hang) {
    traffic.go_on(known, WRITES).await;
    let leads = leader(cluster, &[0, 1, 2]).await;
    let hang = hang(cluster.member(leads));
    // Through its followers.
    traffic.go_on(known, WRITES).await;
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    let hung = status(cluster.member(leads)).await.expect("a status").header.expect("a header").member_id;
    eventually("another leader", || async {
        let seen = status(cluster.member(others[0])).await.ok()?.leader;
        (seen != 0 && seen != hung).then_some(())
    })
    .await;
    traffic.go_on(known, WRITES).await;
    traffic.read_on(known, &others).await;
    (leads, hang)
}

#[tokio::test]
async fn a_leader_whose_disk_hangs_is_replaced_and_catches_up_when_it_answers_again() {
    let cluster = Cluster::start(&disks::program(), 3, IMPATIENT);
    let mut known = Known::default();
    let mut traffic = Traffic::start(&cluster, LOAD, "hung", Random::new(1), 0, &mut known);
    let (_, hang) = hang_leader(&cluster, &mut traffic, &mut known).await;
    drop(hang);
    traffic.read_on(&mut known, &[0, 1, 2]).await;
    println!("clients were told {:?}", traffic.stop(&mut known).await);
    verify(&cluster, &mut known).await;
}

#[tokio::test]
async fn a_leader_that_is_killed_while_its_disk_hangs_takes_nothing_with_it() {
    let mut cluster = Cluster::start(&disks::program(), 3, IMPATIENT);
    let mut known = Known::default();
    let mut traffic = Traffic::start(&cluster, LOAD, "hung", Random::new(2), 1, &mut known);
    let (leads, hang) = hang_leader(&cluster, &mut traffic, &mut known).await;
    // What waits for its disk goes with it.
    cluster.member_mut(leads).kill();
    drop(hang);
    traffic.go_on(&mut known, WRITES).await;
    cluster.member_mut(leads).restart();
    traffic.read_on(&mut known, &[0, 1, 2]).await;
    println!("clients were told {:?}", traffic.stop(&mut known).await);
    verify(&cluster, &mut known).await;
}

#[tokio::test]
async fn an_acknowledgement_takes_two_disks() {
    let mut cluster = Cluster::start(&disks::program(), 3, IMPATIENT);
    put(cluster.member(0), "key", "before").await.expect("three are enough");
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let hangs = [leads, (leads + 1) % 3].map(|member| hang(cluster.member(member)));
    let attempt = |member| put(cluster.member(member), "key", "meanwhile");
    let (first, second, third) = tokio::join!(attempt(0), attempt(1), attempt(2));
    for refused in [first, second, third] {
        refusal(&refused.expect_err("one disk is not enough"));
    }

    // What was acknowledged does not depend on what waits for a disk.
    (0..3).for_each(|index| cluster.member_mut(index).kill());
    drop(hangs);
    (0..3).for_each(|index| cluster.member_mut(index).spawn().expect("it starts again"));
    for index in 0..3 {
        cluster.member_mut(index).await_serving().expect("it serves again");
        let found = eventually("a read", || async { get(cluster.member(index), "key").await.ok() }).await;
        assert!(matches!(found.as_deref(), Some("before" | "meanwhile")), "{found:?}");
    }
}

/// Large values written while a disk hangs: more than twice what the log of a member takes that needs none of it.
const LARGE_WRITES: usize = 500;
const LARGE_BYTES: usize = 900_000;

/// Files of 64 MiB that the log of a leader may have: those that the last checkpoint does not cover, the current one and the
/// next one.
const LOG_BYTES_MAX: u64 = 5 * (64 << 20);

fn log_bytes(member: &testkit::Server) -> u64 {
    let files = std::fs::read_dir(member.data_dir().join("member/wal")).expect("a log");
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
}

/// A heartbeat's answer needs nothing of its disk, so it is there for its leader.
#[tokio::test]
async fn a_follower_whose_disk_hangs_does_not_fill_the_disk_of_its_leader() {
    let flags = [IMPATIENT, &["--snapshot-catchup-entries=10"]].concat();
    let cluster = Cluster::start(&disks::program(), 3, &flags);
    put(cluster.member(0), "key", "before").await.expect("three are enough");
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let hung = (leads + 1) % 3;
    let hang = hang(cluster.member(hung));
    let value = "x".repeat(LARGE_BYTES);
    for number in 0..LARGE_WRITES {
        let key = format!("key {}", number % 10);
        eventually("a write", || async { put(cluster.member(leads), &key, &value).await.ok() }).await;
    }
    eventually("the log of the leader to be released", || async {
        (log_bytes(cluster.member(leads)) <= LOG_BYTES_MAX).then_some(())
    })
    .await;
    // It gets a snapshot instead.
    drop(hang);
    let last =
        eventually("a read on the follower", || async { get(cluster.member(hung), "key 9").await.ok() });
    assert_eq!(last.await.map(|value| value.len()), Some(LARGE_BYTES));
}

#[tokio::test]
async fn nobody_misses_a_follower_whose_disk_hangs() {
    let mut cluster = Cluster::start(&disks::program(), 3, PATIENT);
    let mut known = Known::default();
    let mut traffic = Traffic::start(&cluster, LOAD, "hung", Random::new(3), 2, &mut known);
    traffic.go_on(&mut known, WRITES).await;
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let [hung, other] = [(leads + 1) % 3, (leads + 2) % 3];
    let term = status(cluster.member(leads)).await.expect("a status").raft_term;
    let hang = hang(cluster.member(hung));
    traffic.go_on(&mut known, 10 * WRITES).await;
    traffic.read_on(&mut known, &[leads, other]).await;
    assert_eq!(leader(&cluster, &[leads, other]).await, leads);
    assert_eq!(
        status(cluster.member(leads)).await.expect("a status").raft_term,
        term,
        "nobody had to be elected"
    );

    // It has not confirmed anything since, so nothing of that is lost with it.
    cluster.member_mut(hung).kill();
    drop(hang);
    cluster.member_mut(hung).restart();
    traffic.read_on(&mut known, &[0, 1, 2]).await;
    println!("clients were told {:?}", traffic.stop(&mut known).await);
    verify(&cluster, &mut known).await;
}
