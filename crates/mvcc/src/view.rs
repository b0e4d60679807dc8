//! Views: reading from any thread while the writer writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::hash_kv::{self, HashKv};
use crate::read::Cursor;
use crate::scanner::History;
use crate::shared::{Hold, Inner, Parts, Wanted};
use crate::{
    Error, Item, KeptHistory, Meta, Pace, RangeEnd, RangeQuery, RangeResult, ReadError, Records,
    SnapshotExport, ToTheEnd,
};

/// A reader's end of a store. Cheap to clone; every clone may be used on its own thread.
///
/// A view is not frozen: each call sees the newest state, unless it asks for a revision. What a call returns is always
/// of one revision, and never half of a transaction. Calls block on the disk when something is not in memory.
#[derive(Clone)]
pub struct View {
    pub(crate) inner: Arc<Inner>,
}

impl View {
    /// The newest main revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.inner.shared.read().revision
    }

    /// Reads below this revision are refused; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.inner.shared.read().compact_revision
    }

    /// Returns how many reads are under way that history is kept for.
    #[must_use]
    pub fn reads_under_way(&self) -> usize {
        self.inner.reader.pins()
    }

    /// The newest version of a key without its value. Never blocks on the disk.
    #[must_use]
    pub fn meta(&self, key: &[u8]) -> Option<Meta> {
        let shared = self.inner.shared.read();
        shared.index.get(key).filter(|entry| entry.is_live()).map(|entry| entry.meta())
    }

    /// The newest version of a key.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        self.inner.get(key)
    }

    /// A range of keys.
    ///
    /// # Errors
    /// If the revision asked for is compacted or in the future, and those of the disk.
    pub fn range(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        self.inner.range(query, &ToTheEnd)
    }

    /// A range of keys, as far as `pace` lets it go.
    ///
    /// # Errors
    /// As [`range`](Self::range), and [`ReadError::GivenUp`].
    pub fn range_at_pace(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        self.inner.range(query, pace)
    }

    /// A range of keys piece by piece, all of it at one revision: memory is bounded by the pieces. `limit` and
    /// `count_only` of the query are not looked at.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn chunks(&self, query: RangeQuery) -> Result<Chunks, ReadError> {
        let shared = self.inner.shared.read();
        let at = shared.check(query.at)?;
        let revision = shared.revision;
        let hold = shared.hold(&self.inner, at);
        drop(shared);
        Ok(Chunks { view: self.clone(), query, at, revision, next: Some(Vec::new()), hold })
    }

    /// What happened from main revision `from` on.
    ///
    /// # Errors
    /// None yet: a revision that is compacted shows when the first batch is asked for.
    #[must_use]
    pub fn history(&self, from: i64) -> History {
        History::new(self.clone(), from)
    }

    /// etcd's hash of the content up to a revision (the newest if `None`): equal on every member, and on real etcd for
    /// the same history. Reads everything; writers are not held up.
    ///
    /// # Errors
    /// If the revision is compacted or in the future, and those of the disk.
    pub fn hash_kv(&self, at: Option<i64>) -> Result<HashKv, ReadError> {
        hash_kv::hash_kv(&self.inner, at)
    }

    /// All versions that are not compacted, as of now: what a backup holds. Cheap; what it returns reads the disk.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::new(self)
    }

    /// Keeps the changes after a revision from being taken away by compaction, for as long as what it returns lives.
    ///
    /// # Errors
    /// If the revision is compacted, so that changes after it may be gone, or in the future.
    pub fn keep_history(&self, after: i64) -> Result<KeptHistory, ReadError> {
        KeptHistory::new(self, after)
    }

    /// The content of the last checkpoint, to be sent to another member. See [`crate::snapshot`].
    ///
    /// # Errors
    /// Those of the disk.
    pub fn snapshot(&self) -> Result<SnapshotExport, Error> {
        SnapshotExport::begin(&self.inner)
    }
}

/// A range being read. See [`View::chunks`].
pub struct Chunks {
    view: View,
    query: RangeQuery,
    at: i64,
    revision: i64,
    next: Option<Vec<u8>>,
    hold: Hold,
}

impl Chunks {
    /// The revision that is read.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.at
    }

    /// The newest revision when the read began.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The next items, at most `limit` (at least 1) and fewer only at the end. `None`: that was all.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] if the revision was compacted meanwhile, and those of the disk.
    pub fn next_chunk(&mut self, limit: usize) -> Result<Option<Vec<Item>>, ReadError> {
        let Some(next) = self.next.take() else { return Ok(None) };
        let parts = Parts::keys_only(self.query.keys_only);
        let wanted = Wanted { range: &self.query.range, at: self.at, parts };
        self.view.inner.shared.read().check(Some(self.at))?;
        let mut cursor = Cursor::held(&self.view.inner, wanted, next, &self.hold);
        let limit = limit.max(1);
        let mut items = Vec::new();
        while !cursor.is_done() && items.len() < limit {
            items.append(&mut cursor.step(limit - items.len())?);
        }
        self.next = cursor.into_next();
        Ok(if items.is_empty() { None } else { Some(items) })
    }

    /// How many keys the range has from the next chunk on.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub fn remaining(&self) -> Result<u64, ReadError> {
        let Some(next) = &self.next else { return Ok(0) };
        let mut range = self.query.range.clone();
        // A range of one key is never left in the middle.
        if range.end != RangeEnd::Single {
            range.start = range.start.max(Bytes::copy_from_slice(next));
        }
        let query = RangeQuery { count_only: true, ..RangeQuery::new(range).at(self.at) };
        Ok(self.view.range(&query)?.count)
    }
}
