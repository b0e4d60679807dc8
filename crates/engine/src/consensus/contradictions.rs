//! Proof that two logs differ where they must not: a leader has another entry at a place that is committed here.
//!
//! One of the two is corrupt, and one message does not say which. As long as that is open, this member serves nobody, and
//! says so: in its log, once a minute, and as the alarm `CORRUPT` of `/health` and of the metrics (rule X3).
//!
//! It ends in one of two ways. Other members have led since and contradict it too, until a majority of the voters has: what
//! they hold is right, and this member starts over (rule A6). Or a leader that did not contradict it commits more: then a
//! majority holds what this member holds, and it was the other one that was wrong. So one peer that is corrupt, or lies, makes
//! no healthy member throw anything away.

use std::collections::BTreeSet;

use raft::{EntryId, Index, Membership, NodeId};

use super::thread::ConsensusThread;
use crate::messages;
use crate::shared::Doubt;

/// Milliseconds between two log lines that say the same.
const REPEAT_MILLIS: u64 = 60_000;

/// Which leaders contradict what is committed here.
#[derive(Debug, Default)]
pub(crate) struct Contradictions {
    leaders: BTreeSet<NodeId>,
    /// The commit index when the first of them did.
    commit: Index,
    /// When the log said so last.
    said_millis: Option<u64>,
}

impl Contradictions {
    /// Notes that a leader contradicts what is committed up to `commit`. Returns whether the log is to say so.
    fn add(&mut self, leader: NodeId, commit: Index, now_millis: u64) -> bool {
        if self.leaders.is_empty() {
            self.commit = commit;
        }
        let is_new = self.leaders.insert(leader);
        let is_time = self.said_millis.is_none_or(|said| now_millis.saturating_sub(said) >= REPEAT_MILLIS);
        let speaks = is_new || is_time;
        if speaks {
            self.said_millis = Some(now_millis);
        }
        speaks
    }

    /// Whether a majority of the voters contradicts the member `own`.
    fn is_wrong(&self, own: NodeId, membership: &Membership) -> bool {
        membership.is_quorum(|node| node != own && self.leaders.contains(&node))
    }

    /// Returns whether there was a contradiction, and what is committed here was confirmed since, by this leader.
    fn is_refuted(&self, leader: Option<NodeId>, commit: Index) -> bool {
        let is_confirmed =
            commit > self.commit && leader.is_some_and(|leader| !self.leaders.contains(&leader));
        is_confirmed && !self.leaders.is_empty()
    }
}

impl ConsensusThread {
    /// A leader has another entry where this member has a committed one.
    pub(super) fn contradicted(&mut self, leader: NodeId, theirs: EntryId, ours: EntryId) {
        let now = self.millis();
        let speaks = self.contradictions.add(leader, self.node.commit(), now);
        self.handles.shared.set_in_doubt(Doubt::Log, true);
        let is_wrong = self.contradictions.is_wrong(self.node.id(), self.node.membership());
        if speaks {
            tracing::error!(
                leader = %leader,
                "leader-entry" = %theirs,
                "committed-entry" = %ours,
                "{}",
                if is_wrong { messages::LOG_WRONG } else { messages::LOG_CONTRADICTED }
            );
        }
        if is_wrong {
            self.handles.shared.ending.start_over();
        }
    }

    /// Serves again if what is committed here was confirmed.
    pub(super) fn settle_contradictions(&mut self) {
        if self.contradictions.is_refuted(self.node.leader(), self.node.commit()) {
            tracing::warn!("the log of this member is that of the majority; it serves again");
            self.forget_contradictions();
        }
    }

    /// There is another log now, or it was confirmed.
    pub(super) fn forget_contradictions(&mut self) {
        self.contradictions = Contradictions::default();
        self.handles.shared.set_in_doubt(Doubt::Log, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId(1);

    fn of_three() -> Membership {
        Membership::new([1, 2, 3].map(NodeId), [])
    }

    #[test]
    fn one_peer_proves_nobody_wrong_however_often_it_says_so() {
        let mut found = Contradictions::default();
        for now in 0..1000 {
            found.add(NodeId(2), Index(7), now);
            assert!(!found.is_wrong(OWN, &of_three()));
        }
        // Nor do those who have no vote, or this member itself.
        found.add(NodeId(9), Index(7), 0);
        found.add(OWN, Index(7), 0);
        assert!(!found.is_wrong(OWN, &of_three()));
    }

    #[test]
    fn a_majority_of_leaders_does() {
        let mut found = Contradictions::default();
        found.add(NodeId(2), Index(7), 0);
        found.add(NodeId(3), Index(7), 0);
        assert!(found.is_wrong(OWN, &of_three()));
        let of_two = Membership::new([1, 2].map(NodeId), []);
        assert!(!found.is_wrong(OWN, &of_two), "of two nobody knows who is wrong");
    }

    #[test]
    fn a_commit_of_another_leader_refutes_it() {
        let mut found = Contradictions::default();
        found.add(NodeId(2), Index(7), 0);
        assert!(!Contradictions::default().is_refuted(Some(OWN), Index(8)), "there is nothing to refute");
        assert!(!found.is_refuted(Some(NodeId(3)), Index(7)));
        assert!(!found.is_refuted(Some(NodeId(2)), Index(8)));
        assert!(!found.is_refuted(None, Index(8)));
        assert!(found.is_refuted(Some(NodeId(3)), Index(8)));
        assert!(found.is_refuted(Some(OWN), Index(8)));
    }

    #[test]
    fn the_log_says_so_once_a_minute_and_for_each_leader() {
        let mut found = Contradictions::default();
        let says: Vec<bool> = [(2, 0), (2, 100), (3, 200), (3, 60_100), (2, 60_200), (2, 60_300)]
            .into_iter()
            .map(|(leader, now)| found.add(NodeId(leader), Index(7), now))
            .collect();
        assert_eq!(says, [true, false, true, false, true, false]);
    }
}
