//! What a change has replaced: where it is, what it costs while no checkpoint has the change, and that everybody who wants it
//! finds it, at every moment and after every crash.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;
use wal::{Crash, Disk, Fault, SimDisk};

/// Nothing that is stored stays in memory.
fn open(disk: Arc<dyn Disk>) -> Store {
    let options = Options { cache_bytes: 0, history_segment_bytes: 64 << 10, ..Options::default() };
    Store::open(disk, Path::new("/data"), options).unwrap()
}

fn key(number: usize) -> Bytes {
    format!("key/{number:05}").into()
}

const VALUE_BYTES: usize = 4000;

/// A store with so many keys whose values are long, all in a checkpoint. It was just opened.
fn filled(disk: Arc<dyn Disk>, keys: usize) -> Store {
    let mut store = open(disk.clone());
    for number in 0..keys {
        let mut txn = store.txn();
        txn.put(key(number), vec![number as u8; VALUE_BYTES].into(), LeaseId(3));
        txn.commit();
        store.set_applied(Applied { index: number as u64 + 1, term: 1 });
    }
    store.checkpoint().unwrap();
    drop(store);
    open(disk)
}

#[test]
fn a_change_reads_nothing_of_what_it_replaces() {
    let disk = SimDisk::new(1);
    // More than the database keeps of its pages.
    let keys = 9000;
    let mut store = filled(Arc::new(disk.clone()), keys);
    let view = store.view();
    let before = disk.bytes_read();
    for number in (0..keys).step_by(60) {
        let mut txn = store.txn();
        let previous = txn.put(key(number), "new".into(), LeaseId(0));
        assert!(previous.is_stored() && previous.value_len() == VALUE_BYTES);
        assert_eq!(previous.meta().unwrap().lease, LeaseId(3));
        assert_eq!(txn.put(key(number), "newer".into(), LeaseId(0)).item().unwrap().value(), "new");
        txn.commit();
    }
    let mut txn = store.txn();
    let mut deleted = Vec::new();
    let range = KeyRange::between(key(50), key(keys - 50));
    assert_eq!(txn.delete_range_seeing(&range, |before| deleted.push(before.is_stored())), keys - 100);
    assert_eq!(deleted, (50..keys - 50).map(|number| number % 60 != 0).collect::<Vec<_>>());
    assert_eq!(txn.delete_keys((keys - 100..keys).map(key)), 50);
    let changes = txn.commit().unwrap();
    assert_eq!(disk.bytes_read(), before, "bytes were read from the disk");
    // Whoever wants to know reads it.
    for number in (1..keys - 100).step_by(60) {
        let replaced = changes.changes[number].read_before().unwrap().unwrap();
        assert_eq!(view.get(&replaced.key()).unwrap(), None);
    }
    assert!(disk.bytes_read() > before);
}

#[test]
fn what_was_deleted_is_not_kept_in_memory_until_a_checkpoint_has_it() {
    let keys = 3000;
    let mut store = filled(Arc::new(SimDisk::new(1)), keys);
    let mut txn = store.txn();
    assert_eq!(txn.delete_range(&KeyRange::all()), keys);
    let changes = txn.commit().unwrap();
    // A fraction of the values, and no more for longer ones.
    let unstored = store.unstored_bytes();
    assert!(unstored < keys * 500 && unstored > keys * key(0).len(), "{unstored} bytes");
    assert!(changes.changes.iter().all(|change| change.before.is_stored()));
    assert!(!store.is_checkpoint_due());
    store.checkpoint().unwrap();
    for number in (0..keys).step_by(100) {
        let before = changes.changes[number].read_before().unwrap().unwrap();
        assert_eq!(before.value(), vec![number as u8; VALUE_BYTES]);
    }
}

#[test]
fn of_what_is_in_memory_anyway_a_transaction_keeps_a_part() {
    let options = Options { history_segment_bytes: 64 << 10, ..Options::default() };
    let mut store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/data"), options).unwrap();
    let value = Bytes::from(vec![1; VALUE_BYTES]);
    for number in 0..1000 {
        let mut txn = store.txn();
        txn.put(key(number), value.clone(), LeaseId(0));
        txn.commit();
    }
    store.checkpoint().unwrap();
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::all());
    let changes = txn.commit().unwrap();
    let in_memory = changes.changes.iter().filter(|change| change.before.item().is_some()).count();
    assert!((100..300).contains(&in_memory), "{in_memory} of {}", changes.changes.len());
    assert!(store.unstored_bytes() < (2 << 20));
}

#[test]
fn many_small_changes_make_a_checkpoint_due_by_themselves() {
    let options = Options { checkpoint_bytes: 1 << 20, ..Options::default() };
    let mut store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/data"), options).unwrap();
    let mut txn = store.txn();
    for number in 0..12_000_u32 {
        txn.put(number.to_le_bytes().to_vec().into(), Bytes::new(), LeaseId(0));
    }
    txn.commit();
    // Of versions there is less than half of what makes one due.
    assert!(store.is_checkpoint_due());
}

/// The values that keys had, in every way in which one can ask.
fn check(store: &Store, rounds: usize, what: &str) {
    let view = store.view();
    let mut history = view.history(2);
    let mut changes = Vec::new();
    while let Some(batch) = history.next_batch().unwrap() {
        changes.extend(batch);
    }
    assert_eq!(changes.len(), rounds * KEYS, "{what}");
    for (place, change) in changes.iter().enumerate() {
        let before = change.read_before().unwrap();
        let expected = (place >= KEYS).then(|| value(place - KEYS));
        assert_eq!(before.map(|item| item.value()), expected, "{what}: {}", change.revision);
        assert_eq!(change.after.as_ref().unwrap().value(), value(place));
        if place % 13 == 0 {
            let at = RangeQuery::new(KeyRange::single(change.key.clone())).at(change.revision.main - 1);
            let then = view.range(&at).unwrap().items.pop();
            assert_eq!(then.map(|item| item.value()), (place >= KEYS).then(|| value(place - KEYS)), "{what}");
        }
    }
}

const KEYS: usize = 16;

/// Of the change at this place.
fn value(place: usize) -> Bytes {
    vec![place as u8; 20 + place % 200].into()
}

/// Applies the rest of the log: each round changes all keys, a transaction each.
fn apply(store: &mut Store, rounds: usize) {
    for place in store.applied().index as usize..rounds * KEYS {
        let mut txn = store.txn();
        txn.put(key(place * 7 % KEYS), value(place), LeaseId(0));
        txn.commit();
        store.set_applied(Applied { index: place as u64 + 1, term: 1 });
    }
}

#[test]
fn a_checkpoint_that_is_made_again_after_a_crash_finds_the_same() {
    let base = SimDisk::new(1);
    let mut store = open(Arc::new(base.clone()));
    apply(&mut store, 3);
    store.checkpoint().unwrap();
    drop(store);
    let mut points = 0;
    for halt in 0.. {
        let disk = base.restart();
        let mut store = open(Arc::new(disk.clone()));
        apply(&mut store, 5);
        assert!(store.freeze().is_some());
        disk.halt_after(halt);
        let is_done = store.checkpoint().is_ok();
        drop(store);
        let random = if halt % 2 == 0 { Crash::Random(halt) } else { Crash::TearLast(halt) };
        for crash in [Crash::LoseAll, Crash::KeepAll, random] {
            let what = format!("{crash:?} after {halt} operations");
            // The history may have the changes already, with what they replaced; the tables do not.
            let crashed = disk.crash(crash);
            let mut store = open(Arc::new(crashed.clone()));
            assert!(store.applied().index == 3 * KEYS as u64 || store.applied().index == 5 * KEYS as u64);
            apply(&mut store, 5);
            check(&store, 5, &what);
            // Other changes than those that are in the history already, beyond what counts.
            apply(&mut store, 6);
            store.checkpoint().unwrap();
            check(&store, 6, &what);
            drop(store);
            check(&open(Arc::new(crashed.restart())), 6, &what);
        }
        points += 1;
        if is_done {
            break;
        }
    }
    assert!(points > 10, "a checkpoint has more than {points} operations");
}

#[test]
fn a_checkpoint_that_is_tried_again_on_a_disk_that_was_full_finds_the_same() {
    let base = SimDisk::new(1);
    let mut store = open(Arc::new(base.clone()));
    apply(&mut store, 3);
    store.checkpoint().unwrap();
    drop(store);
    let mut refused = 0;
    for writes in 0.. {
        let disk = base.restart();
        let mut store = open(Arc::new(disk.clone()));
        apply(&mut store, 5);
        disk.inject_after(Fault::WriteNoSpace, writes);
        let what = format!("the disk was full at write {writes}");
        let made = store.checkpoint();
        let is_over = made.is_ok();
        match made {
            Ok(()) => {}
            // In the history, a write without space is a failed write.
            Err(error) if !error.is_retryable() => continue,
            Err(_) => {
                refused += 1;
                check(&store, 5, &what);
                // What was frozen is stored first, and what comes now is not in it.
                apply(&mut store, 6);
                check(&store, 6, &what);
                while store.unstored_bytes() > 0 {
                    store.checkpoint().unwrap();
                    check(&store, 6, &what);
                }
            }
        }
        if is_over {
            break;
        }
        drop(store);
        check(&open(Arc::new(disk.crash(Crash::LoseAll))), 6, &what);
    }
    assert!(refused > 3, "{refused} checkpoints were refused");
}

#[test]
fn what_no_store_has_any_more_is_an_error_and_not_nothing() {
    let mut store = filled(Arc::new(SimDisk::new(1)), 10);
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::single(key(3)));
    let changes = txn.commit().unwrap();
    let change = &changes.changes[0];
    assert!(!change.is_previous_in_memory());
    drop(store);
    assert!(matches!(change.read_before(), Err(ReadError::Store(Error::Closed))));
    assert!(change.event_with_previous().is_err());
}
