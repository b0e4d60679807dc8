//! Every flag of etcd 3.7, and few of our own that are off unless set, as data.
//!
//! One row says all there is to know about a flag: its name, the kind of value, the default, where it stands in the
//! configuration file, and what this version does with it. The parser, the environment, the configuration file, `--help` and the
//! check for what is not served yet all read this one table, so a flag cannot be known to one of them and unknown to
//! another.

use super::value::Kind::{
    self, Bool, Choice, Choices, Discarded, Duration, Int, Level, List, Origins, Set, Text, Uint, Uint32,
    Urls,
};

/// One flag.
#[derive(Debug)]
pub struct Flag {
    /// The name, without dashes. The environment variable is `ETCD_` and the name in capitals, `-` as `_`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The default, as one would write it on the command line.
    pub default: &'static str,
    /// Where it stands in the configuration file.
    pub file: FileKey,
    /// What this version does with it.
    pub standing: Standing,
    /// One sentence for `--help`.
    pub help: &'static str,
}

/// Where a setting stands in the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKey {
    /// At the top, under the flag's own name.
    Same,
    /// Under this path, steps joined by dots.
    At(&'static str),
    /// Not available in the file.
    Absent,
}

/// What this version does with a flag. Nothing is ever silently ignored, but for the flags that etcd itself ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Served,
    /// It is accepted and changes nothing, because what it tunes does not exist here; setting it logs why.
    NoEffect(&'static str),
    /// A flag of the past that etcd accepts without a word.
    Ignored,
}

/// Flags that belong together in `--help`.
#[derive(Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The flags, in the order of the help text.
    pub flags: &'static [Flag],
}

use FileKey::{Absent, At, Same};
use Standing::{Ignored, NoEffect, Served};

const fn flag(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    file: FileKey,
    standing: Standing,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, file, standing, help }
}

const NO_BBOLT: Standing = NoEffect("the store is not bbolt: it has no freelist and no batch committer");
const NO_SCRUB_COMPACTION: Standing =
    NoEffect("compaction releases whole segments: there is nothing to batch");
const NO_HASH_CHECK: Standing = NoEffect("members always compare their states, through the log");
const NO_DOWNGRADE: Standing = NoEffect("a downgrade ends when it is called off");
const NO_OWN_CONNECTION: Standing =
    NoEffect("a member does not connect to its own client port: the files are checked, and not used");

/// All flags, grouped as `--help` shows them.
pub static GROUPS: &[Group] = &[
    Group { title: "Member", flags: MEMBER },
    Group { title: "Clustering", flags: CLUSTERING },
    Group { title: "Following another cluster (not flags of etcd)", flags: FOLLOWING },
    Group { title: "Security", flags: SECURITY },
    Group { title: "Auth", flags: AUTHENTICATION },
    Group { title: "Profiling, metrics and tracing", flags: OBSERVATION },
    Group { title: "Backups (not flags of etcd)", flags: BACKUPS },
    Group { title: "Logging", flags: LOGGING },
    Group { title: "Checks and tuning", flags: TUNING },
    Group { title: "Unsafe", flags: UNSAFE },
    Group { title: "Process", flags: PROCESS },
    Group { title: "Accepted and ignored", flags: PAST },
];

#[rustfmt::skip] // one row, one flag
static MEMBER: &[Flag] = &[
    flag("name", Text, "default", Same, Served, "Human-readable name of this member."),
    flag("data-dir", Text, "", Same, Served, "Path of the data directory (empty: the name and '.etcd')."),
    flag("wal-dir", Text, "", Same, Served, "Path of a directory of its own for the write-ahead log."),
    flag("snapshot-count", Uint, "10000", Same, NoEffect("the raft log is released behind each checkpoint of the store, which goes by bytes and time"), "Applied entries between two snapshots of the raft log."),
    flag("snapshot-catchup-entries", Uint, "5000", Same, Served, "Entries kept behind a snapshot for slow followers."),
    flag("heartbeat-interval", Uint, "100", Same, Served, "Time between heartbeats, in milliseconds."),
    flag("election-timeout", Uint, "1000", Same, Served, "Time without a leader before an election, in milliseconds."),
    flag("initial-election-tick-advance", Bool, "true", Same, NoEffect("a lone voter stands for election at once"), "Fast-forward the first election timeout at boot."),
    flag("listen-peer-urls", Urls, "http://localhost:2380", Same, Served, "URLs to listen on for peers."),
    flag("listen-client-urls", Urls, "http://localhost:2379", Same, Served, "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is set."),
    flag("listen-client-http-urls", Urls, "", Same, Served, "URLs to listen on for HTTP alone; takes HTTP away from --listen-client-urls."),
    flag("listen-metrics-urls", Urls, "", Same, Served, "Further URLs to listen on for metrics and health."),
    flag("max-wals", Uint, "5", Same, NoEffect("log segments are released as soon as no snapshot and no follower needs them"), "Write-ahead log files to keep."),
    flag("max-snapshots", Uint, "5", Same, NoEffect("deprecated in etcd 3.6; there are no snapshot files to keep"), "Snapshot files to keep (deprecated)."),
    flag("quota-backend-bytes", Int, "0", Same, Served, "Size of the store at which the NOSPACE alarm is raised (0: 2 GiB, negative: none)."),
    flag("memory-limit", Uint, "0", Same, Served, "Memory that the process may have, in bytes; what clients can fill has shares of half of it (0: what the machine and its control groups leave). Not a flag of etcd."),
    flag("backend-bbolt-freelist-type", Text, "", Same, NO_BBOLT, "Type of bbolt's freelist."),
    flag("backend-batch-interval", Duration, "0", Same, NO_BBOLT, "Time between commits of the backend."),
    flag("backend-batch-limit", Int, "0", Same, NO_BBOLT, "Operations between commits of the backend."),
    flag("max-txn-ops", Uint, "128", Same, Served, "Operations allowed in one transaction."),
    flag("max-request-bytes", Uint, "1572864", Same, Served, "Size of the largest request taken, in bytes."),
    flag("max-concurrent-streams", Uint32, "4294967295", Same, Served, "HTTP/2 streams allowed on one connection."),
    flag("grpc-keepalive-min-time", Duration, "5s", Same, Served, "Least time between two pings of a client (0: 5m)."),
    flag("grpc-keepalive-interval", Duration, "2h", Same, Served, "Time between the server's pings on an idle connection (0: none)."),
    flag("grpc-keepalive-timeout", Duration, "20s", Same, Served, "Time to wait for the answer to such a ping (0: 20s)."),
    flag("socket-reuse-port", Bool, "false", At("socket-options.reuse-port"), Served, "Set SO_REUSEPORT on listeners."),
    flag("socket-reuse-address", Bool, "false", At("socket-options.reuse-address"), Served, "Set SO_REUSEADDR on listeners."),
    flag("raft-read-timeout", Duration, "5s", Absent, Served, "Read timeout of connections between peers."),
    flag("raft-write-timeout", Duration, "5s", Absent, Served, "Write timeout of connections between peers."),
];

#[rustfmt::skip] // one row, one flag
static FOLLOWING: &[Flag] = &[
    flag("follow-endpoints", List, "", Same, Served, "Client endpoints of the cluster that a new cluster follows until `quoratectl follow cutover`: 'host:port' or URLs, separated by commas."),
    flag("follow-cacert", Text, "", Same, Served, "CAs that sign that cluster's certificates."),
    flag("follow-cert", Text, "", Same, Served, "Certificate to show to that cluster."),
    flag("follow-key", Text, "", Same, Served, "Key of --follow-cert."),
    flag("follow-user", Text, "", Same, Served, "User of that cluster, with the role root."),
    flag("follow-password-file", Text, "", Same, Served, "File with the password of --follow-user."),
];

#[rustfmt::skip] // one row, one flag
static CLUSTERING: &[Flag] = &[
    flag("initial-advertise-peer-urls", Urls, "http://localhost:2380", Same, Served, "This member's peer URLs, as told to the cluster."),
    flag("advertise-client-urls", Urls, "http://localhost:2379", Same, Served, "This member's client URLs, as told to the public."),
    flag("initial-cluster", Text, "default=http://localhost:2380", Same, Served, "The members of a new cluster: 'name=peer URL,...'."),
    flag("initial-cluster-state", Choice(&["new", "existing"]), "new", Same, Served, "Whether to found a cluster or to join one; of no effect once there is data."),
    flag("initial-cluster-token", Text, "etcd-cluster", Same, Served, "Token that goes into the ids of a new cluster and its members."),
    flag("strict-reconfig-check", Bool, "true", Same, Served, "Refuse membership changes that would lose the quorum."),
    flag("max-learners", Int, "1", Same, Served, "Learners allowed in the cluster."),
    flag("auto-promote-learners", Bool, "false", Same, Served, "Promote a learner when it has caught up, without being asked (not a flag of etcd)."),
    flag("pre-vote", Bool, "true", Same, Served, "Ask before standing for election, so that a member that rejoins disturbs nobody."),
    flag("auto-compaction-mode", Text, "periodic", Same, Served, "What --auto-compaction-retention counts: 'periodic' or 'revision'."),
    flag("auto-compaction-retention", Text, "0", Same, Served, "History to keep: a duration or hours ('periodic'), a number of revisions ('revision'); 0: all."),
    flag("discovery-endpoints", Set, "", At("discovery-config.client.endpoints"), Served, "Client endpoints of the discovery service, a cluster whose keys list the founding members."),
    flag("discovery-token", Text, "", At("discovery-config.token"), Served, "Token of the new cluster: which registry of the discovery service, and what --initial-cluster-token is otherwise."),
    flag("discovery-dial-timeout", Duration, "2s", At("discovery-config.client.dial-timeout"), Served, "Time to connect to the discovery service (0: 2s)."),
    flag("discovery-request-timeout", Duration, "5s", At("discovery-config.client.request-timeout"), Served, "Time for a request to the discovery service (0: 5s)."),
    flag("discovery-keepalive-time", Duration, "2s", At("discovery-config.client.keepalive-time"), Served, "Keepalive time towards the discovery service (0: 2s)."),
    flag("discovery-keepalive-timeout", Duration, "6s", At("discovery-config.client.keepalive-timeout"), Served, "Keepalive timeout towards the discovery service (0: 6s)."),
    flag("discovery-insecure-transport", Bool, "true", At("discovery-config.client.secure.insecure-transport"), Served, "Talk to the discovery service without TLS."),
    flag("discovery-insecure-skip-tls-verify", Bool, "false", At("discovery-config.client.secure.insecure-skip-tls-verify"), Served, "Do not verify the discovery service's certificate."),
    flag("discovery-cert", Text, "", At("discovery-config.client.secure.cert"), Served, "Client certificate for the discovery service."),
    flag("discovery-key", Text, "", At("discovery-config.client.secure.key"), Served, "Client key for the discovery service."),
    flag("discovery-cacert", Text, "", At("discovery-config.client.secure.cacert"), Served, "CA bundle for the discovery service."),
    flag("discovery-user", Text, "", At("discovery-config.client.auth.username"), Served, "User of the discovery service: a name, or 'name:password'."),
    flag("discovery-password", Text, "", At("discovery-config.client.auth.password"), Served, "Password for the discovery service."),
    flag("discovery-srv", Text, "", Same, Served, "DNS domain that lists the members."),
    flag("discovery-srv-name", Text, "", Same, Served, "Suffix of the SRV service names."),
    flag("discovery-fallback", Choice(&["exit", "proxy"]), "exit", Absent, Served, "What to do when discovery fails; only 'exit' is allowed."),
];

#[rustfmt::skip] // one row, one flag
static SECURITY: &[Flag] = &[
    flag("cert-file", Text, "", At("client-transport-security.cert-file"), Served, "Certificate of the client listeners."),
    flag("key-file", Text, "", At("client-transport-security.key-file"), Served, "Key of the client listeners."),
    flag("client-cert-file", Text, "", At("client-transport-security.client-cert-file"), NO_OWN_CONNECTION, "Certificate of the gateway's own connection."),
    flag("client-key-file", Text, "", At("client-transport-security.client-key-file"), NO_OWN_CONNECTION, "Key of the gateway's own connection."),
    flag("client-cert-auth", Bool, "false", At("client-transport-security.client-cert-auth"), Served, "Require client certificates."),
    flag("client-crl-file", Text, "", Absent, Served, "Revocation list of client certificates."),
    flag("client-cert-allowed-hostname", List, "", At("client-transport-security.allowed-hostname"), Served, "Host names allowed in client certificates."),
    flag("trusted-ca-file", Text, "", At("client-transport-security.trusted-ca-file"), Served, "CA that signs client certificates."),
    flag("auto-tls", Bool, "false", At("client-transport-security.auto-tls"), Served, "Serve clients with self-signed certificates."),
    flag("peer-cert-file", Text, "", At("peer-transport-security.cert-file"), Served, "Certificate of the peer listeners."),
    flag("peer-key-file", Text, "", At("peer-transport-security.key-file"), Served, "Key of the peer listeners."),
    flag("peer-client-cert-file", Text, "", At("peer-transport-security.client-cert-file"), Served, "Certificate of connections to peers."),
    flag("peer-client-key-file", Text, "", At("peer-transport-security.client-key-file"), Served, "Key of connections to peers."),
    flag("peer-client-cert-auth", Bool, "false", At("peer-transport-security.client-cert-auth"), Served, "Require certificates of peers."),
    flag("peer-trusted-ca-file", Text, "", At("peer-transport-security.trusted-ca-file"), Served, "CA that signs peers' certificates."),
    flag("peer-auto-tls", Bool, "false", At("peer-transport-security.auto-tls"), Served, "Serve peers with self-signed certificates."),
    flag("peer-crl-file", Text, "", Absent, Served, "Revocation list of peers' certificates."),
    flag("peer-cert-allowed-cn", List, "", At("peer-transport-security.allowed-cn"), Served, "Common names allowed in peers' certificates."),
    flag("peer-cert-allowed-hostname", List, "", At("peer-transport-security.allowed-hostname"), Served, "Host names allowed in peers' certificates."),
    flag("peer-skip-client-san-verification", Bool, "false", At("peer-transport-security.skip-client-san-verification"), Served, "Do not check a peer's address against its certificate."),
    flag("self-signed-cert-validity", Uint, "1", Same, Served, "Validity of self-signed certificates, in years."),
    flag("cipher-suites", List, "", Same, Served, "Cipher suites allowed for TLS 1.2."),
    flag("tls-min-version", Text, "TLS1.2", Same, Served, "Lowest TLS version: TLS1.2 or TLS1.3."),
    flag("tls-max-version", Text, "", Same, Served, "Highest TLS version."),
    flag("cors", Origins, "*", Same, Served, "Origins allowed to make cross-origin requests."),
    flag("host-whitelist", Set, "*", Same, Served, "Host names accepted in plain HTTP requests."),
];

#[rustfmt::skip] // one row, one flag
static AUTHENTICATION: &[Flag] = &[
    flag("auth-token", Text, "simple", Same, Served, "Kind of tokens: 'simple' or 'jwt,...'."),
    flag("bcrypt-cost", Uint, "10", Same, Served, "Cost of hashing a password: 4 to 31."),
    flag("auth-token-ttl", Uint, "300", Same, Served, "Life of a simple token, in seconds."),
];

#[rustfmt::skip] // one row, one flag
static OBSERVATION: &[Flag] = &[
    flag("enable-pprof", Bool, "false", Same, Served, "Serve profiles under /debug/pprof."),
    flag("metrics", Text, "basic", Same, Served, "Detail of the metrics: 'extensive' adds latency histograms of gRPC calls; any other word means 'basic'."),
    flag("enable-distributed-tracing", Bool, "false", Same, Served, "Export traces."),
    flag("distributed-tracing-address", Text, "localhost:4317", Same, Served, "Address of the trace collector."),
    flag("distributed-tracing-service-name", Text, "etcd", Same, Served, "Service name in traces."),
    flag("distributed-tracing-instance-id", Text, "", Same, Served, "Instance id in traces."),
    flag("distributed-tracing-sampling-rate", Int, "0", Same, Served, "Spans sampled of a million."),
    flag("enable-grpc-gateway", Bool, "true", Same, Served, "Serve the JSON gateway under /v3/."),
    flag("console", Choice(&["auto", "on", "off"]), "auto", Same, Served, "Serve the web console under /console/: 'on', 'off', or 'auto': to everybody while requests need a user, else to this machine only. Needs the gateway. Not a flag of etcd."),
];

#[rustfmt::skip] // one row, one flag
static BACKUPS: &[Flag] = &[
    flag("backup-to", Text, "", Same, Served, "Where the leader puts backups: 'file:///directory' or 's3://bucket/prefix'; empty: nowhere. All members need the same."),
    flag("backup-interval", Duration, "24h", Same, Served, "Time from one full backup to the next."),
    flag("backup-piece-interval", Duration, "1m", Same, Served, "Time from one piece of history to the next, for a restore of any revision (0: full backups only)."),
    flag("backup-keep", Text, "7", Same, Served, "Full backups to keep: a number, or an age like '720h'; and the pieces after the oldest of them."),
    flag("backup-s3-endpoint", Text, "", Same, Served, "URL of an S3-compatible store (empty: AWS_ENDPOINT_URL, or AWS)."),
    flag("backup-s3-region", Text, "", Same, Served, "Region of the bucket (empty: AWS_REGION, or 'us-east-1')."),
    flag("backup-s3-ca-file", Text, "", Same, Served, "CA that signs the store's certificate (empty: those of the system)."),
    flag("backup-credentials-file", Text, "", Same, Served, "File with credentials in AWS's form (empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)."),
];

#[rustfmt::skip] // one row, one flag
static LOGGING: &[Flag] = &[
    flag("logger", Text, "zap", Same, Served, "Logger; only 'zap' (the shape of the log lines) is known."),
    flag("log-outputs", Set, "default", Same, Served, "Where logs go: 'default' (stderr), 'stdout', 'stderr', 'systemd/journal' or file paths."),
    flag("log-level", Level, "info", Same, Served, "Least level logged: debug, info, warn, error, dpanic, panic or fatal."),
    flag("log-format", Choice(&["json", "console"]), "json", Same, Served, "Shape of the log lines."),
    flag("enable-log-rotation", Bool, "false", Same, Served, "Rotate the one log file."),
    flag("log-rotation-config-json", Text, r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#, Same, Served, "How to rotate: the longest file in MiB, the oldest in days, how many, local time in names, gzip (0: no limit; of maxsize: 100)."),
];

#[rustfmt::skip] // one row, one flag
static TUNING: &[Flag] = &[
    flag("corrupt-check-time", Duration, "0", Same, NoEffect("members always compare their states, through the log"), "Time between comparisons of the members' contents."),
    flag("compact-hash-check-time", Duration, "1m", Same, NO_HASH_CHECK, "Time between comparisons of compaction hashes."),
    flag("compaction-batch-limit", Int, "0", Same, NO_SCRUB_COMPACTION, "Revisions deleted in one batch of a compaction."),
    flag("compaction-sleep-interval", Duration, "0", Same, NO_SCRUB_COMPACTION, "Pause between two batches of a compaction."),
    flag("watch-progress-notify-interval", Duration, "0", Same, Served, "Time between progress notifications to watchers that ask for them (0: 10m)."),
    flag("downgrade-check-time", Duration, "5s", Same, NO_DOWNGRADE, "Time between checks of a downgrade."),
    flag("warning-apply-duration", Duration, "100ms", Same, Served, "Applying a request for longer than this is logged."),
    flag("warning-unary-request-duration", Duration, "300ms", Same, Served, "A request that takes longer than this is logged."),
    flag("memory-mlock", Bool, "false", Same, Served, "Keep the process in memory; needs CAP_IPC_LOCK, or RLIMIT_MEMLOCK without a limit."),
    flag("bootstrap-defrag-threshold-megabytes", Uint, "0", Same, Served, "Defragment at boot if that frees so many MiB (0: never)."),
    flag("feature-gates", Text, "", Same, Served, "Feature gates: 'A=true,B=false'."),
    flag("v2-deprecation", Choices(&["write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "", Same, NoEffect("deprecated in etcd 3.6; there is no v2 store"), "Stage of the v2 store's removal (deprecated)."),
];

#[rustfmt::skip] // one row, one flag
static UNSAFE: &[Flag] = &[
    flag("unsafe-no-fsync", Bool, "false", Same, NoEffect("nothing is acknowledged here before it is synced"), "Do not sync."),
    flag("force-new-cluster", Bool, "false", Same, Served, "Restart as a cluster of one member with the existing data."),
];

#[rustfmt::skip] // one row, one flag
static PROCESS: &[Flag] = &[
    flag("config-file", Text, "", Absent, Served, "Path of a configuration file; other flags and the environment are then ignored."),
    flag("version", Bool, "false", Absent, Served, "Print the version and exit."),
];

const fn past(name: &'static str) -> Flag {
    flag(name, Discarded, "", Absent, Ignored, "")
}

static PAST: &[Flag] = &[
    past("cluster-active-size"),
    past("cluster-remove-delay"),
    past("cluster-sync-interval"),
    past("config"),
    past("force"),
    past("max-result-buffer"),
    past("max-retry-attempts"),
    past("peer-heartbeat-interval"),
    past("peer-election-timeout"),
    past("retry-interval"),
    past("snapshot"),
    past("v"),
    past("vv"),
    past("test.coverprofile"),
    past("test.outputdir"),
];

/// All flags, in the order of the help text.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|group| group.flags)
}

/// The flag of this name.
pub fn find(name: &str) -> Option<&'static Flag> {
    flags().find(|flag| flag.name == name)
}

impl Flag {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("ETCD_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// The path of its key in the configuration file.
    pub fn file_key(&self) -> Option<&'static str> {
        match self.file {
            Same => Some(self.name),
            At(path) => Some(path),
            Absent => None,
        }
    }
}
