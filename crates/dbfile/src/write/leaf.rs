//! Leaves: which rows go into one, and its bytes.

use super::WriteError;
use crate::format::{
    ELEMENT_BYTES, HEADER_BYTES, Header, LeafElement, PageId, PageKind, PageSize, element_at,
};
use crate::limits::{ELEMENTS_MAX, KEY_BYTES_MAX, RUN_BYTES_END};

/// How full a leaf is.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeafFill {
    pub(super) rows: usize,
    /// Bytes so far, header included.
    pub(super) bytes: u64,
}

impl LeafFill {
    pub(super) const EMPTY: Self = Self { rows: 0, bytes: HEADER_BYTES as u64 };

    /// Returns whether a row of these lengths goes into another leaf: rows are added while they fit into one page, and
    /// one that is longer than a page is alone.
    pub(super) fn is_full_for(&self, row: RowLengths, page_size: PageSize) -> bool {
        let is_too_long = self.bytes + row.bytes_in_leaf() > page_size.bytes().into();
        self.rows > 0 && (is_too_long || self.rows == ELEMENTS_MAX)
    }

    pub(super) fn add(&mut self, row: RowLengths) {
        self.rows += 1;
        self.bytes += row.bytes_in_leaf();
    }
}

/// Lengths of a row, such as can be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLengths {
    key: u32,
    value: u32,
}

impl RowLengths {
    pub(super) fn new(key: usize, value: usize) -> Result<Self, WriteError> {
        if key == 0 || key > KEY_BYTES_MAX {
            return Err(WriteError::KeyLength { bytes: key });
        }
        let lengths = Self { key: key as u32, value: u32::try_from(value).unwrap_or(u32::MAX) };
        if HEADER_BYTES as u64 + lengths.bytes_in_leaf() >= RUN_BYTES_END {
            return Err(WriteError::ValueLength { bytes: value });
        }
        Ok(lengths)
    }

    /// Returns the bytes of key and value.
    pub(super) fn bytes(self) -> u64 {
        u64::from(self.key) + u64::from(self.value)
    }

    /// Returns the bytes that the row takes in a leaf.
    pub(super) fn bytes_in_leaf(self) -> u64 {
        ELEMENT_BYTES as u64 + self.bytes()
    }
}

/// The rows of a leaf that is not written yet.
#[derive(Debug, Default)]
pub(super) struct LeafRows {
    lengths: Vec<RowLengths>,
    /// Keys and values as they will be in the page.
    data: Vec<u8>,
}

impl LeafRows {
    pub(super) fn push(&mut self, lengths: RowLengths, key: &[u8], value: &[u8]) {
        self.lengths.push(lengths);
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    /// Returns the first key; empty if there is no row.
    pub(super) fn first_key(&self) -> &[u8] {
        &self.data[..self.lengths.first().map_or(0, |row| row.key as usize)]
    }

    /// Appends the leaf to `out`, filled up to whole pages, and forgets the rows; returns how many pages it took. The rows
    /// fit into a run, as [`LeafFill`] and [`RowLengths`] have seen to.
    pub(super) fn write(&mut self, id: PageId, flags: u32, page_size: PageSize, out: &mut Vec<u8>) -> u64 {
        let bytes = element_at(self.lengths.len()) + self.data.len();
        let pages = page_size.pages_for(bytes as u64);
        put_header(id, PageKind::Leaf, self.lengths.len(), pages, out);
        let mut data_at = element_at(self.lengths.len());
        for (index, row) in self.lengths.iter().enumerate() {
            let position = (data_at - element_at(index)) as u32;
            out.extend_from_slice(&LeafElement::bytes(flags, position, row.key, row.value));
            data_at += (row.key + row.value) as usize;
        }
        out.extend_from_slice(&self.data);
        put_padding(bytes, pages, page_size, out);
        self.lengths.clear();
        self.data.clear();
        pages
    }
}

/// Appends the header of a tree page.
pub(super) fn put_header(id: PageId, kind: PageKind, count: usize, pages: u64, out: &mut Vec<u8>) {
    let header = Header { id, flags: kind.flags(), count: count as u16, overflow: (pages - 1) as u32 };
    out.extend_from_slice(&header.bytes());
}

/// Appends zeros from the end of a run's content to its end.
pub(super) fn put_padding(content_bytes: usize, pages: u64, page_size: PageSize, out: &mut Vec<u8>) {
    let run_bytes = pages as usize * page_size.bytes() as usize;
    out.resize(out.len() + run_bytes - content_bytes, 0);
}
