//! The line that says with which settings a member starts.

use super::messages;
use crate::config::{Cluster, ClusterState, Config, Quota, url};
use crate::version;

/// Logs the settings, under etcd's names where etcd has them.
pub fn log_settings(config: &Config, arguments: &[String]) {
    let Config { listen, cluster, raft, limits, .. } = config;
    let quota = match limits.quota {
        Quota::Bytes(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
        Quota::None => -1,
    };
    tracing::info!(
        "quorate-version" = version::QUORATE,
        "etcd-version" = version::ETCD,
        arguments = ?without_secrets(arguments),
        name = config.name,
        "data-dir" = %config.data_dir.display(),
        "force-new-cluster" = cluster.force_new,
        "heartbeat-interval" = ?raft.heartbeat_interval,
        "election-timeout" = ?raft.election_timeout,
        "pre-vote" = raft.pre_vote,
        "snapshot-catchup-entries" = raft.snapshot_catchup_entries,
        "initial-advertise-peer-urls" = url::join(&cluster.advertise_peer),
        "listen-peer-urls" = url::join(&listen.peer),
        "advertise-client-urls" = url::join(&cluster.advertise_client),
        "listen-client-urls" = url::join(&listen.client),
        "listen-metrics-urls" = url::join(&listen.metrics),
        "initial-cluster" = founders(cluster),
        "initial-cluster-state" = state(cluster.state),
        "initial-cluster-token" = cluster.token,
        "quota-backend-bytes" = quota,
        "max-request-bytes" = limits.request_bytes_max,
        "max-concurrent-streams" = limits.concurrent_streams_max,
        "max-learners" = cluster.learners_max,
        "v2-deprecation" = "write-only",
        "{}",
        messages::STARTING
    );
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
