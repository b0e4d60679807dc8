//! How a command that was proposed here ended.

use machine::{Rejection, Reply};

/// What the caller of a proposed command gets.
pub(crate) type CommandReply = Result<Reply, Unserved>;

/// Why a request got no answer of the state machine's own, or a refusal by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// The state machine refused it, on every member alike.
    Rejected(Rejection),
    /// Raft did not take it: no leader, or leadership moved before it was committed.
    Dropped,
    /// It was not applied in time; whether it will be is not known.
    TimedOut,
    /// Too many requests are in flight.
    TooMany,
    /// The member is stopping.
    Stopped,
}
