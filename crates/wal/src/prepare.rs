//! The next segment, made before it is needed: reserving its space takes milliseconds and may fail, starting it not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Error;
use crate::disk::DiskFile;
use crate::error::Context;
use crate::limits::SEGMENT_BYTES_MIN;
use crate::open_files::OpenFiles;

/// Makes the next segment ahead of need, on any thread.
///
/// While it works, [`append`](crate::Wal::append) waits for it only when the current segment is full.
#[derive(Clone)]
pub struct Preparer {
    files: Arc<OpenFiles>,
    dir: PathBuf,
    segment_bytes: u64,
    slot: Arc<Mutex<Option<Prepared>>>,
}

/// A file without a name, and how long it is.
pub(crate) struct Prepared {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
}

impl Preparer {
    pub(crate) fn new(files: Arc<OpenFiles>, dir: &Path, segment_bytes: u64) -> Self {
        Self { files, dir: dir.to_owned(), segment_bytes, slot: Arc::default() }
    }

    /// Makes the next segment, unless it is there: its space is reserved, all zeros, and synced.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: nothing has changed, and the call may be repeated.
    pub fn prepare(&self) -> Result<(), Error> {
        let mut slot = self.slot.lock();
        if slot.is_none() {
            *slot = Some(self.make(self.segment_bytes)?);
        }
        Ok(())
    }

    /// As [`prepare`](Self::prepare), with a segment of at least `bytes`: longer than usual for a record that is longer.
    /// A prepared one that is too short is removed.
    pub(crate) fn prepare_at_least(&self, bytes: u64) -> Result<(), Error> {
        let mut slot = self.slot.lock();
        if slot.as_ref().is_none_or(|prepared| prepared.bytes < bytes) {
            *slot = None;
            *slot = Some(self.make(self.segment_bytes.max(bytes))?);
        }
        Ok(())
    }

    /// As [`prepare`](Self::prepare), with the shortest possible segment where there is no space for a whole one. A
    /// cut needs a segment only to say where the log ends now, and what it makes room for may be what a full disk waits
    /// for. An append that does not fit asks for a whole one.
    pub(crate) fn prepare_for_cut(&self) -> Result<(), Error> {
        let mut slot = self.slot.lock();
        if slot.is_none() {
            let whole = self.make(self.segment_bytes);
            *slot = Some(match whole {
                Err(Error::NoSpace { .. }) => self.make(SEGMENT_BYTES_MIN)?,
                whole => whole?,
            });
        }
        Ok(())
    }

    /// Whether the next segment is there. Waits while it is being made.
    pub fn is_prepared(&self) -> bool {
        self.slot.lock().is_some()
    }

    /// Has the prepared segment get its name. No other one is prepared meanwhile: they share a temporary name, so the next
    /// one would be named in place of this one.
    ///
    /// # Panics
    /// If none is prepared.
    pub(crate) fn hand_over<T>(&self, name: impl FnOnce(Prepared) -> T) -> T {
        let mut slot = self.slot.lock();
        name(slot.take().expect("the next segment was prepared"))
    }

    /// Where the prepared segment is until it gets its name.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("next.tmp")
    }

    fn make(&self, bytes: u64) -> Result<Prepared, Error> {
        let path = self.path();
        let disk = self.files.disk();
        if disk.exists(&path).context("look for", &path)? {
            disk.remove(&path).context("remove", &path)?;
        }
        let made = self
            .files
            .with_descriptor(|disk| disk.create(&path, bytes))
            .and_then(|file| file.sync_data().map(|()| Prepared { file: file.into(), bytes }));
        made.map_err(|source| {
            // What could not be made whole must not keep a full disk full; the file is nobody's yet.
            let _ = disk.remove(&path);
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { path },
                _ => Error::Io { path, op: "create", source },
            }
        })
    }
}
