//! What can be wrong with the rows of an etcd.

use crate::{Error, PageId, Row};

/// A fault of a file of an etcd, or a question that it cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// The file itself is damaged or cannot be read.
    #[error(transparent)]
    File(#[from] Error),
    /// A row is not what its bucket has.
    #[error(
        "{page}, bucket \"{}\", row \"{}\": {fault}",
        bucket.escape_ascii(),
        key.escape_ascii()
    )]
    Row {
        /// The page, or the first of its run.
        page: PageId,
        /// The bucket.
        bucket: &'static [u8],
        /// The row's key.
        key: Vec<u8>,
        /// What is wrong.
        fault: RowFault,
    },
    /// A revision that is not there yet.
    #[error("revision {asked} is after the newest, {current}")]
    FutureRevision {
        /// The revision asked for.
        asked: i64,
        /// The newest revision.
        current: i64,
    },
    /// A revision that is not there any more.
    #[error("revision {asked} is before the compaction at {compacted}")]
    Compacted {
        /// The revision asked for.
        asked: i64,
        /// The compaction revision.
        compacted: i64,
    },
}

impl EtcdError {
    pub(super) fn row(bucket: &'static [u8], row: &Row<'_>, fault: RowFault) -> Self {
        Self::Row { page: row.page, bucket, key: row.key.to_vec(), fault }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// Not 8 bytes, `_`, 8 bytes and perhaps `t`, or a number is negative.
    #[error("the key is no revision")]
    RevisionKey,
    /// A number of another length.
    #[error("{bytes} bytes where a number has {expected}")]
    Number {
        /// Length found.
        bytes: usize,
        /// Length of such a number.
        expected: usize,
    },
    /// A message that ends too early, or has another type where a field is.
    #[error("not a protobuf message of this kind")]
    Protobuf,
    /// Not the JSON of this row.
    #[error("not the JSON of this row: {0}")]
    Json(String),
    /// Not a number in lower hexadecimal without padding.
    #[error("the key is no member id")]
    MemberKey,
}
