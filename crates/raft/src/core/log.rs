//! The log as the core sees it: its newest part in memory, the rest by name only.
//!
//! ```text
//!   base            handed    commit   stable    handed to storage   last
//!    |                |          |        |               |            |
//!    . . . . . . [====|==========|========|===============|============]
//!   durable log   ^ tail: what is in memory
//! ```
//!
//! Everything not yet durable or not yet committed is in the tail. Older entries leave it when it
//! exceeds its budget; whoever needs them asks the shell to read them from the durable log (see [`Slice::Fetch`]).

use std::collections::VecDeque;

use super::backlog::Backlog;
use super::entry::Entry;
use super::id::{EntryId, Index, Term};
use super::limits::Limits;
use super::terms::TermRuns;

/// Invariants: `base <= handed <= commit <= last`, `stable <= storing <= last`; the tail's entries are consecutive and end
/// at `last`; every entry after `min(stable, commit)` is in the tail, unless it was never in memory (after a restart).
#[derive(Clone, Debug, Hash)]
pub(crate) struct Log {
    terms: TermRuns,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    /// Durable on the own disk.
    stable: Index,
    /// Handed to the durable log, perhaps not durable yet.
    storing: Index,
    /// Bytes of the tail after `stable`.
    unstable_bytes: usize,
    commit: Index,
    /// Handed out as committed.
    handed: Index,
    applied: Index,
    /// The storage must drop its entries from here on before it takes new ones.
    truncate: Option<Index>,
    /// Bytes of the tail after `commit`.
    uncommitted_bytes: usize,
    /// What is committed and not applied.
    unapplied: Backlog,
    /// What is handed out and not applied.
    at_work: Backlog,
}

/// A piece of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slice {
    /// Here it is: at least one entry.
    Entries(Vec<Entry>),
    /// It is in the durable log only, from the index asked for up to this one at least.
    Fetch(Index),
    /// It was compacted away.
    Compacted,
}

impl Log {
    /// The log as recovered: `tail` are the last entries of `terms`, perhaps not all of them; all of it is durable.
    pub(crate) fn restored(terms: TermRuns, tail: Vec<Entry>, commit: Index, applied: Index) -> Log {
        let last = terms.last().index;
        assert!(
            terms.base().index <= applied && applied <= commit && commit <= last,
            "restored out of order"
        );
        let expected = last.since(Index(tail.len() as u64));
        assert!(
            tail.first().is_none_or(|entry| entry.index == Index(expected).next()),
            "tail does not end at {last}"
        );
        let tail_bytes = tail.iter().map(Entry::weight).sum();
        let uncommitted = tail.iter().filter(|entry| entry.index > commit).map(Entry::weight).sum();
        let mut unapplied = Backlog::default();
        let is_unapplied = |entry: &&Entry| applied < entry.index && entry.index <= commit;
        unapplied.add(commit, tail.iter().filter(is_unapplied).map(Entry::weight).sum());
        unapplied.remove_to(applied);
        Log {
            terms,
            tail: tail.into(),
            tail_bytes,
            stable: last,
            storing: last,
            unstable_bytes: 0,
            commit,
            handed: applied,
            applied,
            truncate: None,
            uncommitted_bytes: uncommitted,
            unapplied,
            at_work: Backlog::default(),
        }
    }

    pub(crate) fn base(&self) -> EntryId {
        self.terms.base()
    }

    pub(crate) fn last(&self) -> EntryId {
        self.terms.last()
    }

    pub(crate) fn stable(&self) -> Index {
        self.stable
    }

    pub(crate) fn commit(&self) -> Index {
        self.commit
    }

    /// Returns the last committed entry by its name.
    pub(crate) fn commit_id(&self) -> EntryId {
        let term = self.terms.at(self.commit).expect("what is committed is in the log");
        EntryId::new(self.commit, term)
    }

    pub(crate) fn handed(&self) -> Index {
        self.handed
    }

    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn unstable_bytes(&self) -> usize {
        self.unstable_bytes
    }

    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    /// Whether the state machine has as much to do as it should have at a time.
    pub(crate) fn is_work_enough(&self, limits: &Limits) -> bool {
        self.handed.since(self.applied) >= limits.handed_entries_max
            || self.at_work.bytes() >= limits.handed_bytes_max
    }

    /// Whether the state machine keeps up with what is in the log.
    pub(crate) fn is_applied_in_time(&self, limits: &Limits) -> bool {
        self.commit.since(self.applied) < limits.unapplied_entries_max
            && self.unapplied.bytes() < limits.unapplied_bytes_max
            && self.last().index.since(self.applied) < limits.pending_entries_max
    }

    pub(crate) fn entries_in_memory(&self) -> usize {
        self.tail.len()
    }

    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        self.terms.at(index)
    }

    pub(crate) fn holds(&self, entry: EntryId) -> bool {
        self.terms.holds(entry)
    }

    pub(crate) fn agreement_at_most(&self, hint: EntryId) -> EntryId {
        self.terms.agreement_at_most(hint)
    }

    fn tail_first(&self) -> Index {
        Index(self.last().index.0 + 1 - self.tail.len() as u64)
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        self.terms.append(entry.id());
        let weight = entry.weight();
        self.tail_bytes += weight;
        self.unstable_bytes += weight;
        self.uncommitted_bytes += weight;
        self.tail.push_back(entry);
    }

    /// Drops the entries from `first` on.
    pub(crate) fn truncate_from(&mut self, first: Index) {
        assert!(first > self.commit, "truncation from {first} would undo the commit of {}", self.commit);
        self.terms.truncate_from(first);
        while self.tail.back().is_some_and(|entry| entry.index >= first) {
            let entry = self.tail.pop_back().expect("the tail has a last entry");
            let weight = entry.weight();
            self.tail_bytes -= weight;
            self.uncommitted_bytes -= weight;
            if entry.index > self.stable {
                self.unstable_bytes -= weight;
            }
        }
        let kept = first.previous();
        self.stable = self.stable.min(kept);
        if self.storing > kept {
            self.storing = kept;
            self.truncate = Some(self.truncate.map_or(first, |earlier| earlier.min(first)));
        }
    }

    /// What storage must do next: drop from an index on, then take these entries.
    pub(crate) fn take_unstored(&mut self) -> (Option<Index>, Vec<Entry>) {
        let entries = if self.storing == self.last().index {
            Vec::new()
        } else {
            let skip = self.storing.next().since(self.tail_first()) as usize;
            self.tail.range(skip..).cloned().collect()
        };
        self.storing = self.last().index;
        (self.truncate.take(), entries)
    }

    pub(crate) fn has_unstored(&self) -> bool {
        self.truncate.is_some() || self.storing < self.last().index
    }

    /// Everything up to `index` is durable.
    pub(crate) fn stable_to(&mut self, index: Index) {
        assert!(index <= self.storing, "{index} is durable but was not stored beyond {}", self.storing);
        if index <= self.stable {
            return;
        }
        self.unstable_bytes -= self.weight_of(self.stable, index);
        self.stable = index;
    }

    /// Commits up to `index`; a lower one is no news. Whether it was.
    pub(crate) fn commit_to(&mut self, index: Index) -> bool {
        if index <= self.commit {
            return false;
        }
        assert!(index <= self.last().index, "commit {index} beyond the last entry {}", self.last());
        let weight = self.weight_of(self.commit, index);
        self.uncommitted_bytes -= weight;
        self.unapplied.add(index, weight);
        self.commit = index;
        true
    }

    /// The weight of the tail's entries after `after`, up to `through`.
    fn weight_of(&self, after: Index, through: Index) -> usize {
        let first = self.tail_first();
        let start = after.next().since(first) as usize;
        let end = through.next().since(first) as usize;
        self.tail.range(start.min(end)..end).map(Entry::weight).sum()
    }

    /// Entries from `first` up to `through`, at least one and not many more than `bytes_max`.
    pub(crate) fn slice(&self, first: Index, through: Index, bytes_max: usize) -> Slice {
        if first <= self.base().index {
            return Slice::Compacted;
        }
        let tail_first = self.tail_first();
        if first < tail_first {
            return Slice::Fetch(through.min(tail_first.previous()));
        }
        let start = first.since(tail_first) as usize;
        let end = through.next().since(tail_first) as usize;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let room = bytes < bytes_max;
            bytes += entry.weight();
            room
        };
        // Counted first, so that the list is made in one piece.
        let count = self.tail.range(start..end).take_while(fits).count();
        Slice::Entries(self.tail.range(start..start + count).cloned().collect())
    }

    /// Notes that committed entries up to `index`, of this weight, were handed out.
    pub(crate) fn hand_to(&mut self, index: Index, bytes: usize) {
        assert!(self.handed <= index && index <= self.commit, "handed {index}, committed {}", self.commit);
        self.at_work.add(index, bytes);
        self.handed = index;
    }

    pub(crate) fn applied_to(&mut self, index: Index) {
        assert!(index <= self.handed, "applied {index}, but only {} was handed out", self.handed);
        self.applied = self.applied.max(index);
        self.unapplied.remove_to(index);
        self.at_work.remove_to(index);
    }

    /// Lets entries leave memory that nobody but a slow follower, or a slow state machine, can need.
    pub(crate) fn trim(&mut self, entries_max: usize, bytes_max: usize) {
        let free = self.stable.min(self.commit);
        while self.tail.len() > entries_max || self.tail_bytes > bytes_max {
            match self.tail.front() {
                Some(entry) if entry.index <= free => {
                    self.tail_bytes -= entry.weight();
                    self.tail.pop_front();
                }
                _ => return,
            }
        }
    }

    /// Forgets everything up to `index`, which must be applied; but not what the own disk does not have yet, or the
    /// durable log would get a gap.
    pub(crate) fn compact_to(&mut self, index: Index) {
        assert!(index <= self.applied, "compaction to {index}, but only {} is applied", self.applied);
        let index = index.min(self.stable);
        if index <= self.base().index {
            return;
        }
        self.terms.compact_to(index);
        while self.tail.front().is_some_and(|entry| entry.index <= index) {
            let entry = self.tail.pop_front().expect("the tail has a first entry");
            self.tail_bytes -= entry.weight();
        }
    }

    /// Starts over after a snapshot that ends at `base`.
    pub(crate) fn reset(&mut self, base: EntryId) {
        assert!(base.index > self.commit, "a snapshot at {base} behind the commit of {}", self.commit);
        *self = Log::restored(TermRuns::new(base), Vec::new(), base.index, base.index);
    }

    pub(crate) fn check_invariants(&self) {
        let (base, last) = (self.base().index, self.last().index);
        assert!(base <= self.applied && self.applied <= self.handed && self.handed <= self.commit);
        assert!(self.commit <= last && self.stable <= self.storing && self.storing <= last);
        assert_eq!(self.tail_bytes, self.tail.iter().map(Entry::weight).sum::<usize>());
        let after =
            |index| self.tail.iter().filter(|entry| entry.index > index).map(Entry::weight).sum::<usize>();
        assert_eq!(self.unstable_bytes, after(self.stable));
        assert_eq!(self.uncommitted_bytes, after(self.commit));
        for (place, entry) in self.tail.iter().enumerate() {
            assert_eq!(entry.index, self.tail_first().plus(place));
            assert_eq!(Some(entry.term), self.terms.at(entry.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;

    fn entry(index: u64, term: u64) -> Entry {
        let command = Payload::Command(bytes::Bytes::from(vec![0; 68]));
        Entry { index: Index(index), term: Term(term), payload: command }
    }

    fn log(entries: u64) -> Log {
        let mut log = Log::restored(TermRuns::new(EntryId::ZERO), Vec::new(), Index(0), Index(0));
        (1..=entries).for_each(|index| log.append(entry(index, 1)));
        log
    }

    fn indexes(slice: Slice) -> Vec<u64> {
        match slice {
            Slice::Entries(entries) => entries.iter().map(|entry| entry.index.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_go_to_storage_once_and_again_only_when_replaced() {
        let mut log = log(3);
        let (truncate, entries) = log.take_unstored();
        assert_eq!((truncate, entries.len()), (None, 3));
        assert!(!log.has_unstored());
        log.stable_to(Index(3));
        log.truncate_from(Index(2));
        log.append(entry(2, 2));
        log.check_invariants();
        assert_eq!(log.stable(), Index(1));
        let (truncate, entries) = log.take_unstored();
        assert_eq!((truncate, entries), (Some(Index(2)), vec![entry(2, 2)]));
    }

    #[test]
    fn what_storage_never_saw_needs_no_truncation_there() {
        let mut log = log(1);
        log.take_unstored();
        log.append(entry(2, 1));
        log.truncate_from(Index(2));
        assert_eq!(log.take_unstored(), (None, vec![]));
    }

    #[test]
    fn memory_is_given_back_only_for_entries_that_are_durable_and_committed() {
        let mut log = log(6);
        log.take_unstored();
        log.trim(2, usize::MAX);
        assert_eq!(log.tail.len(), 6);
        log.stable_to(Index(5));
        log.commit_to(Index(3));
        log.hand_to(Index(3), 300);
        log.trim(2, usize::MAX);
        log.check_invariants();
        assert_eq!(log.tail.front().map(|entry| entry.index), Some(Index(4)));
        assert_eq!(log.slice(Index(2), Index(6), 1000), Slice::Fetch(Index(3)));
        assert_eq!(indexes(log.slice(Index(4), Index(6), 1000)), [4, 5, 6]);
    }

    #[test]
    fn a_slice_keeps_to_its_bytes_but_is_never_empty() {
        let log = log(6);
        assert_eq!(indexes(log.slice(Index(2), Index(6), 1)), [2]);
        assert_eq!(indexes(log.slice(Index(2), Index(6), 200)), [2, 3]);
        assert_eq!(indexes(log.slice(Index(2), Index(3), 10_000)), [2, 3]);
    }

    #[test]
    fn what_is_compacted_is_gone() {
        let mut log = log(6);
        log.take_unstored();
        log.stable_to(Index(6));
        log.commit_to(Index(5));
        log.hand_to(Index(5), 500);
        log.applied_to(Index(4));
        log.compact_to(Index(4));
        log.check_invariants();
        assert_eq!(log.slice(Index(4), Index(6), 1000), Slice::Compacted);
        assert_eq!(indexes(log.slice(Index(5), Index(6), 1000)), [5, 6]);
        assert_eq!(log.term_at(Index(4)), Some(Term(1)));
    }

    #[test]
    #[should_panic(expected = "would undo the commit")]
    fn a_committed_entry_is_never_truncated() {
        let mut log = log(3);
        log.commit_to(Index(2));
        log.truncate_from(Index(2));
    }
}
