//! Every limit of the server, each with its reason.

use std::time::Duration;

/// Keys that a network worker reads at a stretch for one client, found in memory at some 0.1 µs each; what is on the disk
/// counts for more (rule I1). A list of a thousand keys is made where it is asked for.
pub(crate) const WORKER_READ_KEYS_MAX: usize = 2048;

/// Bytes that a network worker reads at a stretch for one client, and copies into its reply: some 0.2 ms.
pub(crate) const WORKER_READ_BYTES_MAX: usize = 1 << 20;

/// Bytes of a reply from which on it is not written as a whole: it leaves in pieces, each made when the client has taken those
/// before it. What the reply refers to is shared with others, so that it takes little memory until then.
pub(crate) const LONG_REPLY_BYTES: usize = 256 << 10;

/// Parts of a reply from which on letting go of them takes longer than others may wait.
pub(crate) const REPLY_PARTS_MANY: usize = 4096;

/// Threads for reads that take longer, at least: half of them are left to others when one connection has many such reads.
pub(crate) const READERS_MIN: usize = 4;

/// Renewals under way on one keepalive stream: a client with thousands of leases sends all of them on one, and each takes a
/// round to the quorum. Few enough for hundreds of such streams on a follower to stay within [`engine::limits::QUESTIONS_MAX`].
pub(crate) const KEEPALIVES_PER_STREAM_MAX: usize = 64;

/// Bytes of a configuration file. One with every setting has some kilobytes.
pub(crate) const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;

/// Entries of a discovery service's registry that are read: those that registered first. A cluster has far fewer places.
pub(crate) const REGISTRY_ENTRIES_MAX: usize = 1024;

/// Bytes of a discovery service's answer, which is not to fill the memory of a member that asks it: a kilobyte and more for
/// each entry.
pub(crate) const REGISTRY_ANSWER_BYTES_MAX: usize = 4 << 20;

/// What grpc-go adds to `max-request-bytes` for its receive limit: room for the envelope of a request.
pub(crate) const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

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

/// Backups under way at a time: each is a thread and some tens of MiB.
pub(crate) const SNAPSHOTS_MAX: usize = 4;

/// Into how many parts the machine's processor time is divided for a backup that is made while clients write: it takes one at the
/// most. That is an eighth of a core of two, and a whole core of sixteen.
pub(crate) const BACKUP_PARTS: u32 = 16;

/// Longest rest: a client that goes away is noticed behind it.
pub(crate) const BACKUP_REST_MAX: Duration = Duration::from_millis(200);

/// How long the client of a backup may take nothing of it before it is given up.
pub(crate) const SNAPSHOT_STALL_MAX: Duration = Duration::from_secs(60);

// What clients meet first are the limits of the HTTP libraries (rule X4). grpc-go, on which etcd stands, has few of them, so
// each is set on purpose here, or made harmless:
//
// | limit | default | here |
// |---|---|---|
// | hyper, h2: windows, frame size, size of a header list, send buffer | | the constants below |
// | h2: streams reset before they were accepted (`too_many_resets`) | 20 | [`PENDING_RESETS_MAX`], and `net::intake` |
// | h2: streams reset by the library in the life of a connection (`too_many_internal_resets`) | 1,024 | none; `net::intake` |
// | h2: unread small DATA frames (`too_many_data_frames`) | half the connection window | [`STREAM_WINDOW_BYTES`], and `net::intake` |
// | h2: empty DATA frames in the life of a connection (`too_many_data_frames`) | 100 | left out by `net::frames`, unless they are padded |
// | h2: CONTINUATION frames of a block (`too_many_continuations`) | 1.25 × list / frame | follows: 1,280 |
// | h2: header list that ends the connection (`header_list_way_too_large`) | 4 × list | follows: 64 MiB |
// | http: fields of a request | 24,576 names | not settable; beyond it the request gets a 431 |
// | h2: streams that are remembered after their reset | 50, for 1 s | not settable; later frames get a reset, which is harmless without the limit above |
// | h2: table of header fields | 4 KiB | RFC 7541's, and etcd's |
// | hyper: an HTTP/1.1 request's head | 408 KiB, 100 fields, 65,534 bytes of URI | [`HTTP1_HEAD_BYTES_MAX`], [`HTTP1_FIELDS_MAX`]; the URI is not settable |
// | hyper: time for an HTTP/1.1 head, counted from the answer before it | 30 s | off; [`HEADER_TIMEOUT`] counts from its first byte |
// | hyper: an HTTP/1.1 client that closes its half | given up | answered |
// | streams at once | 200 | `--max-concurrent-streams` |

/// HTTP/2 connection window. With 64 KiB a 250 KB reply costs a third more, and bursts of small stream messages can
/// run a connection out of window.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// HTTP/2 stream window: what one request may send before it is read. With as much as this, no stream of gRPC messages
/// can by itself have so many unread that the library ends the connection, however long the process is paused or a
/// keepalive waits for a leader; see the assertion.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 128 << 10;

/// DATA frames with fewer bytes are small to the library: it reckons each with what it lacks of this.
pub(crate) const SMALL_DATA_BYTES: usize = 256;

/// The shortest message of gRPC: its prefix and nothing in it.
const GRPC_MESSAGE_BYTES_MIN: usize = 5;

/// A window full of the shortest messages, one a frame, stays below the library's budget, half the connection window.
const _: () = assert!(
    STREAM_WINDOW_BYTES as usize / GRPC_MESSAGE_BYTES_MIN * (SMALL_DATA_BYTES - GRPC_MESSAGE_BYTES_MIN)
        <= CONNECTION_WINDOW_BYTES as usize / 2
);

/// Longest HTTP/2 frame that a client may send: RFC 9113's default, and etcd's.
pub(crate) const HTTP2_FRAME_BYTES_MAX: u32 = 16 << 10;

/// Bytes of a request's metadata, each field reckoned with 32 more (RFC 9113, section 6.5.2): grpc-go's, and so etcd's.
/// Tokens and tracing baggage grow (grpc/grpc-java#2601). What this costs is bounded by [`engine::memory::Shares`].
pub(crate) const HEADER_LIST_BYTES_MAX: u32 = 16 << 20;

/// Streams of a connection that were reset before they were accepted. `net::intake` lets the library accept streams after
/// each read in which there was a reset. A read is 64 KiB at most, and a request with its reset takes 25 bytes at
/// least: the limit is not reached.
pub(crate) const PENDING_RESETS_MAX: usize = 4096;

/// Frames of one connection that are read before others have their turn, and then those of the read that has exceeded it: some
/// 0.2 µs each for those that mean nothing, and at most 7,000 in a read of 64 KiB (rule I1). What is uploaded comes in few
/// frames, for which this is no bound.
pub(crate) const FRAMES_IN_A_TURN_MAX: u64 = 1024;

/// Frames that are read from a client after it stopped reading. For each the library may have an answer that waits in
/// memory, at some 600 bytes.
pub(crate) const FRAMES_WHILE_BLOCKED_MAX: u64 = 4096;

/// Bytes of an HTTP/1.1 request's head: Go's default with its slop, and so etcd's.
pub(crate) const HTTP1_HEAD_BYTES_MAX: usize = (1 << 20) + 4096;

/// Fields of an HTTP/1.1 request. Go does not count them; each costs the parser 64 bytes here, whether it is there or not.
pub(crate) const HTTP1_FIELDS_MAX: usize = 4096;

/// Bytes of an unfinished head that no budget is asked for: what ordinary requests have.
pub(crate) const HEAD_BYTES_FREE: usize = 64 << 10;

/// Bytes of a reply, or of a piece of one, from which on it is counted by itself. Smaller ones are counted together, when those
/// of a connection have as much.
pub(crate) const UNREAD_COUNTED_BYTES: usize = 16 << 10;

/// What the stream of a small reply takes by itself for as long as the reply is not read, and a small reply counts more:
/// measured, with a hundred thousand of them.
pub(crate) const UNREAD_STREAM_BYTES: usize = 4 << 10;

/// Bytes of a reply, or of a piece of one, from which on it is counted until it is written. A smaller one is counted until its
/// client has opened a window; and with a client that opens windows and does not read, [`FRAMES_WHILE_BLOCKED_MAX`] bounds how
/// many there are.
pub(crate) const UNREAD_HELD_BYTES: usize = 1 << 10;

/// Bytes of one stream's replies that hyper buffers while the client is slow.
pub(crate) const SEND_BUFFER_BYTES: usize = 1 << 20;

/// Bytes that are deflated, or that inflating yields, before others have their turn: some 0.3 ms (rule I1).
pub(crate) const GZIP_STEP_BYTES: usize = 32 << 10;

/// Bytes that are inflated before others have their turn, whether they yield anything or not: some 0.3 ms for those that cost
/// most, a new table for each few bytes.
pub(crate) const GZIP_STEP_PACKED_BYTES: usize = 2 << 10;

/// Long replies that are deflated at a time: each is in memory twice meanwhile, and takes what time others leave.
pub(crate) const DEFLATING_MAX: usize = 2;

/// The longest message that is sent: grpc-go's default for a server, which etcd sets too. Clients have a limit of their own,
/// most of them a smaller one.
pub(crate) const SENT_MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// Time for the HTTP/2 preface with the first frame, for a header block in several frames, or for the head of an HTTP/1.1
/// request from its first byte, so that sockets on which nothing is said cannot pile up (rule S3), nor unfinished heads. A
/// client may be idle otherwise; whether it is alive, `--grpc-keepalive-interval` and TCP's keepalive find out.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Descriptors that clients' connections never take, as a part of the limit: for the log, the store's files and the other
/// members. etcd keeps 150 back.
pub(crate) const RESERVED_DESCRIPTORS_PART: u64 = 4;
/// See [`RESERVED_DESCRIPTORS_PART`]: no more than these are kept back.
pub(crate) const RESERVED_DESCRIPTORS_MAX: u64 = 1024;

/// Idle time after which TCP asks whether the other side is still there (etcd's), so that a client whose machine is gone
/// does not keep its watches and its socket until the next HTTP/2 ping.
pub(crate) const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Pause before a physical compaction looks again whether the history it waits for is held: at first, and at most, as each
/// look costs a checkpoint.
pub(crate) const RELEASE_PAUSE_MIN: Duration = Duration::from_millis(20);
/// See [`RELEASE_PAUSE_MIN`].
pub(crate) const RELEASE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a physical compaction waits for those who hold on to the history: it is compacted either way, and etcd does
/// not wait for readers at all.
pub(crate) const RELEASE_WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest answer of another member to a question at the start: a list of members is a few KiB.
pub(crate) const PEER_ANSWER_BYTES_MAX: usize = 1 << 20;

/// Time for a TLS handshake (etcd's): who has not finished it by then is not served (rule S3, CVE-2026-73500).
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is closed on this side is read on, so that its client takes what it was sent last (RFC 9112,
/// section 9.6).
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(1);

/// TLS handshakes under way on one thread. Each holds a descriptor and some 20 KiB; a client that means it is done in
/// two round trips. Less if the process may not have many descriptors: see `net::descriptors`.
pub(crate) const TLS_HANDSHAKES_MAX: u64 = 1024;

/// A handshake younger than this does not make room for another: a round trip around the world, and the time that
/// hundreds of honest handshakes before it take.
pub(crate) const TLS_HANDSHAKE_GRACE: Duration = Duration::from_millis(250);

/// Lines about rejected TLS connections written in a second; those beyond are counted.
pub(crate) const TLS_REJECTIONS_LOGGED_PER_SECOND: u32 = 10;

/// Size of a file of certificates or of a key: the CAs of a whole operating system have 250 KiB.
pub(crate) const CERTIFICATE_FILE_BYTES_MAX: u64 = 4 << 20;

/// Size of a file of revocation lists: a million revoked certificates have 40 MiB.
pub(crate) const REVOCATION_FILE_BYTES_MAX: u64 = 64 << 20;

/// Bytes of a password: what bcrypt looks at, and Go's library takes.
pub(crate) const PASSWORD_BYTES_MAX: usize = 72;

/// Threads that hash passwords while many clients log in, besides the one for a client that comes alone. One hash takes some
/// 50 ms of a core at the default cost; two threads leave the other cores alone.
pub(crate) const PASSWORD_THREADS: usize = 2;

/// Passwords that wait to be hashed. At the default cost that is some 6 s of work, about what a request may take; whoever
/// comes then is refused.
pub(crate) const PASSWORDS_WAITING_MAX: usize = 256;

/// Right passwords of the last minute that are known by a fast digest, of 32 bytes each. More are compared the slow way.
pub(crate) const PASSWORDS_RECENT_MAX: usize = 1024;

/// Simple tokens that are valid on a member: some 100 bytes each. Each takes a hash of a password and lives five minutes by
/// default, so that many come together with a low `--bcrypt-cost` and a long `--auth-token-ttl` only. A token beyond it is
/// not valid, and its client logs in again.
pub(crate) const SIMPLE_TOKENS_MAX: usize = 1 << 20;

/// Bytes of a token with the word in front of it. A simple one has some thirty, a signed one a few hundred and the user's name.
/// A longer one is not valid: it would be kept for as long as its call lasts, and a client may have any number of calls.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Bytes of a message or of JSON that the gateway converts on the thread that serves its client: about a millisecond's work.
pub(crate) const CONVERTED_HERE_BYTES_MAX: usize = 8 << 10;

/// Longer conversions at the same time, each on a thread that serves nobody. A list of megabytes is there three times then.
pub(crate) const CONVERTING_MAX: usize = 2;
