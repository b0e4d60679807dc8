//! Why a backup cannot be made.

use std::io;

/// Why a backup cannot be made. Nothing is wrong with the store unless [`Store`](Self::Store) says so.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] mvcc::ReadError),
    /// The file in which versions are sorted could not be written or read: most often for lack of space.
    #[error("sorting versions for a backup: {0}")]
    Spool(#[from] io::Error),
    /// The rows do not make a file.
    #[error(transparent)]
    File(#[from] dbfile::WriteError),
}
