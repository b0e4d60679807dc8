//! StateMachineSafety and durable commits, against one global log.
//!
//! An entry enters the global log when the leader that commits it first knows so. Whatever any node
//! then takes for committed, applies, sends as a snapshot, or finds on its disk after a crash as
//! committed, must be in it: by index *and* term, for an index alone may be about another log.

use raft::{Entry, EntryId, Index, Node, NodeId, Restored, Term};

use super::leaders::Leaders;
use crate::state::{State, content};

struct Committed {
    term: Term,
    /// As whoever applied it first saw it: the entry's content, and the state after it.
    applied: Option<(u64, State)>,
}

#[derive(Default)]
pub(crate) struct CommittedLog {
    entries: Vec<Committed>,
}

impl CommittedLog {
    pub(crate) fn last(&self) -> Index {
        Index(self.entries.len() as u64)
    }

    /// Returns the term of the committed entry at `index`.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        self.get(index).map(|entry| entry.term)
    }

    fn get(&self, index: Index) -> Option<&Committed> {
        self.entries.get((index.0 as usize).checked_sub(1)?)
    }

    /// Takes what a node believes to be committed, after `from`. Returns how many entries nobody
    /// knew of before.
    pub(crate) fn committed_by(&mut self, node: &Node, from: Index, leaders: &Leaders) -> u64 {
        let before = self.last();
        let base = node.status().base.index;
        for index in (from.max(base).0 + 1)..=node.commit().0 {
            let entry = EntryId::new(Index(index), node.term_at(Index(index)).expect("an entry of the log"));
            match self.term_at(entry.index) {
                Some(known) => assert_eq!(
                    known,
                    entry.term,
                    "{} believes {entry} to be committed, but {index}@{known} was",
                    node.id()
                ),
                None => self.commit_first(node, entry, leaders),
            }
        }
        let first_seen = self.last().since(before);
        // Entries of earlier terms are committed by one of the leader's own only (Raft paper,
        // section 5.4.2).
        let own = first_seen == 0 || self.term_at(node.commit()) == Some(node.term());
        assert!(own, "{} commits an entry of an earlier term by counting", node.id());
        first_seen
    }

    fn commit_first(&mut self, node: &Node, entry: EntryId, leaders: &Leaders) {
        let leads = leaders.of(node.term()) == Some(node.id());
        assert!(leads, "{} believes {entry} to be committed, which no leader has committed", node.id());
        assert_eq!(entry.index, self.last().next(), "{} commits with a gap", node.id());
        self.entries.push(Committed { term: entry.term, applied: None });
    }

    /// Takes an entry that was applied, and the state after it.
    pub(crate) fn applied(&mut self, id: NodeId, entry: &Entry, state: State) {
        let place = entry.index.0 as usize - 1;
        let known = self.entries.get_mut(place);
        let known = known.unwrap_or_else(|| panic!("{id} applies {}, which is not committed", entry.id()));
        assert_eq!(known.term, entry.term, "{id} applies {}", entry.id());
        let now = (content(entry), state);
        let first = *known.applied.get_or_insert(now);
        assert_eq!(first, now, "{id} applies another {} than the first that did", entry.id());
    }

    /// Takes a state that was read from a disk or came as a snapshot.
    pub(crate) fn contains(&self, id: NodeId, state: State) {
        if state == State::default() {
            return;
        }
        let known = self.get(state.last.index).and_then(|entry| entry.applied);
        assert_eq!(known.map(|(_, known)| known), Some(state), "{id} has a state that nobody else had");
    }

    /// Takes what a member starts from: what its disk says to be committed was.
    pub(crate) fn restored(&self, id: NodeId, restored: &Restored) {
        let base = restored.terms.base();
        let first = base.index.max(Index(1));
        for index in (first.0..=restored.commit.0).map(Index) {
            assert_eq!(
                restored.terms.at(index),
                self.term_at(index),
                "{id} finds on its disk that the entry at {index} is committed (commit {}), with another term",
                restored.commit
            );
        }
    }
}
