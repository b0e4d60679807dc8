//! Bounds, each with its reason.

use std::time::Duration;

/// Bytes of rows after which a piece ends, with the revision that reaches them: a piece is built in
/// memory.
pub const PIECE_BYTES: usize = 16 << 20;

/// Bytes of rows in one section of a piece, about: what a reader has in memory at a time.
pub const SECTION_BYTES: usize = 64 << 10;

/// Bytes of a section that is believed. A row may be as long as an entry of the raft log, 66 MB.
pub const SECTION_BYTES_MAX: u32 = 80 << 20;

/// Bytes of a part of an upload. S3 takes no part below 5 MiB but the last, and 10,000 of them.
pub const PART_BYTES: usize = 8 << 20;

/// Parts of an upload; longer files get longer parts.
pub const PARTS_MAX: u64 = 9_000;

/// Bytes of a manifest or an answer of a store that are believed.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Samples of the time in one piece: one a second for an hour. Beyond that every other one is
/// dropped.
pub const SAMPLES_MAX: usize = 3_600;

/// Time to connect to a store, the TLS handshake included.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Time in which a store has to begin to answer, or to go on with an answer.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes a second below which a store counts as one that does not answer.
pub const RATE_MIN: u64 = 64 << 10;

/// Attempts for a part of an upload: a full backup does not begin anew for one lost connection.
pub const PART_ATTEMPTS: u32 = 4;

/// Longest pause between two attempts to do what is due.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long history that compaction has passed stays on the disk because it could not be shipped.
pub const HISTORY_KEPT_MAX: Duration = Duration::from_secs(3_600);

/// Age at which what a writer has left behind is removed: an object without a manifest, a temporary
/// file. Whoever still writes it would have had a result long before.
pub const LEFT_BEHIND_AGE: Duration = Duration::from_secs(24 * 3_600);

/// Objects in a list of one cluster; more are an error and not a reason to fill memory.
pub const OBJECTS_MAX: usize = 2_000_000;
