//! Transactions: compares, then one of two lists of operations, all in one revision.
//!
//! Three passes over the request, as in etcd, because their order is visible:
//!
//! 1. `plan`: decide which branch is taken, here and in every nested transaction on the way. All compares see the
//!    state *before* the transaction, also those of a nested one that comes after a write.
//! 2. `check`: what could still fail is looked at before anything is written, on the branches taken, against the
//!    state before: revisions of ranges, leases of puts, keys whose value or lease is to be kept.
//! 3. `Execution`: run the operations in order. Each sees the writes of those before it.
//!
//! A refusal in any pass leaves nothing behind: the store's transaction is dropped. (The third can refuse in one case
//! only: a put that keeps its key's value after an operation deleted the key, which slips through a hole in the
//! duplicate-key rule; etcd crashes there.)

mod unread;

use std::cell::Cell;

use mvcc::{Pace, Txn};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{InternalRaftRequest, RangeRequest, RequestOp, TxnRequest};

use crate::compare::all_hold;
use crate::delete_range::delete_range;
use crate::lease::Leases;
use crate::limits::{APPLY_READ_BYTES_MAX, APPLY_READ_KEYS_MAX, APPLY_READ_PIECE_KEYS};
use crate::outcome::Reading;
use crate::put::{check_lease, put};
use crate::range::range;
use crate::source::{Failure, PacedTxn, Source};
use crate::{Machine, Outcome, Rejection};

use self::unread::Branch;
pub use self::unread::Unread;
pub(crate) use self::unread::{Done, Report};

/// Whether it only reads: every operation of both branches is a range. Such a transaction is not replicated. One with
/// a nested transaction always is, even if that only reads.
#[must_use]
pub fn is_read_only(request: &TxnRequest) -> bool {
    ranges(request).all(|range| range.is_some())
}

/// Whether it only reads, and every range is content with local state: then it needs no confirmation that this member
/// is up to date. An empty transaction is such a one.
#[must_use]
pub fn is_serializable(request: &TxnRequest) -> bool {
    ranges(request).all(|range| range.is_some_and(|range| range.serializable))
}

/// Whether any branch of it writes, or of a transaction that is nested in it.
#[must_use]
pub fn writes(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|operation| match &operation.request {
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => true,
        Some(Request::RequestTxn(nested)) => writes(nested),
        Some(Request::RequestRange(_)) | None => false,
    })
}

/// Whether something may have to be read for the reply to a command that is not needed to apply it.
#[must_use]
pub fn may_read(command: &InternalRaftRequest) -> bool {
    command.txn.is_some()
        || command.put.as_ref().is_some_and(|put| put.prev_kv)
        || command.delete_range.as_ref().is_some_and(|delete| delete.prev_kv)
}

fn ranges(request: &TxnRequest) -> impl Iterator<Item = Option<&RangeRequest>> {
    request.success.iter().chain(&request.failure).map(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => Some(range),
        _ => None,
    })
}

impl Machine {
    /// Applies a transaction. What its ranges show is for the caller alone: it is read only if somebody waits for it, and if
    /// it is much, it is left to be read by whoever does.
    pub(crate) fn txn(&mut self, request: &TxnRequest, reading: Reading) -> Result<Outcome, Failure> {
        let revision_before = self.store.revision();
        let mut txn = self.store.txn();
        let plan = plan(&txn, request)?;
        check(&txn, &self.leases, &plan)?;
        let allowance = Allowance::of(reading);
        let done = Execution { txn: &mut txn, allowance: &allowance }.branch(&plan)?;
        let changes = txn.commit();
        if let Some(changes) = &changes {
            self.leases.follow(changes);
        }
        Ok(self.reported(Report::Txn { revision_before, done }, changes))
    }
}

/// The branch that is taken, and within it those of the nested transactions, in order.
pub(crate) struct Plan<'a> {
    pub(crate) succeeded: bool,
    pub(crate) operations: &'a [RequestOp],
    nested: Vec<Plan<'a>>,
}

/// Evaluates the compares of a transaction and of those nested in the branch taken. The depth of the recursion is
/// that of the request, which its decoder bounds.
pub(crate) fn plan<'a>(source: &impl Source, request: &'a TxnRequest) -> Result<Plan<'a>, Failure> {
    let succeeded = all_hold(source, &request.compare)?;
    let operations = if succeeded { &request.success } else { &request.failure };
    let mut nested = Vec::new();
    for operation in operations {
        if let Some(Request::RequestTxn(request)) = &operation.request {
            nested.push(plan(source, request)?);
        }
    }
    Ok(Plan { succeeded, operations, nested })
}

fn check(source: &impl Source, leases: &Leases, plan: &Plan<'_>) -> Result<(), Failure> {
    let mut nested = plan.nested.iter();
    for operation in plan.operations {
        match &operation.request {
            Some(Request::RequestRange(request)) => check_revision(source, request)?,
            Some(Request::RequestPut(request)) => {
                check_lease(leases, request)?;
                let keeps = request.ignore_value || request.ignore_lease;
                if keeps && source.meta(&request.key)?.is_none() {
                    return Err(Rejection::KeyNotFound.into());
                }
            }
            Some(Request::RequestTxn(_)) => check(source, leases, nested.next().expect("one plan for each"))?,
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
    Ok(())
}

/// In a transaction a negative revision is not "newest" but compacted: it is below the compaction revision, except
/// that before the first compaction that is -1.
pub(crate) fn check_revision(source: &impl Source, request: &RangeRequest) -> Result<(), Rejection> {
    match request.revision {
        0 => Ok(()),
        revision if revision > source.revision() => Err(Rejection::FutureRevision),
        revision if revision < source.compact_revision() => Err(Rejection::Compacted),
        _ => Ok(()),
    }
}

/// How much is read for the reply while the transaction is applied.
struct Allowance {
    reading: Reading,
    keys_left: Cell<usize>,
    bytes_left: Cell<usize>,
    /// Whether something is left for later.
    is_left: Cell<bool>,
}

impl Allowance {
    fn of(reading: Reading) -> Self {
        let (keys_left, bytes_left) = (Cell::new(APPLY_READ_KEYS_MAX), Cell::new(APPLY_READ_BYTES_MAX));
        Self { reading, keys_left, bytes_left, is_left: Cell::new(false) }
    }

    /// Whether the next range is read at once. When one was too long, those behind it are read with it.
    fn is_for_now(&self) -> bool {
        self.reading == Reading::Now && !self.is_left.get()
    }
}

impl Pace for Allowance {
    fn goes_on(&self, keys: usize, bytes: usize) -> bool {
        let left = (self.keys_left.get().checked_sub(keys), self.bytes_left.get().checked_sub(bytes));
        let (Some(keys), Some(bytes)) = left else { return false };
        self.keys_left.set(keys);
        self.bytes_left.set(bytes);
        true
    }

    fn piece_keys(&self) -> usize {
        APPLY_READ_PIECE_KEYS
    }
}

/// The operations being run.
struct Execution<'a, 'store> {
    txn: &'a mut Txn<'store>,
    allowance: &'a Allowance,
}

impl Execution<'_, '_> {
    /// Runs a branch.
    fn branch(&mut self, plan: &Plan<'_>) -> Result<Branch, Failure> {
        let mut nested = plan.nested.iter();
        let mut done = Vec::with_capacity(plan.operations.len());
        for operation in plan.operations {
            done.push(match &operation.request {
                Some(Request::RequestRange(request)) => self.range(request)?,
                Some(Request::RequestPut(request)) => put(self.txn, request, self.allowance.reading)?,
                Some(Request::RequestDeleteRange(request)) => {
                    delete_range(self.txn, request, self.allowance.reading)
                }
                Some(Request::RequestTxn(_)) => {
                    Done::Txn(self.branch(nested.next().expect("one plan for each"))?)
                }
                None => Done::Nothing,
            });
        }
        Ok(Branch { succeeded: plan.succeeded, done })
    }

    fn range(&self, request: &RangeRequest) -> Result<Done, Failure> {
        if self.allowance.reading == Reading::Never {
            return Ok(Done::Nothing);
        }
        if self.allowance.is_for_now() {
            match range(&PacedTxn { txn: self.txn, pace: self.allowance }, request) {
                Err(Failure::GivenUp) => {}
                // Whoever waits for the reply is told; what the transaction changes does not depend on it.
                Err(Failure::Store(error)) if error.is_of_one_value() => {}
                found => return Ok(Done::Range(found?)),
            }
        }
        self.allowance.is_left.set(true);
        Ok(Done::Left(request.clone(), self.txn.changes()))
    }
}
