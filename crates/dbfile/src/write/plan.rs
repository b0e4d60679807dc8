//! The first pass: lengths in, pages out.

use super::WriteError;
use super::branches::{Branches, Child, Pages, branch_bytes};
use super::layout::{Extent, Layout, PlannedBucket, ROOT};
use super::leaf::{LeafFill, RowLengths};
use crate::format::{BUCKET_VALUE_BYTES, PageId, PageSize, element_at};
use crate::limits::{ELEMENTS_MAX, RUN_BYTES_END};

/// Counts the pages that a file will have, from the lengths of its rows. Takes a few KiB, whatever their number.
#[derive(Debug)]
pub struct Plan {
    page_size: PageSize,
    buckets: Vec<PlannedBucket>,
    /// Bytes of the leaf with all buckets.
    root_bytes: u64,
    bucket: Option<BucketPlan>,
}

impl Plan {
    /// Returns the plan of a file without buckets.
    #[must_use]
    pub const fn new(page_size: PageSize) -> Self {
        Self { page_size, buckets: Vec::new(), root_bytes: element_at(0) as u64, bucket: None }
    }

    /// Begins a bucket. Its name comes after the one before it.
    ///
    /// # Errors
    /// [`WriteError::BucketOrder`], [`WriteError::KeyLength`] of the name, [`WriteError::TooManyBuckets`]. The bucket before
    /// goes on then.
    pub fn bucket(&mut self, name: &[u8]) -> Result<(), WriteError> {
        let root_bytes = self.root_bytes + RowLengths::new(name.len(), BUCKET_VALUE_BYTES)?.bytes_in_leaf();
        if let Some(last) = self.buckets.last().filter(|last| last.name[..] >= *name) {
            return Err(WriteError::BucketOrder { name: name.to_vec(), before: last.name.clone() });
        }
        if self.buckets.len() == ELEMENTS_MAX || root_bytes >= RUN_BYTES_END {
            return Err(WriteError::TooManyBuckets);
        }
        self.end_bucket();
        self.root_bytes = root_bytes;
        // Where its root is, is known at its end.
        self.buckets.push(PlannedBucket { name: name.to_vec(), extent: Extent::default(), root: PageId(0) });
        self.bucket = Some(BucketPlan::new(self.page_size));
        Ok(())
    }

    /// Adds a row to the bucket, by the lengths of its key and value in bytes.
    ///
    /// # Errors
    /// [`WriteError::NoBucket`], [`WriteError::KeyLength`], [`WriteError::ValueLength`].
    pub fn row(&mut self, key_bytes: usize, value_bytes: usize) -> Result<(), WriteError> {
        let lengths = RowLengths::new(key_bytes, value_bytes)?;
        self.bucket.as_mut().ok_or(WriteError::NoBucket)?.row(lengths, key_bytes);
        Ok(())
    }

    /// Ends the plan.
    #[must_use]
    pub fn finish(mut self) -> Layout {
        self.end_bucket();
        let root_pages = self.page_size.pages_for(self.root_bytes);
        // Buckets were planned without what comes before them.
        let mut first = ROOT.0 + root_pages;
        for bucket in &mut self.buckets {
            bucket.root.0 += first;
            first += bucket.extent.pages;
        }
        Layout { page_size: self.page_size, root_pages, buckets: self.buckets }
    }

    fn end_bucket(&mut self) {
        if let (Some(plan), Some(bucket)) = (self.bucket.take(), self.buckets.last_mut()) {
            (bucket.root, bucket.extent) = plan.finish();
        }
    }
}

/// The plan of a bucket, whose pages are counted from 0.
#[derive(Debug)]
struct BucketPlan {
    extent: Extent,
    leaf: LeafFill,
    first_key_bytes: usize,
    branches: Branches<usize>,
    counter: Counter,
}

impl BucketPlan {
    const fn new(page_size: PageSize) -> Self {
        Self {
            extent: Extent { rows: 0, bytes: 0, pages: 0 },
            leaf: LeafFill::EMPTY,
            first_key_bytes: 0,
            branches: Branches::new(page_size),
            counter: Counter { page_size, pages: 0 },
        }
    }

    fn row(&mut self, row: RowLengths, key_bytes: usize) {
        if self.leaf.is_full_for(row, self.counter.page_size) {
            self.end_leaf();
        }
        if self.leaf.rows == 0 {
            self.first_key_bytes = key_bytes;
        }
        self.leaf.add(row);
        self.extent.rows += 1;
        self.extent.bytes += row.bytes();
    }

    fn end_leaf(&mut self) {
        let page = self.counter.take(self.leaf.bytes);
        self.branches.push(Child { key: self.first_key_bytes, page }, &mut self.counter);
        self.leaf = LeafFill::EMPTY;
    }

    /// Returns the root, and what the bucket takes. A bucket without rows has an empty leaf.
    fn finish(mut self) -> (PageId, Extent) {
        self.end_leaf();
        let root = self.branches.finish(&mut self.counter);
        (root, Extent { pages: self.counter.pages, ..self.extent })
    }
}

/// Gives out pages.
#[derive(Debug)]
struct Counter {
    page_size: PageSize,
    pages: u64,
}

impl Counter {
    /// Returns the first page of the next run, which has so many bytes.
    fn take(&mut self, bytes: u64) -> PageId {
        let page = PageId(self.pages);
        self.pages += self.page_size.pages_for(bytes);
        page
    }
}

impl Pages<usize> for Counter {
    fn branch(&mut self, children: &[Child<usize>]) -> PageId {
        self.take(branch_bytes(children) as u64)
    }
}
