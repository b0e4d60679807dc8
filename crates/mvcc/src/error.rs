//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

/// An operating fault: the disk, or what is on it.
///
/// After an error for which [`Error::is_retryable`] and [`Error::is_of_one_value`] say no, the caller stops the process: memory
/// and disk may differ, and the next start decides from the disk alone (W5).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The history log failed.
    #[error("history: {0}")]
    History(#[source] wal::Error),
    /// The database of the current state failed.
    #[error("{}: {source}", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What redb said.
        source: Box<redb::Error>,
    },
    /// A file operation failed.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// There is no space for the checkpoint. Nothing is lost: it can be run again when there is.
    #[error("no space left on the device for a checkpoint: {0}")]
    NoSpace(String),
    /// The database was closed after it had run out of space, and could not be opened again so far. Nothing is lost: the
    /// next checkpoint tries again.
    #[error("{} could not be opened again yet after a checkpoint without space", path.display())]
    NotOpen {
        /// Its file.
        path: PathBuf,
    },
    /// An earlier checkpoint failed with an error that is not retryable: what the disk holds is not known (W5).
    #[error("the store is closed after a failed checkpoint")]
    Closed,
    /// A snapshot cannot be read any more, because the database was opened anew after it had run out of space. Nothing is
    /// wrong: begin another.
    #[error("the snapshot is outdated: the database was opened anew")]
    Outdated,
    /// Something that was durable is damaged. Read errors are no different (W9).
    #[error("{} is corrupt: {what}", path.display())]
    Corrupt {
        /// The damaged file or directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The value of one version of a key is damaged. Everything else can be read, and the key can be deleted and be given a new
    /// value: nothing has to stop for this.
    #[error("{} is corrupt: key \"{}\": {what}", path.display(), key.escape_ascii())]
    DamagedValue {
        /// The damaged file or directory.
        path: PathBuf,
        /// Whose value it is.
        key: Bytes,
        /// What is wrong.
        what: String,
    },
    /// A newer version of this crate wrote the store.
    #[error("{} has format {found}, and this version reads formats up to {known}", path.display())]
    NewerFormat {
        /// Its file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
}

impl Error {
    /// Returns whether no more than one value is damaged: the store can be used as before, and whoever asks for that value is
    /// refused.
    #[must_use]
    pub fn is_of_one_value(&self) -> bool {
        matches!(self, Self::DamagedValue { .. })
    }

    /// Whether the operation may be repeated, with nothing lost so far.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoSpace(_) | Self::NotOpen { .. } => true,
            Self::History(error) => error.is_retryable(),
            // To open a file takes a descriptor, and the process may have none left for a while.
            Self::Io { source, .. } => wal::is_out_of_files(source),
            _ => false,
        }
    }
}

impl From<wal::Error> for Error {
    fn from(error: wal::Error) -> Self {
        match error {
            wal::Error::NoSpace { .. } => Self::NoSpace(error.to_string()),
            other => Self::History(other),
        }
    }
}

/// Why there is no answer to a read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The revision is below the compaction revision.
    #[error("revision has been compacted (compaction revision {0})")]
    Compacted(i64),
    /// The revision is not reached yet.
    #[error("revision is in the future (current revision {0})")]
    Future(i64),
    /// Its [`Pace`](crate::Pace) let it go no farther.
    #[error("the read was given up")]
    GivenUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why there is no compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// At or below the compaction revision.
    #[error("revision has been compacted")]
    Compacted,
    /// Above the current revision.
    #[error("revision is in the future")]
    Future,
}
