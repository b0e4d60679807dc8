//! Transactions: everything that one command changes, in one revision.
//!
//! A transaction stages its changes on the writer's side and shows them to itself only. [`Txn::commit`] makes them visible
//! all at once; dropping it leaves nothing behind. A transaction without a change uses no revision.
//!
//! A change needs of the version that it replaces what the index knows, so no value is read for it: see
//! [`before`](crate::Before).

mod emptied;
mod midway;
mod staging;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use self::emptied::Piece;
pub use self::midway::Midway;
pub(crate) use self::staging::Staged;
use self::staging::{Base, Staging};
use crate::index::ValueMark;
use crate::item::{Change, Changes, Item};
use crate::pace::{Pace, ToTheEnd};
use crate::store::Store;
use crate::{Before, Error, KeyRange, LeaseId, Meta, RangeEnd, RangeQuery, RangeResult, ReadError, Revision};

/// An exclusive transaction on the newest state. See the module's text.
pub struct Txn<'a> {
    store: &'a mut Store,
    staging: Staging,
    /// Bytes of versions that are stored and that its changes may yet keep in memory.
    carried_left: usize,
}

/// Bytes of versions that are stored and that one transaction's changes keep in memory, at most. What a key was before is
/// often wanted at once, and is often in memory anyway; but not of a million keys.
const CARRIED_BYTES_MAX: usize = 1 << 20;

/// The newest version of a key, and that from before the transaction.
struct Last {
    version: Before,
    before: Before,
}

impl Base for Store {
    fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        self.range_at_pace(query, pace)
    }
}

impl<'a> Txn<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        let staging = Staging::within(store.take_staging());
        Self { store, staging, carried_left: CARRIED_BYTES_MAX }
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

    /// Puts a key. Returns its previous version. No IO.
    pub fn put(&mut self, key: Bytes, value: Bytes, lease: LeaseId) -> Before {
        let Last { version, before } = self.last(&key);
        let revision = self.next_revision();
        let (create_revision, number) =
            version.meta().map_or((revision.main, 0), |meta| (meta.create_revision, meta.version));
        let meta = Meta { create_revision, mod_revision: revision, version: number + 1, lease };
        let after = Item::new(&key, meta, &value);
        // A slice of what is kept anyway: the caller's key may be a slice of a whole request.
        let key = after.key();
        self.staging.push(Staged { key, after: Some(after), before, value: ValueMark::of(&value) });
        version
    }

    /// Deletes the keys of a range, in key order. Returns how many there were. No IO.
    pub fn delete_range(&mut self, range: &KeyRange) -> usize {
        self.delete_range_seeing(range, |_| ())
    }

    /// The same, and shows the last version of each key.
    pub fn delete_range_seeing(&mut self, range: &KeyRange, mut see: impl FnMut(&Before)) -> usize {
        let first = self.staging.len();
        if range.end == RangeEnd::Single {
            self.delete_key(range.start.clone(), &mut see);
        } else {
            let pieces: Vec<Piece> = self.staging.pieces(range).collect();
            for piece in pieces {
                self.delete_piece(piece, &mut see);
            }
            self.staging.empty(range);
        }
        self.staging.len() - first
    }

    /// Deletes single keys, in the order in which they come. Returns how many there were. The time that it takes is that
    /// of as many look-ups, whatever else the transaction has changed. No IO.
    pub fn delete_keys(&mut self, keys: impl IntoIterator<Item = Bytes>) -> usize {
        let first = self.staging.len();
        keys.into_iter().for_each(|key| self.delete_key(key, &mut |_| ()));
        self.staging.len() - first
    }

    fn delete_key(&mut self, key: Bytes, see: &mut impl FnMut(&Before)) {
        let Last { version, before } = self.last(&key);
        if version.is_some() {
            see(&version);
            self.stage_deletion(key, before);
        }
    }

    /// Deletes what there is in a part of a range: what was committed, and what the transaction has put.
    fn delete_piece(&mut self, piece: Piece, see: &mut impl FnMut(&Before)) {
        let (range, is_emptied) = match piece {
            Piece::Untouched(range) => (range, false),
            Piece::Emptied(range) => (range, true),
        };
        // Where nothing is left of what was committed, the keys that were deleted are not worth going through.
        let own = if is_emptied { self.staging.keys_put_in(&range) } else { self.staging.keys_in(&range) };
        let mut own = own.into_iter().peekable();
        let mut next = (!is_emptied).then(Vec::new);
        while let Some(start) = next {
            let slice = self.store.befores(&range, &start, &mut self.carried_left);
            for (key, before) in slice.befores {
                while let Some(own) = own.next_if(|own| *own < key) {
                    self.delete_key(own, see);
                }
                match own.next_if(|own| *own == key) {
                    Some(own) => self.delete_key(own, see),
                    None => {
                        see(&before);
                        self.stage_deletion(key, before);
                    }
                }
            }
            next = slice.next;
        }
        own.for_each(|own| self.delete_key(own, see));
    }

    fn stage_deletion(&mut self, key: Bytes, before: Before) {
        self.staging.push(Staged { key, after: None, before, value: ValueMark::default() });
    }

    /// What is known of a key that is about to be changed.
    fn last(&mut self, key: &[u8]) -> Last {
        if let Some(staged) = self.staging.get(key) {
            return Last { version: staged.after.clone().into(), before: staged.before.clone() };
        }
        let before = self.store.before(key, &mut self.carried_left);
        Last { version: before.clone(), before }
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

/// The changes as everybody sees them; the marks of their values are appended to `values`.
pub(crate) fn changes_of(main: i64, staged: &mut Vec<Staged>, values: &mut Vec<ValueMark>) -> Arc<[Change]> {
    let numbered = staged.drain(..).enumerate().map(|(sub, staged)| {
        values.push(staged.value);
        let revision = Revision { main, sub: sub as u32 };
        Change::new(revision, staged.key, staged.after, staged.before)
    });
    numbered.collect()
}
