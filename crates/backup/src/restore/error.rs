//! Why a backup is not restored.

use std::io;
use std::path::PathBuf;

use dbfile::etcd::{EtcdError, Version};
use dbfile::{Digest, PageId};

/// Why a backup is not restored. Nothing is left of what was begun, unless it is said that it could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The data directory is not empty. The text is etcd's.
    #[error("data-dir {:?} not empty or could not be read", .0.display().to_string())]
    NotEmpty(PathBuf),
    /// There is something where the log would be. The text is etcd's.
    #[error("wal-dir {:?} exists", .0.display().to_string())]
    WalExists(PathBuf),
    /// A file or directory cannot be used.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has no digest. The text is etcd's.
    #[error("snapshot missing hash but --skip-hash-check=false")]
    DigestMissing,
    /// The file is not what it was when its digest was made. The text is etcd's.
    #[error("expected sha256 {:?}, got {:?}", Spaced(.stored), Spaced(.computed))]
    DigestWrong {
        /// The digest at the end of the file.
        stored: Digest,
        /// That of what the file has.
        computed: Digest,
    },
    /// The file is damaged, or a row is not what its bucket has.
    #[error("invalid snapshot file: {0}")]
    File(#[from] EtcdError),
    /// A row contradicts others, or cannot be in a store.
    #[error(
        "invalid snapshot file: {page}, bucket \"{}\", row \"{}\": {what}",
        bucket.escape_ascii(),
        row.escape_ascii()
    )]
    Row {
        /// The page, or the first of its run.
        page: PageId,
        /// The bucket.
        bucket: Vec<u8>,
        /// The row's key.
        row: Vec<u8>,
        /// What is wrong with it.
        what: String,
    },
    /// A bucket that no etcd known here has.
    #[error("invalid snapshot file: bucket \"{}\" is unknown: a newer etcd, or another program, wrote it", .0.escape_ascii())]
    UnknownBucket(Vec<u8>),
    /// The rows are those of a newer etcd. The text is etcd's.
    #[error("version {:?} is not supported", .0.to_string())]
    NewerVersion(Version),
    /// The revision cannot be raised so far.
    #[error("the latest revision, {latest}, cannot be raised by {by}")]
    Bump {
        /// The latest revision.
        latest: i64,
        /// By how much.
        by: u64,
    },
    /// The file in which versions are sorted could not be written or read: most often for lack of space.
    #[error("sorting versions: {0}")]
    Sort(#[source] io::Error),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] mvcc::Error),
    /// The state is none that a member opens.
    #[error(transparent)]
    State(#[from] machine::OpenError),
    /// The store does not take what the file has.
    #[error("invalid snapshot file: {0}")]
    Content(&'static str),
    /// The raft log could not be made.
    #[error(transparent)]
    Log(#[from] raft::durable::Error),
    /// The data directory could not be made.
    #[error(transparent)]
    DataDir(#[from] datadir::DataDirError),
    /// A state could not be written as a database.
    #[error(transparent)]
    Export(#[from] crate::ExportError),
    /// A log of an etcd cannot be read.
    #[error("{}, offset {offset}: {what}", path.display())]
    EtcdLog {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// What the log of an etcd has does not follow what its database has.
    #[error("{0}")]
    Contradiction(String),
}

impl RestoreError {
    /// What is read a second time is not what it was.
    pub(super) fn changes_meanwhile() -> Self {
        Self::Contradiction("the file changes while it is read".to_owned())
    }
}

impl From<dbfile::Error> for RestoreError {
    fn from(error: dbfile::Error) -> Self {
        Self::File(error.into())
    }
}

impl From<mvcc::BuildError> for RestoreError {
    fn from(error: mvcc::BuildError) -> Self {
        match error {
            mvcc::BuildError::Store(error) => Self::Store(error),
            mvcc::BuildError::Refused(what) => Self::Content(what),
            other => Self::Contradiction(other.to_string()),
        }
    }
}

/// A digest as Go's `%v` prints bytes.
struct Spaced<'a>(&'a Digest);

impl std::fmt::Debug for Spaced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<String> = self.0.0.iter().map(u8::to_string).collect();
        write!(f, "[{}]", bytes.join(" "))
    }
}

/// Makes an error of one of the operating system.
pub(super) fn io_error(
    op: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> RestoreError + use<> {
    let path = path.to_owned();
    move |source| RestoreError::Io { op, path, source }
}
