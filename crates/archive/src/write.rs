//! Writing objects: each is read back before it counts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backup::{Export, ExportError, Frozen};
use sha2::{Digest as _, Sha256};

use crate::chain::Digest;
use crate::download::Shelf;
use crate::name::{FullName, Millis};
use crate::piece::Built;
use crate::store::put;
use crate::{ArchiveError, Manifest, StoreError};

/// Returns 32 bits that nobody else has had.
pub(crate) fn random_tag() -> u32 {
    u32::from_le_bytes(random())
}

/// Returns the digest that a history begins with that follows no other.
pub(crate) fn random_chain() -> Digest {
    Digest(random())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

/// What a full backup follows.
pub(crate) struct Full {
    pub(crate) cluster: u64,
    pub(crate) member: u64,
    pub(crate) time: Millis,
    pub(crate) chain: Digest,
    pub(crate) rows: Option<Digest>,
    pub(crate) version: String,
}

/// An error of the archive while an export is written.
enum Failed {
    Archive(ArchiveError),
}

impl From<ExportError> for Failed {
    fn from(error: ExportError) -> Self {
        Self::Archive(error.into())
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Archive(error.into())
    }
}

/// Writes a full backup, reads it back, and writes its manifest. What has to be sorted and does not
/// fit into memory goes into a file in `spool_dir`. It is given up after a time.
pub(crate) fn write_full(
    shelf: Shelf<'_>,
    frozen: Frozen,
    full: Full,
    spool_dir: PathBuf,
    time_max: Duration,
) -> Result<(FullName, Manifest), ArchiveError> {
    let started = Instant::now();
    let (revision, compact_revision) = (frozen.revision(), frozen.compact_revision());
    let applied = frozen.applied();
    let export = Export::plan(frozen, spool_dir)?;
    let bytes = export.file_bytes();
    let name = FullName { revision, time: full.time, chain: full.chain.short(), tag: random_tag() };
    let text = name.to_string();
    let mut upload = shelf.store.begin(shelf.directory, &text, bytes)?;
    let mut hasher = Sha256::new();
    let too_slow = || ArchiveError::TooSlow(time_max.as_secs());
    let written = export.write(|piece| {
        if started.elapsed() > time_max {
            return Err(Failed::Archive(too_slow()));
        }
        hasher.update(piece);
        Ok::<(), Failed>(upload.write(piece)?)
    });
    written.map_err(|Failed::Archive(error)| error)?;
    upload.finish()?;
    let manifest = Manifest {
        cluster: full.cluster,
        member: full.member,
        revision,
        compact_revision,
        raft_term: applied.term,
        raft_index: applied.index,
        time: full.time,
        bytes,
        sha256: Digest(hasher.finalize().into()),
        chain: full.chain,
        rows: full.rows,
        version: full.version,
    };
    let read = shelf.read(&text, |_| if started.elapsed() > time_max { Err(too_slow()) } else { Ok(()) })?;
    verified(shelf, &text, read, (bytes, manifest.sha256))?;
    put(shelf.store, shelf.directory, &name.manifest(), &manifest.encoded())?;
    Ok((name, manifest))
}

/// Writes a piece and reads it back.
pub(crate) fn write_piece(shelf: Shelf<'_>, built: &Built) -> Result<(), ArchiveError> {
    let name = built.name.to_string();
    put(shelf.store, shelf.directory, &name, &built.bytes)?;
    let read = shelf.read(&name, |_| Ok(()))?;
    verified(shelf, &name, read, (built.bytes.len() as u64, Digest::of(&built.bytes)))
}

/// Holds what was read back against what was written. What differs is removed, and the next attempt
/// has another name.
fn verified(
    shelf: Shelf<'_>,
    name: &str,
    (read_bytes, read_digest): (u64, Digest),
    (bytes, digest): (u64, Digest),
) -> Result<(), ArchiveError> {
    let why = match () {
        () if read_bytes != bytes => format!("{read_bytes} bytes in the place of {bytes}"),
        () if read_digest != digest => format!("SHA-256 {read_digest} in the place of {digest}"),
        () => return Ok(()),
    };
    shelf.store.delete(shelf.directory, name)?;
    Err(ArchiveError::NotVerified { name: name.to_owned(), why })
}
