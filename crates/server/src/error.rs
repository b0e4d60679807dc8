//! Why a member does not start.

use std::io;
use std::path::PathBuf;

/// A fault at the start: one clear line, and exit code 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("listen tcp {address}: bind: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A Unix socket could not be bound.
    #[error("listen unix {}: bind: {source}", path.display())]
    ListenUnix {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A URL names no address to listen on.
    #[error("cannot listen on {0}")]
    Url(String),
    /// Certificates, keys or lists of revoked certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] datadir::DataDirError),
    /// The member cannot found or join a cluster.
    #[error(transparent)]
    Bootstrap(#[from] crate::bootstrap::BootstrapError),
    /// The raft log is gone, and with it what the member promised.
    #[error(
        "the raft log in {} is missing, though the member has one. If it is elsewhere, --wal-dir must say where. If it is lost, \
         nobody knows any more what the member has voted and acknowledged: remove the member from its cluster, its data \
         directory, and add it again",
        .0.display()
    )]
    LogMissing(PathBuf),
    /// The raft log cannot be opened.
    #[error("the raft log in {} cannot be opened: {source}", path.display())]
    Log {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: raft::durable::Error,
    },
    /// The store cannot be opened.
    #[error("the store in {} cannot be opened: {source}", path.display())]
    Store {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: machine::OpenError,
    },
    /// Tokens cannot be given out or checked as `--auth-token` says.
    #[error(transparent)]
    Tokens(#[from] crate::auth::tokens::options::OptionsError),
    /// Calls cannot be traced.
    #[error(transparent)]
    Spans(#[from] crate::spans::SpansError),
    /// The cluster has no place for the member any more.
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    /// `--bootstrap-defrag-threshold-megabytes` asks for it, and it fails.
    #[error("the database cannot be defragmented: {0}")]
    Defragment(#[source] mvcc::RewriteError),
    /// `--memory-mlock` under a limit.
    #[error(
        "--memory-mlock keeps all memory of the process locked, and only {0} bytes may be (RLIMIT_MEMLOCK): raise the limit to \
         infinity (`ulimit -l unlimited`, `LimitMEMLOCK=infinity`), or give the process CAP_IPC_LOCK"
    )]
    MemoryLockLimit(u64),
    /// The kernel does not lock memory.
    #[error("--memory-mlock: memory cannot be locked: {0}")]
    MemoryLock(#[source] io::Error),
    /// A thread or runtime could not be made.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}
