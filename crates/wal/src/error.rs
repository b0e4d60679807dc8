//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::is_out_of_files;

/// A fault of a log. What has been acknowledged by a sync is unharmed by any of them but [`Error::Corrupt`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused an operation. After a failed write or sync the log is poisoned.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// There is no space for another segment. Nothing was written; the call may be repeated when there is.
    #[error("no space left for the next segment {}", path.display())]
    NoSpace {
        /// The segment that could not be made.
        path: PathBuf,
    },
    /// Something that was durable is damaged.
    #[error("{} is corrupt at offset {offset}: {what}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Byte in the file where the damage was noticed.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The log belongs to somebody else.
    #[error("{} belongs to {found:x?}, not to {expected:x?}", path.display())]
    ForeignLog {
        /// A segment of it.
        path: PathBuf,
        /// Identity in its header.
        found: [u64; 2],
        /// Identity asked for.
        expected: [u64; 2],
    },
    /// A newer version of this crate wrote the log.
    #[error("{} has format {found}, and this version reads formats up to {known}", path.display())]
    NewerFormat {
        /// A segment of it.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A record is longer than any may be.
    #[error("a record of {bytes} bytes is longer than the {max} that one may have")]
    TooLarge {
        /// Length of the payload.
        bytes: usize,
        /// Longest payload possible.
        max: u64,
    },
    /// A write or sync has failed before: what the disk holds is not known, so nothing more is written to it (W5).
    #[error("the log is closed after a failed write or sync")]
    Poisoned,
    /// A position that no record can have.
    #[error("there is no record at {0}")]
    NoSuchRecord(crate::Position),
}

impl Error {
    /// Returns whether the call may be repeated, with nothing lost and nothing done so far: there was no space for
    /// another segment, or no descriptor left to open a file with.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            // Nothing that has begun to write needs a new descriptor, so this never hides a failed write.
            Self::Io { source, .. } => is_out_of_files(source),
            _ => false,
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: &'static str) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what }
    }
}

/// Names the operation that an IO error belongs to.
pub(crate) trait Context<T> {
    fn context(self, op: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, op: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { path: path.to_owned(), op, source })
    }
}
