//! The second pass: rows in, bytes out.

use sha2::{Digest as _, Sha256};

use super::WriteError;
use super::branches::{Branches, Child, Pages, branch_bytes};
use super::layout::{Extent, FREE_LIST, Layout, PlannedBucket, ROOT};
use super::leaf::{LeafFill, LeafRows, RowLengths, put_header, put_padding};
use crate::digest::Digest;
use crate::format::{
    BUCKET_FLAG, BUCKET_VALUE_BYTES, BranchElement, Header, Meta, PageId, PageKind, PageSize, element_at,
};

/// Number of the commit that a written file is.
const TXID: u64 = 2;

/// Writes a file to a buffer, in the order of its bytes.
///
/// Each call appends the pages that it completes to `out`, which the caller empties whenever it likes: into a file, into
/// a stream. Between calls the writer holds the rows of one leaf, and the first keys of the children of one branch for
/// each level.
///
/// The rows must be those of the plan. A bucket that differs in its number of rows, in their bytes or in the pages that
/// they take ends with an error, and the file then has no digest.
#[derive(Debug)]
pub struct Writer {
    buckets: std::vec::IntoIter<PlannedBucket>,
    bucket: Option<OpenBucket>,
    pages: PageWriter,
    hasher: Sha256,
}

impl Writer {
    pub(super) fn begin(layout: Layout, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        put_front(&layout, out);
        let mut writer = Self {
            pages: PageWriter {
                page_size: layout.page_size,
                next: PageId(layout.first_bucket_page()),
                done: Vec::new(),
            },
            buckets: layout.buckets.into_iter(),
            bucket: None,
            hasher: Sha256::new(),
        };
        writer.hasher.update(&out[start..]);
        writer
    }

    /// Begins the next bucket of the plan, and ends the one before.
    ///
    /// # Errors
    /// [`WriteError::BucketNotPlanned`] if it has another name, [`WriteError::RowsNotPlanned`] of the one before.
    pub fn bucket(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
        self.end_bucket()?;
        let planned = self.buckets.next();
        let Some(planned) = planned.as_ref().filter(|planned| planned.name == name).cloned() else {
            let planned = planned.map(|planned| planned.name);
            return Err(WriteError::BucketNotPlanned { planned, found: Some(name.to_vec()) });
        };
        self.bucket = Some(OpenBucket::new(planned, &self.pages));
        self.hand_over(out);
        Ok(())
    }

    /// Writes the next row of the bucket.
    ///
    /// # Errors
    /// [`WriteError::KeyOrder`] if the key does not come after the one before; [`WriteError::NoBucket`],
    /// [`WriteError::KeyLength`], [`WriteError::ValueLength`]. The row is not written then.
    pub fn row(&mut self, key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), WriteError> {
        let bucket = self.bucket.as_mut().ok_or(WriteError::NoBucket)?;
        bucket.row(key, value, &mut self.pages)?;
        self.hand_over(out);
        Ok(())
    }

    /// Ends the file: the last branches, and the digest of all. Returns the digest.
    ///
    /// # Errors
    /// [`WriteError::RowsNotPlanned`] of the last bucket, [`WriteError::BucketNotPlanned`] if there should be another.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Digest, WriteError> {
        self.end_bucket()?;
        if let Some(planned) = self.buckets.next() {
            return Err(WriteError::BucketNotPlanned { planned: Some(planned.name), found: None });
        }
        self.hand_over(out);
        let digest = Digest(self.hasher.finalize().into());
        out.extend_from_slice(&digest.0);
        Ok(digest)
    }

    fn end_bucket(&mut self) -> Result<(), WriteError> {
        self.bucket.take().map_or(Ok(()), |bucket| bucket.finish(&mut self.pages))
    }

    /// Appends the pages that are done to `out`.
    fn hand_over(&mut self, out: &mut Vec<u8>) {
        self.hasher.update(&self.pages.done);
        out.append(&mut self.pages.done);
    }
}

/// Appends what comes before the first bucket.
fn put_front(layout: &Layout, out: &mut Vec<u8>) {
    let page_bytes = layout.page_size.bytes() as usize;
    let end = out.len() + ROOT.0 as usize * page_bytes;
    for id in [PageId(0), PageId(1)] {
        let meta = Meta {
            page_size: layout.page_size,
            root: ROOT,
            free_list: Some(FREE_LIST),
            pages: layout.pages(),
            txid: TXID - id.0,
        };
        let page_end = out.len() + page_bytes;
        out.extend_from_slice(&meta.bytes(id));
        out.resize(page_end, 0);
    }
    let free = Header { id: FREE_LIST, flags: PageKind::FreeList.flags(), count: 0, overflow: 0 };
    out.extend_from_slice(&free.bytes());
    out.resize(end, 0);
    put_root(layout, out);
}

/// Appends the leaf that has the buckets.
fn put_root(layout: &Layout, out: &mut Vec<u8>) {
    let mut rows = LeafRows::default();
    for bucket in &layout.buckets {
        let mut value = [0; BUCKET_VALUE_BYTES];
        value[..8].copy_from_slice(&bucket.root.0.to_le_bytes());
        let lengths = RowLengths::new(bucket.name.len(), value.len()).expect("the plan has checked the name");
        rows.push(lengths, &bucket.name, &value);
    }
    rows.write(ROOT, BUCKET_FLAG, layout.page_size, out);
}

/// A bucket that is being written.
#[derive(Debug)]
struct OpenBucket {
    planned: PlannedBucket,
    first_page: PageId,
    rows: u64,
    bytes: u64,
    last_key: Vec<u8>,
    fill: LeafFill,
    leaf: LeafRows,
    branches: Branches<Vec<u8>>,
}

impl OpenBucket {
    fn new(planned: PlannedBucket, pages: &PageWriter) -> Self {
        Self {
            planned,
            first_page: pages.next,
            rows: 0,
            bytes: 0,
            last_key: Vec::new(),
            fill: LeafFill::EMPTY,
            leaf: LeafRows::default(),
            branches: Branches::new(pages.page_size),
        }
    }

    fn row(&mut self, key: &[u8], value: &[u8], pages: &mut PageWriter) -> Result<(), WriteError> {
        let lengths = RowLengths::new(key.len(), value.len())?;
        if self.last_key[..] >= *key {
            return Err(WriteError::KeyOrder { key: key.to_vec(), before: self.last_key.clone() });
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if self.fill.is_full_for(lengths, pages.page_size) {
            self.end_leaf(pages);
        }
        self.fill.add(lengths);
        self.leaf.push(lengths, key, value);
        self.rows += 1;
        self.bytes += lengths.bytes();
        Ok(())
    }

    fn end_leaf(&mut self, pages: &mut PageWriter) {
        let key = self.leaf.first_key().to_vec();
        let page = pages.leaf(&mut self.leaf);
        self.fill = LeafFill::EMPTY;
        self.branches.push(Child { key, page }, pages);
    }

    /// Writes what is left, and compares the bucket with the plan.
    fn finish(mut self, pages: &mut PageWriter) -> Result<(), WriteError> {
        self.end_leaf(pages);
        let root = self.branches.finish(pages);
        let found = Extent { rows: self.rows, bytes: self.bytes, pages: pages.next.0 - self.first_page.0 };
        let PlannedBucket { name, extent: planned, root: planned_root } = self.planned;
        if found != planned || root != planned_root {
            return Err(WriteError::RowsNotPlanned { name, planned, found });
        }
        Ok(())
    }
}

/// Puts pages one after the other.
#[derive(Debug)]
struct PageWriter {
    page_size: PageSize,
    next: PageId,
    /// Pages that are complete.
    done: Vec<u8>,
}

impl PageWriter {
    fn leaf(&mut self, rows: &mut LeafRows) -> PageId {
        let page = self.next;
        self.next.0 += rows.write(page, 0, self.page_size, &mut self.done);
        page
    }
}

impl Pages<Vec<u8>> for PageWriter {
    fn branch(&mut self, children: &[Child<Vec<u8>>]) -> PageId {
        let page = self.next;
        let bytes = branch_bytes(children);
        let run_pages = self.page_size.pages_for(bytes as u64);
        put_header(page, PageKind::Branch, children.len(), run_pages, &mut self.done);
        let mut key_at = element_at(children.len());
        for (index, child) in children.iter().enumerate() {
            let position = (key_at - element_at(index)) as u32;
            self.done.extend_from_slice(&BranchElement::bytes(position, child.key.len() as u32, child.page));
            key_at += child.key.len();
        }
        children.iter().for_each(|child| self.done.extend_from_slice(&child.key));
        put_padding(bytes, run_pages, self.page_size, &mut self.done);
        self.next.0 += run_pages;
        page
    }
}
