//! The one place where refusals and faults become gRPC statuses.

use machine::{Failure, Rejection};
use mvcc::ReadError;
use tonic::{Code, Status};

use crate::engine::reply::Unserved;

/// The status of a refusal by the state machine.
pub(crate) fn rejected(rejection: Rejection) -> Status {
    Status::new(Code::from(rejection.code() as i32), rejection.text())
}

/// The status of a read that was refused or failed.
pub(crate) fn failed(failure: Failure) -> Status {
    match failure {
        Failure::Rejected(rejection) => rejected(rejection),
        // The store could not be read: corruption or a disk fault, reported with file and offset.
        Failure::Store(error) => Status::new(Code::DataLoss, error.to_string()),
    }
}

/// The status of a read of the store that was refused or failed.
pub(crate) fn read_failed(error: ReadError) -> Status {
    match error {
        ReadError::Compacted(_) => rejected(Rejection::Compacted),
        ReadError::Future(_) => rejected(Rejection::FutureRevision),
        ReadError::Store(error) => Status::new(Code::DataLoss, error.to_string()),
    }
}

/// The status of a request that got no answer of the state machine (contract: errors, sections 1 and 2).
pub(crate) fn of(unserved: &Unserved) -> Status {
    match unserved {
        Unserved::Rejected(rejection) => rejected(*rejection),
        Unserved::Dropped => Status::unknown("raft proposal dropped"),
        // As grpc-go words a context that ended: nobody took the proposal.
        Unserved::NoLeader => Status::deadline_exceeded("context deadline exceeded"),
        Unserved::TimedOut => Status::unavailable("etcdserver: request timed out"),
        Unserved::LeaderFailed => {
            Status::unavailable("etcdserver: request timed out, possibly due to previous leader failure")
        }
        Unserved::ConnectionLost => {
            Status::unavailable("etcdserver: request timed out, possibly due to connection lost")
        }
        // etcd's server hands out the client-side error here, which carries no code.
        Unserved::TooMany => Status::unknown("etcdserver: too many requests"),
        Unserved::TooLarge => too_large(),
        Unserved::Stopped => Status::unavailable("etcdserver: server stopped"),
    }
}

/// A request that is longer than the log, or `--max-request-bytes`, allows.
pub(crate) fn too_large() -> Status {
    Status::invalid_argument("etcdserver: request is too large")
}

/// A member without a vote has all data but answers only for itself.
pub(crate) fn not_for_learners() -> Status {
    Status::failed_precondition("etcdserver: rpc not supported for learner")
}

/// A member whose state differs from the others'.
pub(crate) fn corrupt() -> Status {
    rejected(Rejection::Corrupt)
}

/// A member that knows no leader, for callers that insist on one.
pub(crate) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}
