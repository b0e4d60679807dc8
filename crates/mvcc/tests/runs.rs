//! Reading the past where the history is long.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;
use wal::SimDisk;

fn put(store: &mut Store, key: &str, value: &str) {
    let mut txn = store.txn();
    txn.put(key.to_owned().into(), value.to_owned().into(), LeaseId(0));
    txn.commit();
}

/// A run that has nothing of a key is not looked into for it, however many there are.
#[test]
fn a_get_at_an_old_revision_reads_of_the_runs_that_have_the_key() {
    let disk = SimDisk::new(1);
    let options = Options { history_segment_bytes: 64 << 10, ..Options::default() };
    let open = || Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
    let mut store = open();
    let rare: Vec<_> = (0..20).map(|number| format!("key/{:05}/rare", number * 100)).collect();
    rare.iter().for_each(|key| put(&mut store, key, "old"));
    let then = store.revision();
    for number in 0..4000 {
        put(&mut store, &format!("key/{:05}", number * 7919 % 2000), &"v".repeat(300));
    }
    rare.iter().for_each(|key| put(&mut store, key, "new"));
    (0..200).for_each(|number| put(&mut store, &format!("key/{number:05}"), &"v".repeat(300)));
    store.checkpoint().unwrap();
    drop(store);
    let view = open().view();
    let get = |key: &String| {
        let at = RangeQuery::new(KeyRange::single(key.clone())).at(then);
        view.range(&at).unwrap().items.pop().map(|item| item.value())
    };
    // The first one reads what every run has of itself.
    assert_eq!(get(&rare[0]), Some(Bytes::from("old")));
    let before = disk.bytes_read();
    assert_eq!(get(&"key/00000/never".to_owned()), None);
    rare[1..].iter().for_each(|key| assert_eq!(get(key), Some(Bytes::from("old"))));
    let each = (disk.bytes_read() - before) / rare.len() as u64;
    assert!(each < 25_000, "{each} bytes were read for a get");
}
