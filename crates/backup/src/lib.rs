//! Backups: a member's state as etcd's database file, and a new member from such a file.
//!
//! The way back is [`restore`]. A [`Frozen`] is everything that a backup holds, as of one entry of the raft log. [`Export`] turns it into the bytes of
//! the file, some at a time, in two passes: the first finds out how long the rows are, which says where each page is, and
//! the second writes. The file has the rows of etcd 3.6, which every etcd from 3.4 on takes.
//!
//! ```text
//!  machine ── Frozen::of ──► small rows ────────────────────────┐
//!     └── mvcc::Records ──► kept versions ── Sorter ─────────┐  ├─► dbfile::Plan, then dbfile::Writer ──► bytes
//!                      └──► changes ────────────────────────┴──┘
//! ```
//!
//! etcd has all versions in the order of their revisions, and here the versions that are older than the last compaction are
//! in the order of keys: [`sorter`](self) sorts them, in memory if they fit and in an unnamed file otherwise. Memory is
//! bounded whatever the size of the store: 32 MiB for what is sorted, 64 KiB for each 32 MiB of the file while it is read,
//! some MiB of history, and 25 bytes for each page of 4 KiB of the result.

mod error;
mod export;
mod frozen;
pub mod restore;
mod sorter;
mod versions;

pub use self::error::ExportError;
pub use self::export::{Export, STORAGE_VERSION};
pub use self::frozen::{Frozen, Row};
pub use self::versions::row_of;
