//! Every limit of the server, each with its reason.

use std::time::Duration;

/// Commands proposed through one member whose callers wait. At `max-request-bytes` each this would be 48 GiB, so bytes are
/// bounded too ([`IN_FLIGHT_BYTES_MAX`]). A caller gives up after some seconds, but its command does not: what the log holds
/// and the state machine has not applied is bounded by raft ([`raft::Limits::unapplied_entries_max`] and its kin).
pub(crate) const IN_FLIGHT_MAX: usize = 32 * 1024;

/// Bytes of commands proposed through one member whose callers wait: a few seconds of what a disk takes.
pub(crate) const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;

/// Committed entries that this member has not applied; beyond it requests are refused, as in etcd. The leader has the same
/// limit for what it appends; this one is for a follower that is behind: its callers would wait in vain.
pub(crate) const APPLY_LAG_ENTRIES_MAX: u64 = 5_000;

/// Questions of other members that this one has not answered; one keepalive of a client on a follower is one question.
/// Beyond it they are not heard, and asked again.
pub(crate) const QUESTIONS_MAX: usize = 16 * 1024;

/// Renewals under way on one keepalive stream: a client with thousands of leases sends all of them on one, and each takes a
/// round to the quorum. Few enough for hundreds of such streams on a follower to stay within [`QUESTIONS_MAX`].
pub(crate) const KEEPALIVES_PER_STREAM_MAX: usize = 64;

/// Changes of members that wait for their turn at the leader. They are taken one at a time, each takes a few round trips,
/// and callers give up after some seconds: no operator has as many under way.
pub(crate) const CHANGES_WAITING_MAX: usize = 256;

/// Bytes of such changes: a change is a few URLs.
pub(crate) const CHANGES_WAITING_BYTES_MAX: usize = 4 << 20;

/// What grpc-go adds to `max-request-bytes` for its receive limit: room for the envelope of a request.
pub(crate) const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Entries of the raft log that are kept for members that are catching up, however long that takes: with more writes than
/// this meanwhile, a snapshot is the shorter way.
pub(crate) const CATCH_UP_ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of the raft log that are kept for members that are behind, however many entries that is: half of what the default
/// quota lets a store have, which a snapshot brings in any case. The size of a command is the clients' choice, and their data
/// must not fill the leader's disk twice.
pub(crate) const LOG_KEPT_BYTES_MAX: u64 = 1 << 30;

/// Length of a file of the raft log: etcd's, within 512 bytes.
pub(crate) const WAL_SEGMENT_BYTES: u64 = 64 << 20;

/// Longest entry of the raft log, in bytes: what fits into one of its files. A command is encoded once and is an entry as it
/// is, so this bounds `--max-request-bytes` and, with what is around it, a frame between members; raft refuses what is
/// longer wherever it comes from.
pub(crate) const ENTRY_BYTES_MAX: usize =
    wal::Options { segment_bytes: WAL_SEGMENT_BYTES, identity: [0, 0] }.payload_max() as usize;

/// Bytes of commands that are handed on to the leader in one frame: small enough not to hold up what is behind it. A command
/// that is longer has a frame of its own.
pub(crate) const FORWARD_BYTES_MAX: usize = 1 << 20;

/// HTTP/2 connection window. With 64 KiB a 250 KB reply costs a third more, and bursts of small stream messages can
/// run a connection out of window.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// HTTP/2 stream window: what one request may send before it is read.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes of one stream's replies that hyper buffers while the client is slow.
pub(crate) const SEND_BUFFER_BYTES: usize = 1 << 20;

/// Time for the HTTP/2 preface with the first frame, or for the head of each HTTP/1.1 request, so that sockets on which
/// nothing is said cannot pile up (rule S3). A client that speaks HTTP/2 may be idle; whether it is alive,
/// `--grpc-keepalive-interval` and TCP's keepalive find out.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle time after which TCP asks whether the other side is still there (etcd's), so that a client whose machine is gone
/// does not keep its watches and its socket until the next HTTP/2 ping.
pub(crate) const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Responses that wait in one watch stream before its watchers are read from history instead (etcd's buffer too).
pub(crate) const WATCH_QUEUE_RESPONSES_MAX: usize = 128;

/// Bytes that wait in one watch stream before its watchers are read from history instead.
pub(crate) const WATCH_QUEUE_BYTES_MAX: usize = 4 << 20;

/// Watchers on one stream. kube-apiserver opens a stream for each few resources; 65,536 is far beyond any client.
pub(crate) const WATCHERS_PER_STREAM_MAX: usize = 64 * 1024;

/// Distinct revisions in one catch-up response (etcd: 1,000).
pub(crate) const CATCH_UP_REVISIONS_MAX: usize = 1000;

/// Changes looked at in one step of a watcher's catch-up, wanted or not: what bounds the time of a step.
pub(crate) const CATCH_UP_CHANGES_MAX: usize = 8 * 1024;

/// Bytes of events read for one watcher in one step of its catch-up: what the worker writes to its socket in one go,
/// while the answers to others wait.
pub(crate) const CATCH_UP_BYTES_MAX: usize = 32 << 10;

/// Changes read at once in such a step: no more than fill it when they are small.
pub(crate) const CATCH_UP_BATCH_CHANGES: usize = 125;

/// Rest between two steps of a watcher's catch-up while there are writes: with 125 events a step it gets 25,000 a second,
/// some five times what etcd sends, for a tenth of the core or less. Short steps and short rests: the answers to writes wait
/// for one step at the most.
pub(crate) const CATCH_UP_REST: Duration = Duration::from_millis(5);

/// Watchers of one stream that the catch-up thread reads for at a time: what it finds for them goes into the stream's
/// queue in any case, so this times a step is how far the queue can outgrow its bound.
pub(crate) const READING_PER_STREAM_MAX: usize = 4;

/// Pause before a physical compaction looks again whether the history it waits for is held: at first, and at most, as each
/// look costs a checkpoint.
pub(crate) const RELEASE_PAUSE_MIN: Duration = Duration::from_millis(20);
/// See [`RELEASE_PAUSE_MIN`].
pub(crate) const RELEASE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a physical compaction waits for those who hold on to the history: it is compacted either way, and etcd does
/// not wait for readers at all.
pub(crate) const RELEASE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Published events kept in memory for watchers that join or fall a little behind.
pub(crate) const RECENT_EVENTS_BYTES_MAX: usize = 8 << 20;

/// Published revisions kept in memory, whatever their size.
pub(crate) const RECENT_REVISIONS_MAX: usize = 16 * 1024;

/// The longest answer of another member to a question at the start: a list of members is a few KiB.
pub(crate) const PEER_ANSWER_BYTES_MAX: usize = 1 << 20;
