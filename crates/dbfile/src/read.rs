//! The reader. It believes nothing: every number of a file is compared with what it may be before it is used.
//!
//! [`Db`] opens a file, [`Bucket`] is a table of it, [`Rows`] goes through one in the order of keys, and
//! [`check`](Db::check) looks at all of it.
//!
//! # Why a walk ends, and in a time that the file's length bounds
//!
//! No set of visited pages is needed to go through one bucket. Each page must keep within a range of keys that its
//! parents give it, and pages are refused that are empty.
//!
//! * Two places of a tree of which neither is above the other have ranges that do not overlap. A page has at least one
//!   key, the ranges of both places would have to hold it: so no page is accepted at two such places.
//! * A page may be above itself only if it has a single child, as its ranges must get narrower on the way. Such a way
//!   ends at the limit of levels.
//! * Runs may still overlap within their length (a page may be in the middle of a longer run). So the pages of all runs
//!   are counted: together they are no more than the file has. For the same reason keys and values of a page are
//!   together no longer than the page.
//!
//! What a walk gives is therefore no longer than the file. That two *buckets* do not share pages is for
//! [`check`](Db::check) to find, which has a set.

mod ahead;
mod bucket;
mod check;
mod db;
mod elements;
mod free_list;
mod page_set;
mod rows;
mod run;
mod walk;

pub use bucket::{Bucket, Buckets};
pub use check::Census;
pub use db::{Db, Options};
pub use rows::{Row, Rows, ValuePlace};
