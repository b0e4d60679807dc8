//! What may be sent again.
//!
//! A call that only reads is repeated wherever an answer may still be had. A write is repeated only if it was surely not
//! done: it was never sent, or a member has refused it before proposing it (K2). Everything else is reported with
//! [`Outcome::Unknown`]: a write that is repeated may be done twice, or may be done after somebody else's.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};

use crate::error::Outcome;

/// The pause before the first round of repetitions that all endpoints have already failed.
const PAUSE_FIRST: Duration = Duration::from_millis(25);

/// The longest pause between two rounds.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The text with which a member without a vote refuses most calls.
const LEARNER: &str = "etcdserver: rpc not supported for learner";

/// Texts with which a member refuses a request before it proposes anything, though it might succeed elsewhere or later.
const REFUSALS: [&str; 7] = [
    "etcdserver: no leader",
    "etcdserver: not capable",
    LEARNER,
    "etcdserver: too many requests",
    "etcdserver: unhealthy cluster",
    "raft proposal dropped",
    "etcdserver: not leader",
];

/// The text with which a command is refused when it comes to be applied and users or permissions have changed since it was
/// proposed: nothing was done, and the same may succeed at once.
const OLD_REVISION: &str = "etcdserver: revision of auth store is old";

/// Texts about the token of a request.
const TOKEN_REFUSALS: [&str; 3] =
    ["etcdserver: invalid auth token", OLD_REVISION, "etcdserver: user name is empty"];

/// How tonic begins to say that an answer has more bytes than are taken.
const ANSWER_TOO_LARGE: &str = "Error, decoded message length too large";

/// What our own part of a call knows about it, attached to a status that no member has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// The request never left.
    NotSent,
    /// The request was sent, and no answer came.
    NoAnswer,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Local::NotSent => "the request was not sent",
            Local::NoAnswer => "the request was sent, and no answer came",
        })
    }
}

impl std::error::Error for Local {}

/// Makes a status of our own.
pub(crate) fn local(code: Code, text: impl Into<String>, local: Local) -> Status {
    let mut status = Status::new(code, text);
    status.set_source(Arc::new(local));
    status
}

fn local_part(status: &Status) -> Option<Local> {
    status.source().and_then(|source| source.downcast_ref::<Local>()).copied()
}

/// Returns whether the status is our own: no member has sent it.
pub(crate) fn is_local(status: &Status) -> bool {
    local_part(status).is_some()
}

/// Returns whether a member does not accept the token, or misses one: with credentials at hand, authentication was enabled
/// after the last call.
pub(crate) fn is_about_token(status: &Status) -> bool {
    TOKEN_REFUSALS.contains(&status.message())
}

/// Returns what is known about a write whose call ended with this status.
pub(crate) fn outcome(status: &Status) -> Outcome {
    match local_part(status) {
        Some(Local::NotSent) => return Outcome::NotDone,
        Some(Local::NoAnswer) => return Outcome::Unknown,
        None => {}
    }
    let may_be_done = match code(status) {
        Code::Unavailable | Code::Unknown => !REFUSALS.contains(&status.message()),
        Code::DeadlineExceeded | Code::Cancelled | Code::Internal | Code::Aborted => true,
        // `corrupt cluster` is answered while the command is applied.
        Code::DataLoss => true,
        // Our own part has not taken what the member answered when it was done.
        Code::OutOfRange => status.message().starts_with(ANSWER_TOO_LARGE),
        _ => false,
    };
    if may_be_done { Outcome::Unknown } else { Outcome::NotDone }
}

/// Returns the code of a status. What the services for locks and elections answer always has the code `Unknown`, and
/// etcd's own client then goes by the text.
pub(crate) fn code(status: &Status) -> Code {
    if status.code() != Code::Unknown {
        return status.code();
    }
    match status.message() {
        "etcdserver: too many requests" => Code::ResourceExhausted,
        "etcdserver: re-configuration failed due to not enough started members" => Code::FailedPrecondition,
        "etcdserver: requested lease not found" => Code::NotFound,
        "etcdserver: key is not provided" => Code::InvalidArgument,
        "etcdserver: permission denied" => Code::PermissionDenied,
        "etcdserver: user name is empty" => Code::InvalidArgument,
        "etcdserver: invalid auth token" => Code::Unauthenticated,
        "etcdserver: no leader" => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// What to do about a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is sent again, to another endpoint if there is one.
    Again,
    /// It is sent again if there is an endpoint that has not refused it yet.
    Elsewhere,
    /// It is sent again with a new token.
    WithNewToken,
    /// It is sent again: with a new token, or with the certificate that it was sent with.
    WithCurrentUser,
    /// It has failed.
    Failed,
}

/// Whether doing a call twice is the same as doing it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

/// Decides about a call that ended with this status.
pub(crate) fn verdict(status: &Status, effect: Effect) -> Verdict {
    if status.message() == OLD_REVISION {
        return Verdict::WithCurrentUser;
    }
    if is_about_token(status) {
        return Verdict::WithNewToken;
    }
    if status.message() == LEARNER {
        return Verdict::Elsewhere;
    }
    // Which member leads does not change by asking another, and a cluster that lacks members stays so for a while.
    let is_lasting = ["etcdserver: not leader", "etcdserver: unhealthy cluster"].contains(&status.message());
    if REFUSALS.contains(&status.message()) {
        return if is_lasting { Verdict::Failed } else { Verdict::Again };
    }
    match (local_part(status), effect) {
        (Some(Local::NotSent), _) if status.code() == Code::Unavailable => Verdict::Again,
        (_, Effect::Reads) if status.code() == Code::Unavailable => Verdict::Again,
        _ => Verdict::Failed,
    }
}

/// Returns the pause before a round of repetitions, counted from 0, with some randomness: clients that failed together
/// should not come back together.
pub(crate) fn pause(round: u32) -> Duration {
    let whole = PAUSE_FIRST.saturating_mul(1 << round.min(8)).min(PAUSE_MAX);
    whole / 2 + (whole / 2).mul_f64(crate::random::fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status that a member sends.
    fn sent(code: Code, text: &str) -> Status {
        Status::new(code, text)
    }

    #[test]
    fn a_write_is_repeated_only_if_it_was_surely_not_done() {
        use {Effect::*, Outcome::*, Verdict::*};
        for (status, outcome_expected, write, read) in [
            (local(Code::Unavailable, "x", Local::NotSent), NotDone, Again, Again),
            (local(Code::Unavailable, "x", Local::NoAnswer), Unknown, Failed, Again),
            (local(Code::DeadlineExceeded, "x", Local::NoAnswer), Unknown, Failed, Failed),
            (sent(Code::Unavailable, "etcdserver: no leader"), NotDone, Again, Again),
            (sent(Code::Unavailable, "etcdserver: leader changed"), Unknown, Failed, Again),
            (sent(Code::Unavailable, "etcdserver: request timed out"), Unknown, Failed, Again),
            (sent(Code::Unavailable, "etcdserver: server stopped"), Unknown, Failed, Again),
            (sent(Code::Unknown, "etcdserver: too many requests"), NotDone, Again, Again),
            (
                sent(Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
                NotDone,
                Elsewhere,
                Elsewhere,
            ),
            (
                sent(Code::Unauthenticated, "etcdserver: invalid auth token"),
                NotDone,
                WithNewToken,
                WithNewToken,
            ),
            (
                sent(Code::InvalidArgument, "etcdserver: revision of auth store is old"),
                NotDone,
                WithCurrentUser,
                WithCurrentUser,
            ),
            (sent(Code::PermissionDenied, "etcdserver: permission denied"), NotDone, Failed, Failed),
            (sent(Code::Internal, "stream ended"), Unknown, Failed, Failed),
            (
                sent(Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
                NotDone,
                Failed,
                Failed,
            ),
        ] {
            assert_eq!(outcome(&status), outcome_expected, "{status}");
            assert_eq!(verdict(&status, Writes), write, "{status}");
            assert_eq!(verdict(&status, Reads), read, "{status}");
        }
    }

    #[test]
    fn a_pause_grows_and_has_a_limit() {
        assert!(pause(0) <= PAUSE_FIRST);
        assert!(pause(3) >= Duration::from_millis(100));
        assert!(pause(u32::MAX) <= PAUSE_MAX);
    }
}
