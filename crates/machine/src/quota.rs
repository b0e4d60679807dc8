//! What a command would add to the store, for the check against the space quota.
//!
//! **Who decides.** How large a member's files are is its own business, so it must not decide an outcome (A1). The
//! server checks size and [`cost`] *before* it proposes. If there is no room it refuses, and proposes a NOSPACE
//! alarm; from the alarm's place in the log on, *every* member refuses commands that cost anything, until the alarm
//! is disarmed: that part is replicated and decided in apply. etcd checks the local size once more while applying and
//! can tell the caller "no space" for a write that did happen; here a command that was let in is answered truthfully.

use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{InternalRaftRequest, PutRequest, RequestOp, TxnRequest};

/// What a key is taken to cost besides its own bytes.
const PUT_OVERHEAD_BYTES: u64 = 256;
/// What a lease is taken to cost.
pub const LEASE_BYTES: u64 = 64;

/// Bytes that the command is taken to add to the store; 0 for those that are let through when there is no space.
#[must_use]
pub fn cost(command: &InternalRaftRequest) -> u64 {
    if let Some(put) = &command.put {
        put_cost(put)
    } else if let Some(txn) = &command.txn {
        txn_cost(txn)
    } else if command.lease_grant.is_some() {
        LEASE_BYTES
    } else {
        0
    }
}

/// Bytes that a put is taken to add.
#[must_use]
pub fn put_cost(request: &PutRequest) -> u64 {
    PUT_OVERHEAD_BYTES + (request.key.len() + request.value.len()) as u64
}

/// Bytes that a transaction is taken to add: its puts, nested ones included, of the dearer branch.
#[must_use]
pub fn txn_cost(request: &TxnRequest) -> u64 {
    let branch = |operations: &[RequestOp]| operations.iter().map(operation_cost).sum::<u64>();
    branch(&request.success).max(branch(&request.failure))
}

fn operation_cost(operation: &RequestOp) -> u64 {
    match &operation.request {
        Some(Request::RequestPut(put)) => put_cost(put),
        Some(Request::RequestTxn(txn)) => txn_cost(txn),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> RequestOp {
        let put = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..PutRequest::default()
        };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    #[test]
    fn a_transaction_costs_its_dearer_branch_nested_ones_included() {
        let nested = TxnRequest { success: vec![put("a", ""), put("b", "")], ..TxnRequest::default() };
        let request = TxnRequest {
            success: vec![put("k", "12345")],
            failure: vec![RequestOp { request: Some(Request::RequestTxn(nested)) }],
            ..TxnRequest::default()
        };
        assert_eq!(txn_cost(&request), 2 * (256 + 1));
        assert_eq!(txn_cost(&TxnRequest { failure: vec![], ..request }), 256 + 6);
        assert_eq!(txn_cost(&TxnRequest::default()), 0);
    }
}
