//! Encoded key-values of live keys, under a byte budget.
//!
//! The cache is an array of slots. The index entry of a key names a slot, and the slot says which revision it holds: if
//! that is the entry's, it is a hit. So evicting touches only the slot, never the index. What goes is chosen by the clock
//! algorithm: a hand goes round and takes the first slot that was not read since it last came by.
//!
//! What is newer than the last checkpoint is *pinned*: it exists nowhere else, the cache is its only home (the overlay of
//! the design), so it is not evicted and may exceed the budget.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::Revision;

/// Memory that a cached item takes beyond its block: the slot and the counters behind `Bytes`.
const ITEM_OVERHEAD: usize = 104;
/// Slots that one insertion looks at, at most: it must not take long because all are pinned.
const HAND_STEPS: usize = 64;

#[derive(Debug, Default)]
struct Slot {
    revision: Revision,
    encoded: Option<Bytes>,
    read: AtomicBool,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Vec<Slot>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    budget: usize,
}

/// Allocators of today have four sizes of blocks for each doubling: an item of 1,060 bytes lies in a block of 1,280.
fn cost(encoded: &Bytes) -> usize {
    let len = encoded.len();
    len.next_multiple_of((len.next_power_of_two() / 8).max(16)) + ITEM_OVERHEAD
}

impl Cache {
    pub(crate) fn new(budget: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, budget }
    }

    /// Bytes of memory used, about.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, slot: u32, revision: Revision) -> Option<&Bytes> {
        let slot = self.slots.get(slot as usize).filter(|slot| slot.revision == revision)?;
        let encoded = slot.encoded.as_ref()?;
        // Written only if needed: a store to a line that other cores read costs them a miss.
        if !slot.read.load(Ordering::Relaxed) {
            slot.read.store(true, Ordering::Relaxed);
        }
        Some(encoded)
    }

    /// Puts an item, into the slot of `replaces` if that is still in the cache. Items up to revision `stored` exist on
    /// the disk and can go. Returns the slot.
    pub(crate) fn put(
        &mut self,
        replaces: (u32, Revision),
        revision: Revision,
        encoded: Bytes,
        stored: i64,
    ) -> u32 {
        self.remove(replaces.0, replaces.1);
        self.bytes += cost(&encoded);
        self.evict(stored, HAND_STEPS);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer items in memory than 2^32")
        });
        self.slots[slot as usize] = Slot { revision, encoded: Some(encoded), read: AtomicBool::new(false) };
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32, revision: Revision) {
        if let Some(found) = self.slots.get_mut(slot as usize)
            && found.revision == revision
            && let Some(encoded) = found.encoded.take()
        {
            self.bytes -= cost(&encoded);
            *found = Slot::default();
            self.free.push(slot);
        }
    }

    /// Looks at so many slots at most for what can go. Returns whether it is over its budget still.
    pub(crate) fn evict(&mut self, stored: i64, steps_max: usize) -> bool {
        let mut steps = 0;
        while self.bytes > self.budget && steps < steps_max && !self.slots.is_empty() {
            steps += 1;
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if slot.encoded.is_none() || slot.revision.main > stored || std::mem::take(slot.read.get_mut()) {
                continue;
            }
            let revision = slot.revision;
            self.remove(self.hand as u32, revision);
        }
        self.bytes > self.budget
    }

    /// Steps after which the hand has found everything that can go: an item that was read is passed by once.
    pub(crate) fn two_rounds(&self) -> usize {
        2 * self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: (u32, Revision) = (u32::MAX, Revision { main: 0, sub: 0 });

    fn at(main: i64) -> Revision {
        Revision { main, sub: 0 }
    }

    /// It costs 1000: there are blocks of this size.
    fn value() -> Bytes {
        Bytes::from(vec![1; 1000 - ITEM_OVERHEAD])
    }

    #[test]
    fn over_budget_the_items_that_were_not_read_go_first() {
        let mut cache = Cache::new(4000);
        let slots: Vec<u32> = (1..=4).map(|main| cache.put(NEW, at(main), value(), 100)).collect();
        assert!(cache.get(slots[1], at(2)).is_some());
        (5..=7).for_each(|main| assert_ne!(cache.put(NEW, at(main), value(), 100), slots[1]));
        assert!(cache.get(slots[1], at(2)).is_some());
        assert!(cache.get(slots[0], at(1)).is_none());
        assert_eq!(cache.bytes(), 4000);
    }

    #[test]
    fn what_is_not_stored_stays_whatever_the_budget() {
        let mut cache = Cache::new(1000);
        let slots: Vec<u32> = (1..=10).map(|main| cache.put(NEW, at(main), value(), 0)).collect();
        assert!((1..=10).zip(&slots).all(|(main, &slot)| cache.get(slot, at(main)).is_some()));
        cache.put(NEW, at(11), value(), 10);
        cache.put(NEW, at(12), value(), 10);
        assert!(cache.bytes() <= 3000);
    }

    #[test]
    fn what_was_pinned_goes_when_it_is_stored() {
        let mut cache = Cache::new(4000);
        let slots: Vec<u32> = (1..=10).map(|main| cache.put(NEW, at(main), value(), 0)).collect();
        (1..=10).zip(&slots).for_each(|(main, &slot)| assert!(cache.get(slot, at(main)).is_some()));
        assert!(!cache.evict(7, cache.two_rounds()));
        assert_eq!(cache.bytes(), 4000);
        assert!((8..=10).zip(&slots[7..]).all(|(main, &slot)| cache.get(slot, at(main)).is_some()));
    }

    #[test]
    fn a_slot_answers_only_for_its_revision() {
        let mut cache = Cache::new(4000);
        let slot = cache.put(NEW, at(1), value(), 0);
        let again = cache.put((slot, at(1)), at(2), value(), 0);
        assert_eq!(slot, again);
        assert_eq!((cache.get(slot, at(1)), cache.bytes()), (None, 1000));
        cache.remove(slot, at(1));
        assert!(cache.get(slot, at(2)).is_some());
    }
}
