//! Every limit of the transport, with its reason.

use std::time::Duration;

use crate::limits::ENTRY_BYTES_MAX;

/// Longest frame. An append holds small entries up to raft's `append_bytes_max`, 1 MiB, and the entry that goes beyond it,
/// which may be as long as the log takes; as much again is for what is around them.
pub(crate) const FRAME_BYTES_MAX: usize = ENTRY_BYTES_MAX + (2 << 20);

/// What is set aside for a frame as soon as its length is known; a longer one gets more as it arrives, so that a length
/// alone costs nothing.
pub(super) const FRAME_AHEAD_BYTES: usize = 1 << 20;

/// Frames up to this length are decoded without counting what is in them: their smallest items are two bytes long and
/// take at most 64 bytes in memory, so they cannot cost more than 4 MiB.
pub(super) const FRAME_UNCOUNTED_BYTES: usize = 128 << 10;

/// Entries, proposals or keys in one frame: twice what the raft core puts into an append.
pub(super) const FRAME_ITEMS_MAX: usize = 64 << 10;

/// Bytes on their way from the engine to the transport's thread, which takes them within microseconds.
pub(super) const OUTBOX_BYTES_MAX: usize = 128 << 20;

/// Bytes that wait for a peer's socket: twice the window of raft, which has no more than that in flight.
pub(super) const PEER_QUEUE_BYTES_MAX: usize = 32 << 20;

/// Frames that wait for a peer's socket. A slow peer gets what it needs again from raft.
pub(super) const PEER_QUEUE_FRAMES_MAX: usize = 64 << 10;

/// Bytes of one peer's messages that the engine has in hand before that peer's connection is left unread: the window
/// of raft, so that a follower whose disk is slow holds no more than its leader sends it anyway.
pub(super) const INBOUND_BYTES_MAX: usize = 16 << 20;

/// Time for a connection to a peer to be established and upgraded.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pings tell a peer that is there from a socket that is: one a second, in a connection that carries hundreds of
/// messages in that time.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(1);

/// The first pause before a peer is called again.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause before a peer is called again: what a member that comes back waits at most, well below an election
/// timeout. (It calls first, and is then called at once.)
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(800);

/// Connections to the peer port at once, streams of members not counted. Tools ask `/version` and `/members` there.
pub(super) const DOOR_CONNECTIONS_MAX: usize = 256;

/// Streams of callers that are not known as members. A member that was down while others were added or elected must
/// hear from them to learn of them; there are never many of these.
pub(super) const GUESTS_MAX: usize = 8;

/// Connections for snapshots at once. One snapshot is received at a time; who offers another one is told so, and comes
/// again.
pub(super) const SNAPSHOT_STREAMS_MAX: usize = 16;

/// Time for the queues to the peers to be written when the member stops.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(1);

/// Threads that read and write snapshots, and resolve names.
pub(super) const BLOCKING_THREADS_MAX: usize = 16;

/// Longest name of a snapshot's content.
pub(super) const CONTENT_NAME_BYTES_MAX: usize = 256;

/// Chunks sent and not yet acknowledged. They are kept, so that a transfer that breaks off can go on where the receiver
/// is, and few enough that reading, the network and writing keep each other busy and no more.
pub(super) const SNAPSHOT_WINDOW_CHUNKS: usize = 8;

/// A snapshot's connection that takes no byte for so long is given up: long, as a disk is at its other end.
pub(super) const SNAPSHOT_STALL: Duration = Duration::from_secs(30);

/// Attempts without any progress before a snapshot is given up; raft then asks for a new one.
pub(super) const SNAPSHOT_ATTEMPTS_MAX: u32 = 8;

/// How long a part of a snapshot is kept for its sender to go on.
pub(super) const SNAPSHOT_PARKED: Duration = Duration::from_secs(60);

/// Bytes of a chunk that are written in one go, while messages wait.
pub(super) const SNAPSHOT_WRITE_BYTES: usize = 128 << 10;
