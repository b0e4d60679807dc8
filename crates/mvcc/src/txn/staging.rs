//! What a transaction has changed so far, laid over the state that it began on.
//!
//! It reads the same whether the transaction is being made ([`Txn`](super::Txn)) or is looked at afterwards, in its midst
//! ([`Midway`](super::Midway)): what differs is what lies below.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::emptied::{Emptied, Piece};
use crate::index::ValueMark;
use crate::item::Item;
use crate::pace::Pace;
use crate::{Before, KeyRange, Meta, RangeEnd, RangeQuery, RangeResult, ReadError};

/// From so many changes on they are looked up in a map.
const SCAN_MAX: usize = 8;

/// A change that is not visible yet.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) key: Bytes,
    pub(crate) after: Option<Item>,
    /// What the key was before the transaction.
    pub(crate) before: Before,
    /// Of the value, if it is a put.
    pub(crate) value: ValueMark,
}

/// A state that changes are laid over.
pub(super) trait Base {
    /// Reads a range of it.
    fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError>;
}

/// Changes in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Staging {
    staged: Vec<Staged>,
    /// Made when somebody looks for a key, and there are many changes: a transaction that only deletes a million needs none.
    by_key: RefCell<ByKey>,
    emptied: Emptied,
}

/// Numbers of changes, by key.
#[derive(Debug, Default)]
struct ByKey {
    /// So many changes are in it.
    len: usize,
    /// The last change of each key.
    latest: BTreeMap<Bytes, usize>,
    /// Those of them that are puts.
    puts: BTreeMap<Bytes, usize>,
}

impl ByKey {
    /// Notes a change as the last one of its key.
    fn add(&mut self, number: usize, Staged { key, after, .. }: &Staged) {
        self.latest.insert(key.clone(), number);
        match after {
            Some(_) => drop(self.puts.insert(key.clone(), number)),
            None => drop(self.puts.remove(key)),
        }
    }
}

impl Staging {
    /// No changes, to be kept in an empty vector.
    pub(super) fn within(staged: Vec<Staged>) -> Self {
        debug_assert!(staged.is_empty(), "what another transaction staged is not to be seen");
        Self { staged, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.staged.len()
    }

    /// The changes alone.
    pub(super) fn into_changes(self) -> Vec<Staged> {
        self.staged
    }

    /// The last change of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Staged> {
        if self.staged.len() <= SCAN_MAX {
            self.staged.iter().rev().find(|staged| staged.key == key)
        } else {
            self.by_key().latest.get(key).map(|&number| &self.staged[number])
        }
    }

    /// What the last change of a key has left of it; `None` if it was not changed.
    pub(super) fn meta(&self, key: &[u8]) -> Option<Option<Meta>> {
        self.get(key).map(|staged| staged.after.as_ref().map(|item| item.meta))
    }

    /// Adds a change.
    pub(super) fn push(&mut self, staged: Staged) {
        self.staged.push(staged);
    }

    /// The changes by key, all of them.
    fn by_key(&self) -> RefMut<'_, ByKey> {
        let mut by_key = self.by_key.borrow_mut();
        for number in by_key.len..self.staged.len() {
            by_key.add(number, &self.staged[number]);
        }
        by_key.len = self.staged.len();
        by_key
    }

    /// Notes that nothing is left of what was below in a range.
    pub(super) fn empty(&mut self, range: &KeyRange) {
        self.emptied.add(range);
    }

    /// A range of the newest state, as it is with these changes. The revision of the result is that of the base.
    pub(super) fn range(
        &self,
        base: &impl Base,
        query: &RangeQuery,
        pace: &dyn Pace,
    ) -> Result<RangeResult, ReadError> {
        debug_assert!(query.at.is_none(), "changes are laid over the newest state");
        if self.staged.is_empty() {
            return base.range(query, pace);
        }
        match query.range.end {
            RangeEnd::Single => self.range_of_one(base, query, pace),
            _ => self.range_of_many(base, query, pace),
        }
    }

    fn range_of_one(
        &self,
        base: &impl Base,
        query: &RangeQuery,
        pace: &dyn Pace,
    ) -> Result<RangeResult, ReadError> {
        let Some(staged) = self.get(&query.range.start) else { return base.range(query, pace) };
        let count = u64::from(staged.after.is_some());
        let items = if query.count_only { None } else { shown(staged, query.keys_only) };
        Ok(RangeResult { items: items.into_iter().collect(), count, more: false, revision: 0 })
    }

    fn range_of_many(
        &self,
        base: &impl Base,
        query: &RangeQuery,
        pace: &dyn Pace,
    ) -> Result<RangeResult, ReadError> {
        if query.count_only {
            let count = self.count(base, &query.range, pace)?;
            return Ok(RangeResult { count, ..RangeResult::default() });
        }
        // One more than asked for tells whether there are more.
        let wanted = if query.limit == 0 { usize::MAX } else { query.limit.saturating_add(1) };
        let mut items = Vec::new();
        for piece in self.pieces(&query.range) {
            self.read(base, piece, query, wanted - items.len(), pace, &mut items)?;
            if items.len() == wanted {
                break;
            }
        }
        let more = query.limit != 0 && items.len() > query.limit;
        let count = match more {
            false => items.len() as u64,
            true if query.without_count => 0,
            true => self.count(base, &query.range, pace)?,
        };
        if more {
            items.truncate(query.limit);
        }
        Ok(RangeResult { items, count, more, revision: 0 })
    }

    /// The keys of a range of more than one that were changed, in order.
    pub(super) fn keys_in(&self, range: &KeyRange) -> Vec<Bytes> {
        self.staged_in(range).values().map(|staged| staged.key.clone()).collect()
    }

    /// Those of them that were put last. There are many changes.
    pub(super) fn keys_put_in(&self, range: &KeyRange) -> Vec<Bytes> {
        self.puts_in(range).iter().map(|staged| staged.key.clone()).collect()
    }

    /// The parts of a range, in order; with few changes it is one.
    pub(super) fn pieces(&self, range: &KeyRange) -> impl Iterator<Item = Piece> {
        let is_whole = self.staged.len() <= SCAN_MAX;
        let whole = is_whole.then(|| Piece::Untouched(range.clone()));
        let parts = (!is_whole).then(|| self.emptied.split(range));
        whole.into_iter().chain(parts.into_iter().flatten())
    }

    /// Appends the first `wanted` items of a part.
    fn read(
        &self,
        base: &impl Base,
        piece: Piece,
        query: &RangeQuery,
        wanted: usize,
        pace: &dyn Pace,
        items: &mut Vec<Item>,
    ) -> Result<(), ReadError> {
        match piece {
            Piece::Emptied(range) => {
                let puts = self.puts_in(&range).into_iter();
                let shown = puts.filter_map(|staged| shown(staged, query.keys_only));
                items.extend(shown.take(wanted));
            }
            Piece::Untouched(range) => {
                let staged = self.staged_in(&range);
                // Each staged change takes at most one item away.
                let limit = wanted.saturating_add(staged.len());
                let query = RangeQuery { range, limit, without_count: true, ..query.clone() };
                let merged = merge(base.range(&query, pace)?.items, staged, query.keys_only);
                items.extend(merged.into_iter().take(wanted));
            }
        }
        Ok(())
    }

    /// How many keys there are in a range of more than one.
    fn count(&self, base: &impl Base, range: &KeyRange, pace: &dyn Pace) -> Result<u64, ReadError> {
        self.pieces(range).try_fold(0, |count, piece| match piece {
            Piece::Emptied(range) => Ok(count + self.puts_in(&range).len() as u64),
            Piece::Untouched(range) => {
                let query = RangeQuery { count_only: true, ..RangeQuery::new(range) };
                let committed = base.range(&query, pace)?.count;
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
        let by_key = self.by_key();
        let in_range = within(&by_key.latest, range).map(|(_, &number)| &self.staged[number]);
        in_range.map(|staged| (&staged.key[..], staged)).collect()
    }

    /// The staged puts in a range of more than one key, in order. There are many changes.
    fn puts_in(&self, range: &KeyRange) -> Vec<&Staged> {
        within(&self.by_key().puts, range).map(|(_, &number)| &self.staged[number]).collect()
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
