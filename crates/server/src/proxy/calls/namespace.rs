//! `--namespace`: a prefix that keys have at the members and not at the clients.
//!
//! It is put in front of the keys of requests and taken off those of answers, for the services KV and Watch and for the
//! keys of a lease, as in etcd. Locks and elections have the keys that their clients name.

use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp,
    ResponseOp, TxnRequest, TxnResponse,
};
use proto::mvccpb::{Event, KeyValue};
use tonic::Status;

/// Transactions in transactions: members take fewer.
const DEPTH_MAX: usize = 64;

/// Returns the range in the namespace.
fn interval(namespace: &Bytes, key: &Bytes, range_end: &Bytes) -> (Bytes, Bytes) {
    let inside = |key: &Bytes| Bytes::from([namespace.as_ref(), key.as_ref()].concat());
    let end = match range_end.as_ref() {
        [] => Bytes::new(),
        // To the end of all keys: to the end of the namespace.
        [0] => end_of(namespace),
        _ => inside(range_end),
    };
    (inside(key), end)
}

/// Returns the first key behind all that begin with the prefix.
fn end_of(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        None => Bytes::from_static(&[0]),
        Some(place) => {
            let mut end = prefix.to_vec();
            // As etcd does it, whose carry leaves zeros behind.
            end[place] += 1;
            end[place + 1..].fill(0);
            end.into()
        }
    }
}

/// Returns the range of a watch. An empty key stands for the first that can be.
pub(super) fn interval_of_watch(namespace: &Bytes, key: Bytes, range_end: Bytes) -> (Bytes, Bytes) {
    if namespace.is_empty() {
        return (key, range_end);
    }
    interval(namespace, &key, &range_end)
}

/// Puts keys of requests into the namespace.
pub(super) trait Inside {
    /// Puts the keys into the namespace.
    ///
    /// # Errors
    /// When there is no key, in etcd's words.
    fn put_inside(&mut self, namespace: &Bytes) -> Result<(), Status>;
}

/// Takes the namespace off the keys of answers.
pub(super) trait Outside {
    /// Takes the namespace off the keys.
    fn take_outside(&mut self, namespace: &Bytes);
}

fn no_key() -> Status {
    Status::invalid_argument("etcdserver: key is not provided")
}

fn put_range_inside(namespace: &Bytes, key: &mut Bytes, range_end: &mut Bytes) -> Result<(), Status> {
    if key.is_empty() {
        return Err(no_key());
    }
    (*key, *range_end) = interval(namespace, key, range_end);
    Ok(())
}

impl Inside for RangeRequest {
    fn put_inside(&mut self, namespace: &Bytes) -> Result<(), Status> {
        put_range_inside(namespace, &mut self.key, &mut self.range_end)
    }
}

impl Inside for PutRequest {
    fn put_inside(&mut self, namespace: &Bytes) -> Result<(), Status> {
        put_range_inside(namespace, &mut self.key, &mut Bytes::new())
    }
}

impl Inside for DeleteRangeRequest {
    fn put_inside(&mut self, namespace: &Bytes) -> Result<(), Status> {
        put_range_inside(namespace, &mut self.key, &mut self.range_end)
    }
}

impl Inside for TxnRequest {
    fn put_inside(&mut self, namespace: &Bytes) -> Result<(), Status> {
        put_txn_inside(self, namespace, DEPTH_MAX)
    }
}

fn put_txn_inside(txn: &mut TxnRequest, namespace: &Bytes, depth: usize) -> Result<(), Status> {
    for compare in &mut txn.compare {
        (compare.key, compare.range_end) = interval(namespace, &compare.key, &compare.range_end);
    }
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        put_operation_inside(operation, namespace, depth)?;
    }
    Ok(())
}

fn put_operation_inside(operation: &mut RequestOp, namespace: &Bytes, depth: usize) -> Result<(), Status> {
    match &mut operation.request {
        Some(Request::RequestRange(range)) => range.put_inside(namespace),
        Some(Request::RequestPut(put)) => put.put_inside(namespace),
        Some(Request::RequestDeleteRange(delete)) => delete.put_inside(namespace),
        Some(Request::RequestTxn(txn)) => match depth.checked_sub(1) {
            Some(depth) => put_txn_inside(txn, namespace, depth),
            None => Err(Status::invalid_argument("etcdserver: too many operations in txn request")),
        },
        None => Ok(()),
    }
}

/// Takes the namespace off a key.
pub(super) fn strip(namespace: &Bytes, key: &mut Bytes) {
    if key.starts_with(namespace) {
        *key = key.slice(namespace.len()..);
    }
}

fn strip_all<'a>(namespace: &Bytes, kvs: impl IntoIterator<Item = &'a mut KeyValue>) {
    kvs.into_iter().for_each(|kv| strip(namespace, &mut kv.key));
}

/// Takes the namespace off the keys of events.
pub(super) fn strip_events(namespace: &Bytes, events: &mut [Event]) {
    if !namespace.is_empty() {
        for event in events {
            strip_all(namespace, event.kv.iter_mut().chain(&mut event.prev_kv));
        }
    }
}

impl Outside for RangeResponse {
    fn take_outside(&mut self, namespace: &Bytes) {
        strip_all(namespace, &mut self.kvs);
    }
}

impl Outside for PutResponse {
    fn take_outside(&mut self, namespace: &Bytes) {
        strip_all(namespace, &mut self.prev_kv);
    }
}

impl Outside for DeleteRangeResponse {
    fn take_outside(&mut self, namespace: &Bytes) {
        strip_all(namespace, &mut self.prev_kvs);
    }
}

impl Outside for TxnResponse {
    fn take_outside(&mut self, namespace: &Bytes) {
        self.responses.iter_mut().for_each(|response| take_operation_outside(response, namespace));
    }
}

fn take_operation_outside(operation: &mut ResponseOp, namespace: &Bytes) {
    match &mut operation.response {
        Some(Response::ResponseRange(range)) => range.take_outside(namespace),
        Some(Response::ResponsePut(put)) => put.take_outside(namespace),
        Some(Response::ResponseDeleteRange(delete)) => delete.take_outside(namespace),
        // As deep as the request was.
        Some(Response::ResponseTxn(txn)) => txn.take_outside(namespace),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_in_the_namespace() {
        for (namespace, key, range_end, expected) in [
            (&b"ns/"[..], &b"a"[..], &b""[..], (&b"ns/a"[..], &b""[..])),
            (b"ns/", b"a", b"b", (b"ns/a", b"ns/b")),
            (b"ns/", b"a", b"\0", (b"ns/a", b"ns0")),
            (b"\xff", b"a", b"\0", (b"\xffa", b"\0")),
            (b"a\xff", b"k", b"\0", (b"a\xffk", b"b\0")),
            (b"ns/", b"\0", b"\0", (b"ns/\0", b"ns0")),
        ] {
            let of = Bytes::copy_from_slice;
            let (key, end) = interval(&of(namespace), &of(key), &of(range_end));
            assert_eq!((key.as_ref(), end.as_ref()), expected);
        }
    }

    #[test]
    fn a_transaction_is_inside_with_all_that_is_in_it() {
        let namespace = Bytes::from_static(b"ns/");
        let put = |key: &'static str| RequestOp {
            request: Some(Request::RequestPut(PutRequest { key: key.into(), ..Default::default() })),
        };
        let inner = TxnRequest { success: vec![put("inner")], ..Default::default() };
        let mut txn = TxnRequest {
            compare: vec![proto::etcdserverpb::Compare { key: "c".into(), ..Default::default() }],
            success: vec![put("outer")],
            failure: vec![RequestOp { request: Some(Request::RequestTxn(inner)) }],
        };
        txn.put_inside(&namespace).unwrap();
        let text = format!("{txn:?}");
        for key in ["ns/c", "ns/outer", "ns/inner"] {
            assert!(text.contains(key), "{text}");
        }
        let mut without_key = TxnRequest { success: vec![put("")], ..Default::default() };
        assert_eq!(
            without_key.put_inside(&namespace).unwrap_err().message(),
            "etcdserver: key is not provided"
        );
    }

    #[test]
    fn keys_of_answers_are_outside() {
        let namespace = Bytes::from_static(b"ns/");
        let kv = |key: &'static str| KeyValue { key: key.into(), ..Default::default() };
        let mut range = RangeResponse { kvs: vec![kv("ns/a"), kv("ns/b")], ..Default::default() };
        range.take_outside(&namespace);
        assert_eq!(range.kvs, [kv("a"), kv("b")]);
        let mut events = [Event { kv: Some(kv("ns/a")), prev_kv: Some(kv("ns/a")), ..Default::default() }];
        strip_events(&namespace, &mut events);
        assert_eq!((events[0].kv.clone(), events[0].prev_kv.clone()), (Some(kv("a")), Some(kv("a"))));
    }
}
