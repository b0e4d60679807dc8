//! What nodes say to each other.
//!
//! A message names its sender, the sender's incarnation and its term (rule M2); transport checks the cluster. Messages
//! may be lost, repeated, delayed and reordered at will. They come from outside, so [`Message::validate`] looks at
//! everything that the core would otherwise have to trust (rule S9).

use super::entry::{Entry, Payload};
use super::id::{EntryId, Incarnation, Index, NodeId, Session, Term};
use super::limits::Limits;
use super::membership::Membership;
use super::reads::{ReadRequestId, Round};

/// A message between two nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub from: NodeId,
    /// Which life of that node.
    pub incarnation: Incarnation,
    /// To whom.
    pub to: NodeId,
    /// The term the sender is in.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// "Would you vote for me in this term?" Nothing changes by asking (Raft thesis, section 9.6).
    PreVote {
        /// The term the sender would campaign in.
        next_term: Term,
        /// Where its log ends.
        last: EntryId,
    },
    /// The answer to [`Body::PreVote`].
    PreVoteReply {
        /// The term asked about.
        next_term: Term,
        /// Yes or no.
        granted: bool,
    },
    /// "Vote for me in my term."
    Vote {
        /// Where the sender's log ends.
        last: EntryId,
        /// Why it campaigns.
        reason: CampaignReason,
    },
    /// The answer to [`Body::Vote`], durable before it is sent.
    VoteReply {
        /// Yes or no.
        granted: bool,
    },
    /// "After `previous`, the log goes on with these." From the term's leader.
    Append {
        /// The relation this belongs to.
        session: Session,
        /// The entry before the first of `entries`.
        previous: EntryId,
        /// Consecutive entries; none, to find out whether `previous` is there.
        entries: Vec<Entry>,
        /// What the leader has committed.
        commit: Index,
    },
    /// "My log agrees with yours up to here, durably."
    AppendReply {
        /// Echoed.
        session: Session,
        /// Up to where.
        matched: Index,
    },
    /// "I have no such entry."
    AppendRefused {
        /// Echoed.
        session: Session,
        /// The index of the `previous` that is missing or different.
        refused: Index,
        /// Where the logs may agree at most, as far as the follower can tell.
        hint: EntryId,
    },
    /// "This is committed, if you have it." No answer.
    Commit {
        /// The last committed entry that the follower is known to be sent.
        entry: EntryId,
    },
    /// "I lead."
    Heartbeat {
        /// The relation this belongs to.
        session: Session,
        /// What is committed of what the follower has acknowledged.
        commit: Index,
        /// The term of the entry there: the follower's disk may have come back as an older copy, with another one in its
        /// place. `None` if the leader's log begins after it.
        commit_term: Option<Term>,
        /// The newest read round.
        round: Round,
    },
    /// "You do."
    HeartbeatReply {
        /// Echoed.
        session: Session,
        /// Echoed: confirms this round and those before it.
        round: Round,
        /// Set if the follower finds that it lost entries that it had acknowledged: up to where its log may agree with the
        /// leader's (rule M5).
        lost_after: Option<Index>,
    },
    /// "At which index may I answer a read?" To the leader.
    Read {
        /// The question's name.
        request: ReadRequestId,
    },
    /// "At this one, once you have applied it."
    ReadReply {
        /// Echoed.
        request: ReadRequestId,
        /// The index.
        index: Index,
    },
    /// A whole snapshot has arrived with this message; the receiving shell holds and has verified its contents.
    InstallSnapshot {
        /// The relation this belongs to.
        session: Session,
        /// What it contains.
        snapshot: SnapshotMeta,
    },
    /// "Campaign now, without waiting": the leader hands over (Raft thesis, section 3.10).
    CampaignNow,
    /// "There is a later term", as the message's own term says: the answer to a leader of an old term, which could not
    /// win its follower back otherwise.
    LaterTerm,
}

/// Why a node campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CampaignReason {
    /// It heard of no leader.
    Silence,
    /// The leader asked it to; followers then do not defend that leader.
    Transfer,
}

/// What a snapshot replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last entry it contains.
    pub last: EntryId,
    /// The configuration in force there.
    pub membership: Membership,
}

/// Why a message was not taken. Nothing that it says of the log has changed anything; what follows for this member is
/// [`StepError::consequence`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Addressed to another node.
    #[error("a message for {to} came to {id}")]
    NotForMe {
        /// The addressee.
        to: NodeId,
        /// This node.
        id: NodeId,
    },
    /// No correct node sends this.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The sender's log contradicts what is committed here: one of the two lost or invented entries.
    #[error("entry {theirs} of a leader contradicts the committed entry {ours}")]
    ContradictsCommitted {
        /// The entry in the message.
        theirs: EntryId,
        /// The committed one here.
        ours: EntryId,
    },
    /// The message is of a term that is further ahead than one message may move a node ([`TERM_JUMP_MAX`](crate::TERM_JUMP_MAX)). The node went
    /// that far, and the next message goes on from there.
    #[error("a message of term {theirs} came in term {ours}: too far ahead to be taken at once")]
    TermTooFar {
        /// The message's term.
        theirs: Term,
        /// The node's, before.
        ours: Term,
    },
}

/// What a message that was refused says about this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing: messages may be lost, and this one is. Worth a note in the log of the process.
    Dropped,
    /// The leader has another entry where this member has a committed one, so one of the two logs is wrong, and what was
    /// applied here may be. Neither repeats itself away: this member must stop serving, and get log and state anew from the
    /// others (rules A6 and X3), keeping its term and vote: [`Log::forget_entries`](crate::durable::Log::forget_entries).
    LogInDoubt,
}

impl StepError {
    /// Returns what the shell must do about it.
    #[must_use]
    pub fn consequence(&self) -> Consequence {
        match self {
            StepError::NotForMe { .. } | StepError::Malformed(_) | StepError::TermTooFar { .. } => {
                Consequence::Dropped
            }
            StepError::ContradictsCommitted { .. } => Consequence::LogInDoubt,
        }
    }
}

impl Body {
    /// A short name, for logs, metrics and scripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Body::PreVote { .. } => "PreVote",
            Body::PreVoteReply { .. } => "PreVoteReply",
            Body::Vote { .. } => "Vote",
            Body::VoteReply { .. } => "VoteReply",
            Body::Append { .. } => "Append",
            Body::AppendReply { .. } => "AppendReply",
            Body::AppendRefused { .. } => "AppendRefused",
            Body::Commit { .. } => "Commit",
            Body::Heartbeat { .. } => "Heartbeat",
            Body::HeartbeatReply { .. } => "HeartbeatReply",
            Body::Read { .. } => "Read",
            Body::ReadReply { .. } => "ReadReply",
            Body::InstallSnapshot { .. } => "InstallSnapshot",
            Body::CampaignNow => "CampaignNow",
            Body::LaterTerm => "LaterTerm",
        }
    }

    /// Whether only the leader of the message's term says this.
    #[must_use]
    pub fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Body::Append { .. }
                | Body::Commit { .. }
                | Body::Heartbeat { .. }
                | Body::ReadReply { .. }
                | Body::InstallSnapshot { .. }
                | Body::CampaignNow
        )
    }
}

/// Indexes and terms beyond this are nonsense, and refusing them keeps all arithmetic far from overflow.
const NUMBER_MAX: u64 = u64::MAX / 4;

impl Message {
    /// Checks what the message says of itself.
    ///
    /// # Errors
    /// [`StepError::Malformed`].
    pub fn validate(&self, limits: &Limits) -> Result<(), StepError> {
        check(self.from != self.to, "sent to oneself")?;
        check(self.term.0 < NUMBER_MAX, "impossible term")?;
        match &self.body {
            Body::PreVote { next_term, last } => {
                check(next_term.0 == self.term.0 + 1, "a pre-vote for another term than the next")?;
                self.check_entry(*last)
            }
            Body::Vote { last, .. } => self.check_entry(*last),
            Body::Append { previous, entries, commit, .. } => {
                check(commit.0 < NUMBER_MAX, "impossible index")?;
                self.check_entries(*previous, entries, limits.entry_bytes_max)
            }
            Body::AppendRefused { hint, .. } => check(hint.index.0 < NUMBER_MAX, "impossible index"),
            Body::ReadReply { index, .. } => check(index.0 < NUMBER_MAX, "impossible index"),
            Body::Heartbeat { commit, commit_term, .. } => {
                self.check_entry(EntryId::new(*commit, commit_term.unwrap_or_default()))
            }
            Body::Commit { entry } => self.check_entry(*entry),
            Body::InstallSnapshot { snapshot, .. } => {
                check_membership(&snapshot.membership)?;
                self.check_entry(snapshot.last)
            }
            _ => Ok(()),
        }
    }

    fn check_entry(&self, entry: EntryId) -> Result<(), StepError> {
        check(entry.index.0 < NUMBER_MAX, "impossible index")?;
        check(entry.term <= self.term, "an entry of a later term than the message")
    }

    fn check_entries(&self, previous: EntryId, entries: &[Entry], bytes_max: usize) -> Result<(), StepError> {
        self.check_entry(previous)?;
        let mut before = previous;
        for entry in entries {
            check(entry.payload.log_bytes() <= bytes_max, "an entry that no log takes")?;
            check(entry.index == before.index.next(), "entries with a gap")?;
            check(entry.term >= before.term, "terms that fall along the log")?;
            if let Payload::Membership(change) = &entry.payload {
                check_membership(&change.membership)?;
            }
            before = entry.id();
        }
        self.check_entry(before)
    }
}

fn check_membership(membership: &Membership) -> Result<(), StepError> {
    let possible = membership.is_sound() && !membership.voters().is_empty();
    check(possible, "an impossible configuration")
}

fn check(holds: bool, what: &'static str) -> Result<(), StepError> {
    if holds { Ok(()) } else { Err(StepError::Malformed(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(term: u64, previous: (u64, u64), entries: &[(u64, u64)]) -> Message {
        let entry = |&(index, term): &(u64, u64)| Entry {
            index: Index(index),
            term: Term(term),
            payload: Payload::Empty,
        };
        let body = Body::Append {
            session: Session(1),
            previous: EntryId::new(Index(previous.0), Term(previous.1)),
            entries: entries.iter().map(entry).collect(),
            commit: Index(0),
        };
        Message { from: NodeId(1), incarnation: Incarnation(1), to: NodeId(2), term: Term(term), body }
    }

    #[test]
    fn entries_that_no_leader_could_send_are_refused() {
        let limits = Limits::default();
        assert_eq!(append(3, (4, 2), &[(5, 2), (6, 3)]).validate(&limits), Ok(()));
        for malformed in [
            append(3, (4, 2), &[(6, 2)]),
            append(3, (4, 2), &[(5, 1)]),
            append(3, (4, 2), &[(5, 4)]),
            append(3, (4, 4), &[]),
            append(3, (u64::MAX, 1), &[]),
            append(u64::MAX, (0, 0), &[]),
        ] {
            assert!(malformed.validate(&limits).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn an_entry_that_no_log_takes_is_refused() {
        let limits = Limits { entry_bytes_max: 100, ..Limits::default() };
        let with = |bytes: usize| {
            let mut message = append(3, (4, 2), &[(5, 2), (6, 3)]);
            let Body::Append { entries, .. } = &mut message.body else { panic!("an append") };
            entries[1].payload = Payload::Command(bytes::Bytes::from(vec![7; bytes]));
            message.validate(&limits)
        };
        assert_eq!(with(100), Ok(()));
        assert_eq!(with(101), Err(StepError::Malformed("an entry that no log takes")));
    }
}
