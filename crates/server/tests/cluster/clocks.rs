//! Clocks that leap: leases, leadership and ids have nothing to do with the time of day.
//!
//! The members run under `libfaketime`, which shows them the time of day that a file says, and the truth about how much
//! time has passed.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Cluster, Server, require};

use crate::client::{eventually, get, leader, status};
use crate::leases::{LONG_SECONDS, grant, keep_alive, put_under, put_under_short_lease, time_to_live};
use crate::program;

/// Where the members' day begins; and it must show in their logs.
const START: &str = "2020-01-01 00:00:00";
const START_IN_LOG: &str = "\"ts\":\"2020-01-01T";

/// Nobody is elected because a test takes its time.
const PATIENT: &[&str] = &["--election-timeout=2000"];

/// The library, where distributions put it.
fn library() -> Result<PathBuf, String> {
    let places = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"].map(Path::new);
    let below = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    let below = below.map(|entry| entry.path());
    let found = places.iter().map(|place| place.to_path_buf()).chain(below).find_map(|place| {
        let library = place.join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    found.ok_or_else(|| "there is no libfaketime (Debian's package: faketime)".to_owned())
}

fn clock_of(member: &Server) -> PathBuf {
    member.data_dir().with_file_name("clock")
}

/// Sets the time of day of a member.
fn set_clock(member: &Server, to: &str) {
    // Renamed, so that it is never read half written.
    let new = clock_of(member).with_extension("new");
    fs::write(&new, to).expect("a file beside the data directory");
    fs::rename(&new, clock_of(member)).expect("a file beside the data directory");
}

/// A cluster whose members have the time `start`.
fn cluster(library: &Path, size: usize, start: &str) -> Cluster {
    let prepare = |index| {
        let mut member = Server::prepare(&program(), &format!("m{index}"), PATIENT);
        set_clock(&member, start);
        let clock = clock_of(&member).display().to_string();
        member.set_variable("LD_PRELOAD", &library.display().to_string());
        member.set_variable("FAKETIME_TIMESTAMP_FILE", &clock);
        member.set_variable("FAKETIME_NO_CACHE", "1");
        // How the library calls it, in this version and the next.
        member.set_variable("DONT_FAKE_MONOTONIC", "1");
        member.set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        member
    };
    let cluster = Cluster::found((0..size).map(prepare).collect());
    for member in cluster.members() {
        assert!(member.log().contains(START_IN_LOG), "no other time: {}", member.log_tail());
    }
    cluster
}

#[tokio::test]
async fn a_clock_that_leaps_moves_no_lease_and_no_leader() {
    let library = require!("clocks", library());
    let cluster = cluster(&library, 3, &format!("@{START}"));
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let term = status(cluster.member(leads)).await.expect("a status").raft_term;
    let long = grant(cluster.member(leads), LONG_SECONDS).await;
    put_under(cluster.member(leads), "long", long).await;
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    for (leaping, days) in [(&[leads][..], "+10d"), (&[leads], "-10d"), (&others, "+4000d")] {
        let what = format!("{days} on {leaping:?}");
        put_under_short_lease(cluster.member(others[0]), cluster.member(others[1]), "short").await;
        leaping.iter().for_each(|member| set_clock(cluster.member(*member), days));
        // It ends, neither at once nor never, and the other one does not.
        for member in cluster.members() {
            eventually(&format!("{what}: the end of the short lease"), || async {
                get(member, "short").await.expect("a read").is_none().then_some(())
            })
            .await;
            let (left, granted, keys) = time_to_live(member, long).await.expect("an answer");
            assert!(left > LONG_SECONDS / 2 && left <= LONG_SECONDS, "{what}: {left}");
            assert_eq!((granted, keys), (LONG_SECONDS, 1), "{what}");
        }
        assert_eq!(leader(&cluster, &[0, 1, 2]).await, leads, "{what}");
        assert_eq!(status(cluster.member(leads)).await.expect("a status").raft_term, term, "{what}");
        assert_eq!(keep_alive(cluster.member(others[0]), long).await.expect("a renewal"), LONG_SECONDS);
    }
    // Who is ahead does not know that it is, and everybody says so.
    for member in cluster.members() {
        let says = || member.log().contains("prober found high clock drift").then_some(());
        eventually("the log to say that the clocks differ", || async { says() }).await;
    }
}

#[tokio::test]
async fn ids_are_not_used_twice_however_often_the_clock_begins_again() {
    let library = require!("clocks", library());
    // It stands still: each life of the member begins in the same millisecond.
    let mut cluster = cluster(&library, 1, START);
    for life in 0..3 {
        let lease = grant(cluster.member(0), LONG_SECONDS).await;
        put_under(cluster.member(0), &format!("key {life}"), lease).await;
        cluster.member_mut(0).kill();
        cluster.member_mut(0).restart();
    }
    for life in 0..3 {
        let found = get(cluster.member(0), &format!("key {life}")).await.expect("a read");
        assert!(found.is_some(), "every lease has its key");
    }
}
