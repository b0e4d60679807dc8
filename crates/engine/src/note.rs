//! What the engines of two members say to each other besides raft.
//!
//! A note is a message like those of raft: it may be lost, and never arrives twice. Who sends one sets itself a deadline.
//! But a note that was surely not sent, because its addressee is not connected, is answered at once in the addressee's
//! place: "I do not lead". So what clients want while their leader is dead waits for the next one, and not in vain.

use machine::Rejection;
use raft::{NodeId, ProposeError};

use crate::request::{Proposal, RequestId};

/// A note from one engine to another, by who takes it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerNote {
    /// For consensus.
    Consensus(ConsensusNote),
    /// A question, nearly always for the leader.
    Ask {
        /// Names the question; the answer bears it.
        nonce: u64,
        /// The question.
        question: Question,
    },
    /// The answer to a question, for whoever has asked.
    Answer {
        /// The question's.
        nonce: u64,
        /// The answer.
        answer: Answer,
    },
}

/// A note that consensus takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsensusNote {
    /// Commands of clients of the sender, for the leader to propose.
    Proposals(Vec<Proposal>),
    /// A change of the membership: the command that a leader proposes as the change's context.
    Change(Proposal),
    /// These proposals or changes were not taken and never will be: their callers may be told so.
    Refused {
        /// Under which their callers wait.
        ids: Vec<RequestId>,
        /// Why not.
        why: Refusal,
    },
}

/// Why a leader, or who is taken for one, does not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A reason that this version does not know.
    Unknown,
    /// It does not lead, or has not confirmed that it does.
    NotLeader,
    /// Too much is in flight.
    Busy,
    /// Longer than an entry of the log may be.
    TooLarge,
    /// Leadership is being handed over.
    Transferring,
    /// The member is stopping.
    Stopping,
    /// Another change of the membership is not finished.
    ChangeUnderWay,
    /// The learner to promote has not caught up.
    LearnerNotReady,
    /// Too few members would be started and connected (`--strict-reconfig-check`).
    NotEnoughStarted,
    /// The state machine would refuse it.
    Rejected(Rejection),
}

/// What members ask each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Renew this lease.
    LeaseRenew {
        /// Its id.
        id: i64,
    },
    /// How long does this lease live?
    LeaseTimeToLive {
        /// Its id.
        id: i64,
    },
    /// Which member leads? Asked of every member, not of the leader alone.
    Leader,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It does not. A lease that does not exist is `Rejected(LeaseNotFound)`.
    Refused(Refusal),
    /// The lease is renewed.
    LeaseRenewed {
        /// For so many seconds.
        ttl: i64,
    },
    /// The lease's times.
    LeaseTimes(LeaseTimes),
    /// The leader, as far as the member that answers knows. What that member sent to another leader it sent before.
    Leader(Option<NodeId>),
}

/// The times of a lease, in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTimes {
    /// For how long it was granted.
    pub granted_ttl: i64,
    /// How long it lives yet.
    pub ttl: i64,
}

impl Refusal {
    /// Whether the same may be asked again, of this member or of another that leads by then. Nothing was proposed (rule K1).
    pub fn is_for_now(self) -> bool {
        matches!(self, Refusal::NotLeader | Refusal::Transferring | Refusal::Stopping)
    }
}

/// Why a proposal of another member is not taken.
impl From<&ProposeError> for Refusal {
    fn from(error: &ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { .. } => Self::NotLeader,
            ProposeError::Busy => Self::Busy,
            ProposeError::TooLarge { .. } => Self::TooLarge,
            ProposeError::Transferring { .. } => Self::Transferring,
        }
    }
}

impl From<ConsensusNote> for PeerNote {
    fn from(note: ConsensusNote) -> Self {
        Self::Consensus(note)
    }
}

/// Bytes of a note and of a proposal, without what they refer to.
const FIXED: usize = 64;

fn weight_of(proposal: &Proposal) -> usize {
    FIXED + proposal.command.len()
}

impl PeerNote {
    /// Returns the note that the sender's own engine gets in the addressee's place if this one is surely not sent: to ask
    /// somebody else, or again.
    pub fn if_unsent(&self) -> Option<PeerNote> {
        match self {
            Self::Consensus(note) => note.if_unsent().map(Self::Consensus),
            Self::Ask { nonce, .. } => {
                Some(Self::Answer { nonce: *nonce, answer: Answer::Refused(Refusal::NotLeader) })
            }
            Self::Answer { .. } => None,
        }
    }

    /// Returns what it costs in memory, in bytes, for budgets.
    pub fn weight(&self) -> usize {
        let own = match self {
            Self::Consensus(note) => note.weight(),
            Self::Ask { .. } | Self::Answer { .. } => 0,
        };
        FIXED + own
    }
}

impl ConsensusNote {
    fn if_unsent(&self) -> Option<Self> {
        let ids = match self {
            Self::Proposals(proposals) => proposals.iter().map(|proposal| proposal.id).collect(),
            Self::Change(change) => vec![change.id],
            Self::Refused { .. } => return None,
        };
        Some(Self::Refused { ids, why: Refusal::NotLeader })
    }

    fn weight(&self) -> usize {
        match self {
            Self::Proposals(proposals) => proposals.iter().map(weight_of).sum(),
            Self::Change(change) => weight_of(change),
            Self::Refused { ids, .. } => size_of_val(&ids[..]),
        }
    }
}
