//! What must hold, one concern a file (Raft paper, figure 3; names as in etcd's TLA+
//! specification).

pub(crate) mod committed;
pub(crate) mod leaders;
pub(crate) mod promises;
pub(crate) mod quorum;
pub(crate) mod reads;

use std::collections::BTreeMap;

use raft::{Index, Node, NodeId, Restored, RoleName};

use committed::CommittedLog;
use leaders::Leaders;
use promises::Promises;
use reads::Reads;

#[derive(Default)]
pub(crate) struct Checkers {
    pub(crate) log: CommittedLog,
    pub(crate) leaders: Leaders,
    pub(crate) promises: Promises,
    pub(crate) reads: Reads,
    /// Up to where each running node's belief of what is committed was compared.
    compared: BTreeMap<NodeId, Index>,
}

/// What a look at a node brought up.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) leader: bool,
    /// Entries that were committed just now, the first time that any node says so.
    pub(crate) committed: u64,
}

impl Checkers {
    /// Looks at a node after something happened to it.
    pub(crate) fn observe(&mut self, node: &Node) -> News {
        node.check_invariants();
        let is_new_leader = self.leaders.observe(node);
        let compared = self.compared.entry(node.id()).or_default();
        let from = std::mem::replace(compared, node.commit());
        assert!(from <= node.commit(), "{}: the commit index fell from {from}", node.id());
        let first_seen = self.log.committed_by(node, from, &self.leaders);
        News { leader: is_new_leader, committed: first_seen }
    }

    /// Looks at the whole of a node's log, also at what was compared before.
    pub(crate) fn observe_again(&mut self, node: &Node) {
        self.compared.insert(node.id(), Index::ZERO);
        self.observe(node);
    }

    /// Looks at the latest leader, if this node is it: whatever is committed, by it or by an
    /// earlier one, it has.
    pub(crate) fn observe_leader(&self, node: &Node, from: Index) {
        let is_latest = self.leaders.latest() == Some((node.term(), node.id()));
        if is_latest && node.role() == RoleName::Leader {
            leaders::check_complete(node, &self.log, from);
        }
    }

    /// Looks at what a member starts from.
    pub(crate) fn restored(&mut self, id: NodeId, restored: &Restored) {
        self.log.restored(id, restored);
        self.promises.restored(id, restored.hard_state);
        self.compared.insert(id, Index::ZERO);
    }
}
