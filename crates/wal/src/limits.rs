//! Every limit of the log, each with its reason.

/// Longest segment in bytes. A sector's stamp has 24 bits for a sector number, which would do for 8 GiB; 4 GiB keeps
/// every offset within a segment in 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// Shortest segment in bytes: the header and a few sectors of records. Useful in tests only.
pub const SEGMENT_BYTES_MIN: u64 = 2048;

/// Longest payload of a record in bytes; it may be longer than a segment. Far above any command of a store (1.5 MiB by
/// default), and above twice the longest that a server can be set to take, as the record of a change has the key's
/// versions before and after it. Low enough that one record never needs a noticeable share of memory to be read.
pub const PAYLOAD_BYTES_MAX: u64 = 256 << 20;

/// Files of sealed segments that are kept open. A read of the past goes through a few segments at a time; with these
/// the raft log and the history together take less than a twentieth of the usual 1,024 descriptors of a process.
pub(crate) const OPEN_SEGMENTS_MAX: usize = 16;

/// Appended bytes that are held in memory before they are handed to the operating system without being asked: a
/// caller that appends without ever syncing must not fill the memory. What is handed over is still in the processor's
/// cache then.
pub(crate) const PENDING_BYTES_MAX: usize = 1 << 20;

/// What a scan reads at once, in bytes of the file: large enough that the cost of a system call disappears among
/// hundreds of records, small enough for one per watcher that catches up.
pub(crate) const SCAN_BYTES: u64 = 128 << 10;

/// What a single read fetches at first, in bytes of the file: one page, which holds most records whole.
pub(crate) const READ_BYTES: u64 = 4096;

/// What recovery reads at once, in bytes of the file.
pub(crate) const RECOVERY_BYTES: u64 = 1 << 20;
