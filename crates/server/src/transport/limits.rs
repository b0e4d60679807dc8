//! Every limit of the transport, with its reason.

use std::time::Duration;

/// Longest frame. The raft log takes entries up to its record size, and one such entry must reach every member.
pub(crate) const FRAME_BYTES_MAX: usize = wal::PAYLOAD_BYTES_MAX as usize + (1 << 20);

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

/// Longest chunk of a snapshot.
pub(crate) const SNAPSHOT_CHUNK_BYTES_MAX: usize = 1 << 20;

/// Time for a connection to a peer to be established and upgraded.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
