//! Where reads come from: the transaction that a command is being applied in, or a view in the caller's task.
//!
//! A range and the compares of a transaction mean the same in both places and are written once, against this.

use bytes::Bytes;
use mvcc::{Item, KeyRange, Meta, RangeQuery, RangeResult, ReadError, Txn, View};

use crate::Rejection;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Refused, on every member alike.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store could not be read: an operating fault of this member.
    #[error(transparent)]
    Store(#[from] mvcc::Error),
}

/// A readable state of the key space.
pub(crate) trait Source {
    /// The newest revision that is visible here, its own writes included.
    fn revision(&self) -> i64;

    /// Reads below this revision are refused; -1 before the first compaction.
    fn compact_revision(&self) -> i64;

    /// The newest version of a key, without its value: nothing needs to be read from the disk.
    fn meta(&self, key: &Bytes) -> Result<Option<Meta>, Failure> {
        let query = RangeQuery { keys_only: true, ..RangeQuery::new(KeyRange::single(key.clone())) };
        Ok(self.range(&query)?.items.pop().map(|item| item.meta))
    }

    /// The newest version of a key.
    fn get(&self, key: &Bytes) -> Result<Option<Item>, Failure> {
        Ok(self.range(&RangeQuery::new(KeyRange::single(key.clone())))?.items.pop())
    }

    /// A range, at any revision not compacted.
    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure>;
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted(_) => Rejection::Compacted.into(),
            ReadError::Future(_) => Rejection::FutureRevision.into(),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl Source for Txn<'_> {
    fn revision(&self) -> i64 {
        Txn::revision(self)
    }

    fn compact_revision(&self) -> i64 {
        Txn::compact_revision(self)
    }

    fn meta(&self, key: &Bytes) -> Result<Option<Meta>, Failure> {
        Ok(Txn::meta(self, key))
    }

    fn get(&self, key: &Bytes) -> Result<Option<Item>, Failure> {
        Ok(Txn::get(self, key)?)
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        Ok(Txn::range(self, query)?)
    }
}

/// For a single read, which is always of one revision. Two reads need not be of the same: see `read::txn`.
impl Source for View {
    fn revision(&self) -> i64 {
        View::revision(self)
    }

    fn compact_revision(&self) -> i64 {
        View::compact_revision(self)
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        Ok(View::range(self, query)?)
    }
}
