//! What must be true before anything is written: safety assertions, on in release builds too.
//!
//! They stand before the write (rule X2). An assertion after it ends the process as well, but what it has found is on
//! the disk then, and the next start takes it for the truth.

use super::hard_state::Facts;
use super::log::Log;
use crate::core::id::{EntryId, Index};
use crate::core::ready::{HardState, Persist};

impl Log {
    /// Checks that a piece of work follows what the log has, before any of it is written.
    pub(super) fn check_piece(&self, persist: &Persist) {
        let hard_state = persist.hard_state.unwrap_or(self.facts.hard_state);
        check_promise(self.facts.hard_state, hard_state);
        if let Some(first) = persist.truncate_from {
            assert!(first > self.base().index, "truncation from {first}, base {}", self.base());
            assert!(
                first > self.commit.index,
                "truncation from {first} of what is committed, {}",
                self.commit
            );
        }
        self.check_entries(persist);
        let kept = self.terms.at(self.kept(persist)).expect("what is kept is in the log");
        let last = persist.entries.last().map_or(kept, |entry| entry.term);
        let known = hard_state.term;
        assert!(last <= known, "an entry of term {last}, and the disk would know of term {known} only");
        self.check_piece_commit(persist);
    }

    /// Checks that the entries of a piece follow each other, and what is before them. Some may be there already, if the piece
    /// is tried again after a full disk.
    fn check_entries(&self, persist: &Persist) {
        let Some(first) = persist.entries.first() else { return };
        let start = first.index.previous();
        let kept = self.kept(persist);
        let term = self.terms.at(start).filter(|_| start <= kept);
        let Some(term) = term else { panic!("entry {} cannot follow {}", first.id(), self.last()) };
        let mut before = EntryId::new(start, term);
        for entry in &persist.entries {
            let (id, is_there) = (entry.id(), entry.index <= kept);
            assert!(
                id.index == before.index.next() && id.term >= before.term,
                "entry {id} cannot follow {before}"
            );
            assert!(
                !is_there || self.terms.holds(id),
                "entry {id} in the place of another one that is not cut"
            );
            before = id;
        }
    }

    /// Checks that what a piece calls committed is in the log once the piece is: by its name, not by its index (rule X1).
    fn check_piece_commit(&self, persist: &Persist) {
        let commit = persist.commit;
        // Released, or replaced by a snapshot, since the piece was made.
        if commit.index < self.base().index {
            return;
        }
        let first = persist.entries.first().map(|entry| entry.index);
        let among = first.filter(|first| commit.index >= *first).map(|first| commit.index.since(first));
        let will_hold = match among {
            Some(place) => persist.entries.get(place as usize).is_some_and(|entry| entry.id() == commit),
            None => commit.index <= self.kept(persist) && self.terms.holds(commit),
        };
        assert!(
            will_hold,
            "{commit} is committed and would not be in the log, which ends at {}",
            self.last()
        );
    }

    /// Returns the last index that a piece leaves in the log, before its own entries.
    fn kept(&self, persist: &Persist) -> Index {
        let last = self.last().index;
        persist.truncate_from.map_or(last, |first| last.min(first.previous()))
    }

    /// Returns the entry to note as committed. More than what is durable here may be committed, by others; noting that would
    /// look like a loss after a crash.
    pub(super) fn commit_to_note(&self) -> EntryId {
        let index = self.commit.index.min(self.synced);
        let term = self.terms.at(index).expect("what is committed and durable is in the log");
        let durable = EntryId::new(index, term);
        if durable.index > self.facts.commit.index { durable } else { self.facts.commit }
    }

    /// Checks facts that are about to be written: no vote is forgotten, numbers that only rise do not fall, and what they
    /// call committed is the base or a durable entry of this log that stays in it.
    pub(super) fn check_facts(&self, next: &Facts) {
        let now = &self.facts;
        check_promise(now.hard_state, next.hard_state);
        assert_eq!(now.identity, next.identity, "the facts of another member");
        assert!(next.incarnation >= now.incarnation && next.boot >= now.boot, "{next:?} after {now:?}");
        let (commit, base) = (next.commit, next.base);
        let stays = |index: Index| self.void_from.is_none_or(|first| index < first);
        let is_in_log =
            |entry: EntryId| entry.index <= self.synced && self.terms.holds(entry) && stays(entry.index);
        assert!(
            commit == base || (commit.index > base.index && is_in_log(commit)),
            "{commit} noted as committed, of a log from {base} that is durable up to {} and void from {:?}",
            self.synced,
            self.void_from
        );
        // The base is where it was, or an entry of the log; or the log is replaced as a whole.
        let is_replaced = next.is_void || (commit == base && base.index > self.commit.index);
        assert!(base == now.base || is_replaced || is_in_log(base), "the log would begin after {base}");
    }
}

/// Checks that a term does not fall, and that a vote stays what it was within its term.
fn check_promise(now: HardState, next: HardState) {
    let keeps =
        next.term > now.term || (next.term == now.term && (now.vote.is_none() || now.vote == next.vote));
    assert!(keeps, "{next:?} would forget {now:?}");
}
