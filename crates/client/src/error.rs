//! What can go wrong, and what is then known about a write.

use std::fmt;

use bytes::Bytes;
use tonic::{Code, Status};

use crate::number::{LeaseId, Revision};
use crate::retry;

/// Why a call, a watch or a lease failed.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) {
/// use quorate_client::Outcome;
/// if let Err(error) = client.put("k", "v").await {
///     match error.outcome() {
///         Outcome::NotDone => println!("nothing was written: {error}"),
///         Outcome::Unknown => println!("it may have been written; read it to know: {error}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member has answered with an error, or the connection to it ended, or the time was up.
    #[error("{text}")]
    Call {
        /// gRPC's code.
        code: Code,
        /// etcd's text for what a member answered, else a description.
        text: String,
        /// What is known about the write.
        outcome: Outcome,
    },
    /// The revision that was asked for is compacted: its history is gone. A watch that ends so must begin anew with a
    /// read.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// The oldest revision that is left, if it is known.
        compact_revision: Option<Revision>,
    },
    /// A member has ended a watch, or refused to begin it.
    #[error("the watch was canceled: {reason}")]
    WatchCanceled {
        /// etcd's text.
        reason: String,
    },
    /// A lease has expired or was revoked: what was attached to it is gone.
    #[error("lease {0} is lost")]
    LeaseLost(LeaseId),
    /// Somebody has deleted the key that stood for a lock, for the lead of an election, or for one inside a barrier.
    #[error("the key {} was deleted by somebody else", String::from_utf8_lossy(key))]
    KeyLost {
        /// The key.
        key: Bytes,
    },
    /// An endpoint is none.
    #[error("endpoint {text:?}: {why}")]
    Endpoint {
        /// The endpoint.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS: {what}: {why}")]
    Tls {
        /// A file, or another part of the setup.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The records of a domain cannot be read.
    #[error("DNS: {0}")]
    Dns(String),
    /// A member's answer does not contain what it must.
    #[error("the answer of the member is malformed: {0}")]
    Malformed(&'static str),
    /// The client has no tasks any more: its runtime is being shut down.
    #[error("the client is closed")]
    Closed,
}

/// What is known about a write whose call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was surely not done. It may be tried again.
    NotDone,
    /// It may have been done, or may still be. Only a read can tell.
    Unknown,
}

impl Error {
    /// Returns gRPC's code of it.
    pub fn code(&self) -> Code {
        match self {
            Error::Call { code, .. } => *code,
            Error::Compacted { .. } => Code::OutOfRange,
            Error::WatchCanceled { .. } => Code::Cancelled,
            Error::LeaseLost(_) | Error::KeyLost { .. } => Code::NotFound,
            Error::Endpoint { .. } | Error::Tls { .. } => Code::InvalidArgument,
            Error::Dns(_) | Error::Closed => Code::Unavailable,
            Error::Malformed(_) => Code::Internal,
        }
    }

    /// Returns what is known about the write. Of a call that only reads it says nothing.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Call { outcome, .. } => *outcome,
            Error::Malformed(_) => Outcome::Unknown,
            _ => Outcome::NotDone,
        }
    }

    /// Returns whether the revision that was asked for is compacted.
    pub fn is_compacted(&self) -> bool {
        matches!(self, Error::Compacted { .. })
    }

    /// Returns whether a member answered with this text of etcd, for example `etcdserver: permission denied`.
    pub fn is(&self, etcd_text: &str) -> bool {
        matches!(self, Error::Call { text, .. } if text == etcd_text)
    }

    pub(crate) fn endpoint(text: &str, why: String) -> Error {
        Error::Endpoint { text: text.to_owned(), why }
    }

    pub(crate) fn tls(what: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error::Tls { what: what.to_string(), why: why.to_string() }
    }
}

/// etcd's text for a revision that is gone.
pub(crate) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        if status.message() == COMPACTED {
            return Error::Compacted { compact_revision: None };
        }
        let outcome = retry::outcome(&status);
        Error::Call { code: retry::code(&status), text: status.message().to_owned(), outcome }
    }
}
