//! Requests of clients on their way through the threads.

use bytes::Bytes;
use machine::Rejection;
use mvcc::{RewriteError, Shrunk};
use raft::Index;
use tokio::sync::oneshot;

use crate::reply::Unserved;

/// Identifies one proposed command in the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A command on its way to consensus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Under which its caller waits, if there is one.
    pub id: RequestId,
    /// The encoded command.
    pub command: Bytes,
}

/// Reads of one worker that wait for one barrier.
#[derive(Debug)]
pub struct ReadBatch {
    /// The worker's number.
    pub worker: usize,
    /// Those who wait.
    pub waiting: Vec<oneshot::Sender<Result<(), Unserved>>>,
}

/// What the state machine says of a change.
pub struct Checked {
    /// The change's command.
    pub proposal: Proposal,
    /// Everything up to here was applied when it was checked.
    pub applied: Index,
    /// Whether it may be proposed.
    pub result: Result<(), Rejection>,
}

/// Why nothing is given back.
#[derive(Debug, thiserror::Error)]
pub enum Unshrunk {
    /// Another caller has asked for the same, and it is not done.
    #[error("the database is being defragmented already")]
    Busy,
    /// It was tried.
    #[error(transparent)]
    Failed(#[from] RewriteError),
}

/// Where whoever wants a shorter database is answered.
pub type ShrinkAnswer = oneshot::Sender<Result<Shrunk, Unshrunk>>;
