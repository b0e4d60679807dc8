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

use mvcc::Txn;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RangeRequest, RequestOp, TxnRequest};

use crate::compare::all_hold;
use crate::delete_range::delete_range;
use crate::lease::Leases;
use crate::put::{check_lease, put, write_response};
use crate::range::range;
use crate::source::{Failure, Source};
use crate::{Body, Machine, Outcome, Rejection, Reply};

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

fn ranges(request: &TxnRequest) -> impl Iterator<Item = Option<&RangeRequest>> {
    request.success.iter().chain(&request.failure).map(|operation| match &operation.request {
        Some(Request::RequestRange(range)) => Some(range),
        _ => None,
    })
}

impl Machine {
    /// Applies a transaction.
    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<Outcome, Failure> {
        let revision_before = self.store.revision();
        let mut txn = self.store.txn();
        let plan = plan(&txn, request)?;
        check(&txn, &self.leases, &plan)?;
        let mut body = Body::with_segments(4 * plan.operations.len() + 1);
        Execution { txn: &mut txn, body: &mut body, revision_before }.branch(&plan)?;
        let changes = txn.commit();
        if let Some(changes) = &changes {
            self.leases.follow(changes);
        }
        Ok(Outcome::changed(Reply { revision: self.store.revision(), body }, changes))
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

/// The operations being run, and their responses being written.
struct Execution<'a, 'store> {
    txn: &'a mut Txn<'store>,
    body: &'a mut Body,
    revision_before: i64,
}

impl Execution<'_, '_> {
    /// Runs a branch and appends the fields of its `TxnResponse` but the header.
    fn branch(&mut self, plan: &Plan<'_>) -> Result<(), Failure> {
        self.body.bool(2, plan.succeeded);
        let mut nested = plan.nested.iter();
        for operation in plan.operations {
            let response = self.body.open(3);
            match &operation.request {
                Some(Request::RequestRange(request)) => self.range(request)?,
                Some(Request::RequestPut(request)) => {
                    let previous = put(self.txn, request)?;
                    let open = self.body.open(2);
                    self.body.inner_header(self.revision_before + 1);
                    write_response(self.body, previous);
                    self.body.close(open);
                }
                Some(Request::RequestDeleteRange(request)) => {
                    let deleted = delete_range(self.txn, request)?;
                    let open = self.body.open(3);
                    self.body.inner_header(self.txn.revision());
                    deleted.write_response(self.body);
                    self.body.close(open);
                }
                Some(Request::RequestTxn(_)) => {
                    let open = self.body.open(4);
                    self.body.empty_header();
                    self.branch(nested.next().expect("one plan for each"))?;
                    self.body.close(open);
                }
                None => {}
            }
            self.body.close(response);
        }
        Ok(())
    }

    fn range(&mut self, request: &RangeRequest) -> Result<(), Failure> {
        let found = range(&*self.txn, request)?;
        let open = self.body.open(1);
        self.body.inner_header(found.revision);
        found.write(self.body);
        self.body.close(open);
        Ok(())
    }
}
