//! The shape check of transactions against an oracle that knows no sets and no intervals: it asks, for one key at a
//! time, whether that key is written twice.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

use machine::Rejection;
use machine::limits::{Limits, TXN_DEPTH_MAX};
use machine::validate;
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, InternalRaftRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

/// Few keys, so that they collide; neighbours, prefixes and the smallest key among them.
const KEYS: [&str; 6] = ["\0", "a", "a\0", "b", "ba", "c"];

#[derive(Debug, Clone, Copy, Default)]
struct Written {
    put: bool,
    deleted: bool,
}

fn oracle(request: &TxnRequest, budget: usize) -> Result<(), Rejection> {
    counts_and_shapes(request, budget)?;
    for key in KEYS {
        writes(&request.success, key.as_bytes())?;
    }
    for key in KEYS {
        writes(&request.failure, key.as_bytes())?;
    }
    Ok(())
}

fn counts_and_shapes(request: &TxnRequest, budget: usize) -> Result<(), Rejection> {
    let lists = [request.compare.len(), request.success.len(), request.failure.len()];
    let left = budget.checked_sub(*lists.iter().max().unwrap()).ok_or(Rejection::TooManyOps)?;
    for compare in &request.compare {
        if compare.key.is_empty() {
            return Err(Rejection::EmptyKey);
        }
    }
    for operation in [&request.success[..], &request.failure[..]].concat() {
        match operation.request {
            None => return Err(Rejection::KeyNotFound),
            Some(Request::RequestTxn(nested)) => counts_and_shapes(&nested, left)?,
            Some(Request::RequestRange(range)) if range.key.is_empty() => return Err(Rejection::EmptyKey),
            Some(Request::RequestPut(put)) if put.key.is_empty() => return Err(Rejection::EmptyKey),
            Some(Request::RequestDeleteRange(delete)) if delete.key.is_empty() => {
                return Err(Rejection::EmptyKey);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn writes(operations: &[RequestOp], key: &[u8]) -> Result<Written, Rejection> {
    let mut written = Written::default();
    for operation in operations {
        if let Some(Request::RequestDeleteRange(delete)) = &operation.request {
            let end = &delete.range_end[..];
            // An end of a single zero byte is below every key but itself: the hole.
            written.deleted |=
                if end.is_empty() { key == &delete.key[..] } else { key >= &delete.key[..] && key < end };
        }
    }
    for operation in operations {
        if let Some(Request::RequestTxn(nested)) = &operation.request {
            let (success, failure) = (writes(&nested.success, key)?, writes(&nested.failure, key)?);
            if (success.put || failure.put) && (written.put || written.deleted) {
                return Err(Rejection::DuplicateKey);
            }
            written.put |= success.put || failure.put;
            written.deleted |= success.deleted || failure.deleted;
        }
    }
    for operation in operations {
        if let Some(Request::RequestPut(put)) = &operation.request
            && put.key == key
        {
            if written.put || written.deleted {
                return Err(Rejection::DuplicateKey);
            }
            written.put = true;
        }
    }
    Ok(written)
}

fn key() -> impl Strategy<Value = bytes::Bytes> {
    prop_oneof![60 => prop::sample::select(&KEYS[..]), 1 => Just("")].prop_map(|key| key.into())
}

fn range_end() -> impl Strategy<Value = bytes::Bytes> {
    prop_oneof![3 => Just(""), 1 => Just("\0"), 3 => prop::sample::select(&KEYS[..])]
        .prop_map(|end| end.into())
}

fn operation() -> BoxedStrategy<RequestOp> {
    let put = key().prop_map(|key| Request::RequestPut(PutRequest { key, ..PutRequest::default() }));
    let delete = (key(), range_end()).prop_map(|(key, range_end)| {
        Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, ..DeleteRangeRequest::default() })
    });
    let range = key().prop_map(|key| Request::RequestRange(RangeRequest { key, ..RangeRequest::default() }));
    let leaf = prop_oneof![30 => put.prop_map(Some), 20 => delete.prop_map(Some), 5 => range.prop_map(Some), 1 => Just(None)]
        .prop_map(|request| RequestOp { request });
    leaf.prop_recursive(3, 12, 3, |inner| {
        transaction(inner).prop_map(|nested| RequestOp { request: Some(Request::RequestTxn(nested)) })
    })
    .boxed()
}

fn transaction(operation: BoxedStrategy<RequestOp>) -> impl Strategy<Value = TxnRequest> {
    let compare = key().prop_map(|key| Compare { key, ..Compare::default() });
    let list = prop::collection::vec(operation, 0..4);
    (prop::collection::vec(compare, 0..2), list.clone(), list)
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_check_is_the_oracles(request in transaction(operation()), budget in 2..9usize) {
        let limits = Limits { txn_operations_max: budget };
        prop_assert_eq!(validate::txn(&request, &limits), oracle(&request, budget));
    }
}

fn many(count: usize, operation: impl Fn(usize) -> Request) -> Vec<RequestOp> {
    (0..count).map(|place| RequestOp { request: Some(operation(place)) }).collect()
}

/// Quadratic work would take minutes here.
#[test]
fn a_huge_transaction_is_checked_in_no_time() {
    let count = 50_000;
    let put = |place: usize| {
        let key = format!("{place:06}a").into();
        Request::RequestPut(PutRequest { key, ..PutRequest::default() })
    };
    let delete = |place: usize| {
        let (key, range_end) = (format!("{place:06}b").into(), format!("{place:06}c").into());
        Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, ..DeleteRangeRequest::default() })
    };
    let mut success = many(count, put);
    success.extend(many(count, delete));
    let mut request = TxnRequest { success, ..TxnRequest::default() };
    let limits = Limits { txn_operations_max: 2 * count + 1 };
    assert_eq!(validate::txn(&request, &limits), Ok(()));
    request.success.push(RequestOp { request: Some(put(count / 2)) });
    assert_eq!(validate::txn(&request, &limits), Err(Rejection::DuplicateKey));
}

/// The default limit of 128, which nested transactions share with what is above them.
#[test]
fn the_longest_list_counts_and_nested_transactions_get_what_is_left() {
    let get = |place: usize| {
        Request::RequestRange(RangeRequest { key: format!("k{place}").into(), ..RangeRequest::default() })
    };
    let compares = |count| vec![Compare { key: "k".into(), ..Compare::default() }; count];
    let check = |compares_count: usize, success: usize, failure: usize| {
        let (success, failure) = (many(success, get), many(failure, get));
        let request = TxnRequest { compare: compares(compares_count), success, failure };
        validate::txn(&request, &Limits::default())
    };
    assert_eq!(check(128, 128, 128), Ok(()));
    for (compares, success, failure) in [(129, 0, 0), (0, 129, 0), (0, 0, 129)] {
        assert_eq!(check(compares, success, failure), Err(Rejection::TooManyOps));
    }
    let nested = |above: usize, inside: usize| {
        let nested = TxnRequest { success: many(inside, get), ..TxnRequest::default() };
        let mut failure = many(above - 1, get);
        failure.push(RequestOp { request: Some(Request::RequestTxn(nested)) });
        validate::txn(&TxnRequest { failure, ..TxnRequest::default() }, &Limits::default())
    };
    assert_eq!(nested(28, 100), Ok(()));
    assert_eq!(nested(28, 101), Err(Rejection::TooManyOps));
    assert_eq!(nested(128, 0), Ok(()));
    assert_eq!(nested(128, 1), Err(Rejection::TooManyOps));
}

fn nested(depth: usize, innermost: TxnRequest) -> TxnRequest {
    (1..depth).fold(innermost, |request, _| TxnRequest {
        success: vec![RequestOp { request: Some(Request::RequestTxn(request)) }],
        ..TxnRequest::default()
    })
}

/// What is let in must be readable in the log, where it is nested once more: else it could never be applied.
#[test]
fn the_deepest_transaction_that_is_let_in_can_be_read_back_from_the_log() {
    let put = Request::RequestPut(PutRequest { key: "k".into(), ..PutRequest::default() });
    let innermost = TxnRequest { success: vec![RequestOp { request: Some(put) }], ..TxnRequest::default() };
    let limits = Limits { txn_operations_max: usize::MAX };
    let deepest = nested(TXN_DEPTH_MAX, innermost.clone());
    assert_eq!(validate::txn(&deepest, &limits), Ok(()));
    assert_eq!(validate::txn(&nested(TXN_DEPTH_MAX + 1, innermost), &limits), Err(Rejection::TooManyOps));
    let command = InternalRaftRequest { txn: Some(deepest), ..InternalRaftRequest::default() };
    assert_eq!(InternalRaftRequest::decode(&command.encode_to_vec()[..]).as_ref(), Ok(&command));
}
