//! The next segment, made before it is needed: reserving its space takes milliseconds and may fail, starting it not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Error;
use crate::disk::{Disk, DiskFile};
use crate::error::Context;

/// Makes the next segment ahead of need, on any thread.
///
/// While it works, [`append`](crate::Wal::append) waits for it only when the current segment is full.
#[derive(Clone)]
pub struct Preparer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    slot: Arc<Mutex<Option<Box<dyn DiskFile>>>>,
}

impl Preparer {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> Self {
        Self { disk, dir: dir.to_owned(), segment_bytes, slot: Arc::default() }
    }

    /// Makes the next segment, unless it is there: its space is reserved, all zeros, and synced.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: nothing has changed, and the call may be repeated.
    pub fn prepare(&self) -> Result<(), Error> {
        let mut slot = self.slot.lock();
        if slot.is_none() {
            *slot = Some(self.make()?);
        }
        Ok(())
    }

    /// Whether the next segment is there. Waits while it is being made.
    pub fn is_prepared(&self) -> bool {
        self.slot.lock().is_some()
    }

    pub(crate) fn take(&self) -> Option<Box<dyn DiskFile>> {
        self.slot.lock().take()
    }

    /// Where the prepared segment is until it gets its name.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("next.tmp")
    }

    fn make(&self) -> Result<Box<dyn DiskFile>, Error> {
        let path = self.path();
        if self.disk.exists(&path).context("look for", &path)? {
            self.disk.remove(&path).context("remove", &path)?;
        }
        let made =
            self.disk.create(&path, self.segment_bytes).and_then(|file| file.sync_data().map(|()| file));
        made.map_err(|source| {
            // What could not be made whole must not keep a full disk full; the file is nobody's yet.
            let _ = self.disk.remove(&path);
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { path },
                _ => Error::Io { path, op: "create", source },
            }
        })
    }
}
