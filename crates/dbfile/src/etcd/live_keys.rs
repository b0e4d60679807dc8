//! Which keys are live, found by going through the history, in memory of a fixed size.
//!
//! A key is live if its newest version is a put; that takes a set of keys. Of each key the set has 16 bytes of hash, by a
//! hash function that is drawn anew each time, so that nobody can make two keys collide; by accident one in 2^128 pairs
//! does. When the set is full, half of the keys are left to another pass through the history: those whose hashes have a
//! certain bit. And so on, each time the set is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The live keys of a share of all keys.
pub(super) struct LiveKeys {
    hashes: [RandomState; 2],
    /// For each key the place of its newest version.
    newest: HashMap<u128, u64>,
    keys_max: usize,
    /// Bits of a hash that say which share a key is of.
    mask: u64,
    /// The share that is gone through.
    share: u64,
}

impl LiveKeys {
    /// Returns an empty set, for the first pass.
    pub(super) fn new(keys_max: usize) -> Self {
        let hashes = [RandomState::new(), RandomState::new()];
        Self { hashes, newest: HashMap::new(), keys_max, mask: 0, share: 0 }
    }

    /// Takes the next change of a key, at this place of the history.
    pub(super) fn take(&mut self, key: &[u8], is_delete: bool, place: u64) {
        let [low, high] = self.hashes.each_ref().map(|hash| hash.hash_one(key));
        if low & self.mask != self.share {
            return;
        }
        let hash = u128::from(high) << 64 | u128::from(low);
        if is_delete {
            self.newest.remove(&hash);
        } else {
            self.newest.insert(hash, place);
        }
        // Later passes have shares of the same size, but for chance.
        if self.share == 0 && self.newest.len() > self.keys_max {
            self.mask = self.mask << 1 | 1;
            let mask = u128::from(self.mask);
            self.newest.retain(|hash, _| hash & mask == 0);
        }
    }

    /// Returns the number of live keys of the share, at the end of a pass.
    pub(super) fn len(&self) -> u64 {
        self.newest.len() as u64
    }

    /// Returns the places of their newest versions, at the end of a pass.
    pub(super) fn places(&self) -> impl Iterator<Item = u64> {
        self.newest.values().copied()
    }

    /// Prepares for the next pass; returns false if there is none.
    pub(super) fn next_pass(&mut self) -> bool {
        self.newest.clear();
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
        for keys_max in [1, 10, 100, 10_000] {
            let mut live = LiveKeys::new(keys_max);
            let mut places = Vec::new();
            let mut passes = 0;
            loop {
                for (place, (key, is_delete)) in history().into_iter().enumerate() {
                    live.take(&key.to_be_bytes(), is_delete, place as u64);
                }
                places.extend(live.places());
                passes += 1;
                if !live.next_pass() {
                    break;
                }
            }
            places.sort_unstable();
            let first = (0..1000).filter(|key| key % 3 != 0);
            let again = (0..1000_u64).step_by(9).enumerate().map(|(index, _)| 1000 + 334 + index as u64);
            assert_eq!(places, first.chain(again).collect::<Vec<_>>());
            assert_eq!(passes > 1, keys_max < 10_000);
        }
    }
}
