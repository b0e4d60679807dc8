//! The shape of a transaction: how many operations, each well formed, and no key written twice.
//!
//! **Counting.** A transaction uses up the longest of its three lists (compares, success, failure). What is left of
//! the budget is what each nested transaction may use; siblings do not share it, and both branches count whether
//! taken or not.
//!
//! **Writing a key twice.** All changes of a transaction have one revision, so a key may change once. The rule is
//! etcd's, with its known faults, because clients may rely on what is accepted:
//!
//! * deletes of a level are collected first, so a put conflicts with a delete of its level in either order;
//! * then nested transactions in order: their puts conflict with the puts of *earlier* siblings and with the deletes
//!   collected *so far*. Hence the asymmetry: `[txn{put k}, txn{del k}]` passes, `[txn{del k}, txn{put k}]` does not;
//! * the two branches of one nested transaction may put the same key, as only one is taken;
//! * this level's puts come last and conflict with everything nested;
//! * a delete up to the end of the key space (`range_end` = 0x00) is taken as the interval `[key, 0x00)`, which is
//!   empty: it conflicts with nothing. Then a delete and a put of a key can share a revision.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RequestOp, TxnRequest};

use super::{delete_range, put, range};
use crate::Rejection;
use crate::limits::{Limits, TXN_DEPTH_MAX};

/// Checks a transaction: counts, then compares, then the operations of both branches, then keys written twice.
///
/// # Errors
/// `TooManyOps`; `EmptyKey` of a compare; whatever is wrong with an operation (an empty one is `KeyNotFound`, as in
/// etcd); `DuplicateKey`. The first one found, in this order, nested transactions in their place.
pub fn txn(request: &TxnRequest, limits: &Limits) -> Result<(), Rejection> {
    shape(request, limits.txn_operations_max, TXN_DEPTH_MAX)?;
    if writes_at_most_one_key(request) {
        return Ok(());
    }
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

fn shape(request: &TxnRequest, budget: usize, depth: usize) -> Result<(), Rejection> {
    let used = request.compare.len().max(request.success.len()).max(request.failure.len());
    if used > budget || depth == 0 {
        return Err(Rejection::TooManyOps);
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Rejection::EmptyKey);
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Request::RequestRange(nested)) => range(nested)?,
            Some(Request::RequestPut(nested)) => put(nested)?,
            Some(Request::RequestDeleteRange(nested)) => delete_range(nested)?,
            Some(Request::RequestTxn(nested)) => shape(nested, budget - used, depth - 1)?,
            None => return Err(Rejection::KeyNotFound),
        }
    }
    Ok(())
}

/// The usual transaction of a client (compare, then one put or delete): nothing in it can collide.
fn writes_at_most_one_key(request: &TxnRequest) -> bool {
    let harmless = |operations: &[RequestOp]| {
        operations.len() <= 1 && !matches!(operations, [RequestOp { request: Some(Request::RequestTxn(_)) }])
    };
    harmless(&request.success) && harmless(&request.failure)
}

/// What one list of operations writes, nested ones included.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals<'a>,
}

impl<'a> Writes<'a> {
    fn of(operations: &'a [RequestOp]) -> Result<Self, Rejection> {
        let mut writes = Self::default();
        for operation in operations {
            if let Some(Request::RequestDeleteRange(delete)) = &operation.request {
                writes.deletes.insert(&delete.key, &delete.range_end);
            }
        }
        for operation in operations {
            if let Some(Request::RequestTxn(nested)) = &operation.request {
                writes.add_nested(Self::of(&nested.success)?, Self::of(&nested.failure)?)?;
            }
        }
        for operation in operations {
            if let Some(Request::RequestPut(put)) = &operation.request {
                writes.add_put(&put.key)?;
            }
        }
        Ok(writes)
    }

    fn add_nested(&mut self, success: Self, failure: Self) -> Result<(), Rejection> {
        for key in &success.puts {
            self.add_put(key)?;
        }
        for key in &failure.puts {
            // The other branch of the same transaction has put it: only one of the two happens.
            if success.puts.contains(key) {
                continue;
            }
            self.add_put(key)?;
        }
        self.deletes.absorb(success.deletes);
        self.deletes.absorb(failure.deletes);
        Ok(())
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<(), Rejection> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(Rejection::DuplicateKey);
        }
        Ok(())
    }
}

/// A set of keys as disjoint intervals: where each starts, and where it ends. Looking a key up takes O(log n)
/// whatever was inserted, so a hostile transaction of a hundred thousand deletes and puts costs no more than sorting
/// it.
#[derive(Default)]
struct Intervals<'a>(BTreeMap<&'a [u8], End<'a>>);

/// The end of an interval of keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    /// The interval is one key.
    Single,
    /// Up to this key, which is not in it.
    Before(&'a [u8]),
}

impl<'a> Intervals<'a> {
    fn insert(&mut self, key: &'a [u8], range_end: &'a [u8]) {
        if range_end.is_empty() {
            self.insert_interval(key, End::Single);
        } else if range_end > key {
            self.insert_interval(key, End::Before(range_end));
        }
    }

    fn insert_interval(&mut self, start: &'a [u8], end: End<'a>) {
        let (mut start, mut end) = (start, end);
        if let Some((before, before_end)) = self.at_or_before(start)
            && (before == start || reaches(before, before_end, start))
        {
            end = later(start, end, before, before_end);
            start = before;
        }
        while let Some((after, after_end)) = self.after(start)
            && reaches(start, end, after)
        {
            end = later(start, end, after, after_end);
            self.0.remove(after);
        }
        self.0.insert(start, end);
    }

    fn absorb(&mut self, other: Self) {
        // The smaller into the larger: each interval moves O(log n) times however deep it is nested.
        let mut smaller = other.0;
        if smaller.len() > self.0.len() {
            std::mem::swap(&mut smaller, &mut self.0);
        }
        for (start, end) in smaller {
            self.insert_interval(start, end);
        }
    }

    fn at_or_before(&self, key: &[u8]) -> Option<(&'a [u8], End<'a>)> {
        let found = self.0.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        found.map(|(&start, &end)| (start, end))
    }

    fn after(&self, key: &[u8]) -> Option<(&'a [u8], End<'a>)> {
        let found = self.0.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next();
        found.map(|(&start, &end)| (start, end))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.at_or_before(key).is_some_and(|(start, end)| reaches(start, end, key))
    }
}

/// Whether the interval contains the key, which does not lie before its start.
fn reaches(start: &[u8], end: End<'_>, key: &[u8]) -> bool {
    match end {
        End::Single => start == key,
        End::Before(end) => key < end,
    }
}

/// The later of the ends of two intervals that overlap.
fn later<'a>(start: &'a [u8], end: End<'a>, other_start: &'a [u8], other_end: End<'a>) -> End<'a> {
    match (end, other_end) {
        (End::Before(one), End::Before(two)) => End::Before(one.max(two)),
        (End::Before(one), End::Single) => {
            debug_assert!(other_start < one);
            End::Before(one)
        }
        (End::Single, End::Before(two)) => {
            debug_assert!(start < two);
            End::Before(two)
        }
        (End::Single, End::Single) => End::Single,
    }
}
