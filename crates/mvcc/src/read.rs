//! Reading ranges: chunk by chunk at one fixed revision.
//!
//! A chunk is found under the lock ([`Shared::chunk`]), and what of it is not in memory is read afterwards. Between chunks
//! the writer goes on; keys that it changes are then read as they were, from the *before* of the change. So a range of any
//! size is one state, and nobody waits for it.
//!
//! If the revision is older than the tail, the runs of the history know more keys (those deleted since) and older changes.
//! Index and runs are then merged: each gives some of its keys in order, and what is below the lowest end is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wal::Position;

use crate::history::{self, SealedRun};
use crate::index::Entry;
use crate::pace::{DISK_READ_KEYS, Pace, RUN_KEYS, ToTheEnd};
use crate::range::successor;
use crate::shared::{Chunk, Found, Hold, Inner, Parts, Shared, Wanted};
use crate::tables::Snapshot;
use crate::{Before, Error, Item, KeyRange, RangeQuery, RangeResult, ReadError};

/// Keys collected from each source at a time when runs are merged in: at least, since each run is looked into for them,
/// and at most, since they are kept.
const MERGE_KEYS_MIN: usize = 256;
const MERGE_KEYS_MAX: usize = 4096;
/// Items brought into the cache after one read, at most: the lock is held for it.
const ADMIT_MAX: usize = 64;

type Guard<'a> = parking_lot::RwLockReadGuard<'a, Shared>;

/// A read in progress at one revision.
pub(crate) struct Cursor<'a> {
    inner: &'a Inner,
    wanted: Wanted<'a>,
    /// Where to go on; `None` when all is read.
    next: Option<Vec<u8>>,
    /// Keeps the history readable that the revision needs.
    hold: Option<Hold>,
    /// What was done since somebody asked, in the measure of [`Pace::goes_on`].
    work: usize,
    /// Bytes of values that one step reads from the database, about. Set for who passes by: what it reads is not what others want,
    /// and does not come into the cache.
    bytes_max: Option<usize>,
}

impl<'a> Cursor<'a> {
    /// A read of the whole range. The lock is held, and the revision was checked.
    pub(crate) fn new(inner: &'a Inner, wanted: Wanted<'a>, shared: &Shared) -> Self {
        let hold = (wanted.at < shared.revision).then(|| shared.hold(inner, wanted.at));
        let next = Some(wanted.range.start.to_vec());
        Self { inner, wanted, next, hold, work: 0, bytes_max: None }
    }

    /// A read from some key on, at a revision that the caller holds on to.
    pub(crate) fn held(inner: &'a Inner, wanted: Wanted<'a>, next: Vec<u8>, hold: &Hold) -> Self {
        Self { inner, wanted, next: Some(next), hold: Some(hold.clone()), work: 0, bytes_max: None }
    }

    /// The same for who goes through everything once: it reads so many bytes of the database in a step, about, and leaves the
    /// cache to others.
    pub(crate) fn in_passing(self, bytes_max: usize) -> Self {
        Self { bytes_max: Some(bytes_max), ..self }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Where another cursor may go on; `None` when all is read.
    pub(crate) fn into_next(self) -> Option<Vec<u8>> {
        self.next
    }

    /// Reads on: at most `limit` items, perhaps none although there are more.
    pub(crate) fn step(&mut self, limit: usize) -> Result<Vec<Item>, Error> {
        let guard = self.inner.shared.read();
        self.step_under(guard, limit)
    }

    /// How many versions there are from here on.
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        let mut count = 0;
        while !self.is_done() {
            let guard = self.inner.shared.read();
            count += self.find(guard, usize::MAX)?.0.len() as u64;
        }
        Ok(count)
    }

    /// Reads all that there is, up to `wanted` items, piece by piece; the first under the lock that is held.
    fn collect(mut self, shared: Guard<'_>, wanted: usize, pace: &dyn Pace) -> Result<Vec<Item>, ReadError> {
        if !shared.tail_covers(self.wanted.at) && !pace.goes_on(RUN_KEYS * shared.runs.len(), 0) {
            return Err(ReadError::GivenUp);
        }
        let mut items = self.step_under(shared, wanted.min(pace.piece_keys()))?;
        let mut bytes = bytes_of(&items);
        loop {
            let work = std::mem::take(&mut self.work);
            if !pace.goes_on(work, bytes) {
                return Err(ReadError::GivenUp);
            }
            if self.is_done() || items.len() >= wanted {
                return Ok(items);
            }
            let mut piece = self.step((wanted - items.len()).min(pace.piece_keys()))?;
            bytes = bytes_of(&piece);
            items.append(&mut piece);
        }
    }

    fn step_under(&mut self, shared: Guard<'_>, limit: usize) -> Result<Vec<Item>, Error> {
        match self.find(shared, limit)? {
            (found, None) => Ok(self.in_memory(found)),
            (mut found, Some(snapshot)) => {
                self.cut(&mut found);
                self.resolve(found, &snapshot)
            }
        }
    }

    /// Finds the next versions, and the snapshot if it is needed to read them. Never finds [`Found::Nothing`].
    fn find(
        &mut self,
        shared: Guard<'_>,
        limit: usize,
    ) -> Result<(Vec<Found>, Option<Arc<Snapshot>>), Error> {
        let Some(start) = self.next.take() else { return Ok((Vec::new(), None)) };
        if !shared.tail_covers(self.wanted.at) {
            drop(shared);
            return self.find_with_runs(&start, limit);
        }
        let chunk = shared.chunk(&self.wanted, &start, limit, false);
        self.work += chunk.visited;
        if chunk.next.is_some() && self.hold.is_none() {
            self.hold = Some(shared.hold(self.inner, self.wanted.at));
        }
        // Most reads find all in memory: no need for the snapshot then.
        let in_memory = chunk.found.iter().all(|(_, found)| matches!(found, Found::Item(_) | Found::Counted));
        let snapshot = (!in_memory).then(|| shared.snapshot.clone());
        drop(shared);
        self.next = chunk.next;
        Ok((chunk.found.into_iter().map(|(_, found)| found).collect(), snapshot))
    }

    /// The same where runs have to be merged in.
    fn find_with_runs(
        &mut self,
        start: &[u8],
        limit: usize,
    ) -> Result<(Vec<Found>, Option<Arc<Snapshot>>), Error> {
        let window = limit.clamp(MERGE_KEYS_MIN, MERGE_KEYS_MAX);
        let mut chunk = Chunk::default();
        let mut snapshot: Option<Arc<Snapshot>> = None;
        let mut next = start.to_vec();
        loop {
            let shared = self.inner.shared.read();
            let snapshot = snapshot.get_or_insert_with(|| shared.snapshot.clone());
            // What one hold found stored is to be read from the snapshot of that hold.
            let is_same = Arc::ptr_eq(snapshot, &shared.snapshot);
            if is_same {
                let more = shared.chunk(&self.wanted, &next, window - chunk.found.len(), true);
                self.work += more.visited;
                chunk.found.extend(more.found);
                chunk.next = more.next;
            }
            match &chunk.next {
                Some(more) if is_same && chunk.found.len() < window => next.clone_from(more),
                _ => {
                    // Of the last hold: what was in the tail before may be in one of these now, and is then found again.
                    let runs = shared.runs_after(self.wanted.at);
                    drop(shared);
                    let found = self.merge(chunk, &runs, start, limit, window)?;
                    return Ok((found, Some(snapshot.clone())));
                }
            }
        }
    }

    fn in_memory(&self, found: Vec<Found>) -> Vec<Item> {
        let items = found.into_iter().filter_map(|found| match found {
            Found::Item(item) => Some(self.shown(item)),
            _ => None,
        });
        items.collect()
    }

    fn shown(&self, item: Item) -> Item {
        if self.wanted.parts == Parts::Keys { Item::without_value(item.key_bytes(), item.meta) } else { item }
    }

    /// Merges what the index and the tail found with what the runs know, which is older and goes first.
    fn merge(
        &mut self,
        chunk: Chunk,
        runs: &[Arc<SealedRun>],
        start: &[u8],
        limit: usize,
        window: usize,
    ) -> Result<Vec<Found>, Error> {
        let Wanted { range, at, .. } = self.wanted;
        // Everything before this key is known from each source.
        let mut bound: Option<Vec<u8>> = chunk.next;
        let mut merged: BTreeMap<Vec<u8>, Found> = BTreeMap::new();
        for run in runs {
            let (changes, is_all) = run.first_changes(self.inner.files(), range, start, at, window)?;
            self.work += RUN_KEYS + changes.len();
            if let Some((last, _)) = changes.last().filter(|_| !is_all) {
                let end = successor(last);
                bound = Some(bound.map_or(end.clone(), |bound| bound.min(end)));
            }
            for (key, position) in changes {
                merged.entry(key).or_insert(position.map_or(Found::Nothing, Found::Before));
            }
        }
        for (key, found) in chunk.found {
            merged.entry(key).or_insert(found);
        }
        let mut found = Vec::new();
        self.next = bound.clone();
        for (key, version) in merged {
            if bound.as_ref().is_some_and(|bound| key >= *bound) {
                break;
            }
            if found.len() == limit {
                self.next = Some(key);
                break;
            }
            if !matches!(version, Found::Nothing) {
                found.push(version);
            }
        }
        Ok(found)
    }

    /// Leaves what is beyond the bytes of a step for the next one.
    fn cut(&mut self, found: &mut Vec<Found>) {
        let Some(mut left) = self.bytes_max else { return };
        for (place, version) in found.iter().enumerate() {
            let Found::Stored(key, entry) = version else { continue };
            match left.checked_sub(entry.value_len as usize) {
                Some(rest) => left = rest,
                None if place == 0 => left = 0,
                None => {
                    self.next = Some(key.clone());
                    found.truncate(place);
                    return;
                }
            }
        }
    }

    /// Reads what is not in memory.
    fn resolve(&mut self, found: Vec<Found>, snapshot: &Snapshot) -> Result<Vec<Item>, Error> {
        let stored: Vec<(&[u8], &Entry)> = found
            .iter()
            .filter_map(|found| match found {
                Found::Stored(key, entry) if self.wanted.parts == Parts::All => Some((&key[..], entry)),
                _ => None,
            })
            .collect();
        // Close together: one scan is cheaper than a descent for each.
        let scanned = if stored.len() > 4 && stored.len() * 4 >= found.len() {
            snapshot.items(&stored)
        } else {
            stored.iter().map(|(key, entry)| snapshot.item(key, entry)).collect()
        };
        let scanned = self.inner.damage.noting(scanned)?;
        self.work += DISK_READ_KEYS * scanned.len();
        self.admit(&scanned);
        let mut scanned = scanned.into_iter();
        let mut items = Vec::with_capacity(found.len());
        for found in found {
            match found {
                Found::Item(item) => items.push(self.shown(item)),
                Found::Stored(key, entry) if self.wanted.parts == Parts::Keys => {
                    items.push(Item::without_value(&key, entry.meta()));
                }
                Found::Stored(..) => items.extend(scanned.next()),
                Found::Before(position) => {
                    self.work += DISK_READ_KEYS;
                    items.extend(self.before(position)?.map(|item| self.shown(item)));
                }
                Found::Counted | Found::Nothing => {}
            }
        }
        Ok(items)
    }

    fn before(&self, position: Position) -> Result<Option<Item>, Error> {
        let change = history::read(&self.inner.reader, &self.inner.history_dir, position)?;
        match &change.before {
            // A reply keeps what it shows, and would keep what was read around it.
            Before::Item(item) => Ok(Some(item.detached())),
            Before::Lost(lost) if self.wanted.parts == Parts::Keys => {
                Ok(Some(Item::without_value(&change.key, lost.meta())))
            }
            Before::Lost(lost) => Err(lost.error(&change.key)),
            Before::Nothing | Before::Stored(_) => Ok(None),
        }
    }

    fn admit(&self, items: &[Item]) {
        if items.is_empty() || self.bytes_max.is_some() {
            return;
        }
        if let Some(mut shared) = self.inner.shared.try_write() {
            for item in items.iter().take(ADMIT_MAX) {
                shared.admit(item.key_bytes(), item.meta.mod_revision, item.encoded.clone());
            }
        }
    }
}

/// What a query asks for, at a revision.
fn wanted(query: &RangeQuery, at: i64) -> Wanted<'_> {
    Wanted { range: &query.range, at, parts: Parts::keys_only(query.keys_only) }
}

fn bytes_of(items: &[Item]) -> usize {
    items.iter().map(|item| item.encoded.len()).sum()
}

impl Inner {
    /// The newest version of one key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        let shared = self.shared.read();
        match shared.newest(key) {
            Found::Item(item) => Ok(Some(item)),
            Found::Stored(key, entry) => {
                let snapshot = shared.snapshot.clone();
                drop(shared);
                let item = self.damage.noting(snapshot.item(&key, &entry))?;
                if let Some(mut shared) = self.shared.try_write() {
                    shared.admit(&key, item.meta.mod_revision, item.encoded.clone());
                }
                Ok(Some(item))
            }
            Found::Before(_) | Found::Counted | Found::Nothing => Ok(None),
        }
    }

    /// What a key was before the transaction of a revision; `None` also if that is compacted.
    pub(crate) fn read_before(&self, key: &Bytes, main: i64) -> Result<Option<Item>, ReadError> {
        let range = KeyRange::single(key.clone());
        let wanted = Wanted { range: &range, at: main - 1, parts: Parts::All };
        let shared = self.shared.read();
        if wanted.at < shared.compact_revision {
            return Ok(None);
        }
        let cursor = Cursor::new(self, wanted, &shared);
        Ok(cursor.collect(shared, 1, &ToTheEnd)?.pop())
    }

    /// Answers a range query, as far as `pace` lets it go.
    pub(crate) fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        let shared = self.shared.read();
        let at = shared.check(query.at)?;
        let cursor = Cursor::new(self, wanted(query, at), &shared);
        self.range_under(shared, cursor, query, pace)
    }

    /// Answers a range query at a revision that the caller holds on to, compacted or not.
    pub(crate) fn range_held(
        &self,
        query: &RangeQuery,
        at: i64,
        hold: &Hold,
        pace: &dyn Pace,
    ) -> Result<RangeResult, ReadError> {
        let cursor = Cursor::held(self, wanted(query, at), query.range.start.to_vec(), hold);
        self.range_under(self.shared.read(), cursor, query, pace)
    }

    /// Reads what a cursor is about to read. The first piece is read under the lock that is held.
    fn range_under(
        &self,
        shared: Guard<'_>,
        cursor: Cursor<'_>,
        query: &RangeQuery,
        pace: &dyn Pace,
    ) -> Result<RangeResult, ReadError> {
        let (at, revision) = (cursor.wanted.at, shared.revision);
        let count_now = shared.index.count(&query.range);
        let changes = shared.tail.changes_after(at).max((revision - at) as u64);
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let hold = cursor.hold.clone();
        let count_then = || match &hold {
            None => Ok(count_now),
            // It goes through the keys of now and those that were deleted since, or through the changes since.
            Some(_) if !pace.goes_on(count_now.max(changes) as usize, 0) => Err(ReadError::GivenUp),
            Some(hold) => self.count_at(&query.range, at, revision, count_now, hold),
        };
        if query.count_only {
            drop(shared);
            return Ok(RangeResult { items: Vec::new(), count: count_then()?, more: false, revision });
        }
        // One more than asked for tells whether there are more.
        let mut items = cursor.collect(shared, limit.saturating_add(1), pace)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let count = match more {
            false => items.len() as u64,
            true if query.without_count => 0,
            true => count_then()?,
        };
        Ok(RangeResult { items, count, more, revision })
    }
}
