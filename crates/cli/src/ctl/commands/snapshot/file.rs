//! A snapshot while it is fetched: `<file>.part`, which becomes `<file>` in one step when all of it is there and on
//! disk. Whatever ends the fetch before that leaves no file of the name that was asked for, and what it replaces stays.
//!
//! ```text
//! +----------------------+------------------------+
//! | database: n * 512 B  | SHA-256 of it: 32 B    |
//! +----------------------+------------------------+
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use thiserror::Error;

/// A database is a whole number of sectors: what is over is the digest.
const SECTOR_BYTES: u64 = 512;

/// A backup has every secret of the cluster in it.
const MODE: u32 = 0o600;

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("could not open {} ({error})", path.display())]
    Open { path: PathBuf, error: io::Error },
    #[error("could not write snapshot: {0}")]
    Write(io::Error),
    #[error("sha256 checksum not found [bytes: {0}]")]
    NoDigest(u64),
    #[error("snapshot is damaged: expected sha256 {expected}, got {found}")]
    Digest { expected: String, found: String },
    #[error("could not fsync snapshot: {0}")]
    Sync(io::Error),
    #[error("could not rename {} to {} ({error})", part.display(), path.display())]
    Rename { part: PathBuf, path: PathBuf, error: io::Error },
}

/// The file that is being written. Dropped, it is removed.
pub(super) struct Part {
    path: PathBuf,
    part: PathBuf,
    file: File,
    bytes: u64,
    digest: Context,
    /// The last bytes received, at most a digest long: they are not part of what is digested.
    tail: Vec<u8>,
    removed: bool,
}

impl Part {
    /// Makes the file beside `path`. One that an earlier fetch left is overwritten.
    pub(super) fn create(path: &Path) -> Result<Part, Fault> {
        let part = with_suffix(path);
        let open = || {
            remove(&part)?;
            OpenOptions::new().write(true).create_new(true).mode(MODE).open(&part)
        };
        let file = open().map_err(|error| Fault::Open { path: part.clone(), error })?;
        let (path, digest) = (path.to_owned(), Context::new(&SHA256));
        Ok(Part { path, part, file, bytes: 0, digest, tail: Vec::new(), removed: false })
    }

    /// Appends a piece.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), Fault> {
        self.file.write_all(piece).map_err(Fault::Write)?;
        self.bytes += piece.len() as u64;
        let excess = (self.tail.len() + piece.len()).saturating_sub(SHA256_OUTPUT_LEN);
        let of_tail = excess.min(self.tail.len());
        self.digest.update(&self.tail[..of_tail]);
        self.tail.drain(..of_tail);
        self.digest.update(&piece[..excess - of_tail]);
        self.tail.extend_from_slice(&piece[excess - of_tail..]);
        Ok(())
    }

    /// Checks that all of it is there, puts it on disk and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        if self.bytes % SECTOR_BYTES != SHA256_OUTPUT_LEN as u64 {
            return Err(Fault::NoDigest(self.bytes));
        }
        let found = self.digest.clone().finish();
        if found.as_ref() != self.tail {
            return Err(Fault::Digest { expected: hex(&self.tail), found: hex(found.as_ref()) });
        }
        self.file.sync_all().map_err(Fault::Sync)?;
        fs::rename(&self.part, &self.path).map_err(|error| Fault::Rename {
            part: self.part.clone(),
            path: self.path.clone(),
            error,
        })?;
        self.removed = true;
        sync_directory_of(&self.path).map_err(Fault::Sync)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.removed {
            let _ = remove(&self.part);
        }
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The new name is on disk when its directory is.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use aws_lc_rs::digest;

    use super::*;

    /// A database of two sectors with its digest.
    fn snapshot() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..1024u32).map(|at| at as u8).collect();
        let digest = digest::digest(&SHA256, &bytes);
        bytes.extend_from_slice(digest.as_ref());
        bytes
    }

    fn fetch(path: &Path, bytes: &[u8], piece_bytes: usize) -> Result<(), Fault> {
        let mut part = Part::create(path)?;
        for piece in bytes.chunks(piece_bytes) {
            part.append(piece)?;
        }
        part.finish()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn pieces_of_any_size_make_the_file_and_only_its_owner_reads_it() {
        for piece_bytes in [1, 31, 32, 33, 512, 2000] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("backup.db");
            fetch(&path, &snapshot(), piece_bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), snapshot());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
            assert_eq!(names(directory.path()), ["backup.db"]);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_leaves_no_file() {
        let mut damaged = snapshot();
        damaged[700] ^= 1;
        let cases: [(&[u8], &str); 4] = [
            (&[], "sha256 checksum not found [bytes: 0]"),
            (&snapshot()[..1024], "sha256 checksum not found [bytes: 1024]"),
            (&snapshot()[..512 + 32], "snapshot is damaged: expected sha256 0001"),
            (&damaged, "snapshot is damaged: expected sha256 "),
        ];
        for (bytes, said) in cases {
            let directory = tempfile::tempdir().unwrap();
            let fault = fetch(&directory.path().join("backup.db"), bytes, 100).unwrap_err();
            assert!(fault.to_string().starts_with(said), "{fault}");
            assert!(names(directory.path()).is_empty());
        }
    }

    #[test]
    fn a_fetch_that_fails_keeps_the_file_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup.db");
        fs::write(&path, "older").unwrap();
        fs::write(with_suffix(&path), "left by a fetch that was killed").unwrap();
        fetch(&path, &snapshot()[..1000], 100).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"older");
        assert_eq!(names(directory.path()), ["backup.db"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let fault = fetch(Path::new("/nowhere/backup.db"), &[], 1).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "could not open /nowhere/backup.db.part (No such file or directory (os error 2))"
        );
    }
}
