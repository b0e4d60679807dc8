//! The data directory that a restore makes: beside what a member would take for its data, until all of it is there.
//!
//! ```text
//!  <data-dir>/restoring/…  ── everything durable ── one rename ──►  <data-dir>/member/…
//! ```
//!
//! The rename is within the data directory, which may be the root of a volume. As long as there is `restoring`, no member
//! serves the directory; a restore that begins again empties it. A log that lies elsewhere is made in its place, and noted in
//! `restoring` before, so that the next restore knows it for what it is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datadir::{Layout, Lock};
use wal::Disk;

use super::RestoreError;
use super::error::io_error;

/// Where a restore puts a member.
#[derive(Debug, Clone)]
pub struct Target {
    /// The data directory. There may be none yet, or an empty one, or what an interrupted restore has left.
    pub data_dir: PathBuf,
    /// Where the raft log is to be, if not in the data directory. There must be nothing yet.
    pub wal_dir: Option<PathBuf>,
}

/// The note of a log that lies elsewhere.
const WAL_NOTE: &str = "wal-dir";

/// The lock, which stays from one restore to the next.
const LOCK: &str = "lock";

/// A data directory that a restore holds.
pub(super) struct Place {
    disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    target: Target,
    is_new: bool,
    is_done: bool,
    _lock: Lock,
}

impl Target {
    /// Checks that there is nothing that a restore would overwrite.
    ///
    /// # Errors
    /// [`RestoreError::NotEmpty`] and [`RestoreError::WalExists`].
    pub fn check(&self) -> Result<(), RestoreError> {
        let not_empty = || RestoreError::NotEmpty(self.data_dir.clone());
        let restoring = Layout::of(&self.data_dir).restoring().member();
        match fs::read_dir(&self.data_dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => return Err(not_empty()),
            Ok(entries) => {
                for entry in entries {
                    if entry.map_err(|_| not_empty())?.path() != restoring {
                        return Err(not_empty());
                    }
                }
            }
        }
        match &self.wal_dir {
            Some(dir) if dir.exists() && !self.has_begun(dir) => Err(RestoreError::WalExists(dir.clone())),
            _ => Ok(()),
        }
    }

    /// Whether an interrupted restore has made this log.
    fn has_begun(&self, wal_dir: &Path) -> bool {
        let note = Layout::of(&self.data_dir).restoring().member().join(WAL_NOTE);
        fs::read(note).is_ok_and(|noted| noted == wal_dir.as_os_str().as_encoded_bytes())
    }
}

impl Place {
    /// Takes the directory, and empties what an interrupted restore has left.
    pub(super) fn take(disk: Arc<dyn Disk>, target: &Target) -> Result<Self, RestoreError> {
        target.check()?;
        let is_new = !target.data_dir.exists();
        let layout = Layout::of(&target.data_dir).restoring();
        let dir = layout.member();
        disk.create_dir_all(&dir).map_err(io_error("create", &dir))?;
        let lock = Lock::exclusive(&layout)?;
        // Whoever held it may have finished meanwhile.
        target.check()?;
        let place = Self { disk, layout, target: target.clone(), is_new, is_done: false, _lock: lock };
        place.empty()?;
        place.note_wal()?;
        Ok(place)
    }

    /// Where the log is to be.
    pub(super) fn wal_dir(&self) -> PathBuf {
        self.target.wal_dir.clone().unwrap_or_else(|| self.layout.wal())
    }

    /// Removes everything but the lock.
    fn empty(&self) -> Result<(), RestoreError> {
        if let Some(wal_dir) = self.target.wal_dir.as_ref().filter(|dir| self.target.has_begun(dir)) {
            remove(wal_dir)?;
        }
        let dir = self.layout.member();
        for entry in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let entry = entry.map_err(io_error("list", &dir))?;
            if entry.file_name() != LOCK {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn note_wal(&self) -> Result<(), RestoreError> {
        let Some(wal_dir) = &self.target.wal_dir else { return Ok(()) };
        let path = self.layout.member().join(WAL_NOTE);
        let noted = wal_dir.as_os_str().as_encoded_bytes();
        wal::replace_file(&*self.disk, &path, noted).map_err(io_error("write", &path))
    }

    /// Makes a member's data of what is there, which is durable.
    pub(super) fn finish(mut self) -> Result<(), RestoreError> {
        let (from, to) = (self.layout.member(), Layout::of(&self.target.data_dir).member());
        let note = from.join(WAL_NOTE);
        self.sync(&from)?;
        self.sync_above(self.target.wal_dir.as_deref())?;
        // The lock goes along; whoever waits for it finds a directory that is not empty.
        self.disk.rename(&from, &to).map_err(io_error("rename", &from))?;
        self.is_done = true;
        self.sync(&self.target.data_dir)?;
        self.sync_above(Some(&self.target.data_dir))?;
        remove(&to.join(note.file_name().unwrap_or_default()))?;
        self.sync(&to)
    }

    fn sync(&self, dir: &Path) -> Result<(), RestoreError> {
        self.disk.sync_dir(dir).map_err(io_error("sync", dir))
    }

    fn sync_above(&self, path: Option<&Path>) -> Result<(), RestoreError> {
        let Some(parent) = path.and_then(Path::parent) else { return Ok(()) };
        self.sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }
}

impl Drop for Place {
    /// Leaves nothing of what was not finished. What cannot be removed is known for what it is by its name.
    fn drop(&mut self) {
        if self.is_done || self.empty().is_err() {
            return;
        }
        let removed = fs::remove_dir_all(self.layout.member());
        if removed.is_ok() && self.is_new {
            // Directories above it that were made, too, stay.
            let _ = fs::remove_dir(&self.target.data_dir);
        }
    }
}

fn remove(path: &Path) -> Result<(), RestoreError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}
