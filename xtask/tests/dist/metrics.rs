//! Alerts and dashboard name metrics that members have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use xtask::repository_root;

use super::files::{read_json, read_yaml};
use super::promql::metrics_of;

/// What Prometheus itself has about whom it asks.
const OF_PROMETHEUS: [&str; 1] = ["up"];

/// etcd's metrics that a member does not have: those of Go, and of what is linked into etcd's binary.
const NOT_HERE: [&str; 5] = [
    "go_",
    "etcd_grpc_proxy_",
    "etcd_debugging_store_",
    "etcd_debugging_snap_save_",
    "etcd_server_go_version",
];

/// Returns every family that a member may expose: those of etcd that were recorded, and those that our sources declare (a lone member
/// has no peers, so what is about them was not recorded).
fn known() -> BTreeSet<String> {
    let root = repository_root();
    let recorded = fs::read_to_string(root.join("crates/server/testdata/etcd-3.7.1-metrics.txt"))
        .expect("the recording");
    let mut known: BTreeSet<String> = OF_PROMETHEUS.map(str::to_owned).into();
    let families = recorded.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    known.extend(families.map(str::to_owned));
    collect_ours(&root.join("crates/metrics/src"), &mut known);
    known.retain(|family| !NOT_HERE.iter().any(|prefix| family.starts_with(prefix)));
    known
}

/// Adds the families that our sources declare: texts that are such a name and nothing else.
fn collect_ours(directory: &Path, known: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_ours(&path, known);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            known.extend(text.split('"').filter(|text| is_family(text)).map(str::to_owned));
        }
    }
}

fn is_family(text: &str) -> bool {
    let is_ours = ["quorate_", "etcd_"].iter().any(|prefix| text.starts_with(prefix));
    is_ours && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Returns the family that a series is of: histograms have three series.
fn family_of(series: &str) -> &str {
    let suffixes = ["_seconds_bucket", "_seconds_count", "_seconds_sum"].iter();
    let found =
        suffixes.filter(|suffix| series.ends_with(**suffix)).map(|suffix| suffix.len() - "_seconds".len());
    &series[..series.len() - found.max().unwrap_or(0)]
}

fn alerts() -> Vec<(String, String)> {
    let text = |rule: &Value, key: &str| rule[key].as_str().expect("a text").to_owned();
    let [file] = read_yaml("monitoring/alerts.yaml").try_into().expect("one document");
    let groups = file["groups"].as_array().expect("groups").clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone());
    rules.map(|rule| (text(&rule, "alert"), text(&rule, "expr"))).collect()
}

fn panels() -> Vec<(String, String)> {
    let dashboard = read_json("monitoring/dashboard.json");
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push((title.to_owned(), target["expr"].as_str().expect("an expression").to_owned()));
        }
    }
    expressions
}

#[test]
fn what_alerts_and_panels_name_is_there() {
    let known = known();
    for (name, expression) in alerts().into_iter().chain(panels()) {
        for metric in metrics_of(&expression) {
            assert!(known.contains(family_of(&metric)), "{name}: no member has {metric}");
        }
    }
}

#[test]
fn every_alert_that_operators_of_etcd_know_is_there() {
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    for name in [
        "etcdMembersDown",
        "etcdInsufficientMembers",
        "etcdNoLeader",
        "etcdHighNumberOfLeaderChanges",
        "etcdHighNumberOfFailedGRPCRequests",
        "etcdGRPCRequestsSlow",
        "etcdMemberCommunicationSlow",
        "etcdHighNumberOfFailedProposals",
        "etcdHighFsyncDurations",
        "etcdHighCommitDurations",
        "etcdDatabaseQuotaLowSpace",
        "etcdExcessiveDatabaseGrowth",
        "etcdDatabaseHighFragmentationRatio",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn the_dashboard_shows_what_etcds_shows_and_our_own() {
    let shown: BTreeSet<String> =
        panels().iter().flat_map(|(_, expression)| metrics_of(expression)).collect();
    for metric in [
        "etcd_server_has_leader",
        "grpc_server_started_total",
        "grpc_server_handled_total",
        "etcd_mvcc_db_total_size_in_bytes",
        "etcd_disk_wal_fsync_duration_seconds_bucket",
        "etcd_disk_backend_commit_duration_seconds_bucket",
        "process_resident_memory_bytes",
        "etcd_network_client_grpc_received_bytes_total",
        "etcd_network_client_grpc_sent_bytes_total",
        "etcd_network_peer_received_bytes_total",
        "etcd_network_peer_sent_bytes_total",
        "etcd_server_leader_changes_seen_total",
        "etcd_network_peer_round_trip_time_seconds_bucket",
        "quorate_memory_limit_bytes",
        "quorate_backup_last_full_timestamp_seconds",
        "quorate_tls_expiry_days",
        "quorate_follow_lag_seconds",
    ] {
        assert!(shown.contains(metric), "{metric}");
    }
}

#[test]
fn panels_do_not_overlap_and_have_numbers_of_their_own() {
    let dashboard = read_json("monitoring/dashboard.json");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for (x, y) in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(x < 24 && cells.insert((x, y)), "{} at {x}, {y}", panel["title"]);
        }
    }
}
