//! Transactions: everything that one command changes, in one revision.
//!
//! A transaction stages its changes on the writer's side and shows them to itself only. [`Txn::commit`] makes them visible
//! all at once; dropping it leaves nothing behind. There is no IO in a commit. A transaction without a change uses no
//! revision.

mod emptied;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use self::emptied::{Emptied, Piece};
use crate::index::Entry;
use crate::item::{Change, Changes, Item};
use crate::store::Store;
use crate::{Error, KeyRange, LeaseId, Meta, RangeEnd, RangeQuery, RangeResult, ReadError, Revision};

/// From so many changes on they are looked up in a map.
const SCAN_MAX: usize = 8;

/// A change that is not visible yet.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) key: Bytes,
    pub(crate) after: Option<Item>,
    /// What the key was before the transaction.
    pub(crate) before: Option<Item>,
    /// For the index, without the places in memory.
    pub(crate) entry: Entry,
}

/// An exclusive transaction on the newest state. See the module's text.
pub struct Txn<'a> {
    store: &'a mut Store,
    staged: Vec<Staged>,
    /// The last staged change of each key, once there are many.
    latest: BTreeMap<Bytes, usize>,
    /// Those of them that are puts.
    puts: BTreeMap<Bytes, usize>,
    emptied: Emptied,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        let staged = store.take_staging();
        Self { store, staged, latest: BTreeMap::new(), puts: BTreeMap::new(), emptied: Emptied::default() }
    }

    /// The main revision of what is visible here: one more than before as soon as there is a change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.store.revision() + i64::from(!self.staged.is_empty())
    }

    /// Reads below this revision are refused; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.store.compact_revision()
    }

    fn staged(&self, key: &[u8]) -> Option<&Staged> {
        if self.staged.len() <= SCAN_MAX {
            self.staged.iter().rev().find(|staged| staged.key == key)
        } else {
            self.latest.get(key).map(|&number| &self.staged[number])
        }
    }

    /// The newest version of a key, own writes included, without its value. No IO.
    #[must_use]
    pub fn meta(&self, key: &[u8]) -> Option<Meta> {
        match self.staged(key) {
            Some(staged) => staged.after.as_ref().map(|item| item.meta),
            None => self.store.meta(key),
        }
    }

    /// The newest version of a key, own writes included.
    ///
    /// # Errors
    /// Those of the disk, if the value is not in memory.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        match self.staged(key) {
            Some(staged) => Ok(staged.after.clone()),
            None => self.store.get(key),
        }
    }

    /// A range, own writes included; or at an older revision as it was.
    ///
    /// # Errors
    /// If the revision asked for is compacted or after the revision before this transaction, and those of the disk.
    pub fn range(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        if query.at.is_some() || self.staged.is_empty() {
            return Ok(RangeResult { revision: self.revision(), ..self.store.range(query)? });
        }
        match query.range.end {
            RangeEnd::Single => self.range_of_one(query),
            _ => self.range_of_many(query),
        }
    }

    fn range_of_one(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        let revision = self.revision();
        let Some(staged) = self.staged(&query.range.start) else {
            return Ok(RangeResult { revision, ..self.store.range(query)? });
        };
        let count = u64::from(staged.after.is_some());
        let items = if query.count_only { None } else { shown(staged, query.keys_only) };
        Ok(RangeResult { items: items.into_iter().collect(), count, more: false, revision })
    }

    fn range_of_many(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        let revision = self.revision();
        if query.count_only {
            let count = self.count(&query.range)?;
            return Ok(RangeResult { items: Vec::new(), count, more: false, revision });
        }
        // One more than asked for tells whether there are more.
        let wanted = if query.limit == 0 { usize::MAX } else { query.limit.saturating_add(1) };
        let mut items = Vec::new();
        for piece in self.pieces(&query.range) {
            self.read(piece, query, wanted - items.len(), &mut items)?;
            if items.len() == wanted {
                break;
            }
        }
        let more = query.limit != 0 && items.len() > query.limit;
        let count = match more {
            false => items.len() as u64,
            true if query.without_count => 0,
            true => self.count(&query.range)?,
        };
        if more {
            items.truncate(query.limit);
        }
        Ok(RangeResult { items, count, more, revision })
    }

    /// The parts of a range, in order; with few changes it is one.
    fn pieces(&self, range: &KeyRange) -> impl Iterator<Item = Piece> {
        let is_whole = self.staged.len() <= SCAN_MAX;
        let whole = is_whole.then(|| Piece::Untouched(range.clone()));
        let parts = (!is_whole).then(|| self.emptied.split(range));
        whole.into_iter().chain(parts.into_iter().flatten())
    }

    /// Appends the first `wanted` items of a part.
    fn read(
        &self,
        piece: Piece,
        query: &RangeQuery,
        wanted: usize,
        items: &mut Vec<Item>,
    ) -> Result<(), ReadError> {
        match piece {
            Piece::Emptied(range) => {
                let puts = self.puts_in(&range).filter_map(|staged| shown(staged, query.keys_only));
                items.extend(puts.take(wanted));
            }
            Piece::Untouched(range) => {
                let staged = self.staged_in(&range);
                // Each staged change takes at most one item away.
                let limit = wanted.saturating_add(staged.len());
                let query = RangeQuery { range, limit, without_count: true, ..query.clone() };
                let merged = merge(self.store.range(&query)?.items, staged, query.keys_only);
                items.extend(merged.into_iter().take(wanted));
            }
        }
        Ok(())
    }

    /// How many keys there are in a range of more than one.
    fn count(&self, range: &KeyRange) -> Result<u64, ReadError> {
        self.pieces(range).try_fold(0, |count, piece| match piece {
            Piece::Emptied(range) => Ok(count + self.puts_in(&range).count() as u64),
            Piece::Untouched(range) => {
                let query = RangeQuery { count_only: true, ..RangeQuery::new(range) };
                let committed = self.store.range(&query)?.count;
                Ok(self.staged_in(&query.range).values().fold(count + committed, |count, staged| {
                    count + u64::from(staged.after.is_some()) - u64::from(staged.before.is_some())
                }))
            }
        })
    }

    /// The last staged change of each key in a range of more than one.
    fn staged_in(&self, range: &KeyRange) -> BTreeMap<&[u8], &Staged> {
        if self.staged.len() <= SCAN_MAX {
            let in_range = self.staged.iter().filter(|staged| range.contains(&staged.key));
            return in_range.map(|staged| (&staged.key[..], staged)).collect();
        }
        let in_range = within(&self.latest, range);
        in_range.map(|(key, &number)| (&key[..], &self.staged[number])).collect()
    }

    /// The staged puts in a range of more than one key, in order. There are many changes.
    fn puts_in<'b>(&'b self, range: &'b KeyRange) -> impl Iterator<Item = &'b Staged> {
        within(&self.puts, range).map(|(_, &number)| &self.staged[number])
    }

    /// Puts a key. Returns its previous version.
    ///
    /// # Errors
    /// Those of the disk, if the previous version is not in memory. Nothing is staged then.
    pub fn put(&mut self, key: Bytes, value: Bytes, lease: LeaseId) -> Result<Option<Item>, Error> {
        let (previous, before) = self.previous(&key)?;
        let revision = self.next_revision();
        let (create_revision, version) = previous
            .as_ref()
            .map_or((revision.main, 0), |item| (item.meta.create_revision, item.meta.version));
        let meta = Meta { create_revision, mod_revision: revision, version: version + 1, lease };
        let after = Item::new(&key, meta, &value);
        // A slice of what is kept anyway: the caller's key may be a slice of a whole request.
        let key = after.key();
        let entry = Entry::of(&meta, &value);
        self.stage(Staged { key, after: Some(after), before, entry });
        Ok(previous)
    }

    /// Deletes the keys of a range. Returns their last versions, in key order.
    ///
    /// # Errors
    /// Those of the disk, if a version is not in memory. Nothing is staged then.
    pub fn delete_range(&mut self, range: &KeyRange) -> Result<Vec<Item>, Error> {
        let query = RangeQuery::new(range.clone());
        let deleted = match self.range(&query) {
            Ok(result) => result.items,
            Err(ReadError::Store(error)) => return Err(error),
            Err(other) => unreachable!("the newest revision can always be read: {other}"),
        };
        for item in &deleted {
            let key = item.key();
            let before = match self.staged(&key) {
                Some(staged) => staged.before.clone(),
                None => Some(item.clone()),
            };
            self.stage_deletion(key, before);
        }
        self.emptied.add(range);
        Ok(deleted)
    }

    /// Deletes single keys, in the order in which they come. Returns how many there were. The time that it takes is that
    /// of as many look-ups, whatever else the transaction has changed.
    ///
    /// # Errors
    /// Those of the disk, if a version is not in memory. A part is staged then, so the transaction is to be dropped.
    pub fn delete_keys(&mut self, keys: impl IntoIterator<Item = Bytes>) -> Result<usize, Error> {
        let mut deleted = 0;
        for key in keys {
            if let (Some(_), before) = self.previous(&key)? {
                self.stage_deletion(key, before);
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    fn stage_deletion(&mut self, key: Bytes, before: Option<Item>) {
        let revision = self.next_revision();
        let entry = Entry { mod_revision: revision.main, mod_sub: revision.sub, ..Entry::default() };
        self.stage(Staged { key, after: None, before, entry });
    }

    /// The previous version of a key, and that from before the transaction.
    fn previous(&self, key: &[u8]) -> Result<(Option<Item>, Option<Item>), Error> {
        match self.staged(key) {
            Some(staged) => Ok((staged.after.clone(), staged.before.clone())),
            None => self.store.get(key).map(|item| (item.clone(), item)),
        }
    }

    fn next_revision(&self) -> Revision {
        let sub = u32::try_from(self.staged.len()).expect("fewer changes in a transaction than 2^32");
        Revision { main: self.store.revision() + 1, sub }
    }

    fn stage(&mut self, staged: Staged) {
        self.staged.push(staged);
        match self.staged.len() {
            len if len <= SCAN_MAX => {}
            len if len == SCAN_MAX + 1 => (0..len).for_each(|number| self.index(number)),
            len => self.index(len - 1),
        }
    }

    /// Notes a staged change as the last one of its key.
    fn index(&mut self, number: usize) {
        let Staged { key, after, .. } = &self.staged[number];
        self.latest.insert(key.clone(), number);
        match after {
            Some(_) => drop(self.puts.insert(key.clone(), number)),
            None => drop(self.puts.remove(key)),
        }
    }

    /// Makes the changes visible to everybody, in one revision; `None` if there are none.
    pub fn commit(mut self) -> Option<Changes> {
        if self.staged.is_empty() {
            return None;
        }
        let staged = std::mem::take(&mut self.staged);
        Some(self.store.commit(staged))
    }
}

/// The entries of a map whose keys are in a range of more than one.
fn within<'m>(
    map: &'m BTreeMap<Bytes, usize>,
    range: &KeyRange,
) -> impl Iterator<Item = (&'m Bytes, &'m usize)> {
    let from: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&range.start[..]), Bound::Unbounded);
    map.range::<[u8], _>(from).take_while(|(key, _)| !range.ends_before(key))
}

/// A staged change as a range shows it; nothing if it is a deletion.
fn shown(staged: &Staged, keys_only: bool) -> Option<Item> {
    staged.after.as_ref().map(|item| match keys_only {
        true => Item::without_value(item.key_bytes(), item.meta),
        false => item.clone(),
    })
}

/// Lays staged changes over committed items.
fn merge(committed: Vec<Item>, staged: BTreeMap<&[u8], &Staged>, keys_only: bool) -> Vec<Item> {
    let shown = |staged: &Staged| shown(staged, keys_only);
    let mut items = Vec::with_capacity(committed.len() + staged.len());
    let mut staged = staged.into_iter().peekable();
    for item in committed {
        while let Some((_, change)) = staged.next_if(|(key, _)| *key < item.key_bytes()) {
            items.extend(shown(change));
        }
        match staged.next_if(|(key, _)| *key == item.key_bytes()) {
            Some((_, change)) => items.extend(shown(change)),
            None => items.push(item),
        }
    }
    items.extend(staged.filter_map(|(_, change)| shown(change)));
    items
}

/// The changes as everybody sees them; their index entries are appended to `entries`.
pub(crate) fn changes_of(main: i64, staged: &mut Vec<Staged>, entries: &mut Vec<Entry>) -> Arc<[Change]> {
    let numbered = staged.drain(..).enumerate().map(|(sub, staged)| {
        entries.push(staged.entry);
        let revision = Revision { main, sub: sub as u32 };
        Change::new(revision, staged.key, staged.after, staged.before)
    });
    numbered.collect()
}
