//! What can be wrong with a file.

use std::io;

use crate::format::{PageId, PageKind};

/// A fault of a file, or of reading it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not be read.
    #[error("{bytes} bytes at byte {offset} could not be read: {source}")]
    Io {
        /// First byte that was wanted.
        offset: u64,
        /// How many bytes were wanted.
        bytes: usize,
        /// What the source said.
        source: io::Error,
    },
    /// A page is not what it must be.
    #[error("{page}, byte {offset}: {reason}")]
    Page {
        /// The page; for a run of several the first.
        page: PageId,
        /// Byte of the file where it was noticed.
        offset: u64,
        /// What is wrong.
        reason: Reason,
    },
}

impl Error {
    pub(crate) fn page(page: PageId, offset: u64, reason: Reason) -> Self {
        Self::Page { page, offset, reason }
    }
}

/// What is wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The file ends before a meta page can be whole.
    #[error("the file has {bytes} bytes, too few for a database")]
    TooShort {
        /// Length of the file.
        bytes: u64,
    },
    /// Something else than a bbolt file.
    #[error("not a bbolt database: it begins with {found:#010x}, not with 0xed0cdaed")]
    Magic {
        /// What is in the place of the magic number.
        found: u32,
    },
    /// bbolt writes numbers in the byte order of the machine.
    #[error("written by a big-endian machine; only little-endian files are read")]
    BigEndian,
    /// A format that this crate does not know.
    #[error("format version {found}; only version 2 is read")]
    Version {
        /// The version of the file.
        found: u32,
    },
    /// A meta page is torn or damaged.
    #[error("the checksum of the meta page is {stored:#018x}, but its content gives {computed:#018x}")]
    MetaChecksum {
        /// The checksum in the page.
        stored: u64,
        /// The checksum of the content.
        computed: u64,
    },
    /// A page size that no writer has.
    #[error("the page size is {found}; it must be a power of two from 1024 to 16777216")]
    PageSize {
        /// The page size of the file.
        found: u32,
    },
    /// The file is cut short.
    #[error("the file says to have {pages} pages of {page_bytes} bytes, but it has {bytes} bytes")]
    PagesBeyondFile {
        /// The high-water mark.
        pages: u64,
        /// The page size.
        page_bytes: u32,
        /// Length of the file, without a digest.
        bytes: u64,
    },
    /// A page that is referred to is not one of the file's.
    #[error("refers to {target}, but only pages 2 to {} can be meant", pages.saturating_sub(1))]
    TargetOutside {
        /// The page referred to.
        target: PageId,
        /// The high-water mark.
        pages: u64,
    },
    /// A page with another number than its place.
    #[error("the page says that it is {found}")]
    Id {
        /// The number in the page.
        found: PageId,
    },
    /// A page of another kind than the place needs.
    #[error("the page has the flags {found:#06x}, where {expected} is needed")]
    Kind {
        /// The flags of the page.
        found: u16,
        /// What would do.
        expected: PageKinds,
    },
    /// A run that goes on after the last page.
    #[error("the page goes on for {overflow} pages, beyond the last of {pages}")]
    RunOutside {
        /// Further pages of the run.
        overflow: u32,
        /// The high-water mark.
        pages: u64,
    },
    /// A run that is longer than the caller takes into memory.
    #[error("{bytes} bytes in one run of pages; at most {max} are taken into memory")]
    RunTooLong {
        /// Length of the run, or of the branches from the root to here together.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// More elements than fit.
    #[error("{count} elements do not fit into {bytes} bytes")]
    Count {
        /// How many there are.
        count: u16,
        /// Length of the run or inline value.
        bytes: usize,
    },
    /// A key or value that is not within its page.
    #[error("element {index}: key and value are not within the page")]
    ElementOutside {
        /// The element, from 0.
        index: usize,
    },
    /// Elements that share bytes.
    #[error("element {index}: the elements up to here are longer together than the page")]
    ElementsOverlap {
        /// The element, from 0.
        index: usize,
    },
    /// A key of no length, or longer than any.
    #[error("element {index}: a key of {bytes} bytes")]
    KeyLength {
        /// The element, from 0.
        index: usize,
        /// The key's length.
        bytes: usize,
    },
    /// Flags that have no meaning.
    #[error("element {index}: unknown flags {found:#x}")]
    ElementFlags {
        /// The element, from 0.
        index: usize,
        /// The flags.
        found: u32,
    },
    /// Keys that do not ascend.
    #[error("element {index}: the key is not above the one before it")]
    KeyOrder {
        /// The element, from 0.
        index: usize,
    },
    /// A key that belongs under another branch.
    #[error("element {index}: the key is outside the range that the branches above give to this page")]
    KeyOutsideRange {
        /// The element, from 0.
        index: usize,
    },
    /// A branch without children, or a leaf below a branch without rows.
    #[error("the page is empty, which only the root of a bucket may be")]
    Empty,
    /// A tree that is deeper than any can be.
    #[error("the tree has more than {max} levels")]
    Depth {
        /// The limit.
        max: usize,
    },
    /// A page that is reached on two ways.
    #[error("{target} is referred to more than once")]
    ReachedTwice {
        /// The page, which may be the middle of a run.
        target: PageId,
    },
    /// A plain row among the buckets.
    #[error("element {index}: a row that is in no bucket")]
    RowInRoot {
        /// The element, from 0.
        index: usize,
    },
    /// A bucket among the rows of one.
    #[error("element {index}: a bucket within a bucket, which etcd does not have")]
    BucketInBucket {
        /// The element, from 0.
        index: usize,
    },
    /// The value of a bucket has a wrong length or an unexpected header.
    #[error("element {index}: not the value of a bucket")]
    BucketValue {
        /// The element, from 0.
        index: usize,
    },
    /// More pages, more scattered, than the set of reached pages can hold.
    #[error("the pages are scattered over more than can be checked in memory")]
    TooScattered,
    /// A list of free pages that is longer than its run.
    #[error("{count} free pages do not fit into the list's {bytes} bytes")]
    FreeCount {
        /// How many there are to be.
        count: u64,
        /// Length of the run.
        bytes: u64,
    },
    /// Free pages that do not ascend.
    #[error("free {target} is not above the one before it")]
    FreeOrder {
        /// The page.
        target: PageId,
    },
    /// A free page that is in use.
    #[error("{target} is free and in use")]
    FreeInUse {
        /// The page.
        target: PageId,
    },
    /// A page that is neither in use nor free.
    #[error("the page is neither in use nor free")]
    Unreachable,
}

/// Kinds of pages that would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKinds {
    /// Just this one.
    One(PageKind),
    /// A branch or a leaf.
    Tree,
}

impl std::fmt::Display for PageKinds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(kind) => write!(formatter, "{kind}"),
            Self::Tree => write!(formatter, "a branch or a leaf"),
        }
    }
}
