//! ElectionSafety and LeaderCompleteness.

use std::collections::BTreeMap;

use raft::{Index, Node, NodeId, RoleName, Term};

use super::committed::CommittedLog;

#[derive(Default)]
pub(crate) struct Leaders {
    by_term: BTreeMap<Term, NodeId>,
}

impl Leaders {
    /// Takes a node's role. Returns whether it is the first sight of a leader.
    pub(crate) fn observe(&mut self, node: &Node) -> bool {
        if node.role() != RoleName::Leader {
            return false;
        }
        let before = self.by_term.len();
        let known = *self.by_term.entry(node.term()).or_insert(node.id());
        assert_eq!(known, node.id(), "two leaders in term {}", node.term());
        self.by_term.len() > before
    }

    pub(crate) fn of(&self, term: Term) -> Option<NodeId> {
        self.by_term.get(&term).copied()
    }

    /// Returns the leader of the latest term that had one.
    pub(crate) fn latest(&self) -> Option<(Term, NodeId)> {
        self.by_term.last_key_value().map(|(term, id)| (*term, *id))
    }
}

/// Asserts that a leader has every committed entry after `from`, as far as its log reaches back.
pub(crate) fn check_complete(leader: &Node, log: &CommittedLog, from: Index) {
    let base = leader.status().base.index;
    for index in (from.max(base).0 + 1..=log.last().0).map(Index) {
        assert_eq!(
            leader.term_at(index),
            log.term_at(index),
            "{} leads term {} without the committed entry at {index}",
            leader.id(),
            leader.term()
        );
    }
}
