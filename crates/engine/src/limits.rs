//! Every limit of the engine, each with its reason.

use std::time::Duration;

/// Commands proposed through one member whose callers wait. At `max-request-bytes` each this would be 48 GiB, so bytes are
/// bounded too ([`Shares::in_flight`](crate::memory::Shares)). A caller gives up after some seconds, but its command does not: what the log holds
/// and the state machine has not applied is bounded by raft ([`raft::Limits::unapplied_entries_max`] and its kin).
pub const IN_FLIGHT_MAX: usize = 32 * 1024;

/// Committed entries that this member has not applied; beyond it requests are refused, as in etcd. The leader has the same
/// limit for what it appends; this one is for a follower that is behind: its callers would wait in vain.
pub const APPLY_LAG_ENTRIES_MAX: u64 = 5_000;

/// Bytes of a piece of a long reply. A value that is longer is a piece by itself.
pub const REPLY_PIECE_BYTES: usize = 64 << 10;

/// A sync of the raft log that takes longer is logged, as in etcd.
pub const SLOW_SYNC_MIN: Duration = Duration::from_secs(1);

/// Questions of other members that this one has not answered; one keepalive of a client on a follower is one question.
/// Beyond it they are not heard, and asked again.
pub const QUESTIONS_MAX: usize = 16 * 1024;

/// Changes of members that wait for their turn at the leader. They are taken one at a time, each takes a few round trips,
/// and callers give up after some seconds: no operator has as many under way.
pub const CHANGES_WAITING_MAX: usize = 256;

/// Bytes of such changes: a change is a few URLs.
pub const CHANGES_WAITING_BYTES_MAX: usize = 4 << 20;

/// Entries of the raft log that are kept for members that are catching up, however long that takes: with more writes than
/// this meanwhile, a snapshot is the shorter way.
pub const CATCH_UP_ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of commands that are handed on to the leader in one frame: small enough not to hold up what is behind it. A command
/// that is longer has a frame of its own.
pub const FORWARD_BYTES_MAX: usize = 1 << 20;

/// Responses that wait in one watch stream before its watchers are read from history instead (etcd's buffer too).
pub const WATCH_QUEUE_RESPONSES_MAX: usize = 128;

/// Bytes that wait in one watch stream before its watchers are read from history instead.
pub const WATCH_QUEUE_BYTES_MAX: usize = 4 << 20;

/// Previous key-value pairs that a worker reads from the disk at a stretch to show watchers what has just happened: as many gets,
/// and others wait as long. For a watcher that wants more, the catch-up thread reads.
pub const LIVE_PREVIOUS_READS_MAX: usize = 8;

/// Watchers on one stream. kube-apiserver opens a stream for each few resources; 65,536 is far beyond any client.
pub const WATCHERS_PER_STREAM_MAX: usize = 64 * 1024;

/// Bytes of a watcher's keys that no budget is asked for: what the watcher takes by itself, and more than clients' keys have.
pub const WATCHED_KEYS_BYTES_FREE: usize = 1 << 10;

/// Bytes of the keys of all watchers of a worker, beyond what is free: a key may have a megabyte, and a client tens of thousands
/// of watchers on each stream. Beyond it, no watcher is created whose keys are long.
pub const WATCHED_KEYS_BYTES_MAX: usize = 64 << 20;

/// Distinct revisions in one catch-up response (etcd: 1,000).
pub const CATCH_UP_REVISIONS_MAX: usize = 1000;

/// Changes looked at in one step of a watcher's catch-up, wanted or not: what bounds the time of a step.
pub const CATCH_UP_CHANGES_MAX: usize = 8 * 1024;

/// Bytes of small events read for one watcher in one step of its catch-up: what the worker writes to its socket in one go,
/// while the answers to others wait.
pub const CATCH_UP_BYTES_MAX: usize = 32 << 10;

/// Events of a step, however large: they are encoded by the catch-up thread and leave in pieces, so that few large ones take
/// a worker no longer than many small ones. A watcher gets ten of a megabyte in one response, as from etcd.
pub const CATCH_UP_EVENTS_MIN: usize = 16;

/// Bytes of the changes that a step has found, with what was there before, from which on no watcher gets more than
/// [`CATCH_UP_BYTES_MAX`].
pub const CATCH_UP_STEP_BYTES_MAX: usize = 32 << 20;

/// Changes read at once in such a step: no more than fill it when they are small.
pub const CATCH_UP_BATCH_CHANGES: usize = 125;

/// Rest between two steps of a watcher's catch-up while there are writes: with 125 events a step it gets 25,000 a second,
/// some five times what etcd sends, for a tenth of the core or less. Short steps and short rests: the answers to writes wait
/// for one step at the most.
pub const CATCH_UP_REST: Duration = Duration::from_millis(5);

/// Watchers of one stream that the catch-up thread reads for at a time: what it finds for them goes into the stream's
/// queue in any case, so this times a step is how far the queue can outgrow its bound. One look at the history serves all that
/// are read for, so that with many of them there are few looks.
pub const READING_PER_STREAM_MAX: usize = 64;

/// Stalled watchers of one stream that go on before others have their turn. Each goes through what was published meanwhile,
/// [`RECENT_REVISIONS_MAX`] revisions at the most: some 0.2 ms (rule I1).
pub const RESUMED_AT_ONCE_MAX: usize = 4;

/// Published events kept in memory for watchers that join or fall a little behind.
pub const RECENT_EVENTS_BYTES_MAX: usize = 8 << 20;

/// Published revisions kept in memory, whatever their size.
pub const RECENT_REVISIONS_MAX: usize = 16 * 1024;

/// Times that a read is done over because users or permissions have changed meanwhile. Then it is refused as in etcd, which
/// refuses it the first time.
pub const READ_ATTEMPTS_MAX: usize = 4;

/// Bytes that wait in one watch stream before its watchers are read from history instead, while the queues of all are full:
/// a response or two, so that every client gets on.
pub const WATCH_QUEUE_BYTES_FULL: usize = 16 << 10;
