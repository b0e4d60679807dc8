//! Every limit of the state machine, with its reason.
//!
//! A limit that decides an outcome must be the same on every member, so those are constants here. Those that an
//! operator may set (`--max-txn-ops`) are checked by the server before it proposes; a command in the log has passed.

/// What the server checks a request against before it proposes it. Local configuration, hence never read by
/// [`Machine::apply`](crate::Machine::apply).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations in one list of a transaction, and what nested transactions have to share (`--max-txn-ops`).
    pub txn_operations_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { txn_operations_max: TXN_OPERATIONS_MAX_DEFAULT }
    }
}

/// etcd's default of `--max-txn-ops`.
pub const TXN_OPERATIONS_MAX_DEFAULT: usize = 128;

/// Comparisons and operations of a transaction with all that are nested in it, or three times `--max-txn-ops` if that is
/// more, so that whatever a level may have passes. The budget that levels share bounds how many lists there are behind each
/// other, and not their product: of empty operations, a message could have a million.
pub const TXN_OPERATIONS_TOTAL_MAX: usize = 8 * 1024;

/// How deep transactions may nest, the outermost counted, whatever `--max-txn-ops` says. Protobuf decoders bound the
/// nesting of messages (ours at 100, a transaction being two), and a command in the log is nested once more than the
/// request was: what is let in must decode there, or the log could not be applied. It bounds the stack of apply, too.
/// (etcd's decoder bounds it at 10,000 messages, and its default of operations at 129 transactions.)
pub const TXN_DEPTH_MAX: usize = 40;

/// Longest time to live, in seconds (285 years): keeps milliseconds and nanoseconds far from overflow, as in etcd.
pub const LEASE_TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// Shortest time to live that a command in the log may set, in seconds. The minimum that clients see (1.5 election
/// timeouts) is local configuration and is put into the command by the server
/// ([`lease::effective_ttl`](crate::lease::effective_ttl)); this one only rejects nonsense the same way everywhere.
pub const LEASE_TTL_SECONDS_MIN: i64 = 1;

/// Expired leases that one scan of the lease clock hands out: a mass expiry must not fill the log in one go (etcd:
/// half of a revoke rate of 1000 a second, twice a second).
pub const LEASE_EXPIRED_PER_SCAN_MAX: usize = 500;

/// Leases in one checkpoint command (etcd: `maxLeaseCheckpointBatchSize`).
pub const LEASE_CHECKPOINTS_PER_COMMAND_MAX: usize = 1000;

/// Values at least this long are spliced into a reply by reference, shorter ones are copied into the bytes around
/// them: counting a reference up and down costs about as much as copying this much.
pub const REPLY_COPY_BYTES_MAX: usize = 24;

/// Longest name of a user or a role. A key of bbolt is not longer: an etcd that is given a longer name
/// ends its process, on every member, and a backup in its format could not hold it.
pub const AUTH_NAME_BYTES_MAX: usize = 32_768;

/// Longest key, in bytes, where `--max-request-bytes` allows as much: the index keeps 64 keys side by side, and counts their bytes
/// in 32 bits.
pub const KEY_BYTES_MAX: usize = 32 << 20;

/// Keys that are read for the reply to one transaction while it is applied, which is while everybody else waits. Its ranges may
/// show gigabytes; what is beyond this is read by whoever waits for it.
pub const APPLY_READ_KEYS_MAX: usize = 2048;

/// Bytes that are read for the reply to one transaction while it is applied. A longest value and its neighbours fit.
pub const APPLY_READ_BYTES_MAX: usize = 2 << 20;

/// Keys that are read at once for such a reply: they may be of the longest.
pub const APPLY_READ_PIECE_KEYS: usize = 64;
