//! What the own disk has, told by acknowledgements that may be late.
//!
//! The core hands out batches to persist and goes on; the log writer acknowledges them in order. Between the two the
//! log may have been truncated and have grown again to the same index, even with the same entry (5@2, then 5@3, then
//! 5@2 again), so neither an index nor an entry's name tells what an acknowledgement still proves. Each batch
//! therefore has a number, and a truncation lowers what the batches under way will have proved (rule W7).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use super::id::{EntryId, Index};
use super::loss::Loss;
use super::ready::{HardState, Persisted};

#[derive(Clone, Debug)]
pub(crate) struct Durability {
    issued: u64,
    under_way: VecDeque<Batch>,
    /// What the disk has.
    durable: Promises,
    /// What was handed to it last.
    stored: Promises,
}

/// What a node must not forget besides its log: its term, its vote, and what it has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Promises {
    pub(crate) hard_state: HardState,
    /// While there is a loss, the node promises not to vote (rule M5).
    pub(crate) loss: Option<Loss>,
}

impl Promises {
    /// Returns whether these are kept by a disk that has `disk`. Without a loss it does not matter what the disk knows of one
    /// that was made good.
    fn are_in(&self, disk: &Promises) -> bool {
        self.hard_state == disk.hard_state && (self.loss.is_none() || self.loss == disk.loss)
    }
}

#[derive(Clone, Debug)]
struct Batch {
    number: u64,
    promises: Promises,
    /// The last entry of the log that is durable once the batch is.
    proves: Index,
    named: EntryId,
}

impl Durability {
    pub(crate) fn new(durable: Promises) -> Durability {
        Durability { issued: 0, under_way: VecDeque::new(), durable, stored: durable }
    }

    /// Returns whether the disk has these, and nothing else is on its way there.
    pub(crate) fn has(&self, promises: Promises) -> bool {
        promises.are_in(&self.durable) && promises.are_in(&self.stored)
    }

    /// Returns the term and vote that were handed to the disk last.
    pub(crate) fn stored(&self) -> Promises {
        self.stored
    }

    /// Returns whether these were handed to the disk.
    pub(crate) fn is_stored(&self, promises: Promises) -> bool {
        promises.are_in(&self.stored)
    }

    /// Numbers the next batch.
    pub(crate) fn issue(&mut self, promises: Promises, last: EntryId) -> Persisted {
        let before = self.stored.hard_state;
        assert!(promises.hard_state.term >= before.term, "{promises:?} after {before:?}");
        self.issued += 1;
        self.stored = promises;
        self.under_way.push_back(Batch { number: self.issued, promises, proves: last.index, named: last });
        Persisted { batch: self.issued, last }
    }

    /// Takes note that a loss is made good. The disk forgets it by itself, so that it must be told if the same is lost again.
    pub(crate) fn loss_is_made_good(&mut self) {
        let batches = self.under_way.iter_mut().map(|batch| &mut batch.promises);
        batches.chain([&mut self.durable, &mut self.stored]).for_each(|promises| promises.loss = None);
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
            self.durable = batch.promises;
            proved = Some(batch.proves);
        }
        proved
    }
}

/// How often the disk was asked does not tell two states apart, only what it still owes.
impl Hash for Batch {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.promises, self.proves, self.named).hash(hasher);
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

    fn promises(term: u64) -> Promises {
        Promises { hard_state: HardState { term: Term(term), vote: None }, loss: None }
    }

    #[test]
    fn an_ack_for_a_replaced_entry_proves_nothing_of_the_new_one() {
        let mut durability = Durability::new(promises(0));
        let first = durability.issue(promises(0), id(5, 2));
        durability.truncated_from(Index(5));
        let second = durability.issue(promises(0), id(5, 3));
        durability.truncated_from(Index(5));
        let third = durability.issue(promises(0), id(5, 2));
        assert_eq!(durability.complete(first), Some(Index(4)), "the same name, and yet not on the disk");
        assert_eq!(durability.complete(second), Some(Index(4)));
        assert_eq!(durability.complete(third), Some(Index(5)));
        assert!(durability.under_way.is_empty());
    }

    #[test]
    fn one_ack_covers_the_batches_before_it_and_repeats_are_harmless() {
        let mut durability = Durability::new(promises(0));
        let voted = promises(3);
        let first = durability.issue(voted, id(1, 1));
        let second = durability.issue(voted, id(2, 1));
        assert!(!durability.has(voted));
        assert_eq!(durability.complete(second), Some(Index(2)));
        assert!(durability.has(voted));
        assert_eq!(durability.complete(first), None);
    }

    #[test]
    fn a_loss_is_noted_once_and_again_when_it_is_found_again() {
        let loss = Some(Loss { until: Index(7), term: Term(3) });
        let whole = promises(3);
        let lost = Promises { loss, ..whole };
        let mut durability = Durability::new(whole);
        assert!(!durability.is_stored(lost));
        let noted = durability.issue(lost, id(3, 3));
        assert!(durability.is_stored(lost) && !durability.has(lost));
        durability.complete(noted);
        assert!(durability.has(lost));
        durability.loss_is_made_good();
        assert!(durability.has(whole) && !durability.is_stored(lost), "the disk forgot it by itself");
    }
}
