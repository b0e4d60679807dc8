//! Runs: a page and those that it goes on in, in memory.

use super::Db;
use super::ahead::Ahead;
use crate::error::PageKinds;
use crate::format::{Header, PageId, PageKind};
use crate::{Error, ReadAt, Reason};

/// A run of pages, or the inline page of a bucket.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) page: PageId,
    /// Byte of the file with which `bytes` begins.
    pub(super) offset: u64,
    /// Elements of it.
    pub(super) count: usize,
    pub(super) bytes: Vec<u8>,
}

impl Run {
    pub(super) const fn empty() -> Self {
        Self { page: PageId(0), offset: 0, count: 0, bytes: Vec::new() }
    }

    /// Returns the fault of a byte of the run.
    pub(super) fn fault(&self, at: usize, reason: Reason) -> Error {
        Error::page(self.page, self.offset.saturating_add(at as u64), reason)
    }
}

impl<S: ReadAt> Db<S> {
    /// Reads the run that begins with `page`, which is one of the file's, into `run`; returns its header.
    pub(super) fn load(
        &self,
        page: PageId,
        bytes_max: u64,
        ahead: &mut Ahead,
        run: &mut Run,
    ) -> Result<Header, Error> {
        let page_size = self.meta().page_size;
        let page_bytes = page_size.bytes() as usize;
        *run = Run { page, offset: page.offset(page_size), count: 0, bytes: std::mem::take(&mut run.bytes) };
        run.bytes.resize(page_bytes, 0);
        ahead.read(self, &mut run.bytes, run.offset)?;
        let header = Header::read(&run.bytes);
        self.check_header(page, &header, PageKinds::Tree).map_err(|reason| run.fault(0, reason))?;
        let bytes = (u64::from(header.overflow) + 1) * u64::from(page_size.bytes());
        if bytes > bytes_max {
            return Err(run.fault(0, Reason::RunTooLong { bytes, max: bytes_max }));
        }
        if header.overflow > 0 {
            // Fits into memory: it is within the caller's limit.
            run.bytes.resize(bytes as usize, 0);
            ahead.read(self, &mut run.bytes[page_bytes..], run.offset + u64::from(page_size.bytes()))?;
        }
        run.count = header.count.into();
        Ok(header)
    }

    /// Checks a header: the page is where it says, is what it must be, and its run ends within the file.
    pub(super) fn check_header(
        &self,
        page: PageId,
        header: &Header,
        expected: PageKinds,
    ) -> Result<(), Reason> {
        if header.id != page {
            return Err(Reason::Id { found: header.id });
        }
        let fits = match expected {
            PageKinds::One(kind) => header.is(kind),
            PageKinds::Tree => header.is(PageKind::Branch) || header.is(PageKind::Leaf),
        };
        if !fits {
            return Err(Reason::Kind { found: header.flags, expected });
        }
        let pages = self.meta().pages;
        if page.0 + u64::from(header.overflow) >= pages {
            return Err(Reason::RunOutside { overflow: header.overflow, pages });
        }
        Ok(())
    }
}
