//! Every limit of the proxies, each with its reason.

use std::time::Duration;

/// Ranges that are kept: etcd's.
pub(super) const CACHED_RANGES_MAX: usize = 2048;

/// Bytes of ranges that are kept. etcd counts ranges alone, and one of them may have gigabytes.
pub(super) const CACHED_BYTES_MAX: usize = 64 << 20;

/// How long a range is kept: what was read before it was decided elsewhere that it needs a user ends so.
pub(super) const CACHED_FOR: Duration = Duration::from_secs(5);

/// Keys of one write that are compared with what is kept. One of more takes everything: comparing would hold up all others.
pub(super) const WRITTEN_KEYS_MAX: usize = 1024;

/// Bytes of a token under which something is shared. Nobody gives out longer ones.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Streams of renewals to the members: one for each caller that renews leases at the moment.
pub(super) const RENEWAL_SESSIONS_MAX: usize = 16_384;

/// How long such a stream waits for another renewal before it ends.
pub(super) const RENEWAL_SESSION_IDLE: Duration = Duration::from_secs(2);

/// Writes that are remembered, so that a range that was read meanwhile is not kept. One that was read for longer is not kept.
pub(super) const REMEMBERED_WRITES_MAX: usize = 1024;

/// Replies that wait in a watch stream before its watchers are taken off what they share with others: etcd's, which then ends
/// the stream.
pub(super) const WAITING_REPLIES_MAX: usize = 1024;

/// Bytes of the same. What several streams wait for is in memory once.
pub(super) const WAITING_BYTES_MAX: usize = 4 << 20;

/// Commands of watch streams, and renewals, that wait for the task that serves them.
pub(super) const COMMANDS_MAX: usize = 1024;

/// Requests to a member that wait for it to take them, beyond which clients' commands wait.
pub(super) const OUTGOING_MAX: usize = 1024;

/// Renewals under way on one keepalive stream.
pub(super) const RENEWALS_MAX: usize = crate::limits::KEEPALIVES_PER_STREAM_MAX;

/// The shortest time to live, in seconds, of a lease whose renewal serves several clients one after the other. Of a shorter
/// one the second that is lost by rounding is too large a part.
pub(super) const SHARED_TTL_MIN: i64 = 10;

/// The part of its time to live for which a renewal serves others: clients renew after a third.
pub(super) const SHARED_PART: u32 = 6;

/// The longest time for which it does: so long a lease that was revoked past the proxy still seems to live.
pub(super) const SHARED_FOR_MAX: Duration = Duration::from_secs(2);

/// Leases whose renewals are remembered.
pub(super) const REMEMBERED_RENEWALS_MAX: usize = 65_536;

/// How long a member may take to accept a connection: etcd's.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long another member is looked for when that of a watch stream is gone, and the pause between two attempts.
pub(super) const RESUME_WITHIN: Duration = Duration::from_secs(5);
pub(super) const RESUME_PAUSE: Duration = Duration::from_millis(50);

/// How long a member may take for its part of a health check: etcd's.
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the watch of a health check may take: etcd's.
pub(super) const HEALTH_WATCH_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of a member's metrics.
pub(super) const METRICS_BYTES_MAX: usize = 16 << 20;

/// How long a proxy that stops waits for calls under way.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

/// The pause before a proxy registers itself again: etcd's.
pub(super) const REGISTER_PAUSE: Duration = Duration::from_secs(1);

/// How often a serializable read is repeated, for each endpoint, before it is refused as older than one before it: etcd's.
pub(super) const ORDER_ATTEMPTS: usize = 5;
