//! The list of free pages, read in pieces: it may be longer than what is taken into memory.

use super::Db;
use crate::error::PageKinds;
use crate::format::{HEADER_BYTES, Header, PageId, PageKind, u64_at};
use crate::limits::CHUNK_BYTES;
use crate::source::read;
use crate::{Error, ReadAt, Reason};

/// In the place of a page's count: the true one is the first number of the list.
const COUNT_IS_FIRST: u16 = 0xffff;
const NUMBER_BYTES: u64 = 8;

/// Numbers of free pages, ascending.
pub(super) struct FreeList<'d, S> {
    db: &'d Db<S>,
    page: PageId,
    /// Pages of the list itself.
    pub(super) run_pages: u64,
    /// Where the next number is in the file, and how many are left.
    at: u64,
    left: u64,
    chunk: Vec<u8>,
    /// Place in `chunk` of the next number.
    next: usize,
    before: PageId,
}

impl<S: ReadAt> Db<S> {
    /// Opens the list of free pages; `None` if it is not stored.
    pub(super) fn free_list(&self) -> Result<Option<FreeList<'_, S>>, Error> {
        let Some(page) = self.meta().free_list else { return Ok(None) };
        let page_size = self.meta().page_size;
        let offset = page.offset(page_size);
        let mut front = [0; HEADER_BYTES + NUMBER_BYTES as usize];
        read(&self.source, &mut front, offset)?;
        let header = Header::read(&front);
        self.check_header(page, &header, PageKinds::One(PageKind::FreeList))
            .map_err(|reason| Error::page(page, offset, reason))?;
        let run_pages = u64::from(header.overflow) + 1;
        let (count, front_bytes) = match header.count {
            COUNT_IS_FIRST => (u64_at(&front, HEADER_BYTES), front.len() as u64),
            count => (count.into(), HEADER_BYTES as u64),
        };
        let bytes = run_pages * u64::from(page_size.bytes());
        if count > (bytes - front_bytes) / NUMBER_BYTES {
            return Err(Error::page(page, offset, Reason::FreeCount { count, bytes }));
        }
        let at = offset + front_bytes;
        Ok(Some(FreeList {
            db: self,
            page,
            run_pages,
            at,
            left: count,
            chunk: Vec::new(),
            next: 0,
            before: PageId(PageId::FIRST.0 - 1),
        }))
    }
}

impl<S: ReadAt> FreeList<'_, S> {
    /// Returns the page of the list.
    pub(super) const fn page(&self) -> PageId {
        self.page
    }

    /// Returns the next free page: one of the file's, above the one before.
    pub(super) fn next_free(&mut self) -> Result<Option<PageId>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.next == self.chunk.len() {
            let bytes = (self.left * NUMBER_BYTES).min(CHUNK_BYTES as u64);
            self.chunk.resize(bytes as usize, 0);
            self.next = 0;
            read(&self.db.source, &mut self.chunk, self.at)?;
        }
        let target = PageId(u64_at(&self.chunk, self.next));
        let pages = self.db.meta().pages;
        self.left -= 1;
        self.next += NUMBER_BYTES as usize;
        self.at += NUMBER_BYTES;
        if !self.db.meta().has(target) {
            return Err(self.fault(Reason::TargetOutside { target, pages }));
        }
        if target <= self.before {
            return Err(self.fault(Reason::FreeOrder { target }));
        }
        self.before = target;
        Ok(Some(target))
    }

    /// Returns the fault of the number that was read last.
    pub(super) fn fault(&self, reason: Reason) -> Error {
        Error::page(self.page, self.at - NUMBER_BYTES, reason)
    }
}
