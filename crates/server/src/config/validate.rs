//! The rules that settings must keep, in the order in which etcd checks them, with etcd's words.
//!
//! etcd's rules come first and what this version does not serve comes last: a command line that etcd would refuse is refused for
//! etcd's reason.

use super::error::ConfigError;
use super::features::FeatureGates;
use super::go::Nanos;
use super::log;
use super::settings::Settings;
use super::url::{self, Url};
use crate::limits::ENTRY_BYTES_MAX;

/// The longest election timeout, in milliseconds.
const ELECTION_TIMEOUT_MS_MAX: u64 = 50_000;

fn refuse<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid(text.into()))
}

/// What validation must know beyond the settings themselves.
pub(super) struct Derived<'a> {
    /// The advertised client URLs: none when only `--listen-client-urls` was given.
    pub(super) advertise_client: &'a [Url],
    /// `--initial-cluster`: empty when discovery replaces the default.
    pub(super) initial_cluster: &'a str,
    /// The feature gates.
    pub(super) gates: &'a FeatureGates,
}

/// Checks all rules of etcd's.
pub(super) fn check(settings: &Settings, derived: &Derived<'_>) -> Result<(), ConfigError> {
    if settings.text("discovery-fallback") == "proxy" {
        return refuse("v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
    }
    logger(settings)?;
    addresses(settings, derived)?;
    bootstrap(settings, derived)?;
    timing(settings)?;
    if !settings.urls("listen-client-urls").is_empty() && derived.advertise_client.is_empty() {
        return refuse("--advertise-client-urls is required when --listen-client-urls is set explicitly");
    }
    compaction(settings)?;
    follow(settings)?;
    if settings.bool("enable-distributed-tracing")
        && !(0..=1_000_000).contains(&settings.int("distributed-tracing-sampling-rate"))
    {
        return refuse(
            "distributed tracing configuration is not valid: distributed tracing sampling rate must be between 0 and 1000000",
        );
    }
    if derived.gates.is_enabled("LeaseCheckpointPersist") && !derived.gates.is_enabled("LeaseCheckpoint") {
        return refuse(
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        );
    }
    let hash_check = settings.duration("compact-hash-check-time");
    if hash_check <= Nanos(0) {
        return refuse(format!("--compact-hash-check-time must be >0 (set to {hash_check})"));
    }
    Ok(())
}

fn follow(settings: &Settings) -> Result<(), ConfigError> {
    let is_set = |flag: &str| !settings.text(flag).is_empty();
    for (one, other) in [("follow-cert", "follow-key"), ("follow-user", "follow-password-file")] {
        if is_set(one) != is_set(other) {
            return refuse(format!("--{one} and --{other} go together: one of them is missing"));
        }
    }
    let others = ["follow-cacert", "follow-cert", "follow-user"];
    match others.into_iter().find(|flag| is_set(flag)) {
        Some(flag) if settings.list("follow-endpoints").is_empty() => refuse(format!(
            "--{flag} says how to follow a cluster, and --follow-endpoints does not say which"
        )),
        _ => Ok(()),
    }
}

fn logger(settings: &Settings) -> Result<(), ConfigError> {
    match settings.text("logger") {
        "zap" => {}
        other => return refuse(format!("unknown logger option {other:?}")),
    }
    log::check_outputs(settings.list("log-outputs"), settings.bool("enable-log-rotation"))
}

fn addresses(settings: &Settings, derived: &Derived<'_>) -> Result<(), ConfigError> {
    for flag in ["listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"] {
        if let Some(url) =
            settings.urls(flag).iter().find(|url| !url.is_unix() && url.bind_address().is_none())
        {
            return refuse(format!("expected IP in URL for binding ({url})"));
        }
    }
    let advertised = [
        ("--initial-advertise-peer-urls", settings.urls("initial-advertise-peer-urls"), "\"host:port\""),
        (
            "--advertise-client-urls",
            derived.advertise_client,
            "in the format \"host:port\", \"unix:/path/to/socket\" or \"unixs:/path/to/socket\"",
        ),
    ];
    for (flag, urls, form) in advertised {
        let hostless = urls.iter().find(|url| url.host_port().is_some_and(|(host, _)| host.is_empty()));
        if let Some(url) = hostless {
            let all = url::join(urls);
            return refuse(format!("{flag} {all:?} must be {form} (unexpected empty host ({url}))"));
        }
    }
    Ok(())
}

fn bootstrap(settings: &Settings, derived: &Derived<'_>) -> Result<(), ConfigError> {
    let endpoints = settings.list("discovery-endpoints");
    let ways = [
        !derived.initial_cluster.is_empty(),
        !settings.text("discovery-srv").is_empty(),
        !endpoints.is_empty(),
    ];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return refuse(
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery-endpoints\" or \
             \"discovery-srv\"",
        );
    }
    if settings.text("discovery-token").is_empty() != endpoints.is_empty() {
        return refuse("both --discovery-token and --discovery-endpoints must be set");
    }
    if endpoints.iter().any(|endpoint| endpoint.trim().is_empty()) {
        return refuse("--discovery-endpoints must not contain empty endpoints");
    }
    Ok(())
}

fn timing(settings: &Settings) -> Result<(), ConfigError> {
    let (heartbeat, election) = (settings.uint("heartbeat-interval"), settings.uint("election-timeout"));
    if heartbeat == 0 {
        return refuse("--heartbeat-interval must be >0 (set to 0ms)");
    }
    if election == 0 {
        return refuse("--election-timeout must be >0 (set to 0ms)");
    }
    if heartbeat.saturating_mul(5) > election {
        return refuse(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
        ));
    }
    if election > ELECTION_TIMEOUT_MS_MAX {
        return refuse(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_TIMEOUT_MS_MAX}ms"
        ));
    }
    Ok(())
}

fn compaction(settings: &Settings) -> Result<(), ConfigError> {
    match settings.text("auto-compaction-mode") {
        "periodic" | "revision" => Ok(()),
        "" => refuse("undefined auto-compaction-mode"),
        other => refuse(format!("unknown auto-compaction-mode {other:?}")),
    }
}

/// The least that `--memory-limit` may be, in bytes: what an empty member and its least shares take.
const MEMORY_LIMIT_MIN: u64 = 128 << 20;

/// Checks sizes of our own: a request that is taken must fit into the raft log, as one entry, as what does not could be neither
/// stored nor taken back.
pub(super) fn sizes(settings: &Settings) -> Result<(), ConfigError> {
    let request = settings.uint("max-request-bytes");
    if request > ENTRY_BYTES_MAX as u64 {
        return refuse(format!(
            "--max-request-bytes[{request}] is too large, and should be set to {ENTRY_BYTES_MAX} at most, the longest entry \
             that a file of the raft log takes"
        ));
    }
    let memory = settings.uint("memory-limit");
    if memory != 0 && memory < MEMORY_LIMIT_MIN {
        return refuse(format!(
            "--memory-limit[{memory}] is too small, and should be set to {MEMORY_LIMIT_MIN} at least, or to 0 for as much as there is"
        ));
    }
    Ok(())
}
