//! The bytes of a bbolt file: what a page, an element and a meta page look like, for reader and writer alike.
//!
//! ```text
//! page        0 id u64 │ 8 flags u16 │ 10 count u16 │ 12 overflow u32 │ 16 elements … data …
//! leaf        0 flags u32 │ 4 pos u32 │ 8 key length u32 │ 12 value length u32
//! branch      0 pos u32 │ 4 key length u32 │ 8 child u64
//! bucket      0 root u64 │ 8 sequence u64 │ 16 inline page, if root is 0
//! ```
//!
//! All numbers are little-endian. `pos` counts from the first byte of its own element. The functions here take slices
//! that are long enough; whether they are is the reader's to know.

mod element;
mod meta;
mod page;

pub(crate) use element::{
    BUCKET_FLAG, BUCKET_VALUE_BYTES, BranchElement, ELEMENT_BYTES, LeafElement, element_at,
};
pub use meta::Meta;
pub(crate) use meta::{META_BYTES, MetaFault, seal_meta};
pub(crate) use page::{HEADER_BYTES, Header};
pub use page::{PageId, PageKind, PageSize};

/// Returns the number at `at`. The slice is long enough.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

/// Returns the number at `at`. The slice is long enough.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// Returns the number at `at`. The slice is long enough.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
