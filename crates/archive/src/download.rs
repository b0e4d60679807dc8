//! Reading objects back, each held against what it must be.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::chain::Digest;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::name::{FullName, PieceName};
use crate::piece::{Header, Part, PieceError, Reader};
use crate::{ArchiveError, Manifest, Store, StoreError};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// A directory of a store.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'s> {
    pub(crate) store: &'s dyn Store,
    pub(crate) directory: &'s str,
}

impl Shelf<'_> {
    /// Reads the manifest of a full backup.
    pub(crate) fn manifest(&self, name: &FullName) -> Result<Manifest, ArchiveError> {
        let mut bytes = Vec::new();
        let source = self.store.read(self.directory, &name.manifest())?;
        source.take(DOCUMENT_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(of_io)?;
        let manifest = Manifest::parse(&bytes).map_err(|why| ArchiveError::full(name, why))?;
        let says_the_same = manifest.revision == name.revision
            && manifest.chain.short() == name.chain
            && manifest.time == name.time;
        match says_the_same {
            true => Ok(manifest),
            false => Err(ArchiveError::full(name, "its manifest is of another backup")),
        }
    }

    /// Reads all of an object, and gives its bytes to `take`. Returns how many there are, and their
    /// digest.
    pub(crate) fn read(
        &self,
        name: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(u64, Digest), ArchiveError> {
        let mut source = self.store.read(self.directory, name)?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(of_io(error)),
            };
            hasher.update(&buffer[..read]);
            bytes += read as u64;
            take(&buffer[..read])?;
        }
        Ok((bytes, Digest(hasher.finalize().into())))
    }

    /// Reads a full backup into a file. Returns its manifest.
    pub(crate) fn full(&self, name: &FullName, file: &mut impl Write) -> Result<Manifest, ArchiveError> {
        let manifest = self.manifest(name)?;
        let write = |bytes: &[u8]| file.write_all(bytes).map_err(ArchiveError::local("writing a backup"));
        let found = self.read(&name.to_string(), write)?;
        check_full(name, &manifest, found)?;
        Ok(manifest)
    }

    /// Reads a piece; `take` gets its parts, which are not to be believed before this returns.
    pub(crate) fn piece(
        &self,
        name: &PieceName,
        take: impl FnMut(Part<'_>) -> Result<(), ArchiveError>,
    ) -> Result<Header, ArchiveError> {
        let reader = self.open_piece(name)?;
        let mut take = take;
        let read = reader.for_each(|part| take(part).map_err(Refused::Taker));
        read.map_err(|refused| match refused {
            Refused::Taker(error) => error,
            Refused::Piece(error) => of_piece(name, error),
        })
    }

    /// Reads what a piece says of itself.
    pub(crate) fn header(&self, name: &PieceName) -> Result<Header, ArchiveError> {
        Ok(self.open_piece(name)?.header().clone())
    }

    fn open_piece<'s>(&'s self, name: &PieceName) -> Result<Reader<Box<dyn Read + 's>>, ArchiveError> {
        let source = self.store.read(self.directory, &name.to_string())?;
        let reader = Reader::open(source).map_err(|error| of_piece(name, error))?;
        let header = reader.header();
        let PieceName { from, to, before, after, time, .. } = *name;
        let is_it = (header.from, header.to, header.time) == (from, to, time)
            && (header.before.short(), header.after.short()) == (before, after);
        if is_it {
            Ok(reader)
        } else {
            Err(ArchiveError::piece(name, "it is not the piece that its name says"))
        }
    }
}

/// Holds a full backup against its manifest.
pub(crate) fn check_full(
    name: &FullName,
    manifest: &Manifest,
    (bytes, digest): (u64, Digest),
) -> Result<(), ArchiveError> {
    if bytes != manifest.bytes {
        return Err(ArchiveError::full(name, format!("it has {bytes} bytes and had {}", manifest.bytes)));
    }
    if digest != manifest.sha256 {
        return Err(ArchiveError::full(name, format!("its SHA-256 is {digest} and was {}", manifest.sha256)));
    }
    Ok(())
}

enum Refused {
    Taker(ArchiveError),
    Piece(PieceError),
}

impl From<PieceError> for Refused {
    fn from(error: PieceError) -> Self {
        Self::Piece(error)
    }
}

fn of_piece(name: &PieceName, error: PieceError) -> ArchiveError {
    match error {
        PieceError::Io(error) => of_io(error),
        wrong @ PieceError::Wrong { .. } => ArchiveError::piece(name, wrong.to_string()),
    }
}

/// The store's error in one of reading.
fn of_io(error: io::Error) -> ArchiveError {
    match error.downcast::<StoreError>() {
        Ok(error) => error.into(),
        Err(source) => ArchiveError::Local { what: "reading the archive", source },
    }
}
