//! The one place where refusals and faults become gRPC statuses.

use engine::reply::Unserved;
use machine::{Failure, Rejection};
use mvcc::ReadError;
use tonic::{Code, Status};

use crate::readers::Unread;

/// The status of a refusal by the state machine.
pub(crate) fn rejected(rejection: Rejection) -> Status {
    Status::new(Code::from(rejection.code() as i32), rejection.text())
}

/// The status of a read that was refused or failed.
pub(crate) fn failed(failure: Failure) -> Status {
    match failure {
        Failure::Rejected(rejection) => rejected(rejection),
        Failure::Store(error) => store_failed(&error),
        Failure::GivenUp => of(&Unserved::Stopped),
    }
}

/// The status of a read of the store that was refused or failed.
pub(crate) fn read_failed(error: ReadError) -> Status {
    match error {
        ReadError::Compacted(_) => rejected(Rejection::Compacted),
        ReadError::Future(_) => rejected(Rejection::FutureRevision),
        ReadError::Store(error) => store_failed(&error),
        // Nobody waits for the answer, or the member stops.
        ReadError::GivenUp => of(&Unserved::Stopped),
    }
}

/// The status of a read for which the store failed.
fn store_failed(error: &mvcc::Error) -> Status {
    // No descriptor is left for a file of the history, for example: nothing is lost.
    let code = if error.is_retryable() { Code::Unavailable } else { Code::DataLoss };
    // Corruption and disk faults say in which file and where.
    Status::new(code, error.to_string())
}

/// The status of a read of a store that is being replaced.
pub(crate) fn replaced() -> Status {
    Status::unavailable("etcdserver: the store is being replaced by a snapshot of the leader")
}

/// The status of what was not read.
pub(crate) fn unread(unread: Unread) -> Status {
    match unread {
        Unread::Stopped => of(&Unserved::Stopped),
        Unread::TooLong(bytes_max) => Status::resource_exhausted(format!(
            "etcdserver: the answer is longer than the {bytes_max} bytes that one request may read; ask for less at a time"
        )),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients do not try again what is lost.
    #[test]
    fn only_what_is_lost_is_called_so() {
        let fault = |errno| mvcc::Error::Io {
            path: "/kv/1.wal".into(),
            op: "open",
            source: std::io::Error::from_raw_os_error(errno),
        };
        let (too_many_open_files, input_output) = (24, 5);
        assert_eq!(read_failed(ReadError::Store(fault(too_many_open_files))).code(), Code::Unavailable);
        assert_eq!(failed(Failure::Store(fault(too_many_open_files))).code(), Code::Unavailable);
        assert_eq!(failed(Failure::Store(fault(input_output))).code(), Code::DataLoss);
    }
}
