//! Elements: the tables at the front of branches and leaves that say where keys and values are.

use std::ops::Range;

use super::{HEADER_BYTES, PageId, u32_at, u64_at};

/// Bytes of an element, in branches and leaves alike.
pub(crate) const ELEMENT_BYTES: usize = 16;

/// Bytes of a bucket's value that is not inline, and of the front of one that is.
pub(crate) const BUCKET_VALUE_BYTES: usize = 16;

/// Flag of a leaf's element whose value is a bucket.
pub(crate) const BUCKET_FLAG: u32 = 1;

/// A row of a leaf. The ranges are places in the page, and may lie outside of it: what is read is not believed yet.
#[derive(Debug, Clone)]
pub(crate) struct LeafElement {
    pub(crate) flags: u32,
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// A child of a branch. As with rows, the range may lie outside of the page.
#[derive(Debug, Clone)]
pub(crate) struct BranchElement {
    pub(crate) key: Range<usize>,
    pub(crate) child: PageId,
}

impl LeafElement {
    /// Reads an element of a page whose table of elements is whole.
    pub(crate) fn read(page: &[u8], index: usize) -> Self {
        let at = element_at(index);
        let key = range(at, u32_at(page, at + 4), u32_at(page, at + 8));
        let value = range(key.end, 0, u32_at(page, at + 12));
        Self { flags: u32_at(page, at), key, value }
    }

    /// Returns the bytes of an element whose key begins `position` bytes after the element.
    pub(crate) fn bytes(flags: u32, position: u32, key_bytes: u32, value_bytes: u32) -> [u8; ELEMENT_BYTES] {
        let mut bytes = [0; ELEMENT_BYTES];
        bytes[..4].copy_from_slice(&flags.to_le_bytes());
        bytes[4..8].copy_from_slice(&position.to_le_bytes());
        bytes[8..12].copy_from_slice(&key_bytes.to_le_bytes());
        bytes[12..].copy_from_slice(&value_bytes.to_le_bytes());
        bytes
    }
}

impl BranchElement {
    /// Reads an element of a page whose table of elements is whole.
    pub(crate) fn read(page: &[u8], index: usize) -> Self {
        let at = element_at(index);
        let key = range(at, u32_at(page, at), u32_at(page, at + 4));
        Self { key, child: PageId(u64_at(page, at + 8)) }
    }

    /// Returns the bytes of an element whose key begins `position` bytes after the element.
    pub(crate) fn bytes(position: u32, key_bytes: u32, child: PageId) -> [u8; ELEMENT_BYTES] {
        let mut bytes = [0; ELEMENT_BYTES];
        bytes[..4].copy_from_slice(&position.to_le_bytes());
        bytes[4..8].copy_from_slice(&key_bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&child.0.to_le_bytes());
        bytes
    }
}

/// Returns where an element begins in its page; also where the table ends, for the number of elements.
pub(crate) const fn element_at(index: usize) -> usize {
    HEADER_BYTES + index * ELEMENT_BYTES
}

/// A place that cannot be counted is one outside of the page.
fn range(from: usize, position: u32, bytes: u32) -> Range<usize> {
    let start = from.saturating_add(position as usize);
    start..start.saturating_add(bytes as usize)
}
