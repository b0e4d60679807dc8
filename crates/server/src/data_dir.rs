//! The data directory: whose it is, which format it has, and that only one process uses it.
//!
//! ```text
//! <data-dir>/                      0700
//!   member/
//!     quorate.json                 format, cluster id, member id, whom the member knew at its start; written first, with
//!                                  `founding`, and again when log and store are there
//!     lock                         locked for as long as a process serves this directory
//!     wal/                         the raft log (or --wal-dir)
//!     kv/                          the store: current state and history
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wal::Disk;

use crate::bootstrap::{How, KnownMember, Origin};
use crate::ids::{ClusterId, Identity, MemberId};

/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// Longest marker file that is believed to be one.
const MARKER_BYTES_MAX: u64 = 64 * 1024;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process serves it.
    #[error("data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
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

/// What the marker file says. Ids are hexadecimal text, as etcd prints them: JSON numbers lose digits.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    cluster_id: String,
    member_id: String,
    #[serde(default)]
    how: How,
    #[serde(default)]
    members: Vec<KnownMember>,
    /// Log and store may not be there yet. From the moment on when this says no, a log that is not there is lost.
    #[serde(default)]
    founding: bool,
    /// Log and store are to be thrown away and fetched from the others.
    #[serde(default)]
    starting_over: bool,
}

/// What the marker says of log and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Founding,
    Complete,
    StartingOver,
}

/// Who the member is, and how far its founding came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) origin: Origin,
    /// Whether log and store may have to be made.
    pub(crate) is_founding: bool,
    /// Whether log and store have to be thrown away.
    pub(crate) starts_over: bool,
}

/// A data directory that this process holds.
pub(crate) struct DataDir {
    member: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held until the process ends: the operating system lets go of it even after `kill -9`.
    _lock: File,
}

impl DataDir {
    /// Takes the directory for this process, making it if it is not there.
    pub(crate) fn take(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, DataDirError> {
        let member = path.join("member");
        if member.join("snap").exists() {
            return Err(DataDirError::Etcd(path.to_owned()));
        }
        disk.create_dir_all(&member).map_err(io_error("create", &member))?;
        warn_of_loose_mode(path);
        let lock_path = member.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { member, disk, _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(io_error("lock", &lock_path)(source)),
        }
    }

    /// Who the member is; `None` before it knows.
    pub(crate) fn origin(&self) -> Result<Option<Found>, DataDirError> {
        let path = self.marker_path();
        if !path.try_exists().map_err(io_error("look for", &path))? {
            return Ok(None);
        }
        let content =
            wal::read_file(&*self.disk, &path, MARKER_BYTES_MAX).map_err(io_error("read", &path))?;
        let damaged = |what: String| DataDirError::Marker { path: path.clone(), what };
        // The format alone first: a newer marker may have other fields.
        let value: serde_json::Value =
            serde_json::from_slice(&content).map_err(|error| damaged(error.to_string()))?;
        let found = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0) as u32;
        if found > FORMAT {
            return Err(DataDirError::NewerFormat { path: self.member.clone(), found });
        }
        let marker: Marker = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let id = |text: &str| u64::from_str_radix(text, 16).map_err(|error| damaged(error.to_string()));
        let identity = Identity {
            cluster: ClusterId(id(&marker.cluster_id)?),
            member: MemberId(id(&marker.member_id)?),
        };
        let origin = Origin { identity, how: marker.how, members: marker.members };
        Ok(Some(Found { origin, is_founding: marker.founding, starts_over: marker.starting_over }))
    }

    /// Writes down who the member is, before anything else is made: from now on this, and no flag, says so.
    pub(crate) fn begin(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::Founding)
    }

    /// Writes down that log and store are there.
    pub(crate) fn complete(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::Complete)
    }

    /// Writes down that log and store cannot be trusted: the next start throws them away. `origin` says who the member is
    /// and where to reach the others.
    pub(crate) fn start_over(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::StartingOver)
    }

    /// Throws the store away. Not all at once: whoever calls this has written down before that it is to go.
    pub(crate) fn remove_store(&self) -> Result<(), DataDirError> {
        let path = self.store_dir();
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
            _ => self.disk.sync_dir(&self.member).map_err(io_error("sync", &self.member)),
        }
    }

    fn write_marker(&self, origin: &Origin, state: State) -> Result<(), DataDirError> {
        let marker = Marker {
            format: FORMAT,
            cluster_id: origin.identity.cluster.to_string(),
            member_id: origin.identity.member.to_string(),
            how: origin.how,
            members: origin.members.clone(),
            founding: state == State::Founding,
            starting_over: state == State::StartingOver,
        };
        let content = serde_json::to_vec_pretty(&marker).expect("a struct of numbers and strings is JSON");
        let path = self.marker_path();
        wal::replace_file(&*self.disk, &path, &content).map_err(io_error("write", &path))
    }

    fn marker_path(&self) -> PathBuf {
        self.member.join("quorate.json")
    }

    /// Where the raft log is, unless `--wal-dir` says otherwise.
    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.member.join("wal")
    }

    /// Where the store is.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.member.join("kv")
    }

    /// The disk that all of it is on.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}

fn io_error(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { op, path, source }
}

/// etcd insists on 0700 when it makes the directory and warns when it finds it looser.
fn warn_of_loose_mode(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = path.metadata() {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(dir = %path.display(), permission = format!("{mode:o}"),
                "data directory can be read by others; 0700 is recommended to protect its content");
        }
    }
}

#[cfg(test)]
mod tests {
    use wal::OsDisk;

    use super::*;

    fn take(path: &Path) -> Result<DataDir, DataDirError> {
        DataDir::take(Arc::new(OsDisk), path)
    }

    fn origin() -> Origin {
        let identity = Identity { cluster: ClusterId(0xcdf8_18ae), member: MemberId(0x8e9e_05c5_2164_694d) };
        let own = KnownMember {
            id: identity.member,
            name: "n".into(),
            peer_urls: vec!["http://127.0.0.1:1".into()],
        };
        Origin { identity, how: How::Joined, members: vec![own] }
    }

    #[test]
    fn a_founded_directory_knows_its_member() {
        let dir = tempfile::tempdir().unwrap();
        let data = take(dir.path()).unwrap();
        assert!(data.origin().unwrap().is_none());
        data.begin(&origin()).unwrap();
        assert_eq!(
            data.origin().unwrap(),
            Some(Found { origin: origin(), is_founding: true, starts_over: false })
        );
        data.start_over(&origin()).unwrap();
        assert_eq!(
            data.origin().unwrap(),
            Some(Found { origin: origin(), is_founding: false, starts_over: true })
        );
        data.complete(&origin()).unwrap();
        assert_eq!(
            data.origin().unwrap(),
            Some(Found { origin: origin(), is_founding: false, starts_over: false })
        );
    }

    #[test]
    fn a_marker_of_a_member_alone_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = take(dir.path()).unwrap();
        std::fs::write(data.marker_path(), r#"{"format": 1, "cluster_id": "a", "member_id": "b"}"#).unwrap();
        let identity = Identity { cluster: ClusterId(0xa), member: MemberId(0xb) };
        let origin = Origin { identity, how: How::Founded, members: Vec::new() };
        assert_eq!(data.origin().unwrap(), Some(Found { origin, is_founding: false, starts_over: false }));
    }

    #[test]
    fn two_processes_cannot_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path()).unwrap();
        assert!(matches!(take(dir.path()), Err(DataDirError::InUse(_))));
        drop(first);
        take(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_format_and_a_damaged_marker_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = take(dir.path()).unwrap();
        std::fs::write(data.marker_path(), r#"{"format": 2, "new": true}"#).unwrap();
        assert!(matches!(data.origin(), Err(DataDirError::NewerFormat { found: 2, .. })));
        std::fs::write(data.marker_path(), "{").unwrap();
        assert!(matches!(data.origin(), Err(DataDirError::Marker { .. })));
    }

    #[test]
    fn data_of_etcd_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("member/snap")).unwrap();
        assert!(matches!(take(dir.path()), Err(DataDirError::Etcd(_))));
    }
}
