//! What a plan comes to: which pages a file will have.

use std::fmt;

use super::Writer;
use crate::digest::DIGEST_BYTES;
use crate::format::{PageId, PageSize};

/// The meta pages and the list of free pages.
pub(super) const ROOT: PageId = PageId(3);
pub(super) const FREE_LIST: PageId = PageId(2);

/// What a bucket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Pages.
    pub pages: u64,
}

impl fmt::Display for Extent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, bytes, pages } = self;
        write!(formatter, "{rows} rows with {bytes} bytes on {pages} pages")
    }
}

/// A bucket that was planned. Its root is the last of its pages.
#[derive(Debug, Clone)]
pub(super) struct PlannedBucket {
    pub(super) name: Vec<u8>,
    pub(super) extent: Extent,
    /// The root; a run of more than one page begins before the bucket's last page.
    pub(super) root: PageId,
}

/// The pages of a file that is going to be written: everything that must be known before its first byte.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(super) page_size: PageSize,
    /// Pages of the root leaf.
    pub(super) root_pages: u64,
    /// In the order of their names.
    pub(super) buckets: Vec<PlannedBucket>,
}

impl Layout {
    /// Returns how many pages the file will have.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.first_bucket_page() + self.buckets.iter().map(|bucket| bucket.extent.pages).sum::<u64>()
    }

    /// Returns the length of the database in bytes: all pages.
    #[must_use]
    pub fn db_bytes(&self) -> u64 {
        self.pages() * u64::from(self.page_size.bytes())
    }

    /// Returns the length of the file in bytes: all pages, and the digest.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.db_bytes() + DIGEST_BYTES as u64
    }

    /// Begins the second pass: appends all pages before the first bucket's to `out`.
    #[must_use]
    pub fn begin(self, out: &mut Vec<u8>) -> Writer {
        Writer::begin(self, out)
    }

    pub(super) const fn first_bucket_page(&self) -> u64 {
        ROOT.0 + self.root_pages
    }
}
