//! A store that begins anew and takes over what another one kept is that other store; whoever reads the old one is not
//! disturbed, and a crash leaves one of the two.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::{Applied, Item, KeyRange, LeaseId, Options, RangeQuery, Store};
use wal::SimDisk;

/// A revision: what became of its keys, by sub.
type Versions = Vec<(i64, Vec<(u32, Bytes, Option<Item>)>)>;

fn open(disk: &SimDisk) -> Store {
    let options = Options { cache_bytes: 4 << 10, history_segment_bytes: 16 << 10, ..Options::default() };
    Store::open(Arc::new(disk.clone()), Path::new("/store"), options).unwrap()
}

/// A store with puts, deletes and transactions, compacted in its middle.
fn made(seed: u64, revisions: usize) -> Store {
    let mut store = open(&SimDisk::new(seed));
    for number in 0..revisions {
        let mut txn = store.txn();
        let key = format!("k{}", (number as u64 * seed) % 23);
        txn.put(key.into(), vec![b'v'; number % 90].into(), LeaseId((number % 3) as i64));
        txn.put(format!("l{number}").into(), "x".into(), LeaseId(0));
        if number % 3 == 0 {
            txn.delete_range(&KeyRange::single(format!("k{}", number % 19)));
        }
        txn.commit().unwrap();
    }
    store.compact(revisions as i64 / 2).unwrap();
    store
}

/// What a store keeps, in the order of revisions.
fn kept(store: &Store) -> Versions {
    let compacted = store.compact_revision();
    let mut versions = Vec::new();
    for item in store.range(&RangeQuery::new(KeyRange::all()).at(compacted)).unwrap().items {
        versions.push((item.meta.mod_revision, item.key(), Some(item)));
    }
    versions.sort_by_key(|(revision, ..)| *revision);
    let mut history = store.view().history(compacted + 1);
    while let Some(batch) = history.next_batch().unwrap() {
        versions.extend(batch.into_iter().map(|change| (change.revision, change.key, change.after)));
    }
    let mut by_main: Versions = Vec::new();
    for (revision, key, item) in versions {
        match by_main.last_mut() {
            Some((main, all)) if *main == revision.main => all.push((revision.sub, key, item)),
            _ => by_main.push((revision.main, vec![(revision.sub, key, item)])),
        }
    }
    by_main
}

/// Takes one revision over.
fn take(store: &mut Store, compacted: i64, main: i64, versions: Vec<(u32, Bytes, Option<Item>)>) {
    if main <= compacted {
        return store.adopt(main, versions);
    }
    if store.revision() < compacted {
        store.pass_to(compacted);
    }
    let mut txn = store.txn();
    for (_, key, item) in versions {
        match item {
            Some(item) => drop(txn.put(key, item.value(), item.meta.lease)),
            None => assert_eq!(txn.delete_keys([key]), 1),
        }
    }
    assert_eq!(txn.commit().unwrap().revision, main);
}

fn assert_same(one: &Store, other: &Store) {
    assert_eq!(one.state_hash(), other.state_hash());
    assert_eq!((one.revision(), one.compact_revision()), (other.revision(), other.compact_revision()));
    for at in one.compact_revision()..=one.revision() {
        let (one, other) = (one.view().hash_kv(Some(at)).unwrap(), other.view().hash_kv(Some(at)).unwrap());
        assert_eq!(one, other, "at {at}");
    }
    one.check_invariants();
}

#[test]
fn what_is_taken_over_is_what_the_other_has_wherever_checkpoints_and_restarts_fall() {
    let source = made(5, 400);
    let compacted = source.compact_revision();
    for every in [1, 7, 50, 1000] {
        let disk = SimDisk::new(3);
        let mut store = open(&disk);
        for number in 0..60 {
            let mut txn = store.txn();
            txn.put(format!("old{}", number % 9).into(), "old".into(), LeaseId(0));
            txn.commit().unwrap();
            if number % 20 == 0 {
                store.checkpoint().unwrap();
            }
        }
        drop(store.begin_anew());
        assert_eq!((store.revision(), store.compact_revision(), store.keys()), (1, -1, 0));
        for (number, (main, versions)) in kept(&source).into_iter().enumerate() {
            take(&mut store, compacted, main, versions);
            if number % every == every - 1 {
                store.set_applied(Applied { index: main as u64, term: 1 });
                store.checkpoint().unwrap();
                drop(store);
                store = open(&disk);
                assert_eq!(store.revision(), main);
            }
        }
        store.check_invariants();
        assert_same(&store, &source);
        store.checkpoint().unwrap();
        drop(store);
        assert_same(&open(&disk), &source);
    }
}

#[test]
fn readers_of_what_was_there_read_on_for_as_long_as_it_is_kept() {
    let disk = SimDisk::new(4);
    let mut store = open(&disk);
    for number in 0..300 {
        let mut txn = store.txn();
        txn.put(format!("k{}", number % 10).into(), vec![number as u8; 200].into(), LeaseId(0));
        txn.commit().unwrap();
        if number % 50 == 0 {
            store.checkpoint().unwrap();
        }
    }
    let view = store.view();
    let hashes: Vec<_> = (2..=301).map(|at| view.hash_kv(Some(at)).unwrap()).collect();
    let mut chunks = view.chunks(RangeQuery::new(KeyRange::all()).at(150)).unwrap();
    let first = chunks.next_chunk(3).unwrap().unwrap();
    // A checkpoint of the old state is under way.
    let job = store.freeze().unwrap();
    let before = store.begin_anew();
    let done = job.run().unwrap();
    store.complete(done);
    for number in 0..100 {
        store.adopt(number + 2, [(0, "new".into(), None)]);
        store.checkpoint().unwrap();
    }
    assert_eq!(store.view().revision(), 101);
    assert_eq!(view.revision(), 301);
    for (at, hash) in (2..=301).zip(&hashes) {
        assert_eq!(view.hash_kv(Some(at)).unwrap(), *hash);
    }
    let mut rest = first.len();
    while let Some(chunk) = chunks.next_chunk(3).unwrap() {
        rest += chunk.len();
    }
    assert_eq!(rest, 10);
    let full = store.disk_bytes();
    drop((before, chunks));
    store.adopt(102, [(0, "new".into(), None)]);
    store.checkpoint().unwrap();
    assert!(store.disk_bytes() < full, "the old history is gone");
    store.check_invariants();
}

#[test]
fn a_crash_before_the_next_checkpoint_leaves_the_old_store_whole() {
    let disk = SimDisk::new(5);
    let mut store = open(&disk);
    let mut txn = store.txn();
    txn.put("k".into(), "v".into(), LeaseId(0));
    txn.commit().unwrap();
    store.checkpoint().unwrap();
    let hash = store.state_hash();
    drop(store.begin_anew());
    store.adopt(9, [(0, "new".into(), None)]);
    // What is sent to another member is the last checkpoint, of the old state.
    let sent = store.snapshot().unwrap();
    assert_eq!(sent.id().state_hash, hash);
    assert!(sent.map(Result::unwrap).count() > 0);
    drop(store);
    let store = open(&disk);
    assert_eq!(store.state_hash(), hash);
    assert_eq!(store.get(b"k").unwrap().unwrap().value(), "v");
}
