//! A data directory that this process has to itself, or shares with others that only read.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use datadir::{DataDirError, Layout, Lock};

use super::failure::Failure;

/// How often the lock is asked for while another process holds it.
const PAUSE: Duration = Duration::from_millis(50);

/// A data directory whose lock is held.
pub(super) struct Held {
    pub(super) layout: Layout,
    /// Where the raft log is.
    pub(super) wal: PathBuf,
    /// `None`: there is no lock file, so nobody can serve the directory.
    _lock: Option<Lock>,
}

impl Held {
    /// Waits for the lock that readers share. `doing` says what for, in an error.
    pub(super) fn shared(
        root: &Path,
        wal: Option<PathBuf>,
        timeout: Option<Duration>,
        doing: &str,
    ) -> Result<Self, Failure> {
        Self::take(root, wal, timeout, Lock::shared).map_err(|what| {
            Failure::error(format!("cannot {doing} data directory {}: {what}", root.display()))
        })
    }

    /// Waits for the lock that a process has alone.
    pub(super) fn exclusive(root: &Path, timeout: Option<Duration>) -> Result<Self, String> {
        Self::take(root, None, timeout, |layout| Lock::exclusive(layout).map(Some))
    }

    fn take(
        root: &Path,
        wal: Option<PathBuf>,
        timeout: Option<Duration>,
        lock: impl Fn(&Layout) -> Result<Option<Lock>, DataDirError>,
    ) -> Result<Self, String> {
        let layout = Layout::of(root);
        if layout.is_etcds() {
            return Err("it holds data of etcd; use etcd's own etcdutl".to_owned());
        }
        if !layout.member().is_dir() {
            return Err(format!("{}: no such directory", layout.member().display()));
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match lock(&layout) {
                Err(DataDirError::InUse(_)) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                    sleep(PAUSE);
                }
                Err(DataDirError::InUse(_)) => {
                    return Err(
                        "a running member has locked it; stop the member, or look at a copy".to_owned()
                    );
                }
                Err(error) => return Err(error.to_string()),
                Ok(lock) => {
                    let wal = wal.unwrap_or_else(|| layout.wal());
                    return Ok(Self { layout, wal, _lock: lock });
                }
            }
        }
    }
}
