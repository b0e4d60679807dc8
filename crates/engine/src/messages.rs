//! Messages that operators and test harnesses search the log for. Those of etcd are its to the letter.

/// A command took longer to apply than `--warning-apply-duration`.
pub(crate) const SLOW_APPLY: &str = "apply request took too long";

/// A sync of the raft log took longer than [`SLOW_SYNC_MIN`](crate::limits::SLOW_SYNC_MIN).
pub(crate) const SLOW_SYNC: &str = "slow fdatasync";

/// A leader's heartbeats were not sent for more than two intervals.
pub(crate) const HEARTBEAT_LATE: &str =
    "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk";

/// Nobody has confirmed a read barrier in the time that a request may take.
pub(crate) const READ_INDEX_LATE: &str =
    "timed out waiting for read index response (local node might have slow network)";

/// The leader hands over to another member.
pub(crate) const TRANSFER_BEGINS: &str = "leadership transfer starting";

/// A snapshot of the leader is to replace the store.
pub(crate) const SNAPSHOT_BEGINS: &str = "applying snapshot";

/// It is open.
pub(crate) const SNAPSHOT_OPENED: &str = "applySnapshot: opened snapshot backend";

/// A snapshot of the leader has replaced the store.
pub(crate) const SNAPSHOT_APPLIED: &str = "applied snapshot";

/// A compaction is done, and what it left is hashed.
pub(crate) const COMPACTED: &str = "finished scheduled compaction";

/// Another state than the leader's: nobody is served until it is known who is wrong.
pub(crate) const STATE_DIFFERS: &str = "found data inconsistency with peers";

/// A leader's log has something else where this member has a committed entry: nobody is served until it is known who is wrong.
pub(crate) const LOG_CONTRADICTED: &str = "a leader's log contradicts what is committed here; this member serves nobody until it is known who is wrong";

/// A majority's log has something else.
pub(crate) const LOG_WRONG: &str =
    "this member's log is wrong; it is thrown away with the state and fetched from the others";

/// Somebody has come across a damaged value.
pub(crate) const DAMAGE: &str =
    "a value in this member's database is damaged; whoever asks for it is refused";

/// What is to be done then: where there is one member,
pub(crate) const DAMAGE_ALONE: &str =
    "put the key again, or delete it: this member takes both; what its value was is lost";

/// where the others are a majority,
pub(crate) const DAMAGE_REPLACED: &str = "none: when a majority of the other members has everything, this member throws its state away and fetches theirs; \
     while too few of them are up, nothing is thrown away";

/// and where they are not.
pub(crate) const DAMAGE_OF_TWO: &str = "put the key again, or delete it; what its value was is with the other member: to have it \
     here, remove this member from the cluster and add it again with an empty data directory";

/// A command cannot be applied without a value that is damaged.
pub(crate) const DAMAGE_IN_A_COMMAND: &str = "a command in the log depends on a damaged value (remove this member from its cluster and add it \
     again with an empty data directory; restore a lone one from a backup)";

/// The others' state is right.
pub(crate) const STATE_WRONG: &str =
    "this member's state is wrong; it is thrown away and fetched from the others";
