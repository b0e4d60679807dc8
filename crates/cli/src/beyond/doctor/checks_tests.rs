//! What the checks say of a cluster that is well, and of the same cluster with one thing wrong.

use super::super::{BigKey, Certificate, MemberFacts, summary};
use super::*;

const METRICS: &str = "\
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.008\"} 990
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.512\"} 1000
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1000
etcd_debugging_mvcc_compact_revision 900
";

fn endpoint(id: u64) -> EndpointFacts {
    let status = StatusFacts {
        member_id: id,
        version: "3.7.1".into(),
        leader: 1,
        raft_term: 2,
        raft_index: 100,
        raft_applied_index: 98,
        db_size: 500_000_000,
        db_size_in_use: 400_000_000,
        db_size_quota: 2_000_000_000,
        revision: 1000,
        ..StatusFacts::default()
    };
    EndpointFacts {
        address: format!("10.0.0.{id}:2379"),
        status: Some(Ok(status)),
        metrics: Some(Metrics::parse(METRICS)),
        clock_ahead_ms: Some(300),
        clock_error: Duration::from_secs(1),
        certificate: Some(Certificate { expires_in_seconds: 200 * DAY_SECONDS }),
    }
}

fn healthy() -> ClusterFacts {
    ClusterFacts {
        members: (1..=3).map(|id| MemberFacts { id, name: format!("n{id}"), is_learner: false }).collect(),
        endpoints: (1..=3).map(endpoint).collect(),
        alarms: Some(Vec::new()),
        big_keys: Some(vec![BigKey { key: "/a".into(), bytes: 5000 }]),
        keys_seen: (1000, 1000),
    }
}

fn status(facts: &mut ClusterFacts, place: usize) -> &mut StatusFacts {
    facts.endpoints[place].status.as_mut().and_then(|status| status.as_mut().ok()).expect("a status")
}

/// The lines that differ from those of a cluster that is well.
fn lines_after(change: impl FnOnce(&mut ClusterFacts)) -> Vec<String> {
    let well = examine(&healthy());
    let mut facts = healthy();
    change(&mut facts);
    examine(&facts)
        .into_iter()
        .filter(|finding| !well.contains(finding))
        .map(|finding| finding.line())
        .collect()
}

#[test]
fn a_cluster_that_is_well() {
    let findings = examine(&healthy());
    let lines: Vec<String> = findings.iter().map(Finding::line).collect();
    assert_eq!(
        lines,
        [
            "ok    endpoints     3 of 3 answer",
            "ok    leader        n1",
            "ok    quorum        3 of 3 voters answer, 2 are needed: 1 more may fail",
            "ok    alarms        none",
            "ok    members       3 vote, none learns",
            "ok    versions      3.7.1 (n1, n2, n3)",
            "ok    raft lag      at most 2 entries (n3)",
            "ok    space         500 MB of 2.0 GB at n3, 25 %",
            "ok    disk          99 % of syncs within 8.0ms at n3 (since it started)",
            "ok    clocks        within 2.0s of each other and of this machine",
            "ok    certificates  the first to expire is that of 10.0.0.1:2379, in 200d",
            "ok    compaction    100 revisions of history kept",
            "ok    big keys      the biggest of 1,000 keys is /a (5.0 kB)",
        ]
    );
    assert_eq!(summary(&findings), "all is well");
}

#[test]
fn a_member_that_does_not_answer_takes_the_margin() {
    let lines = lines_after(|facts| {
        facts.endpoints[2] = EndpointFacts {
            address: "10.0.0.3:2379".into(),
            status: Some(Err("connection refused".into())),
            ..EndpointFacts::default()
        }
    });
    assert!(
        lines[0].starts_with(
            "FAIL  endpoints     1 of 3 do not answer: 10.0.0.3:2379 (connection refused): start"
        ),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("FAIL  quorum        2 of 3 voters answer, 2 are needed: the next failure"),
        "{lines:?}"
    );
}

/// What goes wrong.
type Change = fn(&mut ClusterFacts);

#[test]
fn each_thing_that_is_wrong_has_its_line() {
    let cases: [(Change, &str); 16] = [
        (|facts| status(facts, 1).leader = 0, "FAIL  leader        none at 10.0.0.2:2379"),
        (|facts| status(facts, 1).leader = 2, "warn  leader        the members name several: n1, n2"),
        (
            |facts| facts.alarms = Some(vec![(2, "NOSPACE".into())]),
            "FAIL  alarms        NOSPACE at n2: make space",
        ),
        (|facts| facts.alarms = Some(vec![(2, "CORRUPT".into())]), "FAIL  alarms        CORRUPT at n2: stop"),
        (|facts| facts.alarms = None, "?     alarms        nobody"),
        (
            |facts| facts.members[2].is_learner = true,
            "warn  quorum        2 of 2 voters answer, 2 are needed: 2 voters survive no more failures than 1",
        ),
        (|facts| facts.members[2].name.clear(), "warn  members       3 was added and has never started"),
        (|facts| status(facts, 0).version = "3.6.0".into(), "warn  versions      3.6.0 (n1), 3.7.1 (n2, n3)"),
        (|facts| status(facts, 0).raft_index = 9000, "warn  raft lag      at most 8,902 entries (n3)"),
        (
            |facts| status(facts, 1).db_size = 1_700_000_000,
            "FAIL  space         1.7 GB of 2.0 GB at n2, 85 %: most of it is free",
        ),
        (
            |facts| facts.endpoints[0].metrics = Some(Metrics::parse(&METRICS.replace("} 990", "} 980"))),
            "FAIL  disk          99 % of syncs within 512ms at n1",
        ),
        (
            |facts| facts.endpoints[0].clock_ahead_ms = Some(6000),
            "FAIL  clocks        10.0.0.1:2379 is at least 5.0s ahead of here",
        ),
        (
            |facts| {
                facts.endpoints[1].certificate = Some(Certificate { expires_in_seconds: -3 * DAY_SECONDS })
            },
            "FAIL  certificates  that of 10.0.0.2:2379 expired 3d ago",
        ),
        (
            |facts| {
                facts.endpoints[1].certificate = Some(Certificate { expires_in_seconds: 20 * DAY_SECONDS })
            },
            "warn  certificates  that of 10.0.0.2:2379 expires in 20d",
        ),
        (
            |facts| status(facts, 0).revision = 6_000_000,
            "warn  compaction    5,999,100 revisions of history kept",
        ),
        (
            |facts| facts.big_keys = Some(vec![BigKey { key: "/b".into(), bytes: 2_000_000 }]),
            "warn  big keys      the biggest of 1,000 keys is /b (2.0 MB)",
        ),
    ];
    for (change, beginning) in cases {
        let lines = lines_after(change);
        assert!(lines.iter().any(|line| line.starts_with(beginning)), "{beginning}\n{lines:#?}");
    }
}

#[test]
fn what_is_not_known_is_not_well() {
    let findings = examine(&ClusterFacts::default());
    assert!(findings.iter().all(|finding| finding.level != Level::Fine), "{findings:#?}");
    assert_eq!(summary(&findings), "2 to repair, 0 to look at, 11 not known");
}
