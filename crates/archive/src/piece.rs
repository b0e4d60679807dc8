//! A piece: the changes of some revisions, and what the cluster was besides at their end.
//!
//! ```text
//!  "QRPIECE" 01 │ section │ section │ …
//!  section:  kind, 1 │ length, 4 LE │ content │ CRC-32 of all that, 4 LE
//!  kinds:    1 header │ 2 rows … │ 3 tables … │ 4 samples │ 5 the end
//! ```
//!
//! Rows are those of etcd's bucket `key`, tables those of its other buckets, so a piece and a full
//! backup are joined without translating anything. The last section has the SHA-256 of all bytes
//! before it. What a piece says of itself is computed anew when it is read: that its revisions
//! follow each other, and that they are those of its chain.

mod build;
mod format;
mod read;

pub use self::build::{Builder, Built};
pub use self::read::{Part, PieceError, Reader};

use crate::chain::Digest;
use crate::name::Millis;

/// What a piece says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The cluster it is of.
    pub cluster: u64,
    /// The member that made it.
    pub member: u64,
    /// The first revision.
    pub from: i64,
    /// The last revision.
    pub to: i64,
    /// The chain before the first revision.
    pub before: Digest,
    /// The chain at the last revision.
    pub after: Digest,
    /// Digest of the rows of the last revision.
    pub rows: Digest,
    /// Term of an entry of the raft log at or after the last revision.
    pub raft_term: u64,
    /// Index of that entry.
    pub raft_index: u64,
    /// When it was made.
    pub time: Millis,
}

/// What the newest revision was at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The time.
    pub time: Millis,
    /// The newest revision then.
    pub revision: i64,
    /// The compact revision then; -1: never compacted.
    pub compact_revision: i64,
}

/// Who makes a piece, and as of when.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The cluster.
    pub cluster: u64,
    /// The member.
    pub member: u64,
    /// Term of the entry that it is as of.
    pub raft_term: u64,
    /// Index of that entry.
    pub raft_index: u64,
    /// The time.
    pub time: Millis,
}
