//! Where a file's bytes come from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::Error;

/// Bytes that are read from any place: a file, or a slice that has all of it.
pub trait ReadAt {
    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// When they cannot be read, or the source ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns how many bytes there are. It is asked once: what is appended later is not seen.
    ///
    /// # Errors
    /// When the source cannot say.
    fn length(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|at| self.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for &S {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        (**self).length()
    }
}

/// Reads bytes; an error names their place.
pub(crate) fn read<S: ReadAt + ?Sized>(source: &S, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    let bytes = buffer.len();
    source.read_exact_at(buffer, offset).map_err(|source| Error::Io { offset, bytes, source })
}

/// Returns the length of a source.
pub(crate) fn length<S: ReadAt + ?Sized>(source: &S) -> Result<u64, Error> {
    source.length().map_err(|source| Error::Io { offset: 0, bytes: 0, source })
}
