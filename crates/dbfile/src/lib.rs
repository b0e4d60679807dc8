//! etcd's database file.

mod digest;
mod error;
pub mod etcd;
mod format;
pub mod limits;
mod read;
mod source;
mod write;

pub use digest::{DIGEST_BYTES, Digest, Verdict, bytes_without_digest, has_digest, verify};
pub use error::{Error, PageKinds, Reason};
pub use format::{Meta, PageId, PageKind, PageSize};
pub use read::{Bucket, Buckets, Census, Db, Options, Row, Rows};
pub use source::ReadAt;
pub use write::{Extent, Layout, Plan, WriteError, Writer};
