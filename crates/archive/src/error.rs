//! Why an archive cannot be written or read.

use std::io;

use crate::name::{FullName, PieceName};

/// What a store did not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("{0}: there is no such object")]
    NotFound(String),
    /// A file or directory cannot be used.
    #[error("{op} {path}: {source}")]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The store refused.
    #[error("{what}: the store answered {status}{said}")]
    Refused {
        /// The request.
        what: String,
        /// Status of HTTP.
        status: u16,
        /// What it said beside, beginning with a space.
        said: String,
    },
    /// The connection could not be made, or broke.
    #[error("{what}: {why}")]
    Connection {
        /// The request.
        what: String,
        /// Why.
        why: String,
    },
    /// The store did not answer in time.
    #[error("{what}: the store did not answer within {seconds} s")]
    Slow {
        /// The request.
        what: String,
        /// The time it had.
        seconds: u64,
    },
    /// The answer makes no sense.
    #[error("{what}: the store's answer makes no sense: {why}")]
    Answer {
        /// The request.
        what: String,
        /// Why.
        why: String,
    },
    /// The credentials cannot be used.
    #[error("{0}")]
    Credentials(String),
    /// The settings of TLS cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The member stops.
    #[error("interrupted")]
    Stopped,
}

impl StoreError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Slow { .. } | Self::Answer { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    pub(crate) fn io(op: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io { op, path, source }
    }
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] mvcc::ReadError),
    /// A full backup could not be made.
    #[error(transparent)]
    Export(#[from] backup::ExportError),
    /// What was written is not what the store has.
    #[error("{name}: what the store has is not what was written: {why}")]
    NotVerified {
        /// The object.
        name: String,
        /// The difference.
        why: String,
    },
    /// It took too long, and a newer one is due.
    #[error("the backup was not done within {0} s")]
    TooSlow(u64),
    /// The member does not lead, or does not answer.
    #[error("{0}")]
    Source(String),
    /// There is no archive at this place.
    #[error("there is no archive in {0}")]
    Empty(String),
    /// There are several clusters in it.
    #[error("the archive holds several clusters, {}: name one with --cluster", listed(.0))]
    SeveralClusters(Vec<u64>),
    /// The cluster asked for is not in it.
    #[error("the archive does not hold cluster {asked:016x}, but {}", listed(has))]
    NoSuchCluster {
        /// The one asked for.
        asked: u64,
        /// Those that it has.
        has: Vec<u64>,
    },
    /// There is nothing at or before what was asked for.
    #[error("{wanted} is before the oldest full backup, which is of revision {oldest}")]
    TooOld {
        /// What was asked for.
        wanted: String,
        /// The oldest revision that can be restored.
        oldest: i64,
    },
    /// There is no full backup at all.
    #[error("there is no full backup that was finished")]
    NoFull,
    /// What was asked for is newer than what the archive has.
    #[error("{wanted} is newer than the archive, whose newest revision that can be restored is {newest}")]
    TooNew {
        /// What was asked for.
        wanted: String,
        /// The newest revision that can be restored.
        newest: i64,
    },
    /// Pieces are missing.
    #[error(
        "the changes from revision {missing} on are missing, and there are some from {next} on; the newest revision before \
         {wanted} that can be restored is {newest}"
    )]
    Gap {
        /// What was asked for.
        wanted: String,
        /// The first revision that is missing.
        missing: i64,
        /// Where it goes on.
        next: i64,
        /// The newest revision that can be restored.
        newest: i64,
    },
    /// An object is damaged, and nothing takes its place.
    #[error("{name} is damaged: {why}{}", without(*newest))]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong.
        why: String,
        /// The newest revision that can be restored without it.
        newest: Option<i64>,
    },
    /// A local file cannot be written or read: most often for lack of space.
    #[error("{what}: {source}")]
    Local {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The rows do not make a file.
    #[error(transparent)]
    File(#[from] dbfile::WriteError),
}

impl ArchiveError {
    /// A full backup that is not what its manifest says.
    pub(crate) fn full(name: &FullName, why: impl Into<String>) -> Self {
        Self::Damaged { name: name.to_string(), why: why.into(), newest: None }
    }

    /// A piece that is not what its name says.
    pub(crate) fn piece(name: &PieceName, why: impl Into<String>) -> Self {
        Self::Damaged { name: name.to_string(), why: why.into(), newest: None }
    }

    pub(crate) fn local(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Local { what, source }
    }

    /// Whether a compaction has taken history that is needed.
    pub(crate) fn is_compacted(&self) -> bool {
        matches!(self, Self::History(mvcc::ReadError::Compacted(_)))
    }
}

fn listed(clusters: &[u64]) -> String {
    let clusters: Vec<String> = clusters.iter().map(|cluster| format!("{cluster:016x}")).collect();
    clusters.join(", ")
}

fn without(newest: Option<i64>) -> String {
    match newest {
        Some(newest) => format!("; the newest revision that can be restored without it is {newest}"),
        None => "; nothing can be restored without it".to_owned(),
    }
}
