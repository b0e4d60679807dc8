//! Which keys are live, found by going through the history, in memory of a fixed size.
//!
//! A key is live if its newest version is a put. So changes are collected, and when there are many, sorted by key; of each
//! key the last one stays, unless it is a delete. Of a key there are 16 bytes of hash, by a hash function that is drawn
//! anew each time, so that nobody can make two keys collide; by accident one in 2^128 pairs does. If nearly all of what
//! was collected stays, half of the keys are left to another pass through the history: those whose hashes have a certain
//! bit. And so on, each time memory is full.
//!
//! Sorting beats a map here: a map of a million keys misses the processor's cache with each of them.

use std::hash::{BuildHasher, RandomState};

/// The live keys of a share of all keys.
pub(super) struct LiveKeys {
    hashes: [RandomState; 2],
    changes: Vec<KeyChange>,
    /// Changes that are collected before they are sorted.
    changes_max: usize,
    /// Bits of a hash that say which share a key is of.
    mask: u64,
    /// The share that is gone through.
    share: u64,
}

/// A change, in the order of keys and then of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyChange {
    /// Hash of the key; the first half says which share it is of.
    key: [u64; 2],
    /// Twice the place in the history, and 1 more for a delete.
    place_and_kind: u64,
}

impl KeyChange {
    const fn is_delete(self) -> bool {
        self.place_and_kind % 2 == 1
    }
}

impl LiveKeys {
    /// Returns an empty set, for the first pass.
    pub(super) fn new(changes_max: usize) -> Self {
        let hashes = [RandomState::new(), RandomState::new()];
        Self { hashes, changes: Vec::new(), changes_max, mask: 0, share: 0 }
    }

    /// Takes the next change of a key, at this place of the history.
    pub(super) fn take(&mut self, key: &[u8], is_delete: bool, place: u64) {
        let key = self.hashes.each_ref().map(|hash| hash.hash_one(key));
        if key[0] & self.mask != self.share {
            return;
        }
        self.changes.push(KeyChange { key, place_and_kind: place << 1 | u64::from(is_delete) });
        if self.changes.len() >= self.changes_max {
            self.make_space();
        }
    }

    fn make_space(&mut self) {
        self.settle();
        if self.changes.len() <= self.changes_max / 4 * 3 {
            return;
        }
        if self.share == 0 {
            self.mask = self.mask << 1 | 1;
            self.changes.retain(|change| change.key[0] & self.mask == 0);
        } else {
            // The later shares are as large as the first, but for chance.
            self.changes_max *= 2;
        }
    }

    /// Leaves of each key the last change, if it is a put.
    fn settle(&mut self) {
        self.changes.sort_unstable();
        // Removes the later of two, so the order is turned around.
        self.changes.reverse();
        self.changes.dedup_by_key(|change| change.key);
        self.changes.retain(|change| !change.is_delete());
    }

    /// Ends a pass; returns the places of the newest versions of the live keys of the share.
    pub(super) fn end_pass(&mut self) -> impl ExactSizeIterator<Item = u64> {
        self.settle();
        self.changes.iter().map(|change| change.place_and_kind >> 1)
    }

    /// Prepares for the next pass; returns false if there is none.
    pub(super) fn next_pass(&mut self) -> bool {
        self.changes.clear();
        self.share += 1;
        self.share <= self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts 1000 keys, deletes every third, and puts every ninth again.
    fn history() -> Vec<(u32, bool)> {
        let changes = [(1, false), (3, true), (9, false)];
        changes
            .into_iter()
            .flat_map(|(step, is_delete)| (0..1000).step_by(step).map(move |key| (key, is_delete)))
            .collect()
    }

    #[test]
    fn memory_makes_no_difference() {
        for changes_max in [1, 10, 100, 10_000] {
            let mut live = LiveKeys::new(changes_max);
            let mut places = Vec::new();
            let mut passes = 0;
            loop {
                for (place, (key, is_delete)) in history().into_iter().enumerate() {
                    live.take(&key.to_be_bytes(), is_delete, place as u64);
                }
                places.extend(live.end_pass());
                passes += 1;
                if !live.next_pass() {
                    break;
                }
            }
            places.sort_unstable();
            let first = (0..1000).filter(|key| key % 3 != 0);
            let again = (0..1000_u64).step_by(9).enumerate().map(|(index, _)| 1000 + 334 + index as u64);
            assert_eq!(places, first.chain(again).collect::<Vec<_>>());
            assert_eq!(passes > 1, changes_max < 10_000);
        }
    }
}
