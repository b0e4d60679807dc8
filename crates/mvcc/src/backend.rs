//! redb's storage on a [`wal::Disk`], so that the simulated disk simulates it too.

mod gathered;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::StorageBackend;
use wal::DiskFile;

pub(crate) use self::gathered::Gathered;

/// What is to be known of a database file from outside.
#[derive(Debug, Default)]
pub(crate) struct Health {
    file_bytes: AtomicU64,
    failed_sync: AtomicBool,
    abandoned: AtomicBool,
}

impl Health {
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Says that the file was opened anew or replaced: what is read through this handle may be written over, and nothing is
    /// written through it any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Refuses to write to a file that was opened anew or replaced: redb writes once more when it closes it.
    fn check_in_use(&self) -> io::Result<()> {
        match self.is_abandoned() {
            true => Err(io::Error::other("the file has another owner, or none")),
            false => Ok(()),
        }
    }

    pub(crate) fn has_failed_sync(&self) -> bool {
        self.failed_sync.load(Ordering::Relaxed)
    }
}

/// A file of a [`wal::Disk`] as redb wants it.
pub(crate) struct Backend {
    file: Box<dyn DiskFile>,
    health: Arc<Health>,
}

impl Backend {
    pub(crate) fn new(file: Box<dyn DiskFile>, health: Arc<Health>) -> Self {
        health.file_bytes.store(file.len().unwrap_or(0), Ordering::Relaxed);
        Self { file, health }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("health", &self.health).finish_non_exhaustive()
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.check_in_use()?;
        self.file.set_len(len)?;
        self.health.file_bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    /// After a sync that failed none succeeds any more: the kernel may have dropped the pages and report success (W5).
    fn sync_data(&self) -> io::Result<()> {
        self.health.check_in_use()?;
        if self.health.has_failed_sync() {
            return Err(io::Error::other("an earlier sync of this file failed"));
        }
        self.file.sync_data().inspect_err(|_| self.health.failed_sync.store(true, Ordering::Relaxed))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.check_in_use()?;
        self.file.write_at(offset, data)
    }
}
