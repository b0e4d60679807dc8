//! The exposition against the text of a real etcd.
//!
//! `testdata/etcd-3.7.1-metrics.txt` is the shape of what etcd 3.7.1 (one member, freshly started, `--metrics extensive`, a few health
//! checks) answers to `GET /metrics`: every `# TYPE` line, and behind it of each sample the suffix of its name and its labels (`{}`
//! when there are neither). Values are left out; help texts are our own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

const RECORDED: &str = include_str!("../../testdata/etcd-3.7.1-metrics.txt");

/// An exposition in the form of the recorded file.
fn shape_of(text: &str) -> String {
    let (mut shape, mut family) = (String::new(), "");
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        match line.strip_prefix("# TYPE ") {
            Some(of) => {
                family = of.split(' ').next().unwrap();
                shape.push_str(line);
            }
            None => {
                let series = line.rsplit_once(' ').unwrap().0.strip_prefix(family).unwrap();
                shape.push_str(if series.is_empty() { "{}" } else { series });
            }
        }
        shape.push('\n');
    }
    shape
}

/// The lines of each family.
fn families(shape: &str) -> BTreeMap<String, Vec<String>> {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut family = String::new();
    for line in shape.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            family = of.split(' ').next().unwrap().to_owned();
        }
        families.entry(family.clone()).or_default().push(line.to_owned());
    }
    families
}

/// A member as it was recorded: the same things have happened to it.
fn recorded_member() -> Metrics {
    let metrics = crate::metrics::of_server(MetricsDetail::Extensive);
    metrics.server.id.set("2e1259d415f2a040");
    metrics.server.cluster_version.set("3.7");
    let gates = crate::config::FeatureGates::default();
    let all = [("AllAlpha", "ALPHA", false), ("AllBeta", "BETA", false)].into_iter();
    metrics
        .server
        .feature_enabled
        .set(all.chain(gates.iter().map(|(gate, on)| (gate.name, gate.stage.label(), on))).collect());
    for (name, kind) in labelled::HEALTH_CHECKS {
        metrics.server.healthchecks.record(name, kind, Success::Yes);
    }
    for operation in [Operation::ClusterMemberAttrSet, Operation::ClusterVersionSet] {
        metrics.server.apply_duration.of(operation, Success::Yes).observe(Duration::ZERO);
        metrics.server.request_duration.of(operation, Success::Yes).observe(Duration::ZERO);
    }
    metrics.server.request_duration.of(Operation::Range, Success::Yes).observe(Duration::ZERO);
    metrics.server.range_duration.of(Success::Yes).observe(Duration::ZERO);
    metrics
}

/// Families of etcd that are about things which do not exist here, each with what it would be about. Those of Go's runtime
/// (`go_*`) are missing as well.
const NOT_HERE: &[(&str, &str)] = &[
    ("etcd_debugging_disk_backend_commit_rebalance_duration_seconds", "bbolt's pages; redb has no such step"),
    ("etcd_debugging_disk_backend_commit_spill_duration_seconds", "bbolt's pages; redb has no such step"),
    ("etcd_debugging_snap_save_marshalling_duration_seconds", "snapshot files of the v2 store"),
    ("etcd_debugging_snap_save_total_duration_seconds", "snapshot files of the v2 store"),
    ("etcd_debugging_store_expires_total", "the v2 store"),
    ("etcd_debugging_store_watch_requests_total", "the v2 store"),
    ("etcd_debugging_store_watchers", "the v2 store"),
    ("etcd_server_go_version", "the version of Go, in which this server is not written"),
];

#[test]
fn every_family_has_the_series_of_a_real_etcd() {
    let (ours, theirs) = (families(&shape_of(&recorded_member().exposition())), families(RECORDED));
    for (family, series) in &theirs {
        if NOT_HERE.iter().any(|(name, _)| name == family) || family.starts_with("go_") {
            assert!(!ours.contains_key(family), "{family} is listed as not being here");
            continue;
        }
        assert_eq!(ours.get(family), Some(series), "{family}");
    }
}

#[test]
fn nothing_is_exposed_that_etcd_does_not_have() {
    let theirs: BTreeSet<_> = families(RECORDED).into_keys().collect();
    let ours: BTreeSet<_> = families(&shape_of(&recorded_member().exposition())).into_keys().collect();
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn families_stand_in_order() {
    let text = recorded_member().exposition();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.is_sorted());
}

#[test]
fn handling_times_are_for_the_extensive_alone() {
    let basic = crate::metrics::of_server(MetricsDetail::Basic);
    let method = basic.grpc.method("etcdserverpb.KV", "Put").unwrap();
    assert!(!method.wants_duration());
    method.handled(0, Duration::from_millis(3));
    assert!(!basic.exposition().contains("grpc_server_handling_seconds"));

    let extensive = crate::metrics::of_server(MetricsDetail::Extensive);
    extensive.grpc.method("etcdserverpb.KV", "Put").unwrap().handled(0, Duration::from_millis(30));
    let line = "grpc_server_handling_seconds_bucket{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\",le=\"0.05\"} 1\n";
    assert!(extensive.exposition().contains(line));
}

#[test]
fn calls_are_counted_by_code() {
    let metrics = crate::metrics::of_server(MetricsDetail::Basic);
    let put = metrics.grpc.method("etcdserverpb.KV", "Put").unwrap();
    put.started.inc();
    for code in [0, 0, 14, 99, -1] {
        put.handled(code, Duration::ZERO);
    }
    let text = metrics.exposition();
    let labels = "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
    for (code, count) in [("OK", 2), ("Unavailable", 1), ("Unknown", 2), ("Aborted", 0)] {
        assert!(
            text.contains(&format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}} {count}\n")),
            "{code}"
        );
    }
    assert!(text.contains(&format!("grpc_server_started_total{{{labels}}} 1\n")));
    assert!(metrics.grpc.method("etcdserverpb.KV", "Nosuch").is_none());
}

#[test]
fn labels_that_need_an_event_appear_with_it() {
    let metrics = crate::metrics::of_server(MetricsDetail::Basic);
    let before = metrics.exposition();
    for name in [
        "etcd_server_client_requests_total",
        "etcd_network_server_stream_failures_total",
        "etcd_debugging_server_alarms",
    ] {
        assert!(!before.contains(name), "{name}");
    }
    metrics.server.client_requests.handle(CallType::Unary, Some(b"3.7.1")).inc();
    metrics.server.client_requests.handle(CallType::Stream, None).inc();
    metrics.network.stream_failures.of(StreamApi::Watch, Direction::Send).inc();
    metrics.server.alarms.set("NOSPACE", crate::ids::MemberId(0x2e12), true);
    let after = metrics.exposition();
    let lines = [
        "etcd_server_client_requests_total{client_api_version=\"3.7.1\",type=\"unary\"} 1\n",
        "etcd_server_client_requests_total{client_api_version=\"unknown\",type=\"stream\"} 1\n",
        "etcd_network_server_stream_failures_total{API=\"watch\",Type=\"send\"} 1\n",
        "etcd_debugging_server_alarms{alarm_type=\"NOSPACE\",server_id=\"2e12\"} 1\n",
    ];
    for line in lines {
        assert!(after.contains(line), "{line}");
    }
}
