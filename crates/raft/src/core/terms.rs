//! Which term each entry of the log has, without the entries.
//!
//! Terms only rise along a log, and they rise seldom, so a few runs describe millions of entries. With them the
//! core answers every question of Log Matching from memory, however little of the log itself it holds.

use super::id::{EntryId, Index, Term};

/// The terms of the entries from `base` to `last`, both included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TermRuns {
    /// (first index of the run, its term). Never empty, both ascend; the first is the base.
    runs: Vec<(Index, Term)>,
    last: Index,
}

impl TermRuns {
    /// The terms of a log that starts after `base` and is empty.
    #[must_use]
    pub fn new(base: EntryId) -> TermRuns {
        TermRuns { runs: vec![(base.index, base.term)], last: base.index }
    }

    /// The place before the first entry.
    #[must_use]
    pub fn base(&self) -> EntryId {
        EntryId::new(self.runs[0].0, self.runs[0].1)
    }

    /// The last entry; the base if there is none.
    #[must_use]
    pub fn last(&self) -> EntryId {
        EntryId::new(self.last, self.last_term())
    }

    fn last_term(&self) -> Term {
        self.runs.last().expect("the runs are never empty").1
    }

    /// The term at `index`; `None` before the base and after the last entry.
    #[must_use]
    pub fn at(&self, index: Index) -> Option<Term> {
        if index > self.last {
            return None;
        }
        let after = self.runs.partition_point(|run| run.0 <= index);
        after.checked_sub(1).map(|run| self.runs[run].1)
    }

    /// Whether the log holds exactly this entry, or starts right after it.
    #[must_use]
    pub fn holds(&self, entry: EntryId) -> bool {
        self.at(entry.index) == Some(entry.term)
    }

    /// Adds the next entry.
    ///
    /// # Panics
    /// If it is not the next one, or its term is lower than the last one's.
    pub fn append(&mut self, entry: EntryId) {
        let last = self.last();
        assert!(entry.index == last.index.next() && entry.term >= last.term, "{entry} after {last}");
        if entry.term > last.term {
            self.runs.push((entry.index, entry.term));
        }
        self.last = entry.index;
    }

    /// Drops the entries from `first` on.
    ///
    /// # Panics
    /// If that is the base or before it.
    pub fn truncate_from(&mut self, first: Index) {
        assert!(first > self.base().index, "truncation from {first}, base {}", self.base());
        let keep = self.runs.partition_point(|run| run.0 < first);
        self.runs.truncate(keep);
        self.last = self.last.min(first.previous());
    }

    /// Makes `index` the base.
    ///
    /// # Panics
    /// If it is not in the log.
    pub fn compact_to(&mut self, index: Index) {
        let term = self.at(index).expect("compaction within the log");
        let later = self.runs.partition_point(|run| run.0 <= index);
        self.runs.drain(..later - 1);
        self.runs[0] = (index, term);
    }

    /// The last entry at or before `hint` whose term is not above `hint`'s: where two logs may agree at most, if
    /// one of them ends a term at `hint`. The base if there is none.
    ///
    /// It skips whole terms, so that a follower that diverged is found in as many steps as there are terms,
    /// not entries (Raft paper, end of section 5.3).
    #[must_use]
    pub fn agreement_at_most(&self, hint: EntryId) -> EntryId {
        let bound = hint.index.min(self.last);
        let allowed = self.runs.partition_point(|run| run.0 <= bound && run.1 <= hint.term);
        let Some(run) = allowed.checked_sub(1) else { return self.base() };
        let end = self.runs.get(allowed).map_or(bound, |next| bound.min(next.0.previous()));
        EntryId::new(end, self.runs[run].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64, term: u64) -> EntryId {
        EntryId::new(Index(index), Term(term))
    }

    /// Terms 1 1 1 4 4 6, from index 1.
    fn log() -> TermRuns {
        let mut terms = TermRuns::new(EntryId::ZERO);
        for (index, term) in [1, 1, 1, 4, 4, 6].into_iter().enumerate() {
            terms.append(id(index as u64 + 1, term));
        }
        terms
    }

    #[test]
    fn each_index_has_its_term_and_none_outside() {
        let terms = log();
        let found: Vec<_> = (0..8).map(|index| terms.at(Index(index)).map(|term| term.0)).collect();
        assert_eq!(found, [Some(0), Some(1), Some(1), Some(1), Some(4), Some(4), Some(6), None]);
        assert!(terms.holds(id(5, 4)) && !terms.holds(id(5, 1)) && !terms.holds(id(7, 6)));
    }

    #[test]
    fn truncation_and_compaction_keep_the_rest() {
        let mut terms = log();
        terms.truncate_from(Index(5));
        assert_eq!(terms.last(), id(4, 4));
        terms.truncate_from(Index(4));
        assert_eq!(terms.last(), id(3, 1));
        let mut terms = log();
        terms.compact_to(Index(5));
        assert_eq!((terms.base(), terms.last(), terms.at(Index(4))), (id(5, 4), id(6, 6), None));
        terms.compact_to(Index(6));
        assert_eq!((terms.base(), terms.last()), (id(6, 6), id(6, 6)));
    }

    #[test]
    fn agreement_skips_whole_terms() {
        for (hint, expected) in [
            (id(6, 6), id(6, 6)),
            (id(9, 9), id(6, 6)),
            (id(6, 5), id(5, 4)),
            (id(6, 3), id(3, 1)),
            (id(2, 3), id(2, 1)),
            (id(4, 4), id(4, 4)),
            (id(0, 0), id(0, 0)),
        ] {
            assert_eq!(log().agreement_at_most(hint), expected, "{hint}");
        }
    }
}
