//! The locks that keep a second process out.
//!
//! A process that serves the directory holds its lock exclusively, one that only reads holds it together with others that
//! only read. A log that lies elsewhere (`--wal-dir`) has a lock of its own: two data directories may name the same one. The
//! operating system releases a lock even after `kill -9`.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{DataDirError, Layout, io_error};

/// A lock on a data directory or a log, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks the directory for a process that writes. Makes the lock file if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`], and those of the disk.
    pub fn exclusive(layout: &Layout) -> Result<Self, DataDirError> {
        let path = layout.lock();
        let in_use = || DataDirError::InUse(layout.root().to_owned());
        Self::of(&path, make(&path)?, File::try_lock, in_use)
    }

    /// Locks a log that lies in a directory of its own, for a process that writes. Makes the lock file if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::LogInUse`], and those of the disk.
    pub fn of_log(dir: &Path) -> Result<Self, DataDirError> {
        let path = dir.join("lock");
        Self::of(&path, make(&path)?, File::try_lock, || DataDirError::LogInUse(dir.to_owned()))
    }

    /// Locks the directory for a process that reads, and writes nothing: `None` if there is no lock file, so that nobody
    /// can serve the directory at this moment.
    ///
    /// # Errors
    /// As [`exclusive`](Self::exclusive).
    pub fn shared(layout: &Layout) -> Result<Option<Self>, DataDirError> {
        let path = layout.lock();
        match File::open(&path) {
            Ok(file) => {
                let in_use = || DataDirError::InUse(layout.root().to_owned());
                Self::of(&path, file, File::try_lock_shared, in_use).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("open", &path)(error)),
        }
    }

    fn of(
        path: &Path,
        file: File,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
        in_use: impl FnOnce() -> DataDirError,
    ) -> Result<Self, DataDirError> {
        match lock(&file) {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(in_use()),
            Err(TryLockError::Error(source)) => Err(io_error("lock", path)(source)),
        }
    }
}

impl Drop for Lock {
    /// Releases the lock of the open file, and not only this descriptor of it.
    ///
    /// A child process that another thread has just forked has a copy of every descriptor until it becomes another program.
    /// Closing ours alone would leave the directory locked for that time.
    fn drop(&mut self) {
        // An error leaves the descriptor, and closing it is the other way to release the lock.
        drop(self.file.unlock());
    }
}

fn make(path: &Path) -> Result<File, DataDirError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).map_err(io_error("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of(dir.path());
        std::fs::create_dir(layout.member()).unwrap();
        assert!(Lock::shared(&layout).unwrap().is_none());
        assert!(!layout.lock().exists(), "who reads makes no file");
        let writer = Lock::exclusive(&layout).unwrap();
        assert!(matches!(Lock::shared(&layout), Err(DataDirError::InUse(_))));
        drop(writer);
        let readers = [Lock::shared(&layout).unwrap(), Lock::shared(&layout).unwrap()];
        assert!(readers.iter().all(Option::is_some));
        assert!(matches!(Lock::exclusive(&layout), Err(DataDirError::InUse(_))));
        drop(readers);
        Lock::exclusive(&layout).unwrap();
    }

    #[test]
    fn a_copy_of_the_descriptor_holds_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of(dir.path());
        std::fs::create_dir(layout.member()).unwrap();
        let lock = Lock::exclusive(&layout).unwrap();
        // As a child process has one, between `fork` and `exec`.
        let copy = lock.file.try_clone().unwrap();
        drop(lock);
        Lock::exclusive(&layout).unwrap();
        drop(copy);
    }
}
