//! Messages that scripts, operators and test harnesses search the log for. They are etcd's to the letter; everything else
//! a log line says is our own.

/// The member serves clients; written once, when it does.
pub const READY: &str = "ready to serve client requests";

/// A client listener without TLS serves.
pub const SERVING_INSECURELY: &str = "serving client traffic insecurely; this is strongly discouraged!";

/// A client listener with TLS serves.
pub const SERVING_SECURELY: &str = "serving client traffic securely";

/// A listener for metrics alone serves.
pub const SERVING_METRICS: &str = "serving metrics";

/// A client's TLS handshake has failed, or its certificate is not accepted.
pub const REJECTED_CLIENT: &str = "rejected connection on client endpoint";

/// The same, of a peer.
pub const REJECTED_PEER: &str = "rejected connection on peer endpoint";

/// All listeners are bound.
pub const NOW_SERVING: &str = "now serving peer/client/metrics";

/// The member told the cluster its name and URLs.
pub const PUBLISHED: &str = "published local member to cluster through raft";

/// A unary request took longer than `--warning-unary-request-duration`.
pub const REQUEST_STATS: &str = "request stats";

/// The settings are fine, the member starts.
pub const STARTING: &str = "starting an etcd server";

/// The member has stopped.
pub const CLOSED: &str = "closed etcd server";

/// The settings are not fine.
pub const BAD_FLAGS: &str = "failed to verify flags";

/// The member could not start.
pub const START_FAILED: &str = "discovery failed";

/// A discovery service was asked and did not let the member found a cluster.
pub const DISCOVERY_REFUSED: &str = "failed to bootstrap; discovery token was already used";

/// What to do about that.
pub const DISCOVERY_ADVICE: &str = "do not reuse discovery token; generate a new one to bootstrap a cluster";

/// A member with data is given a discovery service.
pub const DISCOVERY_IGNORED: &str =
    "discovery token is ignored since cluster already initialized; valid logs are found";

/// What the process was started with, as it stands on the command line.
pub const RUNNING: &str = "Running: ";

/// There is data: the member starts again.
pub const INITIALISED: &str = "server has already been initialized";

/// There is no data: the member is new.
pub const NEW: &str = "Initialize and start etcd server";

/// Sockets for other members are bound.
pub const PEER_LISTENERS: &str = "configuring peer listeners";

/// Sockets for clients are bound.
pub const CLIENT_LISTENERS: &str = "configuring client listeners";

/// The member begins to stop.
pub const CLOSING: &str = "closing etcd server";

/// `--bootstrap-defrag-threshold-megabytes` asks for more than a defragmentation would free.
pub const DEFRAGMENTATION_SKIPPED: &str = "Skipping defragmentation";

/// A signal asks the member to stop.
pub const SIGNAL: &str = "received signal; shutting down";

/// The service manager was told that the member is ready.
pub const NOTIFIED: &str = "successfully notified init daemon";

/// An HTTP request was for a host that is not in `--host-whitelist`.
pub const REJECTING_HOST: &str = "rejecting HTTP request to prevent DNS rebinding attacks";

/// `/health` answered with false, or was not asked by GET.
pub const HEALTH_ERROR: &str = "/health error";

/// `/livez` or `/readyz` were not asked by GET.
pub const HEALTH_REQUEST_ERROR: &str = "Health request error";

/// `/livez` or `/readyz` answered with 503.
pub const HEALTH_CHECK_ERROR: &str = "Health check error";

/// `?exclude=` names something that is no check.
pub const CHECKS_NOT_EXCLUDED: &str = "some health checks cannot be excluded";

/// The connection to a peer stands.
pub const PEER_ACTIVE: &str = "peer became active";

/// A peer's time of day is another.
pub const CLOCK_DRIFT: &str = "prober found high clock drift";

/// The connection to a peer broke.
pub const PEER_INACTIVE: &str = "peer became inactive (message send to peer failed)";

/// A peer cannot be reached; said again when the reason changes.
pub const PEER_UNREACHABLE: &str = "failed to connect to remote peer";

/// The connection to a peer was closed because it is no peer any more, or because the member stops.
pub const PEER_CLOSED: &str = "stopped remote peer";

/// A member was added, or is known from the start.
pub const PEER_ADDED: &str = "added remote peer";

/// A member was removed.
pub const PEER_REMOVED: &str = "removed remote peer";

/// A member has other peer URLs.
pub const PEER_UPDATED: &str = "updated remote peer";

/// A peer has connected to this member.
pub const STREAM_ESTABLISHED: &str = "established TCP streaming connection with remote peer";

/// A peer's connection to this member has ended.
pub const STREAM_LOST: &str = "lost TCP streaming connection with remote peer";

/// Another process speaks for a peer while the connection of the one before still stands.
pub const PEER_REPLACED: &str = "a new process speaks for remote peer before the old one was gone; there must not be two with the data of one member";

/// A peer, or who says so, is refused.
pub const PEER_REFUSED: &str = "rejected stream from remote peer";

/// A snapshot begins to be sent to a peer.
pub const SNAPSHOT_SENDING: &str = "sending database snapshot";

/// A snapshot was sent.
pub const SNAPSHOT_SENT: &str = "sent database snapshot";

/// A snapshot could not be sent.
pub const SNAPSHOT_NOT_SENT: &str = "failed to send database snapshot";

/// A snapshot begins to be received.
pub const SNAPSHOT_RECEIVING: &str = "receiving database snapshot";

/// A snapshot was received.
pub const SNAPSHOT_RECEIVED: &str = "received and saved database snapshot";

/// A snapshot could not be received.
pub const SNAPSHOT_NOT_RECEIVED: &str = "failed to save incoming database snapshot";

/// Says that the member was removed from its cluster, as etcd says it.
pub fn log_removed() {
    tracing::warn!(error = "the member has been permanently removed from the cluster", "server error");
    tracing::warn!("data-dir used by this member must be removed");
}
