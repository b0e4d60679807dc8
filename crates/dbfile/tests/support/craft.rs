//! Files made by hand, page by page, right or wrong.

use std::ops::Range;

pub(crate) const PAGE_BYTES: usize = 1024;

/// A file of pages of 1 KiB. The root is page 3, free pages are not listed.
#[derive(Clone)]
pub(crate) struct Craft {
    pub(crate) bytes: Vec<u8>,
}

impl Craft {
    /// A file with these pages from page 2 on.
    pub(crate) fn new(pages: &[Page]) -> Self {
        let mut bytes = vec![0; 2 * PAGE_BYTES];
        pages.iter().for_each(|page| page.put(&mut bytes));
        let mut craft = Self { bytes };
        let pages = craft.pages();
        for id in [0, 1] {
            craft.put(id, 0, &id.to_le_bytes());
            craft.put(id, 8, &4_u16.to_le_bytes());
            craft.put(id, 16, &0xed0c_daed_u32.to_le_bytes());
            craft.put(id, 20, &2_u32.to_le_bytes());
            craft.put(id, 24, &(PAGE_BYTES as u32).to_le_bytes());
            craft.put(id, 64, &(2 - id).to_le_bytes());
        }
        craft.with_meta(32, 3).with_meta(48, u64::MAX).with_meta(56, pages)
    }

    /// Pages of the file.
    pub(crate) fn pages(&self) -> u64 {
        (self.bytes.len() / PAGE_BYTES) as u64
    }

    /// Overwrites bytes of a page.
    pub(crate) fn put(&mut self, page: u64, at: usize, bytes: &[u8]) {
        self.bytes[page as usize * PAGE_BYTES + at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// The same with other bytes in a page.
    pub(crate) fn with(mut self, page: u64, at: usize, bytes: &[u8]) -> Self {
        self.put(page, at, bytes);
        self
    }

    /// The same with another number in both meta pages, and the checksums that go with it.
    pub(crate) fn with_meta(mut self, at: usize, number: u64) -> Self {
        for id in [0, 1] {
            self.put(id, at, &number.to_le_bytes());
            let range = id as usize * PAGE_BYTES..(id as usize + 1) * PAGE_BYTES;
            super::seal_meta(&mut self.bytes[range]);
        }
        self
    }

    /// The bytes of a page.
    pub(crate) fn page(&mut self, page: u64) -> &mut [u8] {
        &mut self.bytes[range(page)]
    }
}

fn range(page: u64) -> Range<usize> {
    page as usize * PAGE_BYTES..(page as usize + 1) * PAGE_BYTES
}

/// A run of pages.
#[derive(Clone)]
pub(crate) enum Page {
    /// Rows: flags, key, value.
    Leaf(Vec<(u32, Vec<u8>, Vec<u8>)>),
    /// Children: key, page.
    Branch(Vec<(Vec<u8>, u64)>),
    /// Free pages.
    FreeList(Vec<u64>),
    /// A page of zeros.
    Zero,
}

impl Page {
    /// A leaf with these keys, and values of so many bytes.
    pub(crate) fn rows(keys: &[&str], value_bytes: usize) -> Self {
        let row = |key: &&str| (0, key.as_bytes().to_vec(), vec![b'v'; value_bytes]);
        Self::Leaf(keys.iter().map(row).collect())
    }

    /// A leaf with buckets, which have these roots.
    pub(crate) fn buckets(buckets: &[(&str, u64)]) -> Self {
        let value = |root: u64| [root.to_le_bytes(), [0; 8]].concat();
        Self::Leaf(buckets.iter().map(|(name, root)| (1, name.as_bytes().to_vec(), value(*root))).collect())
    }

    /// A branch.
    pub(crate) fn branch(children: &[(&str, u64)]) -> Self {
        Self::Branch(children.iter().map(|(key, page)| (key.as_bytes().to_vec(), *page)).collect())
    }

    fn put(&self, file: &mut Vec<u8>) {
        let id = (file.len() / PAGE_BYTES) as u64;
        let (flags, count, body) = match self {
            Self::Leaf(rows) => (2, rows.len(), leaf_body(rows)),
            Self::Branch(children) => (1, children.len(), branch_body(children)),
            Self::FreeList(ids) => (16, ids.len(), ids.iter().flat_map(|id| id.to_le_bytes()).collect()),
            Self::Zero => return file.resize(file.len() + PAGE_BYTES, 0),
        };
        let pages = (16 + body.len()).div_ceil(PAGE_BYTES);
        file.extend(id.to_le_bytes());
        file.extend((flags as u16).to_le_bytes());
        file.extend((count as u16).to_le_bytes());
        file.extend((pages as u32 - 1).to_le_bytes());
        file.extend(body);
        file.resize((id as usize + pages) * PAGE_BYTES, 0);
    }
}

/// Elements, keys and values of a leaf.
pub(crate) fn leaf_body(rows: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut data = Vec::new();
    for (index, (flags, key, value)) in rows.iter().enumerate() {
        let position = (rows.len() - index) * 16 + data.len();
        for number in [*flags, position as u32, key.len() as u32, value.len() as u32] {
            table.extend(number.to_le_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    [table, data].concat()
}

fn branch_body(children: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut data = Vec::new();
    for (index, (key, page)) in children.iter().enumerate() {
        let position = (children.len() - index) * 16 + data.len();
        table.extend((position as u32).to_le_bytes());
        table.extend((key.len() as u32).to_le_bytes());
        table.extend(page.to_le_bytes());
        data.extend_from_slice(key);
    }
    [table, data].concat()
}
