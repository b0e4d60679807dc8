//! What the own disk has, told by acknowledgements that may be late.
//!
//! The core hands out batches to persist and goes on; the log writer acknowledges them in order. Between the two the
//! log may have been truncated and have grown again to the same index, even with the same entry (5@2, then 5@3, then
//! 5@2 again), so neither an index nor an entry's name tells what an acknowledgement still proves. Each batch
//! therefore has a number, and a truncation lowers what the batches under way will have proved (rule W7).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use super::id::{EntryId, Index};
use super::ready::{HardState, Persisted};

#[derive(Clone, Debug)]
pub(crate) struct Durability {
    issued: u64,
    under_way: VecDeque<Batch>,
    /// The term and vote on the disk.
    durable: HardState,
    /// The last ones handed to it.
    stored: HardState,
}

#[derive(Clone, Debug)]
struct Batch {
    number: u64,
    hard_state: HardState,
    /// The last entry of the log that is durable once the batch is.
    proves: Index,
    named: EntryId,
}

impl Durability {
    pub(crate) fn new(durable: HardState) -> Durability {
        Durability { issued: 0, under_way: VecDeque::new(), durable, stored: durable }
    }

    /// Whether the disk has this term and vote, and no other is on its way there.
    pub(crate) fn has(&self, hard_state: HardState) -> bool {
        self.durable == hard_state && self.stored == hard_state
    }

    pub(crate) fn is_stored(&self, hard_state: HardState) -> bool {
        self.stored == hard_state
    }

    /// Numbers the next batch.
    pub(crate) fn issue(&mut self, hard_state: HardState, last: EntryId) -> Persisted {
        self.issued += 1;
        self.stored = hard_state;
        self.under_way.push_back(Batch { number: self.issued, hard_state, proves: last.index, named: last });
        Persisted { batch: self.issued, last }
    }

    /// Entries from `first` on are no longer part of the log.
    pub(crate) fn truncated_from(&mut self, first: Index) {
        for batch in &mut self.under_way {
            batch.proves = batch.proves.min(first.previous());
        }
    }

    /// Batches up to this one are durable. The index up to which the log now is; `None` if that is known already.
    ///
    /// # Panics
    /// On an acknowledgement that was never due: of a batch not issued, or naming another entry.
    pub(crate) fn complete(&mut self, ack: Persisted) -> Option<Index> {
        assert!(ack.batch <= self.issued, "batch {} was never issued", ack.batch);
        let mut proved = None;
        while self.under_way.front().is_some_and(|batch| batch.number <= ack.batch) {
            let batch = self.under_way.pop_front().expect("a batch is under way");
            assert!(
                batch.number < ack.batch || batch.named == ack.last,
                "batch {} names {}",
                ack.batch,
                ack.last
            );
            self.durable = batch.hard_state;
            proved = Some(batch.proves);
        }
        proved
    }
}

/// How often the disk was asked does not tell two states apart, only what it still owes.
impl Hash for Batch {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.hard_state, self.proves, self.named).hash(hasher);
    }
}

impl Hash for Durability {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.under_way, self.durable, self.stored).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::Term;
    use super::*;

    fn id(index: u64, term: u64) -> EntryId {
        EntryId::new(Index(index), Term(term))
    }

    #[test]
    fn an_ack_for_a_replaced_entry_proves_nothing_of_the_new_one() {
        let mut durability = Durability::new(HardState::default());
        let first = durability.issue(HardState::default(), id(5, 2));
        durability.truncated_from(Index(5));
        let second = durability.issue(HardState::default(), id(5, 3));
        durability.truncated_from(Index(5));
        let third = durability.issue(HardState::default(), id(5, 2));
        assert_eq!(durability.complete(first), Some(Index(4)), "the same name, and yet not on the disk");
        assert_eq!(durability.complete(second), Some(Index(4)));
        assert_eq!(durability.complete(third), Some(Index(5)));
        assert!(durability.under_way.is_empty());
    }

    #[test]
    fn one_ack_covers_the_batches_before_it_and_repeats_are_harmless() {
        let mut durability = Durability::new(HardState::default());
        let voted = HardState { term: Term(3), vote: None };
        let first = durability.issue(voted, id(1, 1));
        let second = durability.issue(voted, id(2, 1));
        assert!(!durability.has(voted));
        assert_eq!(durability.complete(second), Some(Index(2)));
        assert!(durability.has(voted));
        assert_eq!(durability.complete(first), None);
    }
}
