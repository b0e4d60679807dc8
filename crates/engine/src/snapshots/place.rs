//! Where the store is, and where one is received that is to replace it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use machine::{Machine, OpenError};
use mvcc::snapshot::{discard_incoming, replace_store};
use mvcc::{Options, Store};
use wal::Disk;

/// Where a member's store is, and how it is opened.
#[derive(Clone)]
pub struct StorePlace {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The store's directory on it.
    pub dir: PathBuf,
    /// How it is opened.
    pub options: Options,
}

impl StorePlace {
    /// Opens the store: at the start, and when a snapshot has replaced it (rule A3).
    pub fn open(&self) -> Result<Machine, OpenError> {
        Machine::open(Store::open(self.disk.clone(), &self.dir, self.options)?)
    }

    /// Removes what transfers of an earlier life have left.
    pub fn discard_incoming(&self) -> Result<(), mvcc::Error> {
        discard_incoming(&*self.disk, self.parent())
    }

    /// Puts a received store in the place of the one there was.
    pub fn replace_by(&self, incoming: &Path) -> Result<(), mvcc::Error> {
        replace_store(&*self.disk, &self.dir, incoming)
    }

    pub(super) fn parent(&self) -> &Path {
        self.dir.parent().expect("the store is within the data directory")
    }
}

/// A received store that waits to be used. Dropped unused, it is removed.
pub struct ReceivedStore {
    place: StorePlace,
    dir: PathBuf,
    _slot: Slot,
}

impl ReceivedStore {
    /// Returns the store that is received into this directory.
    pub(super) fn new(place: StorePlace, dir: PathBuf, slot: Slot) -> Self {
        Self { place, dir, _slot: slot }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for ReceivedStore {
    fn drop(&mut self) {
        remove(&self.place, &self.dir);
    }
}

#[cfg(test)]
impl ReceivedStore {
    /// One without files.
    pub fn without_files() -> Self {
        let disk = Arc::new(wal::SimDisk::new(1));
        let place = StorePlace { disk, dir: "/kv".into(), options: Options::default() };
        Self { place, dir: "/incoming".into(), _slot: Slot(Arc::default()) }
    }
}

/// Nothing is there if it was used.
fn remove(place: &StorePlace, dir: &Path) {
    if place.disk.exists(dir).unwrap_or(false)
        && let Err(error) = place.disk.remove_dir_all(dir)
    {
        tracing::warn!(dir = %dir.display(), error = %error, "a snapshot that is not needed could not be removed");
    }
}

/// The one place for a snapshot that is received or installed; free again when dropped.
pub(super) struct Slot(Arc<AtomicBool>);

impl Slot {
    /// Takes the place; `None` if it is taken.
    pub(super) fn take(is_busy: &Arc<AtomicBool>) -> Option<Self> {
        (!is_busy.swap(true, Ordering::Acquire)).then(|| Self(is_busy.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
