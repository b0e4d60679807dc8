//! A simulated disk, and how much is read of it.

#![allow(unreachable_pub, reason = "several tests use it")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wal::{Disk, DiskDir, DiskFile, SimDisk};

/// A disk that counts what is read of it.
pub struct Counting {
    disk: SimDisk,
    bytes_read: Arc<AtomicU64>,
}

struct CountingFile {
    file: Box<dyn DiskFile>,
    bytes_read: Arc<AtomicU64>,
}

impl Counting {
    pub fn of(disk: &SimDisk) -> (Arc<Self>, Arc<AtomicU64>) {
        let bytes_read = Arc::new(AtomicU64::new(0));
        (Arc::new(Self { disk: disk.clone(), bytes_read: bytes_read.clone() }), bytes_read)
    }

    fn counted(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CountingFile { file, bytes_read: self.bytes_read.clone() })
    }
}

impl Disk for Counting {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path, len).map(|file| self.counted(file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path).map(|file| self.counted(file))
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

impl DiskFile for CountingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes_read.fetch_add(buf.len() as u64, Ordering::Relaxed);
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
