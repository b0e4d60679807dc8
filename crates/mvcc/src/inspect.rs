//! Looking at a store that nobody has open: everything that is wrong, not only the first thing.
//!
//! [`Store::open`](crate::Store::open) stops at the first damage, and reads neither values nor the sealed part of the
//! history. An inspection reads all of it. It goes through the database first ([`Checkpoint::open`]), whose mark says what
//! the rest must be, and then through the history ([`inspect_history`]).
//!
//! redb writes when it opens a file, and puts right what a crash left. So the disk that is handed in here must be one that
//! keeps writes to itself if the files are not to change.

mod database;
mod history;
mod recording;
mod runs;

use bytes::Bytes;
use wal::{Finding, Position, SegmentSeen};

pub use self::database::Checkpoint;
pub use self::history::inspect_history;
use crate::checkpoint::Mark;
use crate::{Applied, Change, Meta, Revision, TableId};

/// What an inspection comes across, in order.
#[derive(Debug)]
pub enum Seen<'a> {
    /// So many bytes more have been read.
    Read(u64),
    /// A live key of the checkpoint, and its value.
    Key(&'a [u8], &'a Meta, &'a [u8]),
    /// A row of a side table: the row's key, and its value.
    Row(TableId, &'a [u8], &'a Bytes),
    /// A file of the history begins.
    Segment(SegmentSeen<'a>),
    /// A change that is in the history.
    Change(Position, &'a Change),
    /// Something is wrong, or worth knowing.
    Finding(Finding),
}

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointMark {
    /// Whose store it is.
    pub identity: [u64; 2],
    /// The newest main revision.
    pub revision: i64,
    /// The compact revision; -1 before the first compaction.
    pub compact_revision: i64,
    /// The last entry of the caller's log that is in it.
    pub applied: Applied,
    /// Number of live keys.
    pub keys: u64,
    /// Number of rows of all side tables.
    pub rows: u64,
    /// The state hash.
    pub state_hash: u128,
    /// Where the history ends.
    pub history_end: Position,
    /// Where the part of the history begins that has no index.
    pub tail_start: Position,
    /// First and last change of each part that has one.
    pub runs: Vec<(Revision, Revision)>,
}

impl CheckpointMark {
    fn of(mark: &Mark) -> Self {
        let mut hash = mark.key_hash;
        hash += mark.row_hash.0;
        Self {
            identity: mark.identity,
            revision: mark.revision,
            compact_revision: mark.compact_revision,
            applied: mark.applied,
            keys: mark.keys,
            rows: mark.rows,
            state_hash: hash.with_numbers(mark.revision, mark.compact_revision),
            history_end: mark.history_end,
            tail_start: mark.tail_start,
            runs: mark.runs.iter().map(|run| (run.first, run.last)).collect(),
        }
    }
}
