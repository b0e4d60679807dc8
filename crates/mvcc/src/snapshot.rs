//! Snapshots: the content of a checkpoint as a stream of chunks, for a member that cannot get it from the log.
//!
//! ```text
//!  Store::snapshot ─► SnapshotExport ─ chunk 0, 1, 2 … ─► SnapshotImport ─► a store's directory ─► replace_store
//! ```
//!
//! An export is of the last checkpoint that was complete when it began, and stays that, while the store goes on with writes,
//! checkpoints and compactions: it reads the keys as they were at that revision, and holds on to the history that this takes. What
//! it hands out has been held against its checksums at that moment, so damage is an error at the source and not shipped.
//!
//! The chunks follow from the content alone: of the same checkpoint (see [`SnapshotId`]) they are the same bytes, whichever
//! member makes them and however its files are laid out. So a transfer that broke off goes on where it was, at
//! [`SnapshotImport::next_chunk`], perhaps from another member.
//!
//! An import takes the chunks in order and trusts none of them: each has a checksum, the whole has a hash, the order of
//! everything is checked, and the hashes of keys and rows are computed anew. It writes a directory of its own, whose database
//! gets its name in the very end; without that it is no store.
//!
//! Only what can be read goes over: the history begins with the compaction revision. Indexes of the history, hence its
//! segments, are made anew. The format is laid down in `docs/format/snapshot.md`.

mod export;
mod format;
mod import;
mod install;

use std::fmt;

pub use self::export::SnapshotExport;
pub use self::format::CHUNK_BYTES_MAX;
pub(crate) use self::format::floor_of;
pub use self::import::{ImportError, SnapshotImport};
pub(crate) use self::install::settle;
pub use self::install::{discard_incoming, incoming_dir, replace_store};
use crate::Applied;

/// Which snapshot it is: where two agree, all their chunks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    /// The last entry of the caller's log that is in it.
    pub applied: Applied,
    /// The state hash, as [`Store::state_hash`](crate::Store::state_hash) then.
    pub state_hash: u128,
    /// The format of the chunks.
    pub format: u32,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied: Applied { index, term }, state_hash, format } = self;
        write!(formatter, "{index}@{term}-{state_hash:032x}-{format}")
    }
}
