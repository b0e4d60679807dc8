//! Reading ahead: where pages lie one behind the other in the file, many are read at once.
//!
//! A file that was written in one pass is such, and so is one that was just defragmented. In others pages lie anywhere, and reading
//! more than is asked for would be reading in vain: what is read ahead grows as long as it is used.

use super::Db;
use crate::limits::{AHEAD_BYTES_MAX, AHEAD_BYTES_MIN};
use crate::source::read;
use crate::{Error, ReadAt};

/// What was read ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Byte of the file with which `bytes` begins.
    offset: u64,
    bytes: Vec<u8>,
    /// Where the last read ended.
    end: u64,
    /// Bytes to read next time; 0: only those that are asked for.
    next_bytes: usize,
}

impl Ahead {
    /// Fills `buffer` with bytes of the file's pages.
    pub(super) fn read<S: ReadAt>(
        &mut self,
        db: &Db<S>,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Error> {
        let follows = offset == self.end;
        self.end = offset.saturating_add(buffer.len() as u64);
        if self.has(offset, buffer.len()) {
            let at = (offset - self.offset) as usize;
            buffer.copy_from_slice(&self.bytes[at..at + buffer.len()]);
            return Ok(());
        }
        self.next_bytes =
            if follows { (self.next_bytes * 2).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX) } else { 0 };
        let left = db.bytes().saturating_sub(offset);
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(self.next_bytes);
        if bytes <= buffer.len() {
            return read(&db.source, buffer, offset);
        }
        self.bytes.resize(bytes, 0);
        if let Err(error) = read(&db.source, &mut self.bytes, offset) {
            self.bytes.clear();
            return Err(error);
        }
        self.offset = offset;
        buffer.copy_from_slice(&self.bytes[..buffer.len()]);
        Ok(())
    }

    fn has(&self, offset: u64, bytes: usize) -> bool {
        let end = self.offset + self.bytes.len() as u64;
        offset >= self.offset && offset.saturating_add(bytes as u64) <= end
    }
}
