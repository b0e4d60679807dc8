//! The seam between the log and the disk.
//!
//! Everything that this crate (and what is built on it) asks of a disk goes through [`Disk`] and [`DiskFile`]. There
//! are two implementations: [`OsDisk`](crate::OsDisk) and [`SimDisk`](crate::SimDisk), which loses, tears and fails.

use std::io;
use std::path::{Path, PathBuf};

/// A file system, as far as a log needs one.
pub trait Disk: Send + Sync {
    /// Creates a file of `len` bytes that read as zero, with the space reserved. Fails if the file exists.
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file, replacing what has the new name, or a directory, whose new name must be free (an empty directory
    /// may have it). Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; those who have it open keep it. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with everything in it. A crash may leave a part of it. Durable after [`Disk::sync_dir`].
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Paths of the files and directories in a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a directory and those above it, as far as they are missing, durably.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Opens a directory, so that its names can be made durable without another descriptor.
    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }
    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
}

/// An open directory.
pub trait DiskDir: Send + Sync {
    /// Makes the names in it durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file with positional access.
pub trait DiskFile: Send + Sync {
    /// Fills `buf` from `offset`; [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`, growing the file if needed. Durable after [`DiskFile::sync_data`].
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Returns whether an operation failed because the process, or the machine, has no descriptor left for another file.
/// Nothing has changed then, and it can be repeated when some file or connection is closed.
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] if it is larger.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("file of {len} bytes, {limit} expected at most"),
        ));
    }
    let mut content = vec![0; len as usize];
    file.read_at(0, &mut content)?;
    Ok(content)
}

/// Puts `content` under `path` so that a crash leaves either the old file or the new one, whole (W4): written under a
/// temporary name, synced, renamed, and the directory synced.
///
/// # Errors
/// Those of the disk; the old file is then still there.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = disk.create(&temporary, content.len() as u64)?;
    file.write_at(0, content)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}
