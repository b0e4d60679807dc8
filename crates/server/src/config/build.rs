//! From settings to a [`Config`]: typed, with the defaults that follow from other settings filled in.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Allowed, AuthSettings, AutoCompaction, Backups, Cluster, ClusterState, Config, ConfigError, Console,
    Discovery, DistributedTracing, FeatureGates, FollowSettings, HttpAccess, Keepalive, Limits, Listen, Log,
    MetricsDetail, Nanos, Notice, Quota, Raft, Settings, Source, Tls, Url, Warnings, go, table, url,
    validate,
};

impl Config {
    /// Checks the settings and builds the configuration from them.
    ///
    /// # Errors
    /// What etcd refuses, and what this version does not serve yet.
    pub(super) fn from_settings(
        settings: &Settings,
        mut notices: Vec<Notice>,
    ) -> Result<Config, ConfigError> {
        let gates = FeatureGates::parse(settings.text("feature-gates")).map_err(|error| {
            let value = settings.text("feature-gates");
            ConfigError::Invalid(format!("invalid value {value:?} for flag -feature-gates: {error}"))
        })?;
        let initial_cluster = initial_cluster(settings);
        let advertise_client = advertise_client(settings);
        let derived =
            validate::Derived { advertise_client, initial_cluster: &initial_cluster, gates: &gates };
        validate::check(settings, &derived)?;
        let tls = Tls::from_settings(settings)?;
        let cluster = cluster(settings, advertise_client, &initial_cluster, &mut notices)?;
        validate::sizes(settings)?;

        let data_dir = data_dir(settings, &mut notices);
        notice_what_has_no_effect(settings, &gates, &mut notices);
        let wal_dir = settings.text("wal-dir");
        Ok(Config {
            name: settings.text("name").to_owned(),
            data_dir,
            wal_dir: (!wal_dir.is_empty()).then(|| PathBuf::from(wal_dir)),
            listen: listen(settings),
            cluster,
            raft: raft(settings)?,
            limits: limits(settings),
            keepalive: keepalive(settings)?,
            auth: auth(settings, &mut notices),
            auto_compaction: auto_compaction(settings)?,
            follow: follow(settings),
            watch_progress_notify_interval: watch_progress_notify_interval(settings)?,
            warnings: Warnings {
                apply: duration(settings, "warning-apply-duration")?,
                unary_request: duration_or(
                    settings,
                    "warning-unary-request-duration",
                    Duration::from_millis(300),
                )?,
            },
            http: HttpAccess {
                cors: Allowed::from_flag(settings.list("cors")),
                hosts: Allowed::from_flag(settings.list("host-whitelist")),
                profiles: settings.bool("enable-pprof"),
            },
            tls,
            metrics: match settings.text("metrics") {
                "extensive" => MetricsDetail::Extensive,
                _ => MetricsDetail::Basic,
            },
            distributed_tracing: distributed_tracing(settings),
            backups: Backups::from_settings(settings)?,
            log: Log::from_settings(settings)?,
            defragment_from: defragment_from(settings),
            locks_memory: settings.bool("memory-mlock"),
            serves_gateway: settings.bool("enable-grpc-gateway"),
            console: Console::from_settings(settings)?,
            traces_requests: false,
            feature_gates: gates,
            notices,
        })
    }
}

/// The collector of spans. The sampling rate has been checked.
fn distributed_tracing(settings: &Settings) -> Option<DistributedTracing> {
    settings.bool("enable-distributed-tracing").then(|| DistributedTracing {
        address: settings.text("distributed-tracing-address").to_owned(),
        service_name: settings.text("distributed-tracing-service-name").to_owned(),
        instance_id: settings.text("distributed-tracing-instance-id").to_owned(),
        sampling_rate: u32::try_from(settings.int("distributed-tracing-sampling-rate")).unwrap_or(0),
    })
}

/// The cluster that is followed. The combinations have been checked.
fn follow(settings: &Settings) -> Option<FollowSettings> {
    let path = |flag| Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let endpoints = settings.list("follow-endpoints").to_vec();
    let user = Some(settings.text("follow-user").to_owned()).filter(|user| !user.is_empty());
    (!endpoints.is_empty()).then(|| FollowSettings {
        endpoints,
        ca: path("follow-cacert"),
        identity: path("follow-cert").zip(path("follow-key")),
        user: user.zip(path("follow-password-file")),
    })
}

/// Costs that bcrypt has.
const BCRYPT_COSTS: std::ops::RangeInclusive<u64> = 4..=31;

/// etcd's default, which it also takes in the place of a cost that bcrypt does not have.
const BCRYPT_COST_DEFAULT: u32 = 10;

fn auth(settings: &Settings, notices: &mut Vec<Notice>) -> AuthSettings {
    let asked = settings.uint("bcrypt-cost");
    let bcrypt_cost = if BCRYPT_COSTS.contains(&asked) {
        asked as u32
    } else {
        notices.push(Notice::BcryptCost { given: asked, used: BCRYPT_COST_DEFAULT });
        BCRYPT_COST_DEFAULT
    };
    AuthSettings {
        token: settings.text("auth-token").to_owned(),
        token_ttl: Duration::from_secs(settings.uint("auth-token-ttl")),
        bcrypt_cost,
    }
}

/// Returns a duration in Go's spelling, if it is one and not negative.
pub(crate) fn parse_go_duration(text: &str) -> Option<Duration> {
    let Nanos(nanos) = go::parse_duration(text)?;
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// `--initial-cluster`, unless discovery takes the place of its default.
fn initial_cluster(settings: &Settings) -> String {
    let discovers =
        ["discovery-srv", "discovery-srv-name"].iter().any(|flag| !settings.text(flag).is_empty())
            || !settings.list("discovery-endpoints").is_empty();
    if discovers && !settings.is_set("initial-cluster") {
        return String::new();
    }
    settings.text("initial-cluster").to_owned()
}

/// The client URLs to advertise. Whoever says where to listen must say what to advertise: then the default does not count
/// (except in a configuration file, where etcd lets it stand).
fn advertise_client(settings: &Settings) -> &[Url] {
    let listens = matches!(settings.source("listen-client-urls"), Source::CommandLine | Source::Environment);
    if listens && !settings.is_set("advertise-client-urls") {
        &[]
    } else {
        settings.urls("advertise-client-urls")
    }
}

fn cluster(
    settings: &Settings,
    advertise_client: &[Url],
    initial_cluster: &str,
    notices: &mut Vec<Notice>,
) -> Result<Cluster, ConfigError> {
    let advertise_peer = advertised(settings, "initial-advertise-peer-urls", "listen-peer-urls", notices);
    let advertise_client = match settings.is_set("advertise-client-urls") {
        false if !advertise_client.is_empty() => {
            advertised(settings, "advertise-client-urls", "listen-client-urls", notices)
        }
        _ => advertise_client.to_vec(),
    };
    let name = settings.text("name");
    let default = Settings::default();
    // A name alone is enough to found a cluster of one: the default follows the name.
    let initial = if name != default.text("name") && initial_cluster == default.text("initial-cluster") {
        Ok(BTreeMap::from([(name.to_owned(), advertise_peer.clone())]))
    } else {
        url::parse_cluster(initial_cluster)
            .map_err(|error| format!("error setting up initial cluster: {error}"))
    };
    let cannot_found = initial.as_ref().err().cloned();
    Ok(Cluster {
        advertise_peer,
        advertise_client,
        initial: initial.unwrap_or_default(),
        cannot_found,
        discovery: Discovery::from_settings(settings)?,
        state: match settings.text("initial-cluster-state") {
            "existing" => ClusterState::Existing,
            _ => ClusterState::New,
        },
        token: settings.text("initial-cluster-token").to_owned(),
        // A negative number allows none, as in etcd.
        learners_max: usize::try_from(settings.int("max-learners")).unwrap_or(0),
        auto_promote_learners: settings.bool("auto-promote-learners"),
        strict_reconfig_check: settings.bool("strict-reconfig-check"),
        force_new: settings.bool("force-new-cluster"),
    })
}

/// The advertised URLs of `flag`. When it is the default and the listener takes any address (`0.0.0.0`), the host's own
/// address is advertised in place of localhost.
fn advertised(settings: &Settings, flag: &str, listen_flag: &str, notices: &mut Vec<Notice>) -> Vec<Url> {
    let mut urls = settings.urls(flag).to_vec();
    let listener = settings.urls(listen_flag).first().and_then(Url::host_port);
    if let (false, Some(("0.0.0.0", port)), Some(host)) = (settings.is_set(flag), listener, default_host()) {
        urls[0] = urls[0].with_address(host, port);
        let notice = Notice::AdvertisedHost { host: host.to_string() };
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    urls
}

/// The address this host uses towards the rest of the world: what the kernel would send from. Nothing is sent.
fn default_host() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Any routable address does; this one is reserved for documentation (RFC 5737).
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|host| !host.is_loopback() && !host.is_unspecified())
}

fn data_dir(settings: &Settings, notices: &mut Vec<Notice>) -> PathBuf {
    let given = settings.text("data-dir");
    if !given.is_empty() {
        return PathBuf::from(given);
    }
    let path = format!("{}.etcd", settings.text("name"));
    notices.push(Notice::DefaultDataDir { path: path.clone() });
    PathBuf::from(path)
}

fn notice_what_has_no_effect(settings: &Settings, gates: &FeatureGates, notices: &mut Vec<Notice>) {
    for setting in settings.iter().filter(|setting| setting.is_changed()) {
        if let table::Standing::NoEffect(why) = setting.flag.standing {
            notices.push(Notice::NoEffect { setting: setting.origin(), why: why.to_owned() });
            notices.extend(Notice::of_flag(setting.flag.name));
        }
    }
    let defaults = FeatureGates::default();
    for (gate, enabled) in gates.iter().filter(|(gate, enabled)| defaults.is_enabled(gate.name) != *enabled) {
        let setting = format!("feature gate {}={enabled}", gate.name);
        notices.push(Notice::NoEffect { setting, why: gate.why_no_effect.to_owned() });
    }
    if settings.urls("listen-client-http-urls").is_empty() {
        notices.push(Notice::OnePort);
    }
    if settings.text("name") == "default" {
        notices.push(Notice::DefaultName);
    }
}

fn listen(settings: &Settings) -> Listen {
    Listen {
        peer: settings.urls("listen-peer-urls").to_vec(),
        client: settings.urls("listen-client-urls").to_vec(),
        client_http: settings.urls("listen-client-http-urls").to_vec(),
        metrics: settings.urls("listen-metrics-urls").to_vec(),
        reuse_port: settings.bool("socket-reuse-port"),
        reuse_address: settings.bool("socket-reuse-address"),
    }
}

/// Shorter timeouts of connections between peers are raised to this, as etcd does: members say something each second, and
/// one that was held up for a moment is not gone.
const PEER_TIMEOUT_MIN: Duration = Duration::from_secs(5);

fn raft(settings: &Settings) -> Result<Raft, ConfigError> {
    let peer_timeout = |name| Ok::<_, ConfigError>(duration(settings, name)?.max(PEER_TIMEOUT_MIN));
    Ok(Raft {
        heartbeat_interval: Duration::from_millis(settings.uint("heartbeat-interval")),
        election_timeout: Duration::from_millis(settings.uint("election-timeout")),
        pre_vote: settings.bool("pre-vote"),
        read_timeout: peer_timeout("raft-read-timeout")?,
        write_timeout: peer_timeout("raft-write-timeout")?,
        snapshot_catchup_entries: settings.uint("snapshot-catchup-entries"),
    })
}

fn limits(settings: &Settings) -> Limits {
    let size = |name| usize::try_from(settings.uint(name)).unwrap_or(usize::MAX);
    Limits {
        request_bytes_max: size("max-request-bytes"),
        txn_ops_max: size("max-txn-ops"),
        concurrent_streams_max: u32::try_from(settings.uint("max-concurrent-streams")).unwrap_or(u32::MAX),
        quota: Quota::from_flag(settings.int("quota-backend-bytes")),
        memory: Some(settings.uint("memory-limit")).filter(|bytes| *bytes != 0),
    }
}

fn keepalive(settings: &Settings) -> Result<Keepalive, ConfigError> {
    let unless_zero = |duration: Duration| Some(duration).filter(|duration| !duration.is_zero());
    Ok(Keepalive {
        // grpc-go's own default, to which etcd leaves it.
        min_time: unless_zero(duration(settings, "grpc-keepalive-min-time")?)
            .unwrap_or(Duration::from_secs(300)),
        interval: unless_zero(duration(settings, "grpc-keepalive-interval")?),
        timeout: unless_zero(duration(settings, "grpc-keepalive-timeout")?),
    })
}

/// `--auto-compaction-retention`: in periodic mode a duration, or a bare number of hours; in revision mode a
/// number. Nothing at all is 0, as in etcd.
fn auto_compaction(settings: &Settings) -> Result<AutoCompaction, ConfigError> {
    let (mode, text) = (settings.text("auto-compaction-mode"), settings.text("auto-compaction-retention"));
    let bad = || {
        ConfigError::Invalid(format!("error parsing CompactionRetention: invalid {mode} retention {text:?}"))
    };
    if text.is_empty() {
        return Ok(AutoCompaction::Off);
    }
    let number: Option<i64> = text.parse().ok();
    match (mode, number) {
        (_, Some(0)) => Ok(AutoCompaction::Off),
        (_, Some(negative)) if negative < 0 => Err(bad()),
        ("revision", Some(revisions)) => Ok(AutoCompaction::Revision(revisions)),
        (_, Some(hours)) => {
            let seconds = u64::try_from(hours).ok().and_then(|hours| hours.checked_mul(3600));
            seconds.map(|seconds| AutoCompaction::Periodic(Duration::from_secs(seconds))).ok_or_else(bad)
        }
        (_, None) => match go::parse_duration(text) {
            Some(Nanos(0)) => Ok(AutoCompaction::Off),
            // As etcd reads it: the nanoseconds of the duration are the number.
            Some(Nanos(nanos)) if mode == "revision" && nanos > 0 => Ok(AutoCompaction::Revision(nanos)),
            // A negative retention made etcd's compactor loop (Trail of Bits 2020, finding 011).
            Some(Nanos(nanos)) => u64::try_from(nanos)
                .map(|nanos| AutoCompaction::Periodic(Duration::from_nanos(nanos)))
                .map_err(|_| bad()),
            None => Err(bad()),
        },
    }
}

fn defragment_from(settings: &Settings) -> Option<u64> {
    let megabytes = settings.uint("bootstrap-defrag-threshold-megabytes");
    (megabytes > 0).then(|| megabytes.saturating_mul(1 << 20))
}

/// 0 means etcd's 10 minutes; anything shorter than 100 ms is raised to that.
fn watch_progress_notify_interval(settings: &Settings) -> Result<Duration, ConfigError> {
    let given = duration_or(settings, "watch-progress-notify-interval", Duration::from_secs(600))?;
    Ok(given.max(Duration::from_millis(100)))
}

fn duration(settings: &Settings, name: &str) -> Result<Duration, ConfigError> {
    let Nanos(nanos) = settings.duration(name);
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| {
        ConfigError::Invalid(format!(
            "{} must not be negative (set to {})",
            settings.get(name).origin(),
            Nanos(nanos)
        ))
    })
}

pub(super) fn duration_or(
    settings: &Settings,
    name: &str,
    when_zero: Duration,
) -> Result<Duration, ConfigError> {
    duration(settings, name).map(|given| if given.is_zero() { when_zero } else { given })
}
