//! The data directory of a member: where its files are, whose they are, and that only one process uses them.
//!
//! ```text
//! <data-dir>/                      0700
//!   member/
//!     quorate.json                 the marker: format, cluster id, member id, whom the member knew at its start; written
//!                                  first, with `founding`, and again when log and store are there
//!     lock                         locked for as long as a process serves this directory
//!     wal/                         the raft log (or --wal-dir, which has a lock of its own)
//!     kv/                          the store: current state and history
//!   restoring/                     the same, while a backup is restored: it gets the name `member` when it is whole
//! ```
//!
//! It is a crate of its own because two programs share it: the server, which [takes](DataDir::take) the directory and
//! writes into it, and `quorateutl`, which looks at one that nobody serves ([`Layout`], [`Marker::read`],
//! [`Lock::shared`]) and writes nothing.
//!
//! # The marker
//!
//! JSON, so that an operator can read whose directory it is. Ids are hexadecimal text. Its last field, `checksum`, is the
//! CRC-32 (IEEE) of the marker without that field, written as this crate writes it: eight hexadecimal digits. The first
//! directories were written without; they are read all the same.
//!
//! A directory in which a restore was not finished is no member's: who serves it is refused, and does not take it for an
//! empty one.
//!
//! The ids of founders follow from their [URLs](url), so those are here, too, and what founders have to agree on ([`founding`]).
//!
//! What it does not know: what is in the log and in the store, gRPC, configuration.

mod dir;
pub mod founding;
mod ids;
mod layout;
mod lock;
mod marker;
pub mod url;

pub use dir::{DataDir, Found};
pub use founding::FoundingError;
pub use ids::{ClusterId, Identity, MemberId, cluster_id, member_id};
pub use layout::Layout;
pub use lock::Lock;
pub use marker::{How, KnownMember, Marker, Origin, State};
pub use url::Url;

use std::io;
use std::path::{Path, PathBuf};

/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process serves it.
    #[error("data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Another process writes into the log.
    #[error("the raft log in {} is in use by another process", .0.display())]
    LogInUse(PathBuf),
    /// A newer version wrote it.
    #[error("data directory {} has format {found}, and this version reads formats up to {FORMAT}", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// etcd wrote it.
    #[error("data directory {} holds data of etcd, which quorate does not read; start with an empty directory", .0.display())]
    Etcd(PathBuf),
    /// A restore was begun in it and not finished.
    #[error(
        "data directory {} holds a restore that was not finished: restore the backup again, or remove {}",
        .0.display(),
        .0.join("restoring").display()
    )]
    Restoring(PathBuf),
    /// The marker says nothing sensible.
    #[error("{} is damaged: {what}", path.display())]
    Marker {
        /// The marker file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused.
    #[error("data directory: cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn io_error(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { op, path, source }
}
