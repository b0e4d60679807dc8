//! Every limit of the core, with its reason. The shell may lower or raise the ones in [`Limits`].

/// How many voters one configuration may have. Quorums are counted in arrays on the stack; clusters of more than
/// seven voters only get slower.
pub const VOTERS_MAX: usize = 32;

/// How many nodes, learners included, one configuration may have. A decoder refuses more, before allocating.
pub const MEMBERS_MAX: usize = 256;

/// How many terms one message may move a node forward. A message of a much later term is answered by going as far as this
/// and no further: the next message goes on from there. So a member that was away for more elections than this, if there
/// is such a one, comes back in a few messages; and one frame of nonsense, which this core can only take for a message of a
/// later term, costs one election. Without the bound it could name the last term there is: no election would be possible
/// after it, and as terms are durable, not after a restart either. At an election each second a million terms are twelve
/// days; to use terms up takes 2^42 such messages.
pub const TERM_JUMP_MAX: u64 = 1 << 20;

/// Length of an entry that fits into segments of 64 MiB, with room to spare: the default of [`Limits::entry_bytes_max`].
const ENTRY_BYTES_MAX: usize = 62 << 20;

/// Election timeouts in which a follower that lacks entries must take some, or the leader's log is not kept for it any more:
/// one whose disk is full or hangs answers heartbeats all the same, and would fill its leader's disk too. Long enough for a
/// disk that is only slow.
pub const CATCH_UP_STALL_ELECTIONS: u32 = 5;

/// Budgets of one node, in entries and bytes.
#[derive(Clone, Debug, Hash)]
pub struct Limits {
    /// Longest payload of an entry, in bytes, as [`Payload::log_bytes`](crate::Payload::log_bytes) counts them: what a file
    /// of the durable log takes ([`durable::Log::entry_bytes_max`](crate::durable::Log::entry_bytes_max)). What is longer is
    /// refused wherever it comes from, a client or a peer: once in the log, it would end the process that cannot store it.
    /// The same on every member, or an entry that one takes could not be replicated to another.
    pub entry_bytes_max: usize,
    /// Entries kept in memory although they are durable and applied, for followers a little behind. Older ones
    /// are asked of the durable log.
    pub tail_entries_max: usize,
    /// The same in bytes.
    pub tail_bytes_max: usize,
    /// Bytes of entries in one append message: large enough to fill a pipe, small enough not to delay the
    /// heartbeat behind it.
    pub append_bytes_max: usize,
    /// Append messages in flight to one follower before the leader waits for an answer.
    pub window_messages_max: usize,
    /// Bytes in flight to one follower before the leader waits for an answer.
    pub window_bytes_max: usize,
    /// Bytes of own proposals not yet committed; beyond it proposals are refused as busy, so that a leader that lost
    /// its quorum does not collect memory without end.
    pub uncommitted_bytes_max: usize,
    /// Bytes of entries that the own disk does not have yet; beyond it proposals are refused as busy. Followers
    /// may let a leader with a stalled disk go on committing, but only this far.
    pub unstable_bytes_max: usize,
    /// Bytes of committed entries in one `Ready`, so that a node far behind hands them out in pieces.
    pub committed_bytes_max: usize,
    /// Committed entries that are handed out and not applied yet: enough to keep a state machine busy until the next ones
    /// come, and all that waits for a slow one in memory. What is committed beyond it stays in the log, on the disk too.
    pub handed_entries_max: u64,
    /// The same in bytes.
    pub handed_bytes_max: usize,
    /// Committed entries that are not applied yet; beyond it proposals are refused as busy (etcd refuses at 5,000, too). A
    /// state machine that does not keep up would otherwise work for callers that have given up, on and on.
    pub unapplied_entries_max: u64,
    /// The same in bytes.
    pub unapplied_bytes_max: usize,
    /// Entries that are not applied yet, committed or not; beyond it proposals are refused as busy. A leader that has lost
    /// its quorum must not collect more than a state machine can work off.
    pub pending_entries_max: u64,
    /// Read rounds in flight; further reads share the next round.
    pub read_rounds_max: usize,
    /// Reads waiting for a round or for an answer; beyond it reads are refused as busy.
    pub reads_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        const MIB: usize = 1 << 20;
        Limits {
            entry_bytes_max: ENTRY_BYTES_MAX,
            tail_entries_max: 16_384,
            tail_bytes_max: 16 * MIB,
            append_bytes_max: MIB,
            window_messages_max: 256,
            window_bytes_max: 16 * MIB,
            uncommitted_bytes_max: 64 * MIB,
            unstable_bytes_max: 64 * MIB,
            committed_bytes_max: 4 * MIB,
            handed_entries_max: 8_192,
            handed_bytes_max: 16 * MIB,
            unapplied_entries_max: 5_000,
            unapplied_bytes_max: 64 * MIB,
            pending_entries_max: 32_768,
            read_rounds_max: 8,
            reads_max: 65_536,
        }
    }
}
