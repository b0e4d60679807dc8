//! Rows of a bucket, one after the other.

use super::Db;
use super::walk::Walk;
use crate::format::{LeafElement, PageId};
use crate::source::read;
use crate::{Error, ReadAt};

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'r> {
    /// The page that it is on; of a run of several the first, of an inline bucket that of the bucket.
    pub page: PageId,
    /// The key: 1 to 32768 bytes.
    pub key: &'r [u8],
    /// The value; may be empty.
    pub value: &'r [u8],
    /// Byte of the file with which the value begins.
    value_offset: u64,
}

/// Where in a file the value of a row is: what a reader keeps of many rows, instead of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuePlace {
    /// Byte of the file with which it begins.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u32,
}

impl Row<'_> {
    /// Returns where the value is.
    #[must_use]
    pub const fn value_place(&self) -> ValuePlace {
        // Its element has the length in 32 bits.
        ValuePlace { offset: self.value_offset, bytes: self.value.len() as u32 }
    }
}

impl<S: ReadAt> Db<S> {
    /// Reads the value at a place that a row of this file had. It is what the file has there now: a change of the file meanwhile
    /// is not noticed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn value_at(&self, place: ValuePlace) -> Result<Vec<u8>, Error> {
        let mut value = vec![0; place.bytes as usize];
        read(&self.source, &mut value, place.offset)?;
        Ok(value)
    }
}

/// The rows of a bucket, in the order of their keys. One run of pages with rows is in memory, and the branches above it.
#[derive(Debug)]
pub struct Rows<'d, S> {
    walk: Walk<'d, S>,
    /// The element of the walk's leaf that comes next.
    next: usize,
}

impl<'d, S: ReadAt> Rows<'d, S> {
    pub(super) const fn new(walk: Walk<'d, S>, next: usize) -> Self {
        Self { walk, next }
    }

    /// Returns the next row, or `None` after the last.
    ///
    /// # Errors
    /// When a page on the way to it is damaged or cannot be read. There are no further rows then.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        while self.next == self.walk.leaf.count {
            self.next = 0;
            match self.walk.next_leaf() {
                Ok(true) => {}
                Ok(false) => {
                    self.walk.end();
                    return Ok(None);
                }
                Err(error) => {
                    self.walk.end();
                    return Err(error);
                }
            }
        }
        let leaf = &self.walk.leaf;
        let LeafElement { key, value, .. } = LeafElement::read(&leaf.bytes, self.next);
        self.next += 1;
        let value_offset = leaf.offset + value.start as u64;
        Ok(Some(Row { page: leaf.page, key: &leaf.bytes[key], value: &leaf.bytes[value], value_offset }))
    }
}
