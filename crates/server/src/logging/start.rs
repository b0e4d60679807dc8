//! The lines that say with which settings a member starts, and that it ends.

use std::path::PathBuf;
use std::time::Duration;

use super::messages;
use crate::config::{Allowed, AutoCompaction, Cluster, ClusterState, Config, Discovery, Nanos, Quota, url};
use crate::version;

/// Logs the command line, whether there is data, and the settings, under etcd's names where etcd has them.
pub fn log_settings(config: &Config, arguments: &[String]) {
    let args: Vec<String> = std::env::args().take(1).chain(without_secrets(arguments)).collect();
    tracing::info!(args = ?args, "{}", messages::RUNNING);
    let data_dir = config.data_dir.display();
    let is_initialised = config.data_dir.join("member").is_dir();
    if is_initialised {
        tracing::info!("data-dir" = %data_dir, "dir-type" = "member", "{}", messages::INITIALISED);
    } else {
        tracing::info!("data-dir" = %data_dir, "dir-type" = "empty", "{}", messages::NEW);
    }
    log_start(config, is_initialised);
}

fn log_start(config: &Config, is_initialised: bool) {
    let Config { listen, cluster, raft, limits, .. } = config;
    let service = cluster.discovery.as_ref().and_then(Discovery::service);
    let quota = match limits.quota {
        Quota::Bytes(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
        Quota::None => -1,
    };
    let path = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let (compaction_mode, compaction_retention) = compaction(config.auto_compaction);
    tracing::info!(
        "quorate-version" = version::QUORATE,
        "etcd-version" = version::ETCD,
        "git-sha" = version::GIT_SHA,
        "go-os" = std::env::consts::OS,
        "go-arch" = version::go_arch(std::env::consts::ARCH),
        "max-cpu-available" = std::thread::available_parallelism().map_or(1, usize::from),
        "member-initialized" = is_initialised,
        name = config.name,
        "data-dir" = %config.data_dir.display(),
        "wal-dir" = path(config.wal_dir.as_ref()),
        "member-dir" = %config.data_dir.join("member").display(),
        "force-new-cluster" = cluster.force_new,
        "heartbeat-interval" = go_duration(raft.heartbeat_interval),
        "election-timeout" = go_duration(raft.election_timeout),
        "snapshot-catchup-entries" = raft.snapshot_catchup_entries,
        "initial-advertise-peer-urls" = ?url::texts(&cluster.advertise_peer),
        "listen-peer-urls" = ?url::texts(&listen.peer),
        "advertise-client-urls" = ?url::texts(&cluster.advertise_client),
        "listen-client-urls" = ?url::texts(&listen.client),
        "listen-metrics-urls" = ?url::texts(&listen.metrics),
        cors = ?allowed(&config.http.cors),
        "host-whitelist" = ?allowed(&config.http.hosts),
        "initial-cluster" = founders(cluster),
        "initial-cluster-state" = state(cluster.state),
        "initial-cluster-token" = cluster.token,
        "quota-backend-bytes" = quota,
        "max-request-bytes" = limits.request_bytes_max,
        "max-concurrent-streams" = limits.concurrent_streams_max,
        "pre-vote" = raft.pre_vote,
        "auto-compaction-mode" = compaction_mode,
        "auto-compaction-retention" = compaction_retention,
        "discovery-token" = service.map_or("", |service| service.token.as_str()),
        "discovery-endpoints" = service.map(|service| service.endpoints.join(",")).unwrap_or_default(),
        "max-learners" = cluster.learners_max,
        "v2-deprecation" = "write-only",
        "{}",
        messages::STARTING
    );
}

/// Logs that the member begins to stop, or has stopped.
pub fn log_end(config: &Config, message: &str) {
    tracing::info!(
        name = config.name,
        "data-dir" = %config.data_dir.display(),
        "advertise-peer-urls" = ?url::texts(&config.cluster.advertise_peer),
        "advertise-client-urls" = ?url::texts(&config.cluster.advertise_client),
        "{message}"
    );
}

fn allowed(list: &Allowed) -> Vec<&str> {
    match list {
        Allowed::All => vec!["*"],
        Allowed::Only(words) => words.iter().map(String::as_str).collect(),
    }
}

/// Returns the mode of automatic compaction, and what it keeps.
fn compaction(compaction: AutoCompaction) -> (&'static str, String) {
    match compaction {
        AutoCompaction::Off => ("periodic", go_duration(Duration::ZERO)),
        AutoCompaction::Periodic(kept) => ("periodic", go_duration(kept)),
        AutoCompaction::Revision(kept) => ("revision", kept.to_string()),
    }
}

/// Returns a duration in Go's spelling.
fn go_duration(duration: Duration) -> String {
    Nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)).to_string()
}

fn founders(cluster: &Cluster) -> String {
    let one = |(name, urls): (&String, &Vec<_>)| {
        urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
    };
    cluster.initial.iter().map(one).collect::<Vec<_>>().join(",")
}

fn state(state: ClusterState) -> &'static str {
    match state {
        ClusterState::New => "new",
        ClusterState::Existing => "existing",
    }
}

/// Returns the command line with the values of passwords and users taken out.
fn without_secrets(arguments: &[String]) -> Vec<String> {
    let is_secret =
        |flag: &str| flag.starts_with('-') && (flag.contains("password") || flag.ends_with("-user"));
    let mut hides_next = false;
    let shown = arguments.iter().map(|word| {
        let (flag, value) =
            word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        match (std::mem::take(&mut hides_next), is_secret(flag), value) {
            (true, ..) => "<hidden>".to_owned(),
            (_, true, Some(_)) => format!("{flag}=<hidden>"),
            (_, is_secret, _) => {
                hides_next = is_secret;
                word.clone()
            }
        }
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_logged() {
        let line = ["--name=a", "--discovery-password=x", "-discovery-user", "u:x", "--discovery-token", "t"];
        let shown = without_secrets(&line.map(str::to_owned));
        let expected = [
            "--name=a",
            "--discovery-password=<hidden>",
            "-discovery-user",
            "<hidden>",
            "--discovery-token",
            "t",
        ];
        assert_eq!(shown, expected);
    }
}
