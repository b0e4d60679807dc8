//! Transactions: everything that one command changes, in one revision.
//!
//! A transaction stages its changes on the writer's side and shows them to itself only. [`Txn::commit`] makes them visible
//! all at once; dropping it leaves nothing behind. There is no IO in a commit. A transaction without a change uses no
//! revision.

mod emptied;
mod midway;
mod staging;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

pub use self::midway::Midway;
pub(crate) use self::staging::Staged;
use self::staging::{Base, Staging};
use crate::index::Entry;
use crate::item::{Change, Changes, Item};
use crate::pace::{Pace, ToTheEnd};
use crate::store::Store;
use crate::{Error, KeyRange, LeaseId, Meta, RangeQuery, RangeResult, ReadError, Revision};

/// An exclusive transaction on the newest state. See the module's text.
pub struct Txn<'a> {
    store: &'a mut Store,
    staging: Staging,
}

impl Base for Store {
    fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        self.range_at_pace(query, pace)
    }
}

impl<'a> Txn<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        let staging = Staging::within(store.take_staging());
        Self { store, staging }
    }

    /// The main revision of what is visible here: one more than before as soon as there is a change.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.store.revision() + i64::from(!self.staging.is_empty())
    }

    /// Reads below this revision are refused; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.store.compact_revision()
    }

    /// How many changes there are so far.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.staging.len()
    }

    /// The newest version of a key, own writes included, without its value. No IO.
    #[must_use]
    pub fn meta(&self, key: &[u8]) -> Option<Meta> {
        self.staging.meta(key).unwrap_or_else(|| self.store.meta(key))
    }

    /// Visits the keys of a range as they were before the transaction, until a visit breaks it off. No IO.
    pub fn visit_metas_before(&self, range: &KeyRange, mut visit: impl FnMut(&Meta) -> ControlFlow<()>) {
        self.store.visit_metas(range, |_, meta| visit(meta));
    }

    /// The newest version of a key, own writes included.
    ///
    /// # Errors
    /// Those of the disk, if the value is not in memory.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        match self.staging.get(key) {
            Some(staged) => Ok(staged.after.clone()),
            None => self.store.get(key),
        }
    }

    /// A range, own writes included; or at an older revision as it was.
    ///
    /// # Errors
    /// If the revision asked for is compacted or after the revision before this transaction, and those of the disk.
    pub fn range(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        self.range_at_pace(query, &ToTheEnd)
    }

    /// The same, as far as `pace` lets it go.
    ///
    /// # Errors
    /// As [`range`](Self::range), and [`ReadError::GivenUp`].
    pub fn range_at_pace(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        let result = match query.at {
            Some(_) => self.store.range_at_pace(query, pace)?,
            None => self.staging.range(&*self.store, query, pace)?,
        };
        Ok(RangeResult { revision: self.revision(), ..result })
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
        self.staging.push(Staged { key, after: Some(after), before, entry });
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
            let before = match self.staging.get(&key) {
                Some(staged) => staged.before.clone(),
                None => Some(item.clone()),
            };
            self.stage_deletion(key, before);
        }
        self.staging.empty(range);
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
        self.staging.push(Staged { key, after: None, before, entry });
    }

    /// The previous version of a key, and that from before the transaction.
    fn previous(&self, key: &[u8]) -> Result<(Option<Item>, Option<Item>), Error> {
        match self.staging.get(key) {
            Some(staged) => Ok((staged.after.clone(), staged.before.clone())),
            None => self.store.get(key).map(|item| (item.clone(), item)),
        }
    }

    fn next_revision(&self) -> Revision {
        let sub = u32::try_from(self.staging.len()).expect("fewer changes in a transaction than 2^32");
        Revision { main: self.store.revision() + 1, sub }
    }

    /// Makes the changes visible to everybody, in one revision; `None` if there are none.
    pub fn commit(self) -> Option<Changes> {
        if self.staging.is_empty() {
            return None;
        }
        Some(self.store.commit(self.staging.into_changes()))
    }
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
