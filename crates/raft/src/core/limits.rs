//! Every limit of the core, with its reason. The shell may lower or raise the ones in [`Limits`].

/// How many voters one configuration may have. Quorums are counted in arrays on the stack; clusters of more than
/// seven voters only get slower.
pub const VOTERS_MAX: usize = 32;

/// How many nodes, learners included, one configuration may have. A decoder refuses more, before allocating.
pub const MEMBERS_MAX: usize = 256;

/// Budgets of one node, in entries and bytes.
#[derive(Clone, Debug, Hash)]
pub struct Limits {
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
    /// Read rounds in flight; further reads share the next round.
    pub read_rounds_max: usize,
    /// Reads waiting for a round or for an answer; beyond it reads are refused as busy.
    pub reads_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        const MIB: usize = 1 << 20;
        Limits {
            tail_entries_max: 16_384,
            tail_bytes_max: 16 * MIB,
            append_bytes_max: MIB,
            window_messages_max: 256,
            window_bytes_max: 16 * MIB,
            uncommitted_bytes_max: 64 * MIB,
            unstable_bytes_max: 64 * MIB,
            committed_bytes_max: 4 * MIB,
            read_rounds_max: 8,
            reads_max: 65_536,
        }
    }
}
