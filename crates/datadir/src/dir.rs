//! A data directory that a server holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::Disk;

use crate::{DataDirError, Layout, Lock, Marker, Origin, State, io_error};

/// Who the member is, and how far its founding came.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Who the member is.
    pub origin: Origin,
    /// Whether log and store may have to be made.
    pub is_founding: bool,
    /// Whether log and store have to be thrown away.
    pub starts_over: bool,
}

/// A data directory that this process holds.
pub struct DataDir {
    layout: Layout,
    disk: Arc<dyn Disk>,
    /// Held until the process ends.
    _lock: Lock,
    /// Of a log that lies elsewhere.
    log_lock: Option<Lock>,
}

impl DataDir {
    /// Takes the directory for this process, making it if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`], [`DataDirError::Etcd`], [`DataDirError::Restoring`], and those of the disk.
    pub fn take(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, DataDirError> {
        let layout = Layout::of(path);
        if layout.is_etcds() {
            return Err(DataDirError::Etcd(path.to_owned()));
        }
        if layout.is_restoring() {
            return Err(DataDirError::Restoring(path.to_owned()));
        }
        let member = layout.member();
        disk.create_dir_all(&member).map_err(io_error("create", &member))?;
        warn_of_loose_mode(path);
        let lock = Lock::exclusive(&layout)?;
        Ok(Self { layout, disk, _lock: lock, log_lock: None })
    }

    /// Takes a log that lies elsewhere for this process, too, making its directory if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::LogInUse`], and those of the disk.
    pub fn take_log(&mut self, dir: &Path) -> Result<(), DataDirError> {
        self.disk.create_dir_all(dir).map_err(io_error("create", dir))?;
        self.log_lock = Some(Lock::of_log(dir)?);
        Ok(())
    }

    /// Returns who the member is; `None` before it knows.
    ///
    /// # Errors
    /// See [`Marker::read`].
    pub fn origin(&self) -> Result<Option<Found>, DataDirError> {
        let marker = Marker::read(&*self.disk, &self.layout.marker())?;
        Ok(marker.map(|Marker { origin, state }| Found {
            origin,
            is_founding: state == State::Founding,
            starts_over: state == State::StartingOver,
        }))
    }

    /// Writes down who the member is, before anything else is made: from now on this, and no flag, says so.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn begin(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::Founding)
    }

    /// Writes down that log and store are there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn complete(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::Complete)
    }

    /// Writes down that log and store cannot be trusted: the next start throws them away. `origin` says who the member is
    /// and where to reach the others.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn start_over(&self, origin: &Origin) -> Result<(), DataDirError> {
        self.write_marker(origin, State::StartingOver)
    }

    /// Throws the store away. Not all at once: whoever calls this has written down before that it is to go.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn remove_store(&self) -> Result<(), DataDirError> {
        let (path, member) = (self.store_dir(), self.layout.member());
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
            _ => self.disk.sync_dir(&member).map_err(io_error("sync", &member)),
        }
    }

    fn write_marker(&self, origin: &Origin, state: State) -> Result<(), DataDirError> {
        Marker { origin: origin.clone(), state }.write(&*self.disk, &self.layout.marker())
    }

    /// Where the raft log is, unless `--wal-dir` says otherwise.
    #[must_use]
    pub fn wal_dir(&self) -> PathBuf {
        self.layout.wal()
    }

    /// Where the store is.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.layout.store()
    }

    /// The disk that all of it is on.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
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
    use crate::{ClusterId, How, Identity, KnownMember, MemberId};

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
    fn two_processes_cannot_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path()).unwrap();
        assert!(matches!(take(dir.path()), Err(DataDirError::InUse(_))));
        drop(first);
        take(dir.path()).unwrap();
    }

    #[test]
    fn two_directories_cannot_share_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let [mut one, mut other] = ["one", "other"].map(|name| take(&dir.path().join(name)).unwrap());
        let log = dir.path().join("log");
        one.take_log(&log).unwrap();
        assert!(matches!(other.take_log(&log), Err(DataDirError::LogInUse(path)) if path == log));
        drop(one);
        other.take_log(&log).unwrap();
    }

    #[test]
    fn a_newer_format_and_a_damaged_marker_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = take(dir.path()).unwrap();
        std::fs::write(data.layout.marker(), r#"{"format": 2, "new": true}"#).unwrap();
        assert!(matches!(data.origin(), Err(DataDirError::NewerFormat { found: 2, .. })));
        std::fs::write(data.layout.marker(), "{").unwrap();
        assert!(matches!(data.origin(), Err(DataDirError::Marker { .. })));
    }

    #[test]
    fn what_a_restore_has_left_is_not_taken_for_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(Layout::of(dir.path()).restoring().member()).unwrap();
        assert!(matches!(take(dir.path()), Err(DataDirError::Restoring(_))));
        assert!(!Layout::of(dir.path()).member().exists());
    }

    #[test]
    fn data_of_etcd_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("member/snap")).unwrap();
        assert!(matches!(take(dir.path()), Err(DataDirError::Etcd(_))));
    }
}
