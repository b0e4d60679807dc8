//! The four roles. What a role knows lives in its variant and ends with it: a follower has no votes to count by
//! mistake, and a deposed leader's reads cannot be answered, because they are gone.
//!
//! A role's handlers do not change roles. They return a [`Transition`], and `Node::swap` is the one place
//! that acts on it.

use std::collections::BTreeMap;

use super::id::{NodeId, Term};
use super::leader::Leader;
use super::message::CampaignReason;
use super::random::Timeout;
use super::reads::ForwardedReads;
use super::ready::RoleName;

#[derive(Clone, Debug, Hash)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

/// Where a handler wants the node to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub(crate) enum Transition {
    Stay,
    /// Follow this leader, or nobody yet, in this term.
    Follow(Term, Option<NodeId>),
    /// Ask whether an election could be won.
    PreCampaign,
    /// Ask for votes in the next term.
    Campaign(CampaignReason),
    /// The election is won.
    Lead,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// Ticks since the leader was heard, or a vote was given.
    pub(crate) silence_ticks: u32,
    pub(crate) timeout: Timeout,
    pub(crate) reads: ForwardedReads,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct PreCandidate {
    pub(crate) votes: BTreeMap<NodeId, bool>,
    pub(crate) elapsed_ticks: u32,
    pub(crate) timeout: Timeout,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Candidate {
    /// The own vote enters when it is durable (rule W6).
    pub(crate) votes: BTreeMap<NodeId, bool>,
    pub(crate) elapsed_ticks: u32,
    pub(crate) timeout: Timeout,
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Role::Follower(_) => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// The leader of the term, as far as this role knows; `own` is this node.
    pub(crate) fn leader(&self, own: NodeId) -> Option<NodeId> {
        match self {
            Role::Follower(follower) => follower.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(own),
        }
    }

    /// Whether the node defends a leader against candidates (rule M3): it leads itself, and the check of the quorum
    /// would have told it otherwise; or it heard of its leader within the shortest election timeout.
    pub(crate) fn defends_leader(&self, election_ticks: u32) -> bool {
        match self {
            Role::Follower(follower) => follower.leader.is_some() && follower.silence_ticks < election_ticks,
            Role::PreCandidate(_) | Role::Candidate(_) => false,
            Role::Leader(_) => true,
        }
    }
}
