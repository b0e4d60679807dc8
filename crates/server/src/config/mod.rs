//! The configuration: everything a member is told at its start.
//!
//! Settings come from the command line, from `ETCD_*` variables, or from a file that replaces both, and mean what they mean to
//! etcd 3.7. The way from text to [`Config`] is one pass, each step on the output of the one before:
//!
//! 1. [`arguments`] reads the command line over the [`table`] of flags; a `--config-file` hands over to [`file`], otherwise
//!    [`environment`] fills in what is open. The result is [`Settings`]: a value and a source for every flag.
//! 2. [`validate`] applies etcd's rules, then refuses what this version does not serve yet, by name.
//! 3. [`Config`] is built: typed, with derived defaults filled in. The rest of the server sees only this.
//!
//! What the configuration does not know: whether ports are free, whether the data directory exists, what is in it.

mod arguments;
mod environment;
pub mod error;
pub mod features;
mod file;
mod go;
pub mod help;
pub mod notice;
pub mod settings;
pub mod table;
pub mod url;
mod validate;
pub mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

pub use error::ConfigError;
pub use features::FeatureGates;
pub use go::Nanos;
pub use notice::Notice;
pub use settings::{Settings, Source};
pub use url::Url;

use crate::version;
use arguments::Arguments;

/// What the process was asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Print this on stdout and exit with 0 (`--help`, `--version`).
    Print(String),
    /// Serve.
    Serve(Box<Config>),
}

/// Everything a member is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The member's name.
    pub name: String,
    /// Where its data lives.
    pub data_dir: PathBuf,
    /// A directory of its own for the write-ahead log.
    pub wal_dir: Option<PathBuf>,
    /// Where it listens.
    pub listen: Listen,
    /// What it advertises, and which cluster it founds.
    pub cluster: Cluster,
    /// The pace of consensus.
    pub raft: Raft,
    /// Bounds on what a client can ask for.
    pub limits: Limits,
    /// HTTP/2 keepalive towards clients.
    pub keepalive: Keepalive,
    /// Automatic compaction.
    pub auto_compaction: AutoCompaction,
    /// Time between progress notifications to the watchers that asked for them.
    pub watch_progress_notify_interval: Duration,
    /// From when on slowness is logged.
    pub warnings: Warnings,
    /// Who may use plain HTTP.
    pub http: HttpAccess,
    /// Detail of the metrics.
    pub metrics: MetricsDetail,
    /// Logging.
    pub log: Log,
    /// Feature gates.
    pub feature_gates: FeatureGates,
    /// What should be said about all this in the log.
    pub notices: Vec<Notice>,
}

/// Where a member listens.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For peers.
    pub peer: Vec<Url>,
    /// For clients: gRPC, and HTTP unless `client_http` names addresses of its own.
    pub client: Vec<Url>,
    /// For HTTP alone.
    pub client_http: Vec<Url>,
    /// For metrics and health.
    pub metrics: Vec<Url>,
    /// `SO_REUSEPORT` on all of them.
    pub reuse_port: bool,
    /// `SO_REUSEADDR` on all of them.
    pub reuse_address: bool,
}

/// The cluster that a member founds or joins, and what it tells it about itself.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The member's own peer URLs.
    pub advertise_peer: Vec<Url>,
    /// The member's own client URLs.
    pub advertise_client: Vec<Url>,
    /// The founding members: name to peer URLs.
    pub initial: BTreeMap<String, Vec<Url>>,
    /// Found or join.
    pub state: ClusterState,
    /// Goes into the ids.
    pub token: String,
}

/// Whether a member without data founds a cluster or joins one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// It founds one.
    New,
    /// It joins one.
    Existing,
}

/// The pace of consensus.
#[derive(Clone, Debug)]
pub struct Raft {
    /// One tick.
    pub heartbeat_interval: Duration,
    /// Time without a leader before an election.
    pub election_timeout: Duration,
    /// Whether the first election timeout is cut short.
    pub initial_election_tick_advance: bool,
    /// Whether to ask before standing for election.
    pub pre_vote: bool,
    /// Applied entries between two snapshots.
    pub snapshot_count: u64,
    /// Entries kept behind a snapshot.
    pub snapshot_catchup_entries: u64,
}

impl Raft {
    /// The election timeout in ticks, rounded down as etcd does; at least 5.
    pub fn election_timeout_ticks(&self) -> u32 {
        let ticks = self.election_timeout.as_millis() / self.heartbeat_interval.as_millis().max(1);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// Bounds on what a client can ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest request.
    pub request_bytes_max: usize,
    /// Operations in one transaction.
    pub txn_ops_max: usize,
    /// HTTP/2 streams on one connection.
    pub concurrent_streams_max: u32,
    /// Size of the store at which writes are refused.
    pub quota: Quota,
}

/// How large the store may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Without bound.
    None,
    /// Up to so many bytes.
    Bytes(u64),
}

impl Quota {
    /// etcd's default: 2 GiB.
    pub const DEFAULT: Quota = Quota::Bytes(2 * 1024 * 1024 * 1024);

    fn from_flag(bytes: i64) -> Quota {
        match u64::try_from(bytes) {
            Err(_) => Quota::None,
            Ok(0) => Quota::DEFAULT,
            Ok(bytes) => Quota::Bytes(bytes),
        }
    }
}

/// HTTP/2 keepalive towards clients.
#[derive(Clone, Debug)]
pub struct Keepalive {
    /// Least time between two pings of a client.
    pub min_time: Duration,
    /// Time between the server's pings; none when off.
    pub interval: Option<Duration>,
    /// Time to wait for the answer; none for ever.
    pub timeout: Option<Duration>,
}

/// Automatic compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// None.
    Off,
    /// Keep the history of this long.
    Periodic(Duration),
    /// Keep so many revisions.
    Revision(i64),
}

/// From when on slowness is logged.
#[derive(Clone, Debug)]
pub struct Warnings {
    /// Applying one command.
    pub apply: Duration,
    /// One unary request, from its arrival to its reply.
    pub unary_request: Duration,
}

/// Who may use plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAccess {
    /// Origins allowed in cross-origin requests.
    pub cors: Allowed,
    /// Names accepted in the `Host` header.
    pub hosts: Allowed,
}

/// A list of what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `*`, or nothing listed.
    All,
    /// These.
    Only(Vec<String>),
}

impl Allowed {
    fn from_flag(words: &[String]) -> Allowed {
        if words.is_empty() || words.iter().any(|word| word == "*") {
            Allowed::All
        } else {
            Allowed::Only(words.to_vec())
        }
    }

    /// Whether this word is allowed.
    pub fn allows(&self, word: &str) -> bool {
        match self {
            Allowed::All => true,
            Allowed::Only(words) => words.iter().any(|allowed| allowed == word),
        }
    }
}

/// Detail of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    /// Counters and gauges, and histograms of the server's own work.
    Basic,
    /// Also a latency histogram for each gRPC method.
    Extensive,
}

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// Least level written.
    pub level: tracing::Level,
    /// The shape of a line.
    pub format: LogFormat,
    /// Where lines go.
    pub outputs: Vec<LogOutput>,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON, except on a terminal.
    Automatic,
    /// JSON everywhere.
    Json,
    /// For people, everywhere.
    Console,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl Default for Config {
    /// What a member is told when nobody says anything.
    fn default() -> Config {
        Config::from_settings(&Settings::default(), Vec::new()).expect("the defaults are valid")
    }
}

impl Config {
    /// Reads the process's arguments (without the program's name) and environment.
    ///
    /// # Errors
    /// Anything that keeps the member from starting with these settings; [`ConfigError::exit_code`] says how to exit.
    pub fn load(arguments: &[String], environment: &[(String, String)]) -> Result<Invocation, ConfigError> {
        let mut settings = match arguments::parse(arguments)? {
            Arguments::Help => return Ok(Invocation::Print(help::text())),
            Arguments::Run(settings) => settings,
        };
        if settings.bool("version") {
            return Ok(Invocation::Print(version::lines()));
        }
        let mut notices = Vec::new();
        match config_file(&settings, environment) {
            Some(path) => settings = file::load(&path, &mut notices)?,
            None => environment::apply(&mut settings, environment, &mut notices)?,
        }
        Ok(Invocation::Serve(Box::new(Config::from_settings(&settings, notices)?)))
    }

    fn from_settings(settings: &Settings, mut notices: Vec<Notice>) -> Result<Config, ConfigError> {
        let gates = FeatureGates::parse(settings.text("feature-gates")).map_err(|error| {
            let value = settings.text("feature-gates");
            ConfigError::Invalid(format!("invalid value {value:?} for flag -feature-gates: {error}"))
        })?;
        let initial_cluster = initial_cluster(settings);
        let advertise_client = advertise_client(settings);
        let derived =
            validate::Derived { advertise_client, initial_cluster: &initial_cluster, gates: &gates };
        validate::check(settings, &derived)?;
        let cluster = cluster(settings, advertise_client, &initial_cluster, &mut notices)?;
        validate::check_served(settings, cluster.initial.len())?;

        let data_dir = data_dir(settings, &mut notices);
        notice_what_has_no_effect(settings, &gates, &mut notices);
        let wal_dir = settings.text("wal-dir");
        Ok(Config {
            name: settings.text("name").to_owned(),
            data_dir,
            wal_dir: (!wal_dir.is_empty()).then(|| PathBuf::from(wal_dir)),
            listen: listen(settings),
            cluster,
            raft: raft(settings),
            limits: limits(settings),
            keepalive: keepalive(settings)?,
            auto_compaction: auto_compaction(settings)?,
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
            },
            metrics: match settings.text("metrics") {
                "extensive" => MetricsDetail::Extensive,
                _ => MetricsDetail::Basic,
            },
            log: log(settings),
            feature_gates: gates,
            notices,
        })
    }
}

/// The path of the configuration file. The environment may name it, although it is what makes the environment count for
/// nothing else.
fn config_file(settings: &Settings, environment: &[(String, String)]) -> Option<String> {
    let of_flag = settings.text("config-file");
    if !of_flag.is_empty() {
        return Some(of_flag.to_owned());
    }
    let named = environment.iter().find(|(variable, _)| variable == environment::CONFIG_FILE);
    named.map(|(_, path)| path.clone()).filter(|path| !path.is_empty())
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
    let default = settings::Settings::default();
    // A name alone is enough to found a cluster of one: the default follows the name.
    let initial = if name != default.text("name") && initial_cluster == default.text("initial-cluster") {
        BTreeMap::from([(name.to_owned(), advertise_peer.clone())])
    } else {
        url::parse_cluster(initial_cluster)
            .map_err(|error| ConfigError::Invalid(format!("error setting up initial cluster: {error}")))?
    };
    Ok(Cluster {
        advertise_peer,
        advertise_client,
        initial,
        state: match settings.text("initial-cluster-state") {
            "existing" => ClusterState::Existing,
            _ => ClusterState::New,
        },
        token: settings.text("initial-cluster-token").to_owned(),
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

fn raft(settings: &Settings) -> Raft {
    Raft {
        heartbeat_interval: Duration::from_millis(settings.uint("heartbeat-interval")),
        election_timeout: Duration::from_millis(settings.uint("election-timeout")),
        initial_election_tick_advance: settings.bool("initial-election-tick-advance"),
        pre_vote: settings.bool("pre-vote"),
        snapshot_count: settings.uint("snapshot-count"),
        snapshot_catchup_entries: settings.uint("snapshot-catchup-entries"),
    }
}

fn limits(settings: &Settings) -> Limits {
    let size = |name| usize::try_from(settings.uint(name)).unwrap_or(usize::MAX);
    Limits {
        request_bytes_max: size("max-request-bytes"),
        txn_ops_max: size("max-txn-ops"),
        concurrent_streams_max: u32::try_from(settings.uint("max-concurrent-streams")).unwrap_or(u32::MAX),
        quota: Quota::from_flag(settings.int("quota-backend-bytes")),
    }
}

fn keepalive(settings: &Settings) -> Result<Keepalive, ConfigError> {
    let unless_zero = |duration: Duration| Some(duration).filter(|duration| !duration.is_zero());
    Ok(Keepalive {
        min_time: duration(settings, "grpc-keepalive-min-time")?,
        interval: unless_zero(duration(settings, "grpc-keepalive-interval")?),
        timeout: unless_zero(duration(settings, "grpc-keepalive-timeout")?),
    })
}

/// `--auto-compaction-retention`: in periodic mode a duration, or a bare number of hours; in revision mode a number.
fn auto_compaction(settings: &Settings) -> Result<AutoCompaction, ConfigError> {
    let (mode, text) = (settings.text("auto-compaction-mode"), settings.text("auto-compaction-retention"));
    let bad = || {
        ConfigError::Invalid(format!("error parsing CompactionRetention: invalid {mode} retention {text:?}"))
    };
    let number: Option<i64> = text.parse().ok();
    match (mode, number) {
        (_, Some(0)) => Ok(AutoCompaction::Off),
        (_, Some(negative)) if negative < 0 => Err(bad()),
        ("revision", Some(revisions)) => Ok(AutoCompaction::Revision(revisions)),
        ("revision", None) => Err(bad()),
        (_, Some(hours)) => {
            let seconds = u64::try_from(hours).ok().and_then(|hours| hours.checked_mul(3600));
            seconds.map(|seconds| AutoCompaction::Periodic(Duration::from_secs(seconds))).ok_or_else(bad)
        }
        (_, None) => match go::parse_duration(text) {
            Some(Nanos(0)) => Ok(AutoCompaction::Off),
            // A negative retention made etcd's compactor loop (Trail of Bits 2020, finding 011).
            Some(Nanos(nanos)) => u64::try_from(nanos)
                .map(|nanos| AutoCompaction::Periodic(Duration::from_nanos(nanos)))
                .map_err(|_| bad()),
            None => Err(bad()),
        },
    }
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

fn duration_or(settings: &Settings, name: &str, when_zero: Duration) -> Result<Duration, ConfigError> {
    duration(settings, name).map(|given| if given.is_zero() { when_zero } else { given })
}

fn log(settings: &Settings) -> Log {
    Log {
        level: match settings.text("log-level") {
            "debug" => tracing::Level::DEBUG,
            "info" => tracing::Level::INFO,
            "warn" => tracing::Level::WARN,
            // Everything above an error is logged as one.
            _ => tracing::Level::ERROR,
        },
        format: match (settings.is_set("log-format"), settings.text("log-format")) {
            (false, _) => LogFormat::Automatic,
            (true, "console") => LogFormat::Console,
            (true, _) => LogFormat::Json,
        },
        outputs: log_outputs(settings.list("log-outputs")),
    }
}

/// The outputs, `default` being stderr, none of them twice.
fn log_outputs(words: &[String]) -> Vec<LogOutput> {
    let mut outputs = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let output = match word.as_str() {
            "default" | "stderr" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            path => LogOutput::File(PathBuf::from(path)),
        };
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    outputs
}

#[cfg(test)]
mod tests;
