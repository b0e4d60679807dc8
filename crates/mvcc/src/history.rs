//! The history: every change since the compaction revision, in order, on a log.
//!
//! ```text
//!  ◄─────────── run 1 ───────────►◄────────── run 2 ──────────►◄──── unsealed ────
//!  change … change │ blocks │ root │ change … │ blocks │ root  │ change … change
//!                                                              ▲ indexed by `Tail`, in memory
//! ```
//!
//! A record has the change's *after* (or says that it is a tombstone) and its *before*, so it explains itself: a watcher's
//! catch-up is a sequential scan, and the value of a key at an old revision is the *before* of its first change after it.
//! When a segment is nearly full, or compaction has passed deletions in it (see [`crate::reap`]), its changes get an index in records of the log (sorted blocks, then a root that names
//! them) and the segment is closed. What such an index covers is a [*run*](SealedRun): one segment, or several if a crash
//! cut some short or a change was longer than a segment. Neither start-up nor memory grows with the sealed part. Compaction unlinks whole runs.
//!
//! Only checkpoints write here, on their own thread; see [`crate::checkpoint`].

mod block;
mod change;
mod filter;
mod roots;
mod run;

use std::path::Path;
use std::sync::Arc;

use wal::{Disk, Head, Position, Wal};

pub(crate) use self::block::Life;
pub(crate) use self::change::{Payload, decode, parse_payload, read};
pub(crate) use self::roots::Roots;
pub(crate) use self::run::{Files, RunBuilder, SealedRun};
use crate::reap::Deleted;
use crate::{Before, Change, Error};

/// Record kinds in the log.
pub(crate) const CHANGE: u8 = 1;
const BLOCK: u8 = 2;
pub(crate) const ROOT: u8 = 3;
const LIVES: u8 = 4;

/// A run that was just sealed, and the keys that were deleted in it.
pub(crate) struct Sealed {
    pub(crate) run: SealedRun,
    pub(crate) deleted: Deleted,
}

/// The writer's end of the history.
pub(crate) struct History {
    wal: Wal,
    /// Where it ends, if the log has more, from after the last checkpoint: cut off before anything is appended, and not
    /// before. A start writes nothing, so that a full disk does not prevent it.
    cut: Option<Position>,
    /// What the next run will be an index of.
    building: RunBuilder,
}

impl History {
    /// Opens the log. What came after the checkpoint is in it still; nobody reads it.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: wal::Options,
        end: Option<Position>,
    ) -> Result<Self, Error> {
        let (wal, _) = Wal::open(disk, dir, options)?;
        let cut = end.filter(|end| wal.end() != *end);
        if let Some(end) = cut
            && wal.end() < end
        {
            let what = format!("it ends at {}, and a checkpoint says it was durable up to {end}", wal.end());
            return Err(Error::Corrupt { path: dir.to_owned(), what });
        }
        Ok(Self { wal, cut, building: RunBuilder::default() })
    }

    pub(crate) fn reader(&self) -> wal::Reader {
        self.wal.reader()
    }

    pub(crate) fn end(&self) -> Position {
        self.cut.unwrap_or_else(|| self.wal.end())
    }

    /// Bytes of its records; the files are somewhat longer, as space is reserved ahead.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.wal.segments().iter().map(|segment| segment.end.offset).sum()
    }

    /// Notes a change that is in the log already, in order: what the next run is built from.
    pub(crate) fn note(&mut self, change: &Change, position: Position) {
        self.building.add(change, position);
    }

    /// Appends a change with its *before*. If its segment is full, the run before it is sealed first and returned.
    ///
    /// On [`Error::NoSpace`] nothing was appended, and the call can be repeated.
    pub(crate) fn append(
        &mut self,
        change: &Change,
        before: &Before,
    ) -> Result<(Position, Option<Sealed>), Error> {
        self.cut_off()?;
        let payload = Payload::with_before(change, before);
        let needed =
            (payload.len() + wal_record_overhead()) as u64 + self.building.index_bytes_with(&change.key);
        let sealed =
            if self.wal.room() < needed && !self.building.is_empty() { Some(self.seal()?) } else { None };
        let head =
            Head { kind: CHANGE, number: change.revision.main as u64, tag: u64::from(change.revision.sub) };
        let position = self.wal.append(head, &payload.parts())?;
        self.building.add(change, position);
        Ok((position, sealed))
    }

    /// Forgets the changes that the next run would be an index of: they are those of a store that was emptied.
    /// What follows is in files of its own.
    ///
    /// When it fails with an error that can be retried, the call can be repeated.
    pub(crate) fn begin_anew(&mut self) -> Result<(), Error> {
        if self.building.is_empty() {
            return Ok(());
        }
        self.cut_off()?;
        self.wal.prepare_next()?;
        self.wal.roll()?;
        self.building.restart();
        Ok(())
    }

    /// Cuts off what is beyond the last checkpoint.
    fn cut_off(&mut self) -> Result<(), Error> {
        if let Some(end) = self.cut {
            self.wal.truncate_to(end)?;
            self.cut = None;
        }
        Ok(())
    }

    /// Whether a deletion at this main revision or before is in no run yet.
    pub(crate) fn has_unsealed_deletion(&self, through: i64) -> bool {
        self.building.first_deletion().is_some_and(|revision| revision.main <= through)
    }

    /// Writes the index of everything since the last run, which is something, and starts a segment.
    ///
    /// When it fails with an error that can be retried, the call can be repeated.
    pub(crate) fn seal(&mut self) -> Result<Sealed, Error> {
        self.cut_off()?;
        self.wal.prepare_next()?;
        let run = self.building.write(&mut self.wal)?;
        // If this finds no space, the index is written once more.
        self.wal.roll()?;
        let deleted = self.building.deleted();
        self.building.restart();
        Ok(Sealed { run, deleted })
    }

    /// Makes all of it durable; returns where it ends.
    pub(crate) fn sync(&mut self) -> Result<Position, Error> {
        Ok(self.wal.sync()?)
    }

    /// Unlinks the segments before this one.
    pub(crate) fn release_before(&mut self, segment: u64) -> Result<(), Error> {
        Ok(self.wal.release_before(segment)?)
    }
}

/// Bytes that the log adds to a record, and to what is left of its sector stamps; rather more than less.
fn wal_record_overhead() -> usize {
    64
}
