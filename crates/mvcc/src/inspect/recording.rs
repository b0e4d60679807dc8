//! A disk that remembers where a file was last read: redb says that a page is damaged, but not which.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use wal::{Disk, DiskDir, DiskFile};

/// Offset and length of the last read.
#[derive(Debug, Clone, Default)]
pub(super) struct LastRead(Arc<Mutex<(u64, u64)>>);

impl LastRead {
    pub(super) fn get(&self) -> (u64, u64) {
        *self.0.lock()
    }
}

/// Passes everything on and remembers reads.
pub(super) struct RecordingDisk {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) last_read: LastRead,
}

impl Disk for RecordingDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path, len)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path)?;
        Ok(Box::new(RecordingFile { file, last_read: self.last_read.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.disk.open_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
}

struct RecordingFile {
    file: Box<dyn DiskFile>,
    last_read: LastRead,
}

impl DiskFile for RecordingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        *self.last_read.0.lock() = (offset, buf.len() as u64);
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
