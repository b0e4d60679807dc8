//! Previous key-values in replies: what is not in memory is read by whoever waits for the reply, and not while the command is
//! applied.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use bytes::Bytes;
use machine::{Applied, Machine, Outcome, Reading};
use prost::Message;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, InternalRaftRequest, PutRequest, PutResponse,
    RequestOp, TxnRequest, TxnResponse,
};
use support::store;
use wal::SimDisk;

fn put(key: &str, value: &str) -> PutRequest {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    PutRequest { key, value, prev_kv: true, ..PutRequest::default() }
}

fn delete_from(key: &str) -> DeleteRangeRequest {
    let key = Bytes::copy_from_slice(key.as_bytes());
    DeleteRangeRequest { key, range_end: Bytes::from_static(&[0]), prev_kv: true }
}

fn apply(machine: &mut Machine, reading: Reading, command: InternalRaftRequest) -> Outcome {
    let applied = Applied { index: machine.store().applied().index + 1, term: 1 };
    machine.apply_for(reading, applied, &command).unwrap()
}

fn command_of_put(request: PutRequest) -> InternalRaftRequest {
    InternalRaftRequest { put: Some(request), ..InternalRaftRequest::default() }
}

/// A machine that has just been opened, with three keys on the disk.
fn cold() -> Machine {
    let disk = SimDisk::new(1);
    let mut machine = store::open(&disk);
    for key in ["a", "b", "c"] {
        apply(&mut machine, Reading::Now, command_of_put(put(key, &format!("old {key}"))));
    }
    store::checkpoint(&mut machine);
    drop(machine);
    store::open(&disk)
}

/// Everything that could take away what is still to be read.
fn go_on(machine: &mut Machine) {
    for key in ["a", "b", "c", "d"] {
        apply(machine, Reading::Now, command_of_put(put(key, "newest")));
        store::checkpoint(machine);
    }
    let compaction = CompactionRequest { revision: machine.store().revision(), physical: false };
    let command = InternalRaftRequest { compaction: Some(compaction), ..InternalRaftRequest::default() };
    apply(machine, Reading::Now, command);
    store::checkpoint(machine);
}

fn body(outcome: Outcome) -> Bytes {
    assert!(outcome.unread.is_some(), "it is not in memory");
    store::whole(outcome).result.unwrap().body.to_bytes()
}

#[test]
fn what_a_put_replaced_is_read_later() {
    let mut machine = cold();
    let outcome = apply(&mut machine, Reading::Now, command_of_put(put("b", "new")));
    go_on(&mut machine);
    let response = PutResponse::decode(body(outcome)).unwrap();
    assert_eq!(response.prev_kv.unwrap().value, "old b");
}

#[test]
fn what_was_deleted_is_read_later() {
    let mut machine = cold();
    let delete_range = Some(delete_from("b"));
    let command = InternalRaftRequest { delete_range, ..InternalRaftRequest::default() };
    let outcome = apply(&mut machine, Reading::Now, command);
    go_on(&mut machine);
    let response = DeleteRangeResponse::decode(body(outcome)).unwrap();
    let values: Vec<_> = response.prev_kvs.into_iter().map(|kv| kv.value).collect();
    assert_eq!((response.deleted, values), (2, vec!["old b".into(), Bytes::from("old c")]));
}

#[test]
fn in_a_transaction_it_is_what_there_was_right_before_the_operation() {
    let mut machine = cold();
    let op = |request| RequestOp { request: Some(request) };
    let success = vec![
        op(Request::RequestPut(put("a", "new a"))),
        op(Request::RequestPut(put("d", "new d"))),
        op(Request::RequestDeleteRange(delete_from("a"))),
    ];
    let txn = Some(TxnRequest { success, ..TxnRequest::default() });
    let outcome =
        apply(&mut machine, Reading::Now, InternalRaftRequest { txn, ..InternalRaftRequest::default() });
    go_on(&mut machine);
    let response = TxnResponse::decode(body(outcome)).unwrap();
    let previous = response.responses.into_iter().map(|response| match response.response.unwrap() {
        Response::ResponsePut(put) => put.prev_kv.into_iter().map(|kv| kv.value).collect(),
        Response::ResponseDeleteRange(delete) => delete.prev_kvs.into_iter().map(|kv| kv.value).collect(),
        other => panic!("{other:?}"),
    });
    let previous: Vec<Vec<Bytes>> = previous.collect();
    let expected: [&[&str]; 3] = [&["old a"], &[], &["new a", "old b", "old c", "new d"]];
    assert_eq!(previous, expected);
}

#[test]
fn where_nobody_waits_nothing_is_left_to_be_read() {
    let mut machine = cold();
    let outcome = apply(&mut machine, Reading::Never, command_of_put(put("b", "new")));
    assert!(outcome.unread.is_none());
    let delete_range = Some(delete_from("a"));
    let command = InternalRaftRequest { delete_range, ..InternalRaftRequest::default() };
    let outcome = apply(&mut machine, Reading::Never, command);
    assert!(outcome.unread.is_none() && outcome.changes.unwrap().changes[2].before.is_stored());
}

/// Most often it is, and then nobody has to wait for another thread.
#[test]
fn what_is_in_memory_is_in_the_reply_at_once() {
    let mut machine = cold();
    apply(&mut machine, Reading::Now, command_of_put(put("b", "new")));
    let outcome = apply(&mut machine, Reading::Now, command_of_put(put("b", "newer")));
    assert!(outcome.unread.is_none());
    let response = PutResponse::decode(outcome.result.unwrap().body.to_bytes()).unwrap();
    assert_eq!(response.prev_kv.unwrap().value, "new");
}
