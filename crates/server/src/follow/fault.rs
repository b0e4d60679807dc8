//! Why following does not go on as it is.

use tonic::Status;

/// What ends a session with the source.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// This member does not lead, or could not get a command through: another session begins, here or elsewhere.
    #[error("this member does not lead, or could not get a command through")]
    NotLeading,
    /// The follow has ended, or has stopped.
    #[error("nothing is followed any more")]
    Over,
    /// The source has not got any more what comes next.
    #[error("the source has compacted what comes next")]
    Compacted,
    /// The source, or the way to it.
    #[error("{0}")]
    Source(String),
}

impl Fault {
    /// What a call of the source failed with.
    pub(super) fn of_call(what: &str, status: &Status) -> Self {
        Self::Source(format!("{what}: {}", status.message()))
    }
}
