//! The writer: a file in one pass over its bytes, without going back.
//!
//! A file begins with numbers that are known at its end: how many pages there are, and where each bucket's root is. So a
//! file is written in two passes over the same rows, from a view that does not change in between:
//!
//! ```text
//! Plan ── bucket, row lengths … ──► Layout ── begin ──► Writer ── bucket, rows … ──► finish
//!         (numbers only)            pages, bytes        (appends to a buffer that the caller empties)
//! ```
//!
//! Both passes run the same rules over the same lengths: [`Plan`] counts the pages that [`Writer`] then fills.
//!
//! | page | content |
//! |---|---|
//! | 0, 1 | meta pages |
//! | 2 | list of free pages: none |
//! | 3 | the root: a leaf with all buckets |
//! | then, for each bucket | leaves in the order of keys; after the last of its children each branch; the bucket's root is last |
//!
//! A branch is written as soon as its children are, so both passes hold one unfinished page for each level of the tree,
//! whatever the number of rows.

mod branches;
mod error;
mod layout;
mod leaf;
mod plan;
mod writer;

pub use error::WriteError;
pub use layout::{Extent, Layout};
pub use plan::Plan;
pub use writer::Writer;
