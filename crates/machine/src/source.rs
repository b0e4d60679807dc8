//! Where reads come from: the transaction that a command is being applied in, or a view in the caller's task.
//!
//! A range and the compares of a transaction mean the same in both places and are written once, against this.

use std::ops::ControlFlow;

use bytes::Bytes;
use mvcc::{Item, KeyRange, Meta, Pace, RangeQuery, RangeResult, ReadError, Txn, View};

use crate::Rejection;
use crate::range::successor;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Refused, on every member alike.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store could not be read: an operating fault of this member.
    #[error(transparent)]
    Store(#[from] mvcc::Error),
    /// The pace of the read let it go no farther. Never of a command.
    #[error("the read was given up")]
    GivenUp,
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

    /// Whether all keys of a range are such that `holds`; `None` if there is none. Values are not read.
    fn every_meta(&self, range: &KeyRange, holds: &dyn Fn(&Meta) -> bool) -> Result<Option<bool>, Failure> {
        every_item(self, range, true, &|item| holds(&item.meta))
    }
}

/// Keys of a range that are looked at in one go: bounds the memory of a look at a whole key space.
const KEYS_PER_STEP: usize = 1000;

/// Whether all keys of a range are such that `holds`; `None` if there is none.
pub(crate) fn every_item<S: Source + ?Sized>(
    source: &S,
    range: &KeyRange,
    keys_only: bool,
    holds: &dyn Fn(&Item) -> bool,
) -> Result<Option<bool>, Failure> {
    let mut rest = range.clone();
    let mut found_any = false;
    loop {
        // Nobody wants to know how many are left, and at an old revision that takes time for each step.
        let without_count = true;
        let query =
            RangeQuery { keys_only, without_count, ..RangeQuery::new(rest.clone()).limit(KEYS_PER_STEP) };
        let found = source.range(&query)?.items;
        if !found.iter().all(holds) {
            return Ok(Some(false));
        }
        let Some(last) = found.last() else { break };
        found_any = true;
        if found.len() < KEYS_PER_STEP {
            break;
        }
        rest.start = successor(last.key_bytes());
    }
    Ok(found_any.then_some(true))
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted(_) => Rejection::Compacted.into(),
            ReadError::Future(_) => Rejection::FutureRevision.into(),
            ReadError::GivenUp => Self::GivenUp,
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

    /// In the index alone: a transaction may have a hundred compares over a million keys each, and everybody waits.
    fn every_meta(&self, range: &KeyRange, holds: &dyn Fn(&Meta) -> bool) -> Result<Option<bool>, Failure> {
        debug_assert_eq!(self.changes(), 0, "compares see the state before the transaction");
        let mut every = None;
        self.visit_metas_before(range, |meta| {
            let holds = holds(meta);
            every = Some(holds);
            if holds { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        Ok(every)
    }
}

/// A transaction that is read as far as a pace lets it.
pub(crate) struct PacedTxn<'a, 'store> {
    pub(crate) txn: &'a Txn<'store>,
    pub(crate) pace: &'a dyn Pace,
}

impl Source for PacedTxn<'_, '_> {
    fn revision(&self) -> i64 {
        self.txn.revision()
    }

    fn compact_revision(&self) -> i64 {
        self.txn.compact_revision()
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        Ok(self.txn.range_at_pace(query, self.pace)?)
    }
}

/// A view that is read as far as a pace lets it. For a single read, which is always of one revision. Two reads need not be of
/// the same: see `read::txn`.
#[derive(Clone, Copy)]
pub(crate) struct Paced<'a> {
    pub(crate) view: &'a View,
    pub(crate) pace: &'a dyn Pace,
}

impl Source for Paced<'_> {
    fn revision(&self) -> i64 {
        self.view.revision()
    }

    fn compact_revision(&self) -> i64 {
        self.view.compact_revision()
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        Ok(self.view.range_at_pace(query, self.pace)?)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Two and a half steps of keys, as many as are left of a range; counts what is asked of it.
    struct Steps {
        asked: Cell<usize>,
    }

    impl Source for Steps {
        fn revision(&self) -> i64 {
            2
        }

        fn compact_revision(&self) -> i64 {
            -1
        }

        fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
            assert!(query.without_count, "the keys that are left are counted");
            let done = self.asked.replace(self.asked.get() + 1) * KEYS_PER_STEP;
            let left = (KEYS_PER_STEP * 5 / 2).saturating_sub(done).min(query.limit);
            let meta = Meta { version: 1, ..Meta::default() };
            let item = Item { meta, encoded: Bytes::from_static(b"\x0a\x01k") };
            Ok(RangeResult { items: vec![item; left], count: 0, more: true, revision: 2 })
        }
    }

    #[test]
    fn a_compare_over_a_range_counts_no_keys() {
        let source = Steps { asked: Cell::new(0) };
        let every = every_item(&source, &KeyRange::all(), true, &|item| item.meta.version == 1);
        assert_eq!((every.ok(), source.asked.get()), (Some(Some(true)), 3));
    }
}
