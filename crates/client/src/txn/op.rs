//! Operations of a transaction, and what they answer.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;

use super::{Txn, TxnAnswer};
use crate::kv::{Delete, DeleteAnswer, Get, GetAnswer, Put, PutAnswer};

/// An operation of a transaction: made of [`get`](crate::get()), [`put`](crate::put()), [`delete`](crate::delete()) and
/// [`txn`](crate::txn()).
#[derive(Debug, Clone, PartialEq)]
pub struct Op(pub(crate) pb::RequestOp);

/// Returns whether an operation only reads. A nested transaction counts as a write.
pub(super) fn is_read(operation: &pb::RequestOp) -> bool {
    matches!(operation.request, Some(Request::RequestRange(_)))
}

fn op(request: Request) -> Op {
    Op(pb::RequestOp { request: Some(request) })
}

impl From<Get> for Op {
    fn from(get: Get) -> Op {
        op(Request::RequestRange(get.message))
    }
}

impl From<Put> for Op {
    fn from(put: Put) -> Op {
        op(Request::RequestPut(put.message))
    }
}

impl From<Delete> for Op {
    fn from(delete: Delete) -> Op {
        op(Request::RequestDeleteRange(delete.message))
    }
}

impl From<Txn> for Op {
    fn from(txn: Txn) -> Op {
        op(Request::RequestTxn(txn.message))
    }
}

/// What an operation of a transaction answers.
#[derive(Debug, Clone, PartialEq)]
pub enum OpAnswer {
    /// Of a read.
    Get(GetAnswer),
    /// Of a put.
    Put(PutAnswer),
    /// Of a deletion.
    Delete(DeleteAnswer),
    /// Of a nested transaction.
    Txn(TxnAnswer),
}

impl OpAnswer {
    pub(super) fn new(answer: pb::ResponseOp) -> Option<OpAnswer> {
        Some(match answer.response? {
            Response::ResponseRange(answer) => OpAnswer::Get(answer.into()),
            Response::ResponsePut(answer) => OpAnswer::Put(answer.into()),
            Response::ResponseDeleteRange(answer) => OpAnswer::Delete(answer.into()),
            Response::ResponseTxn(answer) => OpAnswer::Txn(answer.into()),
        })
    }
}
