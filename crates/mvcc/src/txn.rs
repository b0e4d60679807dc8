//! Transactions: everything that one command changes, in one revision.
//!
//! A transaction stages its changes on the writer's side and shows them to itself only. [`Txn::commit`] makes them visible
//! all at once; dropping it leaves nothing behind. There is no IO in a commit. A transaction without a change uses no
//! revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::index::Entry;
use crate::item::{Change, Changes, Item};
use crate::store::Store;
use crate::{Error, KeyRange, LeaseId, Meta, RangeQuery, RangeResult, ReadError, Revision};

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
}

impl<'a> Txn<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        let staged = store.take_staging();
        Self { store, staged, latest: BTreeMap::new() }
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
        let staged = match query.at {
            None => self.staged_in(&query.range),
            Some(_) => BTreeMap::new(),
        };
        if staged.is_empty() {
            let result = self.store.range(query)?;
            return Ok(RangeResult { revision: self.revision(), ..result });
        }
        // Each staged change takes at most one item away, and one more tells whether there are more.
        let limit = if query.limit == 0 { 0 } else { query.limit.saturating_add(staged.len() + 1) };
        let committed = self.store.range(&RangeQuery { limit, without_count: false, ..query.clone() })?;
        let count = staged.values().fold(committed.count, |count, staged| {
            count + u64::from(staged.after.is_some()) - u64::from(staged.before.is_some())
        });
        if query.count_only {
            return Ok(RangeResult { items: Vec::new(), count, more: false, revision: self.revision() });
        }
        let mut items = merge(committed.items, staged, query.keys_only);
        // Where the committed items were cut off, there are more even if the staged changes leave only `limit` of them.
        let more = query.limit != 0 && (committed.more || items.len() > query.limit);
        if more {
            items.truncate(query.limit);
        }
        Ok(RangeResult { items, count, more, revision: self.revision() })
    }

    /// The last staged change of each key in a range.
    fn staged_in(&self, range: &KeyRange) -> BTreeMap<&[u8], &Staged> {
        let in_range = self.staged.iter().filter(|staged| range.contains(&staged.key));
        in_range.map(|staged| (&staged.key[..], staged)).collect()
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
            let revision = self.next_revision();
            let entry = Entry { mod_revision: revision.main, mod_sub: revision.sub, ..Entry::default() };
            self.stage(Staged { key, after: None, before, entry });
        }
        Ok(deleted)
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
            len if len == SCAN_MAX + 1 => {
                self.latest =
                    self.staged.iter().enumerate().map(|(at, staged)| (staged.key.clone(), at)).collect();
            }
            len => drop(self.latest.insert(self.staged[len - 1].key.clone(), len - 1)),
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

/// Lays staged changes over committed items.
fn merge(committed: Vec<Item>, staged: BTreeMap<&[u8], &Staged>, keys_only: bool) -> Vec<Item> {
    let shown = |staged: &Staged| {
        staged.after.as_ref().map(|item| match keys_only {
            true => Item::without_value(item.key_bytes(), item.meta),
            false => item.clone(),
        })
    };
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
