//! How a command that was proposed here ended.

use machine::txn::Unread;
use machine::{Rejection, Reply};

use crate::note::Refusal;

/// What the caller of a proposed command gets.
pub type CommandReply = Result<Answer, Unserved>;

/// The answer to a command that was applied.
#[derive(Debug)]
pub struct Answer {
    /// The reply; without a body if something is still to be read for it.
    pub reply: Reply,
    /// What is still to be read.
    pub unread: Option<Box<Unread>>,
}

/// Returns what the caller of a command gets, from what the command has done.
pub fn answer(result: Result<Reply, Rejection>, unread: Option<Box<Unread>>) -> CommandReply {
    match result {
        Ok(reply) => Ok(Answer { reply, unread }),
        Err(rejection) => Err(Unserved::Rejected(rejection)),
    }
}

/// Why a request got no answer of the state machine's own, or a refusal by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unserved {
    /// The state machine refused it, on every member alike.
    Rejected(Rejection),
    /// Raft did not take it: only a leader may propose or confirm it, and this member does not lead.
    Dropped,
    /// Nobody led for as long as it could wait; it was not proposed.
    NoLeader,
    /// It was not applied in time; whether it will be is not known.
    TimedOut,
    /// The same, and it was on its way when a leader was lost.
    LeaderFailed,
    /// The same, and this member has no connection to the leader, or as the leader to a quorum.
    ConnectionLost,
    /// Too many requests are in flight.
    TooMany,
    /// The command is longer than an entry of the raft log may be; it was not proposed.
    TooLarge,
    /// The member is stopping.
    Stopped,
}

/// What a caller is told of a refusal that no other leader would take back.
impl From<Refusal> for Unserved {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Busy => Unserved::TooMany,
            Refusal::TooLarge => Unserved::TooLarge,
            Refusal::Rejected(rejection) => Unserved::Rejected(rejection),
            Refusal::LearnerNotReady => Unserved::Rejected(Rejection::LearnerNotReady),
            Refusal::NotEnoughStarted => Unserved::Rejected(Rejection::NotEnoughStarted),
            Refusal::NotLeader
            | Refusal::Transferring
            | Refusal::Stopping
            | Refusal::ChangeUnderWay
            | Refusal::Unknown => Unserved::Dropped,
        }
    }
}
