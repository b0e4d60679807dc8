//! Why a file cannot be written.

use crate::limits::{ELEMENTS_MAX, KEY_BYTES_MAX, RUN_BYTES_END};

/// What is wrong with the rows that are to be written. Names and keys are printed with escapes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A row came before the first bucket.
    #[error("a row without a bucket")]
    NoBucket,
    /// Buckets are written in the order of their names, each once.
    #[error("bucket \"{}\" does not come after \"{}\"", name.escape_ascii(), before.escape_ascii())]
    BucketOrder {
        /// The name.
        name: Vec<u8>,
        /// The name before it.
        before: Vec<u8>,
    },
    /// The root has no place for another bucket.
    #[error("more than {ELEMENTS_MAX} buckets, or more names than fit into {RUN_BYTES_END} bytes")]
    TooManyBuckets,
    /// Rows are written in the order of their keys, each once.
    #[error("key \"{}\" does not come after \"{}\"", key.escape_ascii(), before.escape_ascii())]
    KeyOrder {
        /// The key.
        key: Vec<u8>,
        /// The key before it.
        before: Vec<u8>,
    },
    /// A key, or the name of a bucket, that is empty or too long.
    #[error("a key or name of {bytes} bytes; it must have 1 to {KEY_BYTES_MAX}")]
    KeyLength {
        /// Its length.
        bytes: usize,
    },
    /// A value that is too long.
    #[error("a value of {bytes} bytes; with its key it must be shorter than {RUN_BYTES_END}")]
    ValueLength {
        /// Its length.
        bytes: usize,
    },
    /// Buckets differ from those planned.
    #[error(
        "the plan has bucket \"{}\" next, not \"{}\"",
        planned.as_deref().unwrap_or_default().escape_ascii(),
        found.as_deref().unwrap_or_default().escape_ascii()
    )]
    BucketNotPlanned {
        /// The bucket that should have come; `None`: the file should have ended.
        planned: Option<Vec<u8>>,
        /// The bucket that came; `None`: the file ended.
        found: Option<Vec<u8>>,
    },
    /// The rows of a bucket differ from those planned.
    #[error("the rows of bucket \"{}\" are not those planned: {found} instead of {planned}", name.escape_ascii())]
    RowsNotPlanned {
        /// The bucket.
        name: Vec<u8>,
        /// What was planned.
        planned: super::layout::Extent,
        /// What came.
        found: super::layout::Extent,
    },
}
