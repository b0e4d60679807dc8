//! A cluster that is made up: three members below a Kubernetes, one of them with a slow disk.

use std::time::Duration;

use quorate_cli::beyond::doctor::{
    BigKey, Certificate, ClusterFacts, EndpointFacts, MemberFacts, StatusFacts,
};
use quorate_cli::beyond::metrics::Metrics;
use quorate_cli::beyond::top::{HotPrefix, MemberRow, Rates, Role, View};
use quorate_cli::beyond::tree::Tree;

pub(crate) fn view() -> View {
    let member = |name: &str, role, lag, requests: f64, fsync| MemberRow {
        name: name.to_owned(),
        role,
        version: "3.7.1".to_owned(),
        lag: Some(lag),
        db_size: Some(412_000_000),
        db_quota: Some(2_147_483_648),
        rates: Some(Rates {
            puts: 2.0,
            ranges: requests * 0.6,
            txns: requests * 0.3,
            deletes: 0.0,
            requests,
            watchers: Some(640.0),
            pending: Some(0.0),
            fsync: Some(Duration::from_millis(fsync)),
        }),
    };
    let hot =
        |prefix: &str, rate, bytes_rate| HotPrefix { prefix: prefix.into(), rate, events: 0, bytes_rate };
    View {
        cluster_id: 0xcdf8_181c_3d3a_1f11,
        revision: 18_302_114,
        raft_term: 7,
        keys: Some(31_204),
        members: vec![
            member("etcd-a", Role::Leader, 0, 812.0, 2),
            member("etcd-b", Role::Follower, 1, 344.0, 4),
            member("etcd-c", Role::Follower, 3, 298.0, 64),
        ],
        alarms: Vec::new(),
        hot: vec![
            hot("/registry/leases/", 101.6, 41_200.0),
            hot("/registry/pods/", 37.0, 310_400.0),
            hot("/registry/events/", 22.4, 24_800.0),
            hot("/registry/endpointslices/", 3.2, 5_100.0),
        ],
        hot_note: None,
    }
}

pub(crate) fn tree() -> Tree {
    let mut tree = Tree::default();
    for (path, keys, bytes) in [
        ("pods/default/", 300, 9_100),
        ("pods/kube-system/", 42, 8_400),
        ("pods/monitoring/", 25, 12_000),
        ("events/default/", 2_400, 900),
        ("leases/kube-node-lease/", 110, 400),
        ("leases/kube-system/", 9, 420),
        ("configmaps/kube-system/", 14, 31_000),
        ("secrets/default/", 61, 2_100),
        ("services/specs/", 48, 1_300),
    ] {
        (0..keys).for_each(|key| tree.add(format!("{path}{key}").as_bytes(), bytes, 2));
    }
    tree
}

pub(crate) fn facts() -> ClusterFacts {
    ClusterFacts {
        members: (1..=3).map(|id| MemberFacts { id, name: name(id), is_learner: false }).collect(),
        endpoints: (1..=3).map(endpoint).collect(),
        alarms: Some(Vec::new()),
        big_keys: Some(vec![BigKey {
            key: "/registry/configmaps/kube-system/dashboards".to_owned(),
            bytes: 1_320_000,
        }]),
        keys_seen: (10_000, 31_204),
    }
}

fn name(id: u64) -> String {
    format!("etcd-{}", char::from(b'`' + u8::try_from(id).unwrap()))
}

fn endpoint(id: u64) -> EndpointFacts {
    let fsync = if id == 3 { "0.064" } else { "0.004" };
    let metrics = format!(
        "etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"{fsync}\"}} 10000\n\
         etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"+Inf\"}} 10000\n\
         etcd_debugging_mvcc_compact_revision 18290000\n"
    );
    EndpointFacts {
        address: format!("https://10.0.0.{id}:2379"),
        status: Some(Ok(StatusFacts {
            member_id: id,
            version: "3.7.1".to_owned(),
            leader: 1,
            is_learner: false,
            raft_term: 7,
            raft_index: 20_114_802,
            raft_applied_index: 20_114_802 - id + 1,
            db_size: 412_000_000,
            db_size_in_use: 401_000_000,
            db_size_quota: 2_147_483_648,
            revision: 18_302_114,
            errors: Vec::new(),
        })),
        metrics: Some(Metrics::parse(&metrics)),
        clock_ahead_ms: Some(120),
        clock_error: Duration::from_millis(502),
        certificate: Some(Certificate {
            expires_in_seconds: 86_400 * (21 + 100 * (3 - i64::try_from(id).unwrap())),
        }),
    }
}
