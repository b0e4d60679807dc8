//! How many operations a transaction has, counted in its wire form.
//!
//! An operation may be two bytes in a message, and takes a hundred times as much when it is decoded: a message of two
//! megabytes would be some 0.2 GB, and take longer than others may wait (rule I1). What has more operations than anybody
//! sends is refused before that. Whether each list is within `--max-txn-ops` is looked at afterwards, with everything else
//! about the shape.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::Rejection;
use crate::limits::{Limits, TXN_OPERATIONS_TOTAL_MAX};

/// Fields of `TxnRequest`.
const COMPARE: u32 = 1;
const SUCCESS: u32 = 2;
const FAILURE: u32 = 3;

/// Field of `RequestOp`: a nested transaction.
const NESTED: u32 = 4;

/// What a part of the message is.
#[derive(Debug, Clone, Copy)]
enum Part {
    Transaction,
    Operation,
}

/// Checks how many comparisons and operations there are, nested ones included, in a `TxnRequest` that is not decoded yet.
/// Of a message that is none, the decoder finds that out.
///
/// # Errors
/// `TooManyOps`.
pub fn operations(wire: &[u8], limits: &Limits) -> Result<(), Rejection> {
    let max = limits.txn_operations_max.saturating_mul(3).max(TXN_OPERATIONS_TOTAL_MAX);
    let mut count = 0;
    let mut parts = vec![(Part::Transaction, wire)];
    while let Some((part, mut rest)) = parts.pop() {
        while let Some((tag, payload)) = next_field(&mut rest) {
            let inner = match (part, tag) {
                (Part::Transaction, COMPARE | SUCCESS | FAILURE) => {
                    count += 1;
                    (tag != COMPARE).then_some(Part::Operation)
                }
                (Part::Operation, NESTED) => Some(Part::Transaction),
                _ => None,
            };
            if count > max {
                return Err(Rejection::TooManyOps);
            }
            parts.extend(inner.map(|inner| (inner, payload)));
        }
    }
    Ok(())
}

/// Takes the next field off. Returns its number and, if it has a length, what is in it; `None` at the end, and where
/// there is no field.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    if rest.is_empty() {
        return None;
    }
    let (tag, wire_type) = decode_key(rest).ok()?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, tag, rest, DecodeContext::default()).ok()?;
        return Some((tag, &[]));
    }
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let payload = rest.get(..length)?;
    rest.advance(length);
    Some((tag, payload))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::etcdserverpb::request_op::Request;
    use proto::etcdserverpb::{Compare, PutRequest, RequestOp, TxnRequest};

    use super::*;

    const MAX: usize = TXN_OPERATIONS_TOTAL_MAX;

    fn check(txn: &TxnRequest) -> Result<(), Rejection> {
        operations(&txn.encode_to_vec(), &Limits::default())
    }

    fn put() -> RequestOp {
        let put = PutRequest { key: "\x22\x01k".into(), value: "\x12\0\x12\0".into(), ..Default::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    fn nested(txn: TxnRequest) -> RequestOp {
        RequestOp { request: Some(Request::RequestTxn(txn)) }
    }

    #[test]
    fn comparisons_and_operations_of_all_branches_and_levels_are_counted_and_nothing_else() {
        let inner = TxnRequest {
            compare: vec![Compare::default(); 10],
            success: vec![put(); 20],
            failure: vec![RequestOp::default(); 30],
        };
        let mut outer = TxnRequest {
            compare: vec![Compare::default(); MAX - (1 + 60) - (2 + 1 + 60)],
            success: vec![nested(inner.clone())],
            failure: vec![
                put(),
                nested(TxnRequest { failure: vec![nested(inner.clone())], ..Default::default() }),
            ],
        };
        assert_eq!(check(&outer), Ok(()));
        outer.failure.push(put());
        assert_eq!(check(&outer), Err(Rejection::TooManyOps));
    }

    #[test]
    fn what_an_operator_allows_in_one_level_passes() {
        let txn = TxnRequest { success: vec![put(); 2 * MAX], ..Default::default() };
        assert_eq!(check(&txn), Err(Rejection::TooManyOps));
        let limits = Limits { txn_operations_max: 2 * MAX };
        assert_eq!(operations(&txn.encode_to_vec(), &limits), Ok(()));
        assert_eq!(operations(&txn.encode_to_vec(), &Limits { txn_operations_max: usize::MAX }), Ok(()));
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        let whole = TxnRequest { success: vec![nested(TxnRequest::default()), put()], ..Default::default() };
        let whole = whole.encode_to_vec();
        for end in 0..whole.len() {
            assert_eq!(operations(&whole[..end], &Limits::default()), Ok(()), "{end}");
        }
        for bad in
            [&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], &[0xff; 12], &[0x13], &[0x14]]
        {
            assert_eq!(operations(bad, &Limits::default()), Ok(()), "{}", bad.escape_ascii());
        }
    }
}
