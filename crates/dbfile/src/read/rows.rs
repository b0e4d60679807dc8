//! Rows of a bucket, one after the other.

use super::walk::Walk;
use crate::format::{LeafElement, PageId};
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
        let bytes = &self.walk.leaf.bytes;
        let LeafElement { key, value, .. } = LeafElement::read(bytes, self.next);
        self.next += 1;
        Ok(Some(Row { page: self.walk.leaf.page, key: &bytes[key], value: &bytes[value] }))
    }
}
