//! `grpc-proxy start`: a proxy of calls.
//!
//! ```text
//!  connections ──► port ──┬─► upstream, one channel over all members: most calls go there as they are
//!   (server::net)         ├─► kv: with a cache of serializable ranges
//!                         ├─► watch: many watchers as one
//!                         ├─► lease: many renewals as one
//!                         └─► http: health and metrics of the members and of the proxy
//! ```
//!
//! The listeners, with their TLS, their limits and their keepalive, are those of a member. Calls go on with their callers'
//! tokens and deadlines ([`caller`]), and come back with the members' answers and statuses. Nothing is kept on a disk.
//!
//! What it does not know: who may do what, and what a call means, but for what is listed above.

mod cache;
mod caller;
mod cluster;
mod http;
mod kv;
mod lease;
mod line;
mod namespace;
mod port;
mod raw;
mod settings;
mod start;
mod upstream;
mod watch;

use super::flags::{Command, Flag, Kind};

/// The sub-command.
pub(super) const COMMAND: Command =
    Command { group: "grpc-proxy", about: "start the grpc proxy", flags: FLAGS, start: start::start };

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help }
}

#[rustfmt::skip] // one row, one flag
static FLAGS: &[Flag] = &[
    flag("advertise-client-url", Kind::Text, "127.0.0.1:23790", "advertise address to register (must be reachable by client)"),
    flag("auto-tls", Kind::Bool, "false", "proxy TLS using generated certificates"),
    flag("cacert", Kind::Text, "", "verify certificates of TLS-enabled secure etcd servers using this CA bundle"),
    flag("cert", Kind::Text, "", "identify secure connections with etcd servers using this TLS certificate file"),
    flag("cert-file", Kind::Text, "", "identify secure connections to the proxy using this TLS certificate file"),
    flag("client-crl-file", Kind::Text, "", "proxy client certificate revocation list file."),
    flag("data-dir", Kind::Text, "default.proxy", "Data directory for persistent data"),
    flag("debug", Kind::Bool, "false", "Enable debug-level logging for grpc-proxy."),
    flag("dial-keepalive-time", Kind::Duration, "0s", "keepalive time for client(grpc-proxy) connections (default 0, disable)."),
    flag("dial-keepalive-timeout", Kind::Duration, "20s", "keepalive timeout for client(grpc-proxy) connections (default 20s)."),
    flag("discovery-srv", Kind::Text, "", "domain name to query for SRV records describing cluster endpoints"),
    flag("discovery-srv-name", Kind::Text, "", "service name to query when using DNS discovery"),
    flag("enable-pprof", Kind::Bool, "false", "Enable runtime profiling data via HTTP server. Accepted without effect: profiles are not served."),
    flag("endpoints", Kind::List, "127.0.0.1:2379", "comma separated etcd cluster endpoints"),
    flag("endpoints-auto-sync-interval", Kind::Duration, "0s", "etcd endpoints auto sync interval (disabled by default)"),
    flag("experimental-enable-grpc-logging", Kind::Bool, "false", "logging all grpc requests and responses"),
    flag("experimental-leasing-prefix", Kind::Text, "", "leasing metadata prefix for disconnected linearized reads. Not served yet."),
    flag("experimental-serializable-ordering", Kind::Bool, "false", "Ensure serializable reads have monotonically increasing store revisions across endpoints."),
    flag("grpc-keepalive-interval", Kind::Duration, "2h0m0s", "Frequency duration of server-to-client ping to check if a connection is alive (0 to disable)."),
    flag("grpc-keepalive-min-time", Kind::Duration, "5s", "Minimum interval duration that a client should wait before pinging proxy."),
    flag("grpc-keepalive-timeout", Kind::Duration, "20s", "Additional duration of wait before closing a non-responsive connection (0 to disable)."),
    flag("insecure-discovery", Kind::Bool, "false", "accept insecure SRV records"),
    flag("insecure-skip-tls-verify", Kind::Bool, "false", "skip authentication of etcd server TLS certificates (CAUTION: this option should be enabled only for testing purposes)"),
    flag("key", Kind::Text, "", "identify secure connections with etcd servers using this TLS key file"),
    flag("key-file", Kind::Text, "", "identify secure connections to the proxy using this TLS key file"),
    flag("listen-addr", Kind::Text, "127.0.0.1:23790", "listen address"),
    flag("listen-cipher-suites", Kind::List, "", "Comma-separated list of supported TLS cipher suites between client/proxy (empty will be auto-populated)."),
    flag("max-concurrent-streams", Kind::Uint32, "4294967295", "Maximum concurrent streams that each client can open at a time."),
    flag("max-recv-bytes", Kind::Int, "2147483647", "message receive limits in bytes (default value is math.MaxInt32)"),
    flag("max-send-bytes", Kind::Int, "1572864", "message send limits in bytes (default value is 1.5 MiB)"),
    flag("metrics-addr", Kind::Text, "", "listen for endpoint /metrics requests on an additional interface"),
    flag("namespace", Kind::Text, "", "string to prefix to all keys for namespacing requests"),
    flag("permit-without-stream", Kind::Bool, "false", "Enable client(grpc-proxy) to send keepalive pings even with no active RPCs. Accepted without effect: a connection is looked at when it is used."),
    flag("resolver-prefix", Kind::Text, "", "prefix to use for registering proxy (must be shared with other grpc-proxy members)"),
    flag("resolver-ttl", Kind::Int, "0", "specify TTL, in seconds, when registering proxy endpoints"),
    flag("self-signed-cert-validity", Kind::Uint32, "1", "The validity period of the proxy certificates, unit is year"),
    flag("tls-max-version", Kind::Text, "", "Maximum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3 (empty: the highest there is)."),
    flag("tls-min-version", Kind::Text, "TLS1.2", "Minimum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3."),
    flag("trusted-ca-file", Kind::Text, "", "verify certificates of TLS-enabled secure proxy using this CA bundle"),
];
