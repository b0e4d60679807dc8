//! Every limit of the crate, each with its reason.

/// Smallest page in bytes. bbolt looks for the second meta page from here on.
pub const PAGE_BYTES_MIN: u32 = 1024;

/// Largest page in bytes: the farthest place where bbolt looks for a second meta page.
pub const PAGE_BYTES_MAX: u32 = 1024 << 14;

/// Longest key in bytes, as in bbolt.
pub const KEY_BYTES_MAX: usize = 32768;

/// Headers, keys and values of a run are shorter than this, in bytes. bbolt uses offsets within a run as positive 32-bit
/// numbers; filled up to whole pages, of whatever size, it stays below 2 GiB.
pub const RUN_BYTES_END: u64 = (1 << 31) - PAGE_BYTES_MAX as u64;

/// Most elements that bbolt writes into a tree page: 0xFFFF has another meaning in a free list.
pub const ELEMENTS_MAX: usize = 0xfffe;

/// Longest run of pages that a reader takes into memory unless its caller says otherwise, in bytes. bbolt leaves up to
/// four rows in a run, whatever their length, so values of a sixth of this always pass: ten times what etcd takes by
/// default for a whole request.
pub const RUN_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// Levels of a tree. With two children a branch, which bbolt insists on, that is more pages than any disk has.
pub const DEPTH_MAX: usize = 48;

/// Blocks of the set of pages that [`check`](crate::Db::check) holds in memory, 4 KiB each for 32,768 pages in a row:
/// 32 MiB, enough for a TiB of pages of 4 KiB, and an end for files that scatter a few pages over exabytes.
pub(crate) const PAGE_SET_BLOCKS_MAX: usize = 8192;

/// What is read ahead of the pages of a walk, in bytes: some pages at first, and at most what a system call and its way through
/// memory are lost in.
pub(crate) const AHEAD_BYTES_MIN: usize = 16 << 10;
pub(crate) const AHEAD_BYTES_MAX: usize = 256 << 10;

/// What is read at once of a list of free pages and of a file whose digest is taken, in bytes.
pub(crate) const CHUNK_BYTES: usize = 1 << 18;

/// Changes that are collected at once while a store is counted or hashed, 24 bytes each: 48 MiB. A store in which more keys
/// are live than three quarters of this is gone through again for each share of its keys.
pub(crate) const CHANGES_MAX: usize = 1 << 21;
