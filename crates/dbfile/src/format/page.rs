//! Pages: their numbers, sizes, kinds and headers.

use std::fmt;

use super::{u16_at, u32_at, u64_at};
use crate::limits::{PAGE_BYTES_MAX, PAGE_BYTES_MIN};

/// Bytes of a page's header.
pub(crate) const HEADER_BYTES: usize = 16;

/// The number of a page. Page n begins n page sizes into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u64);

impl PageId {
    /// The first page that is neither a meta page nor before one.
    pub(crate) const FIRST: Self = Self(2);
    /// In the place of a free list's page: the list is not stored.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// Returns where the page begins in the file. The page is one of the file's, which ends below 2^64.
    pub(crate) const fn offset(self, size: PageSize) -> u64 {
        self.0 * size.bytes() as u64
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "page {}", self.0)
    }
}

/// The length of a page in bytes: a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u32);

impl PageSize {
    /// Returns the size, or `None` for what no bbolt file has: anything but a power of two from 1024 to 16 MiB.
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes.is_power_of_two() && bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Returns how many pages so many bytes take.
    pub(crate) const fn pages_for(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.0 as u64)
    }
}

impl Default for PageSize {
    /// Returns 4096: the page size of nearly all machines that run etcd.
    fn default() -> Self {
        Self(4096)
    }
}

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Keys and the pages below them.
    Branch,
    /// Rows.
    Leaf,
    /// The root of everything.
    Meta,
    /// Numbers of free pages.
    FreeList,
}

impl PageKind {
    pub(crate) const fn flags(self) -> u16 {
        match self {
            Self::Branch => 0x01,
            Self::Leaf => 0x02,
            Self::Meta => 0x04,
            Self::FreeList => 0x10,
        }
    }
}

impl fmt::Display for PageKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Branch => "a branch",
            Self::Leaf => "a leaf",
            Self::Meta => "a meta page",
            Self::FreeList => "a list of free pages",
        })
    }
}

/// The first bytes of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: PageId,
    pub(crate) flags: u16,
    pub(crate) count: u16,
    pub(crate) overflow: u32,
}

impl Header {
    pub(crate) fn read(page: &[u8]) -> Self {
        Self {
            id: PageId(u64_at(page, 0)),
            flags: u16_at(page, 8),
            count: u16_at(page, 10),
            overflow: u32_at(page, 12),
        }
    }

    pub(crate) fn bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..].copy_from_slice(&self.overflow.to_le_bytes());
        bytes
    }

    pub(crate) fn is(self, kind: PageKind) -> bool {
        self.flags == kind.flags()
    }
}
