//! Looking at all of a file: every page is in use once, free, or a root.

use super::Db;
use super::free_list::FreeList;
use super::page_set::PageSet;
use super::walk::Aim;
use crate::format::PageId;
use crate::{Error, ReadAt, Reason};

/// What a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Pages that are in use: both meta pages, the list of free pages, branches, leaves and what they go on in.
    pub pages_in_use: u64,
    /// All other pages.
    pub pages_free: u64,
    /// Buckets.
    pub buckets: u64,
    /// Rows of all buckets.
    pub rows: u64,
}

impl<S: ReadAt> Db<S> {
    /// Reads all pages in use and checks them as bbolt's own `check` does: each page is where it says and what it must be,
    /// keys ascend, no page is reached twice, and if free pages are listed, each page is either in use or free. Then
    /// inline pages, which `check` leaves out. What rows mean is not looked at.
    ///
    /// Takes the memory of a [walk](crate::Rows), and 4 KiB for each 32,768 pages in use.
    ///
    /// # Errors
    /// With the first fault found.
    pub fn check(&self) -> Result<Census, Error> {
        let mut reached = PageSet::default();
        reached.insert(PageId(0), PageId::FIRST.0).map_err(|reason| self.fault(PageId(0), reason))?;
        if let Some(list) = self.free_list()? {
            reached.insert(list.page(), list.run_pages).map_err(|reason| self.fault(list.page(), reason))?;
        }
        let mut buckets = self.buckets_reaching(Some(reached))?;
        let (mut bucket_count, mut rows) = (0, 0);
        while let Some(bucket) = buckets.next().transpose()? {
            let mut walk = bucket.walk(Aim::First, buckets.walk.reached.take())?;
            rows += walk.leaf.count as u64;
            while walk.next_leaf()? {
                rows += walk.leaf.count as u64;
            }
            buckets.walk.reached = walk.reached;
            bucket_count += 1;
        }
        let reached = buckets.walk.reached.take().unwrap_or_default();
        if let Some(list) = self.free_list()? {
            self.check_free(&reached, list)?;
        }
        let pages_free = self.meta().pages - reached.len();
        Ok(Census { pages_in_use: reached.len(), pages_free, buckets: bucket_count, rows })
    }

    /// Checks that pages not in use are free, and free ones not in use.
    fn check_free(&self, reached: &PageSet, mut list: FreeList<'_, S>) -> Result<(), Error> {
        let mut page = PageId(0);
        loop {
            let free = list.next_free()?;
            let end = free.map_or(self.meta().pages, |free| free.0);
            while page.0 < end {
                // Ends no later than with the first page that is in neither set.
                if !reached.contains(page) {
                    return Err(self.fault(page, Reason::Unreachable));
                }
                page.0 += 1;
            }
            let Some(target) = free else { return Ok(()) };
            if reached.contains(target) {
                return Err(list.fault(Reason::FreeInUse { target }));
            }
            page.0 += 1;
        }
    }

    fn fault(&self, page: PageId, reason: Reason) -> Error {
        Error::page(page, page.offset(self.meta().page_size), reason)
    }
}
