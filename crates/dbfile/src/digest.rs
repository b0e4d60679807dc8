//! The digest at the end of a backup file: SHA-256 of everything before it.
//!
//! A database is a number of pages, and so a multiple of 512 bytes. A file that is 32 bytes longer has a digest. One
//! that lies in a data directory has none.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::limits::CHUNK_BYTES;
use crate::source::{length, read};
use crate::{Error, ReadAt};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// All files without a digest are a multiple of this long.
const DISK_SECTOR_BYTES: u64 = 512;

/// A SHA-256 digest, printed in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// What became of comparing a file with its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no digest.
    Absent,
    /// The file is what it was when the digest was made.
    Right(Digest),
    /// The file has changed, or the digest has.
    Wrong {
        /// The last bytes of the file.
        stored: Digest,
        /// What the bytes before give.
        computed: Digest,
    },
}

/// Returns whether a file of this length has a digest.
#[must_use]
pub const fn has_digest(bytes: u64) -> bool {
    bytes % DISK_SECTOR_BYTES == DIGEST_BYTES as u64
}

/// Returns the length of a file without its digest, if it has one.
#[must_use]
pub const fn bytes_without_digest(bytes: u64) -> u64 {
    if has_digest(bytes) { bytes - DIGEST_BYTES as u64 } else { bytes }
}

/// Reads all of a file and compares it with its digest.
///
/// # Errors
/// When the source cannot be read.
pub fn verify<S: ReadAt + ?Sized>(source: &S) -> Result<Verdict, Error> {
    let bytes = length(source)?;
    if !has_digest(bytes) {
        return Ok(Verdict::Absent);
    }
    let end = bytes_without_digest(bytes);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        read(source, &mut chunk[..wanted], at)?;
        hasher.update(&chunk[..wanted]);
        at += wanted as u64;
    }
    let mut stored = [0; DIGEST_BYTES];
    read(source, &mut stored, end)?;
    let (stored, computed) = (Digest(stored), Digest(hasher.finalize().into()));
    Ok(if stored == computed { Verdict::Right(stored) } else { Verdict::Wrong { stored, computed } })
}
