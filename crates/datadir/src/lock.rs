//! The lock that keeps a second process out.
//!
//! A process that serves the directory holds it exclusively, one that only reads holds it together with others that only
//! read. The operating system releases it even after `kill -9`.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use crate::{DataDirError, Layout, io_error};

/// A lock on a data directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the directory for a process that writes. Makes the lock file if it is not there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`], and those of the disk.
    pub fn exclusive(layout: &Layout) -> Result<Self, DataDirError> {
        let path = layout.lock();
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(io_error("open", &path))?;
        Self::of(layout, file, File::try_lock)
    }

    /// Locks the directory for a process that reads, and writes nothing: `None` if there is no lock file, so that nobody
    /// can serve the directory at this moment.
    ///
    /// # Errors
    /// As [`exclusive`](Self::exclusive).
    pub fn shared(layout: &Layout) -> Result<Option<Self>, DataDirError> {
        let path = layout.lock();
        match File::open(&path) {
            Ok(file) => Self::of(layout, file, File::try_lock_shared).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("open", &path)(error)),
        }
    }

    fn of(
        layout: &Layout,
        file: File,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, DataDirError> {
        match lock(&file) {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(layout.root().to_owned())),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &layout.lock())(source)),
        }
    }
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
}
