//! The configuration: everything a member is told at its start.
//!
//! Settings come from the command line, from `ETCD_*` variables, or from a file that replaces both, and mean what they mean to
//! etcd 3.7. The way from text to [`Config`] is one pass, each step on the output of the one before:
//!
//! 1. `arguments` reads the command line over the [`table`] of flags; a `--config-file` hands over to `file`, otherwise
//!    `environment` fills in what is open. The result is [`Settings`]: a value and a source for every flag.
//! 2. `validate` applies etcd's rules, then refuses what this version does not serve yet, by name.
//! 3. `build` makes the [`Config`]: typed, with derived defaults filled in. The rest of the server sees only this.
//!
//! What the configuration does not know: whether ports are free, whether the data directory exists, what is in it.

mod arguments;
mod backups;
mod build;
mod console;
mod discovery;
mod environment;
pub mod error;
pub mod features;
mod file;
mod go;
pub mod help;
mod log;
pub mod notice;
pub mod settings;
pub mod table;
pub mod tls;
mod validate;
pub mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use backups::Backups;
pub(crate) use build::parse_go_duration;
pub use console::Console;
pub use datadir::Url;
pub use datadir::url;
pub use discovery::{Discovery, DiscoveryService, DiscoveryTls, DiscoveryUser, SrvDiscovery};
pub use error::ConfigError;
pub use features::FeatureGates;
pub use go::Nanos;
pub use log::{Log, LogFormat, LogOutput, Rotation};
pub use notice::Notice;
pub use settings::{Settings, Source};
pub use tls::Tls;

pub use crate::follow::FollowSettings;
use crate::net::trace;
use crate::version;
use arguments::Arguments;

pub use metrics::MetricsDetail;

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
    /// Tokens and passwords.
    pub auth: AuthSettings,
    /// Automatic compaction.
    pub auto_compaction: AutoCompaction,
    /// The cluster that is followed.
    pub follow: Option<FollowSettings>,
    /// Time between progress notifications to the watchers that asked for them.
    pub watch_progress_notify_interval: Duration,
    /// From when on slowness is logged.
    pub warnings: Warnings,
    /// Who may use plain HTTP.
    pub http: HttpAccess,
    /// Certificates.
    pub tls: Tls,
    /// Detail of the metrics.
    pub metrics: MetricsDetail,
    /// The collector of spans (`--enable-distributed-tracing`).
    pub distributed_tracing: Option<DistributedTracing>,
    /// Backups by the clock.
    pub backups: Option<Backups>,
    /// Logging.
    pub log: Log,
    /// From how many bytes on that a defragmentation frees it is made at the start.
    pub defragment_from: Option<u64>,
    /// Whether all of the process is kept in memory.
    pub locks_memory: bool,
    /// Whether the API is served in JSON (`--enable-grpc-gateway`).
    pub serves_gateway: bool,
    /// Who gets the web console.
    pub console: Console,
    /// Whether the heads of gRPC requests are written to standard error (`GODEBUG=http2debug=2`).
    pub traces_requests: bool,
    /// Feature gates.
    pub feature_gates: FeatureGates,
    /// What should be said about all this in the log.
    pub notices: Vec<Notice>,
}

/// Spans of calls, and who collects them.
#[derive(Clone, Debug)]
pub struct DistributedTracing {
    /// Host and port of the collector.
    pub address: String,
    /// Name of the service in the spans.
    pub service_name: String,
    /// Id of this instance of it; may be empty.
    pub instance_id: String,
    /// Calls that are sampled, of a million that no client has decided on.
    pub sampling_rate: u32,
}

/// Tokens and passwords.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Kind of tokens, and their keys: `simple` or `jwt,...`. Read when the member starts.
    pub token: String,
    /// Life of a simple token.
    pub token_ttl: Duration,
    /// Cost of hashing a password.
    pub bcrypt_cost: u32,
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
    /// Why a member without data cannot be started with these settings. One that has data is: etcd does not look at
    /// `--initial-cluster` and the like any more then, and neither does this.
    pub cannot_found: Option<String>,
    /// Where the founding members are listed, if not in `initial`.
    pub discovery: Option<Discovery>,
    /// Found or join.
    pub state: ClusterState,
    /// Goes into the ids.
    pub token: String,
    /// Learners allowed in the cluster.
    pub learners_max: usize,
    /// Whether the leader promotes learners that have caught up.
    pub auto_promote_learners: bool,
    /// Whether changes of the membership that endanger the quorum are refused.
    pub strict_reconfig_check: bool,
    /// Whether a member with data drops all others and goes on alone.
    pub force_new: bool,
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
    /// Whether to ask before standing for election.
    pub pre_vote: bool,
    /// How long a connection of a peer may bring nothing.
    pub read_timeout: Duration,
    /// How long a connection to a peer may take nothing.
    pub write_timeout: Duration,
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
    /// Memory that the process may have, in bytes; `None`: as much as there is.
    pub memory: Option<u64>,
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
    /// Least time between two pings of a client that has a request open.
    pub min_time: Duration,
    /// Time between the server's pings; none when off.
    pub interval: Option<Duration>,
    /// Time to wait for the answer; if not given, the default of gRPC.
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

/// Who may use plain HTTP, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAccess {
    /// Origins allowed in cross-origin requests.
    pub cors: Allowed,
    /// Names accepted in the `Host` header.
    pub hosts: Allowed,
    /// Whether profiles are served (`--enable-pprof`).
    pub profiles: bool,
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
        let mut config = Config::from_settings(&settings, notices)?;
        config.traces_requests = trace::is_asked_for(environment);
        Ok(Invocation::Serve(Box::new(config)))
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

#[cfg(test)]
mod tests;
