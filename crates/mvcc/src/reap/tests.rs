//! Dead entries counted: none is left when no view and no watcher can need it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::{KeyRange, LeaseId, Options, Store};

fn store(segment_bytes: u64) -> Store {
    let options = Options { history_segment_bytes: segment_bytes, ..Options::default() };
    Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/store"), options).unwrap()
}

/// Entries of the index, dead ones included.
fn entries(store: &Store) -> u64 {
    let mut entries = 0;
    store.inner().shared.read().index.scan(&[], &KeyRange::all(), &mut |_, _| {
        entries += 1;
        ControlFlow::Continue(())
    });
    entries
}

fn change(store: &mut Store, deleted: &KeyRange, put: impl Iterator<Item = String>) {
    let mut txn = store.txn();
    txn.delete_range(deleted);
    for key in put {
        txn.put(key.into(), "v".into(), LeaseId(0));
    }
    txn.commit();
}

fn nothing() -> KeyRange {
    KeyRange::single("none")
}

#[test]
fn entries_go_as_fast_as_they_come_without_any_compaction() {
    let mut store = store(64 << 10);
    let mut most = 0;
    // A queue: each transaction deletes sixty keys and puts sixty others.
    for round in 0..500 {
        let last = KeyRange::prefix(format!("q/{:04}/", round - 1));
        change(&mut store, &last, (0..60).map(|number| format!("q/{round:04}/{number:02}")));
        store.checkpoint().unwrap();
        most = most.max(entries(&store));
    }
    store.check_invariants();
    assert_eq!(store.keys(), 60);
    // What fits into an unsealed segment: a deletion takes some 100 bytes of it, and its index as much again.
    assert!(most < 1000, "{most} entries of 60 live keys");
}

#[test]
fn a_compaction_in_a_quiet_store_leaves_live_keys_alone() {
    let mut store = store(32 << 20);
    change(&mut store, &nothing(), (0..5000).map(|number| format!("k{number:05}")));
    change(&mut store, &KeyRange::prefix("k0"), std::iter::empty());
    let deleted = store.revision();
    store.checkpoint().unwrap();
    assert_eq!((entries(&store), store.keys()), (5000, 0), "they are needed");
    change(&mut store, &nothing(), ["x".to_owned()].into_iter());
    store.compact(deleted - 1).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(entries(&store), 5001, "the compaction did not pass the deletion");
    store.compact(deleted).unwrap();
    store.checkpoint().unwrap();
    assert_eq!((entries(&store), store.keys()), (1, 1));
    store.check_invariants();
}

#[test]
fn whatever_the_mix_compacting_everything_leaves_live_keys_alone() {
    for seed in 1..12u64 {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let disk = wal::SimDisk::new(seed);
        let options = Options { history_segment_bytes: 8 << 10, ..Options::default() };
        let open = || Store::open(Arc::new(disk.clone()), Path::new("/store"), options).unwrap();
        let mut store = open();
        for _ in 0..300 {
            match below(12) {
                0 => store.checkpoint().unwrap(),
                1 => drop(store.compact(store.revision() - below(20) as i64)),
                2 if below(4) == 0 => {
                    store.checkpoint().unwrap();
                    drop(store);
                    store = open();
                }
                _ => {
                    let deleted = KeyRange::prefix(format!("k{}", below(30)));
                    let put: Vec<_> = (0..below(40)).map(|_| format!("k{:03}", below(300))).collect();
                    change(&mut store, &deleted, put.into_iter());
                }
            }
        }
        let _ = store.compact(store.revision());
        store.checkpoint().unwrap();
        store.check_invariants();
        assert_eq!(entries(&store), store.keys(), "seed {seed}");
    }
}
