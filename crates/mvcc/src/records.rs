//! All versions that are not compacted, as of one moment: what a backup holds.
//!
//! They come in two parts. Those that were current at the compact revision, and are no newer, come in the order of keys;
//! the changes after it in the order of revisions. Compaction and writes go on meanwhile and change neither.

use std::sync::Arc;

use crate::read::Cursor;
use crate::scanner::Scanner;
use crate::shared::{Hold, Inner, Parts, Wanted};
use crate::{Change, Item, KeyRange, ReadError, View};

/// Items read at a time.
const CHUNK: usize = 512;

/// All versions that are not compacted. Made by [`View::records`].
pub struct Records {
    inner: Arc<Inner>,
    revision: i64,
    compact_revision: i64,
    hold: Hold,
}

impl Records {
    pub(crate) fn new(view: &View) -> Self {
        let inner = view.inner.clone();
        let shared = inner.shared.read();
        let (revision, compact_revision) = (shared.revision, shared.compact_revision);
        let hold = shared.hold(&inner, compact_revision);
        drop(shared);
        Self { inner, revision, compact_revision, hold }
    }

    /// The newest revision of that moment.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The compact revision of that moment; -1: never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// Goes through the versions that were current at the compact revision and are no newer, in the order of their keys.
    /// `take` gets some at a time. Blocks on the disk.
    ///
    /// # Errors
    /// Those of the disk, and those of `take`.
    pub fn for_each_kept<E: From<ReadError>>(
        &self,
        mut take: impl FnMut(Vec<Item>) -> Result<(), E>,
    ) -> Result<(), E> {
        // A store that was never compacted, or to where nothing was yet, has changes only.
        if self.compact_revision <= 1 {
            return Ok(());
        }
        let range = KeyRange::all();
        let wanted = Wanted { range: &range, at: self.compact_revision, parts: Parts::All };
        let mut cursor = Cursor::held(&self.inner, wanted, Vec::new(), &self.hold);
        while !cursor.is_done() {
            take(cursor.step(CHUNK).map_err(ReadError::from)?)?;
        }
        Ok(())
    }

    /// Returns the changes after the compact revision, in the order of their revisions. It can be asked again, and then
    /// returns the same.
    #[must_use]
    pub fn changes(&self) -> RecordedChanges<'_> {
        let scanner = Scanner::held(self.compact_revision + 1, self.revision, &self.hold);
        RecordedChanges { inner: &self.inner, scanner }
    }
}

/// The changes after a revision. Compaction takes none of them away as long as this lives; their files stay on the disk.
/// Made by [`View::keep_history`].
pub struct KeptHistory {
    inner: Arc<Inner>,
    after: i64,
    hold: Hold,
}

impl KeptHistory {
    pub(crate) fn new(view: &View, after: i64) -> Result<Self, ReadError> {
        let inner = view.inner.clone();
        let shared = inner.shared.read();
        shared.check(Some(after))?;
        let hold = shared.hold(&inner, after);
        drop(shared);
        Ok(Self { inner, after, hold })
    }

    /// The revision whose successors are kept.
    #[must_use]
    pub fn after(&self) -> i64 {
        self.after
    }

    /// Returns the changes after a revision, which is that of [`after`](Self::after) or a later one, up to another, in the
    /// order of their revisions.
    #[must_use]
    pub fn changes(&self, after: i64, through: i64) -> RecordedChanges<'_> {
        let scanner = Scanner::held(after.max(self.after) + 1, through, &self.hold);
        RecordedChanges { inner: &self.inner, scanner }
    }
}

/// The changes of [`Records`], or of a [`KeptHistory`].
pub struct RecordedChanges<'a> {
    inner: &'a Inner,
    scanner: Scanner,
}

impl RecordedChanges<'_> {
    /// The next changes, by whole revisions, about a thousand or some MiB at a time. `None`: that was all. Blocks on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Change>>, ReadError> {
        self.scanner.next_batch(self.inner)
    }
}
