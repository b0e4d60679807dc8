//! What can go wrong with a durable log.

use std::io;
use std::path::PathBuf;

use crate::core::id::{EntryId, Index};

/// A fault of the durable log. After [`Error::Io`], [`Error::Poisoned`] or a failed sync nothing it says about
/// durability can be believed any more: the process must end (rule W5).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused an operation on the copies of the hard state.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// There is no space for a new version of the hard state. Nothing has changed, and the call may be repeated.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The log of entries failed.
    #[error(transparent)]
    Wal(#[from] wal::Error),
    /// Neither copy of term and vote is intact. The node may have voted and does not know for whom: it must not take
    /// part again under this identity, but join as a new member.
    #[error("both copies of the vote in {} are lost or damaged: this member must be replaced", dir.display())]
    IdentityLost {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory belongs to another member or another cluster.
    #[error("{} belongs to member {found:x?}, not to {expected:x?} (cluster, member)", path.display())]
    Foreign {
        /// The file that says so.
        path: PathBuf,
        /// Cluster and member found.
        found: [u64; 2],
        /// Cluster and member asked for.
        expected: [u64; 2],
    },
    /// A newer version wrote it.
    #[error("{} has format {found}, and this version reads formats up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// A record is intact and yet not what can follow the one before it.
    #[error("{}: entry {found} cannot follow {before}", dir.display())]
    OutOfOrder {
        /// The directory of the entries.
        dir: PathBuf,
        /// What was found.
        found: EntryId,
        /// What precedes it.
        before: EntryId,
    },
    /// A record is intact and yet cannot be read as an entry.
    #[error("the record of entry {index} is not understood")]
    Undecodable {
        /// The entry's index.
        index: Index,
    },
    /// The log ends before what it is known to have held.
    #[error("{}: the log ends at {last}, but held {needed} once", dir.display())]
    EntriesLost {
        /// The directory of the entries.
        dir: PathBuf,
        /// Where it ends.
        last: Index,
        /// What must be there.
        needed: Index,
    },
    /// The hard state notes an entry as committed, and the log has another one in its place. One of the two is wrong, and
    /// neither can be handed to the state machine.
    #[error("{} notes {committed} as committed, but {} holds {found} there", path.display(), dir.display())]
    CommitContradicted {
        /// A file of the hard state. The other copy says the same.
        path: PathBuf,
        /// The directory of the entries.
        dir: PathBuf,
        /// The entry that is noted as committed.
        committed: EntryId,
        /// The entry of the log at its index.
        found: EntryId,
    },
    /// The state machine's checkpoint is from before the log begins.
    #[error("the log begins after {base}, but the state has applied {applied} only")]
    StateBehind {
        /// The state's applied index.
        applied: Index,
        /// The log's base.
        base: EntryId,
    },
    /// The state machine's checkpoint is ahead of the log. After a crash while a snapshot was installed
    /// [`Log::restore_at`](super::Log::restore_at) finds a way; otherwise state and log are not of one piece.
    #[error("the state has applied {applied}, but the log ends at {last}")]
    StateAhead {
        /// The state's applied index.
        applied: Index,
        /// The log's end.
        last: EntryId,
    },
    /// The state machine's checkpoint ends with an entry that the log has differently.
    #[error("the state has applied {applied}, but the log has {found} there")]
    StateContradicts {
        /// The state's last entry.
        applied: EntryId,
        /// The log's entry at its index.
        found: EntryId,
    },
    /// The log was thrown away, and a crash came before the state was: the state is to be thrown away now, and
    /// [`Log::restore_at`](super::Log::restore_at) to be called with nothing applied.
    #[error("the log was thrown away, but not the state, which has applied {applied}")]
    StateForgotten {
        /// The state's last entry.
        applied: EntryId,
    },
    /// The only voter cannot throw its log away.
    #[error("this member is the only voter: there is nobody to get its log from")]
    NobodyElse,
    /// A log that was thrown away, or never came, cannot be the beginning of a new cluster.
    #[error("this member's log is not complete: it has not got it from the others (again)")]
    LogIncomplete,
    /// A write or sync of the hard state failed before (rule W5).
    #[error("the log is closed after a failed write or sync")]
    Poisoned,
}

impl Error {
    /// Whether the disk is full, or the process has no descriptor left for a file, and nothing else is wrong: the call may be
    /// repeated when there is space.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Wal(error) => error.is_retryable(),
            Self::Io { source, .. } => wal::is_out_of_files(source),
            _ => false,
        }
    }
}
