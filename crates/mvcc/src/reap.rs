//! When dead entries leave the index.
//!
//! A key that was deleted stays in the index, dead, for as long as the deletion is in the unsealed tail of the history:
//! its older versions are found through it. When the tail is sealed, the run's index takes over, and all dead entries of
//! that run go, however many: they are known from what the run was built of, so nobody else keeps their keys.
//!
//! A tail is sealed when its segment is full. A quiet store may never fill one, so the checkpoint after a compaction that
//! passed a deletion in the tail seals it too. Entries thus go as fast as they come, and after a compaction of everything
//! the index holds the live keys alone.

use crate::Revision;
use crate::index::Keys;
use crate::shared::{Inner, Shared};

/// Entries that are looked at under one hold of the lock: some tens of microseconds.
const ENTRIES_PER_HOLD: usize = 128;

/// Keys that were deleted in a run, with the revisions of the deletions.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    keys: Keys,
    revisions: Vec<Revision>,
}

impl Deleted {
    pub(crate) fn push(&mut self, key: &[u8], revision: Revision) {
        self.keys.push(key);
        self.revisions.push(revision);
    }

    /// Takes the entries of keys out of the index that these deletions left dead, some under each hold of the lock. The
    /// run that they are in has been published.
    pub(crate) fn reap(&self, inner: &Inner) {
        let mut place = 0;
        while place < self.revisions.len() {
            let end = self.revisions.len().min(place + ENTRIES_PER_HOLD);
            let shared = &mut *inner.shared.write();
            (place..end).for_each(|place| reap_one(shared, self.keys.get(place), self.revisions[place]));
            place = end;
        }
    }
}

fn reap_one(shared: &mut Shared, key: &[u8], deleted: Revision) {
    assert!(deleted <= shared.tail.floor(), "a dead entry is needed until the run of its deletion is sealed");
    // The key may live again, or have died once more since.
    if shared.index.get(key).is_some_and(|entry| !entry.is_live() && entry.revision() == deleted) {
        shared.index.remove(key);
    }
}

#[cfg(test)]
mod tests;
