//! Opening a store that is not a state machine's, or not whole: refused, naming the record.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

use std::path::Path;
use std::sync::Arc;

use machine::{Machine, OpenError};
use mvcc::{LeaseId, Options, Store, TableId};
use wal::SimDisk;

fn refusal(prepare: impl FnOnce(&mut Store)) -> String {
    let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
    let mut store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
    prepare(&mut store);
    match Machine::open(store) {
        Ok(_) => panic!("opened"),
        Err(error @ (OpenError::Malformed(_) | OpenError::StrayKey { .. })) => error.to_string(),
        Err(OpenError::Store(error)) => panic!("the disk is fine: {error}"),
    }
}

fn row(table: u8, key: &'static [u8], value: &'static [u8]) -> String {
    refusal(|store| drop(store.side_put(TableId(table), key, value)))
}

#[test]
fn a_record_that_no_version_writes_is_refused_by_table_and_key() {
    let cases = [
        (
            row(1, &[0; 8], &[2; 25]),
            "side table 1: record with key [00, 00, 00, 00, 00, 00, 00, 00] does not decode: format unknown",
        ),
        (row(1, &[0; 8], &[1; 24]), "length is not that of a lease"),
        (row(1, &[0; 7], &[1; 25]), "number is not 8 bytes long"),
        (row(2, &[0; 12], &[9]), "side table 2: "),
        (row(2, &[0; 3], &[1]), "key too short"),
        (row(2, &[0; 13], &[1]), "number is not 8 bytes long"),
        (row(3, &[0; 8], &[0xff]), "not a Member"),
        (row(3, &[7; 8], &[]), "is another member's record"),
        (row(4, b"id", &[1, 2]), "side table 4: record with key [69, 64]"),
        (row(4, b"version", &[0xff]), "not UTF-8"),
        (row(5, &[0; 8], &[2]), "side table 5: "),
        (row(5, &[0; 7], &[1]), "number is not 8 bytes long"),
        (row(6, b"u", b"\x0a\xff"), "side table 6: record with key [75] does not decode: not a User"),
        (row(6, b"u", b"\x0a\x01v"), "is another name's record"),
        (row(6, b"\xff", b"\x0a\x01\xff"), "not UTF-8"),
        (row(6, b"u", b"\x0a\x01u\x1a\x01s\x1a\x01r"), "roles are not sorted"),
        (row(7, b"r", b"\x0a\xff"), "side table 7: record with key [72] does not decode: not a Role"),
        (row(7, b"r", b"\x0a\x01s"), "is another name's record"),
        (row(7, b"r", b"\x0a\x01r\x12\x03\x12\x01b\x12\x03\x12\x01a"), "permissions are not sorted"),
        (row(8, b"enabled", &[0]), "side table 8: record with key [65, 6e, 61, 62, 6c, 65, 64]"),
        (row(8, b"revision", &[1]), "number is not 8 bytes long"),
    ];
    for (actual, expected) in cases {
        assert!(actual.contains(expected), "{actual:?} has no {expected:?}");
    }
}

#[test]
fn a_key_of_a_lease_that_does_not_exist_is_refused() {
    let refusal = refusal(|store| {
        let mut txn = store.txn();
        txn.put("k".into(), "v".into(), LeaseId(0x1f));
        txn.commit();
    });
    assert_eq!(refusal, "key b\"k\" is attached to lease 1f, which does not exist");
}
