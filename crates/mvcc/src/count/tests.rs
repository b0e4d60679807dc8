//! The ways to count give what is read, at every revision.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::{LeaseId, Options, RangeQuery, Store, View};

fn key(number: i64) -> Bytes {
    Bytes::from(format!("key{number:03}"))
}

fn empty_store() -> Store {
    let options = Options { history_segment_bytes: 16 << 10, ..Options::default() };
    Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/data"), options).unwrap()
}

/// A deletion, a put, or a transaction that deletes the same key several times.
fn write(store: &mut Store, number: i64) {
    let mut txn = store.txn();
    let mut put = |number: i64| drop(txn.put(key(number), vec![1; 40].into(), LeaseId(0)));
    match number % 16 {
        0 | 4 | 8 => _ = txn.delete_range(&KeyRange::single(key(number * 37 % 101))),
        12 => {
            // The ends of runs cut the long ones; the short ones are mostly within a run.
            let keys = if number % 32 == 12 { 40..60 } else { 46..48 };
            for round in 0..3 {
                _ = txn.delete_range(&KeyRange::between(key(keys.start), key(keys.end)));
                keys.clone()
                    .for_each(|number| drop(txn.put(key(number), vec![round; 40].into(), LeaseId(0))));
            }
            _ = txn.delete_range(&KeyRange::between(key(45), key(50)));
        }
        _ => put(number * 37 % 101),
    }
    txn.commit();
}

fn read(view: &View, range: &KeyRange, at: i64) -> u64 {
    view.range(&RangeQuery::new(range.clone()).at(at)).unwrap().items.len() as u64
}

#[test]
fn each_way_to_count_gives_what_is_read() {
    let mut store = empty_store();
    for number in 0..1500 {
        write(&mut store, number);
        if number % 250 == 249 {
            store.checkpoint().unwrap();
        }
    }
    let (view, now) = (store.view(), store.revision());
    let inner = &view.inner;
    {
        let runs = &inner.shared.read().runs;
        assert!(runs.len() > 10);
        assert!(runs.iter().any(|run| run.first.sub > 0), "some run ends within a transaction");
    }
    for range in [KeyRange::all(), KeyRange::between("key02", "key07"), KeyRange::single("key047")] {
        let (hold, count_now) = {
            let shared = inner.shared.read();
            (shared.hold(inner, 1), shared.index.count(&range))
        };
        for at in (1..=now).step_by(7) {
            let expected = read(&view, &range, at);
            assert_eq!(inner.count_lives(&range, at).unwrap(), Some(expected), "lives at {at}");
            assert_eq!(inner.count_by_walking(&range, at, &hold).unwrap(), expected, "walking at {at}");
            assert_eq!(
                inner.count_by_changes(&range, at, now, count_now, &hold).unwrap(),
                expected,
                "changes since {at}"
            );
        }
    }
}

#[test]
fn what_is_written_and_sealed_while_the_index_is_gone_through_changes_no_count() {
    let mut store = empty_store();
    let put = |store: &mut Store, number: i64| {
        let mut txn = store.txn();
        txn.put(key(number), vec![1; 40].into(), LeaseId(0));
        txn.commit();
    };
    let delete = |store: &mut Store, number: i64| {
        let mut txn = store.txn();
        txn.delete_range(&KeyRange::single(key(number)));
        txn.commit();
    };
    (0..900).for_each(|number| put(&mut store, number));
    (0..900).step_by(7).for_each(|number| delete(&mut store, number));
    let (view, at) = (store.view(), store.revision());
    let expected = read(&view, &KeyRange::all(), at);
    let hold = view.inner.shared.read().hold(&view.inner, at);
    let mut lives = Lives::at(at);
    let (mut next, mut pieces) = (Some(Vec::new()), 0);
    while let Some(start) = next {
        // Before, at and behind where the walk is: keys die, come back, and what happened is sealed.
        for number in (0..900).filter(|number| number % 5 == pieces % 5) {
            delete(&mut store, number);
            if number % 2 == 0 {
                put(&mut store, number);
            }
        }
        if pieces % 2 == 0 {
            store.checkpoint().unwrap();
        }
        next = lives.count_piece(&view.inner.shared.read(), &KeyRange::all(), &start);
        pieces += 1;
    }
    store.checkpoint().unwrap();
    assert!(pieces > 2 && lives.floors.len() > 1, "{pieces} pieces, floors {:?}", lives.floors);
    let runs = view.inner.shared.read().runs_after(at);
    for run in runs {
        let mut visit = |key: &[u8], life: Life| {
            let is_at_seam = life.ended.main == run.first.main || life.ended.main == run.last.main;
            lives.count_ended(key, life, is_at_seam);
        };
        assert!(run.lives(view.inner.files(), &KeyRange::all(), &mut visit).unwrap());
    }
    assert_eq!(lives.count, expected);
    assert_eq!(read(&view, &KeyRange::all(), at), expected);
    drop(hold);
}

/// A count right before a transaction with very many changes would otherwise keep all of their keys in memory.
#[test]
fn changes_are_gone_through_only_where_they_are_few_however_few_the_revisions_are() {
    let mut store = empty_store();
    let put_all = |store: &mut Store, numbers: std::ops::Range<i64>| {
        let mut txn = store.txn();
        numbers.for_each(|number| drop(txn.put(key(number), vec![1; 40].into(), LeaseId(0))));
        txn.commit();
    };
    put_all(&mut store, 0..3000);
    (0..3).for_each(|number| put_all(&mut store, number..number + 1));
    put_all(&mut store, 500..2500);
    let (view, now) = (store.view(), store.revision());
    let is_by_changes = |at: i64| {
        let inner = &view.inner;
        inner.has_few_changes_since(at, inner.shared.read().revision, 3000).unwrap()
    };
    assert!(!is_by_changes(now - 1) && !is_by_changes(now - 3), "2000 changes in a revision");
    (0..3).for_each(|number| put_all(&mut store, number..number + 1));
    assert!(is_by_changes(now) && !is_by_changes(now - 1));
    // The same where the changes are in runs.
    store.checkpoint().unwrap();
    assert!(view.inner.shared.read().runs.len() > 3);
    assert!(is_by_changes(now) && !is_by_changes(now - 1) && !is_by_changes(now - 4));
    for at in now - 5..store.revision() {
        assert_eq!(
            view.range(&RangeQuery { count_only: true, ..RangeQuery::new(KeyRange::all()).at(at) })
                .unwrap()
                .count,
            read(&view, &KeyRange::all(), at)
        );
    }
}
