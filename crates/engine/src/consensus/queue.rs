//! Changes of members that wait for their turn at the leader.

use std::collections::VecDeque;

use machine::ChangeRules;
use proto::etcdserverpb::InternalRaftRequest;
use raft::{Index, NodeId};

use crate::request::{Proposal, RequestId};

/// Changes that wait for their turn at the leader.
pub struct Changes {
    pub(super) rules: ChangeRules,
    /// `--auto-promote-learners`.
    pub(super) promotes_learners: bool,
    pub(super) waiting: VecDeque<Waiting>,
    /// The first one is with the state machine to be checked.
    pub(super) is_checking: bool,
    /// The entry of the last change that was proposed in this leadership: nothing else is looked at before it is applied.
    /// Without leadership it is zero, as the entry may be cut off and never be applied.
    pub(super) proposed: Index,
    /// The removal of this leader for which leadership was to be handed over.
    pub(super) handed_over_before: Option<RequestId>,
    /// Bytes of the commands that wait.
    pub(super) bytes: usize,
}

pub(super) struct Waiting {
    /// The member whose client asked.
    pub(super) origin: NodeId,
    pub(super) proposal: Proposal,
    pub(super) request: Box<InternalRaftRequest>,
    /// When it came, in milliseconds since the start.
    pub(super) since: u64,
}

impl Changes {
    /// No changes yet, under these rules.
    pub fn new(rules: ChangeRules, promotes_learners: bool) -> Self {
        Self {
            rules,
            promotes_learners,
            waiting: VecDeque::new(),
            is_checking: false,
            proposed: Index::ZERO,
            handed_over_before: None,
            bytes: 0,
        }
    }
}
