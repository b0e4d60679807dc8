//! The store as its users see it, one sentence a test.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;
use wal::SimDisk;

fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        checkpoint_bytes: 1 << 20,
        history_segment_bytes: 64 << 10,
        identity: [1, 2],
    }
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options()).unwrap()
}

fn put(store: &mut Store, key: &str, value: &str) -> i64 {
    let mut txn = store.txn();
    txn.put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()), LeaseId(0));
    txn.commit().unwrap().revision
}

fn delete(store: &mut Store, range: &KeyRange) -> Option<i64> {
    let mut txn = store.txn();
    txn.delete_range(range);
    txn.commit().map(|changes| changes.revision)
}

fn values(result: &RangeResult) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    result.items.iter().map(|item| (text(item.key()), text(item.value()))).collect()
}

fn at(store: &Store, revision: i64) -> Vec<(String, String)> {
    values(&store.range(&RangeQuery::new(KeyRange::all()).at(revision)).unwrap())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn an_empty_store_is_at_revision_1_and_was_never_compacted() {
    let store = open(&SimDisk::new(1));
    assert_eq!((store.revision(), store.compact_revision(), store.applied()), (1, -1, Applied::default()));
}

#[test]
fn every_revision_can_be_read_before_and_after_a_checkpoint_and_after_opening_again() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    assert_eq!(put(&mut store, "a", "1"), 2);
    assert_eq!(put(&mut store, "b", "1"), 3);
    assert_eq!(put(&mut store, "a", "2"), 4);
    assert_eq!(delete(&mut store, &KeyRange::single("a")), Some(5));
    assert_eq!(delete(&mut store, &KeyRange::single("a")), None);
    assert_eq!(put(&mut store, "a", "3"), 6);
    let check = |store: &Store| {
        assert_eq!(at(store, 1), pairs(&[]));
        assert_eq!(at(store, 2), pairs(&[("a", "1")]));
        assert_eq!(at(store, 3), pairs(&[("a", "1"), ("b", "1")]));
        assert_eq!(at(store, 4), pairs(&[("a", "2"), ("b", "1")]));
        assert_eq!(at(store, 5), pairs(&[("b", "1")]));
        assert_eq!(at(store, 6), pairs(&[("a", "3"), ("b", "1")]));
        assert!(matches!(store.range(&RangeQuery::new(KeyRange::all()).at(7)), Err(ReadError::Future(6))));
    };
    check(&store);
    store.set_applied(Applied { index: 10, term: 2 });
    let hash = store.state_hash();
    let hash_kv = store.view().hash_kv(None).unwrap();
    store.checkpoint().unwrap();
    check(&store);
    drop(store);
    let store = open(&disk.crash(wal::Crash::LoseAll));
    check(&store);
    assert_eq!(store.applied(), Applied { index: 10, term: 2 });
    assert_eq!(store.state_hash(), hash);
    assert_eq!(store.view().hash_kv(None).unwrap(), hash_kv);
}

#[test]
fn what_is_not_in_a_checkpoint_is_gone_after_a_crash_and_the_revisions_are_used_again() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    put(&mut store, "a", "1");
    store.checkpoint().unwrap();
    put(&mut store, "b", "1");
    drop(store);
    let mut store = open(&disk.crash(wal::Crash::KeepAll));
    assert_eq!(store.revision(), 2);
    assert_eq!(put(&mut store, "c", "1"), 3);
    assert_eq!(at(&store, 3), pairs(&[("a", "1"), ("c", "1")]));
}

#[test]
fn a_transaction_sees_its_own_writes_and_nobody_else_does_before_it_commits() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    put(&mut store, "a", "1");
    let view = store.view();
    let mut txn = store.txn();
    assert_eq!(txn.revision(), 2);
    txn.put(Bytes::from_static(b"b"), Bytes::from_static(b"2"), LeaseId(7));
    txn.delete_range(&KeyRange::single("a"));
    assert_eq!(txn.revision(), 3);
    let seen = txn.range(&RangeQuery::new(KeyRange::all())).unwrap();
    assert_eq!((values(&seen), seen.count), (pairs(&[("b", "2")]), 1));
    assert_eq!(values(&view.range(&RangeQuery::new(KeyRange::all())).unwrap()), pairs(&[("a", "1")]));
    let changes = txn.commit().unwrap();
    assert_eq!(changes.revision, 3);
    assert_eq!(view.get(b"b").unwrap().unwrap().meta.lease, LeaseId(7));
    assert_eq!(changes.changes[1].read_before().unwrap().unwrap().value(), "1");
}

#[test]
fn a_dropped_transaction_leaves_nothing_behind() {
    let mut store = open(&SimDisk::new(1));
    let hash = store.state_hash();
    let mut txn = store.txn();
    txn.put(Bytes::from_static(b"b"), Bytes::from_static(b"2"), LeaseId(0));
    drop(txn);
    assert_eq!((store.revision(), store.state_hash(), store.keys()), (1, hash, 0));
    assert_eq!(put(&mut store, "a", "1"), 2);
}

#[test]
fn compaction_refuses_what_is_below_it_and_keeps_what_is_at_it() {
    let mut store = open(&SimDisk::new(1));
    assert_eq!(store.compact(0), Ok(()));
    assert_eq!(store.compact(0), Err(CompactError::Compacted));
    put(&mut store, "a", "1");
    put(&mut store, "a", "2");
    put(&mut store, "a", "3");
    assert_eq!(store.compact(5), Err(CompactError::Future));
    assert_eq!(store.compact(3), Ok(()));
    assert_eq!(at(&store, 3), pairs(&[("a", "2")]));
    assert!(matches!(store.range(&RangeQuery::new(KeyRange::all()).at(2)), Err(ReadError::Compacted(3))));
}

#[test]
fn history_is_read_from_any_revision_across_segments_checkpoints_and_memory() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    for number in 0..1500 {
        put(&mut store, &format!("key{}", number % 50), &"v".repeat(number % 300));
        if number % 400 == 399 {
            store.checkpoint().unwrap();
        }
    }
    let check = |store: &Store, end: i64| {
        for from in [2, 3, 500, 801, 802, 1200, end] {
            let mut history = store.view().history(from);
            let mut next = from;
            while let Some(changes) = history.next_batch().unwrap() {
                for change in changes {
                    let number = (next - 2) as usize;
                    assert_eq!(change.revision, Revision { main: next, sub: 0 });
                    assert_eq!(change.key, format!("key{}", number % 50));
                    assert_eq!(change.after.unwrap().value().len(), number % 300);
                    assert_eq!(change.before.is_some(), number >= 50);
                    next += 1;
                }
            }
            assert_eq!(next, end + 1);
        }
    };
    check(&store, 1501);
    drop(store);
    let store = open(&disk);
    check(&store, 1201);
    for revision in [2, 51, 400, 801, 1201] {
        assert_eq!(at(&store, revision).len() as i64, (revision - 1).min(50), "at {revision}");
    }
}

#[test]
fn side_tables_are_part_of_checkpoints_and_of_the_state_hash() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    let empty = store.state_hash();
    let leases = TableId(1);
    assert_eq!(store.side_put(leases, b"5", "ttl"), None);
    assert_eq!(store.side_put(TableId(2), b"5", "alarm"), None);
    let hash = store.state_hash();
    assert_ne!(hash, empty);
    store.checkpoint().unwrap();
    drop(store);
    let mut store = open(&disk);
    assert_eq!(store.state_hash(), hash);
    assert_eq!(store.side_get(leases, b"5").unwrap(), "ttl");
    assert_eq!(store.side_scan(TableId(2)).count(), 1);
    assert_eq!(store.side_delete(leases, b"5").unwrap(), "ttl");
    assert_eq!(store.side_delete(TableId(2), b"5").unwrap(), "alarm");
    assert_eq!(store.state_hash(), empty);
}

/// A version's key and value, and what every version counts besides.
const OVERHEAD: u64 = 48;

#[test]
fn a_version_counts_once_until_compaction_has_passed_what_replaced_it() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    let empty = store.db_size();
    let version = OVERHEAD + 1 + 1000;
    let value = Bytes::from(vec![7; 1000]);
    let put_large = |store: &mut Store, key: &'static str| {
        let mut txn = store.txn();
        txn.put(Bytes::from(key), value.clone(), LeaseId(0));
        txn.commit();
    };
    for _ in 0..100 {
        put_large(&mut store, "a");
    }
    put_large(&mut store, "b");
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::single("b"));
    txn.commit();
    let tombstone = OVERHEAD + 1;
    assert_eq!(store.db_size(), empty + 101 * version + tombstone);

    // Most of the history is in runs now; a start counts the same.
    store.checkpoint().unwrap();
    drop(store);
    let mut store = open(&disk);
    assert_eq!(store.db_size(), empty + 101 * version + tombstone);

    store.compact(store.revision()).unwrap();
    assert_eq!(store.db_size(), empty + version, "at once, whatever is still on the disk");
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(open(&disk).db_size(), empty + version);
}

/// Values of the past are read from files, many bytes at a time; what is handed out is kept for as long as a reply is.
#[test]
fn what_is_read_of_the_past_keeps_nothing_of_what_was_read_around_it() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    let old = (0..100).map(|number| put(&mut store, &format!("{number:03}"), "old")).last().unwrap();
    (0..100).for_each(|number| _ = put(&mut store, &format!("{number:03}"), "new"));
    store.checkpoint().unwrap();
    drop(store);
    let view = open(&disk).view();
    let past = view.range(&RangeQuery::new(KeyRange::all()).at(old)).unwrap();
    assert_eq!(past.items.len(), 100);
    assert!(past.items.iter().all(|item| item.encoded.is_unique() && item.value() == "old"));
}

/// A member whose quota is nearly full must not be over it because it was started again.
#[test]
fn a_start_counts_the_same_wherever_compaction_has_stopped() {
    let options = Options { history_segment_bytes: 1 << 20, ..options() };
    let value = "v".repeat(1000);
    for compacted in [300, 1000, 1400, 2500] {
        let disk = SimDisk::new(1);
        let open = || Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
        let mut store = open();
        (0..3000).for_each(|number| _ = put(&mut store, &format!("key{}", number % 10), &value));
        store.compact(compacted).unwrap();
        store.checkpoint().unwrap();
        let before = store.db_size();
        drop(store);
        // What is known of the history is known to this many bytes.
        let after = open().db_size();
        assert!(after.abs_diff(before) <= 2 * (64 << 10), "{after} and {before} at {compacted}");
    }
}
