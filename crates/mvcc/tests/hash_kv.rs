//! HashKV against what a real etcd answered for the same commands.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;

fn put(txn: &mut Txn<'_>, key: &str, value: &str, lease: &str) {
    let value = if value == "-" { "" } else { value };
    let lease = LeaseId(lease.parse().unwrap());
    txn.put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()), lease);
}

/// Executes a line of the script; several changes of a transaction stand between `;`.
fn run(store: &mut Store, line: &str) {
    let mut txn = store.txn();
    for change in line.trim_start_matches("txn ").split(" ; ") {
        match change.split(' ').collect::<Vec<_>>()[..] {
            ["put", key, value] => put(&mut txn, key, value, "0"),
            ["put", key, value, lease] => put(&mut txn, key, value, lease),
            ["del", key] => _ = txn.delete_range(&KeyRange::single(key.to_owned())),
            ["del-prefix", key] => _ = txn.delete_range(&KeyRange::prefix(key.to_owned())),
            ["del-all"] => _ = txn.delete_range(&KeyRange::all()),
            _ => panic!("{line}"),
        }
    }
    txn.commit();
}

/// What to do with the hash of a compaction.
#[derive(Clone, Copy, PartialEq)]
enum Take {
    AtOnce,
    /// After so many more lines; until then it can be asked for already.
    Later(usize),
}

#[test]
fn that_of_a_compaction_is_what_etcd_remembers_whenever_it_is_taken() {
    for (take, checkpoint_every) in [
        (Take::AtOnce, usize::MAX),
        (Take::AtOnce, 3),
        (Take::Later(1), 2),
        (Take::Later(40), 3),
        (Take::Later(7), 40),
    ] {
        let options = Options { cache_bytes: 1000, history_segment_bytes: 8 << 10, ..Options::default() };
        let mut store = Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/data"), options).unwrap();
        let mut waiting = std::collections::VecDeque::new();
        for (number, line) in include_str!("golden/compaction_hash.txt").lines().enumerate() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["#", ..] => {}
                ["revision", revision] => {
                    assert_eq!(store.revision(), revision.parse().unwrap(), "line {number}")
                }
                ["compact", revision] => {
                    store.compact(revision.parse().unwrap()).unwrap();
                    let hash = store.compaction_hash().expect("there is something to hash");
                    assert!(store.compaction_hash().is_none(), "there is one of each");
                    waiting.push_back((number, hash));
                }
                ["hash", revision, "compacted"] => {
                    let refused = store.view().hash_kv(Some(revision.parse().unwrap()));
                    assert!(matches!(refused, Err(ReadError::Compacted(_))), "line {number}: {line}");
                }
                ["hash", revision, expected, relative_to] => {
                    let hash = store.view().hash_kv(Some(revision.parse().unwrap())).unwrap();
                    assert_eq!(hash.hash, expected.parse().unwrap(), "line {number}: {line}");
                    assert_eq!(hash.compact_revision, relative_to.parse().unwrap(), "line {number}");
                    assert_eq!(
                        (hash.hash_revision, hash.revision),
                        (revision.parse().unwrap(), store.revision())
                    );
                }
                _ => run(&mut store, line),
            }
            let delay = if let Take::Later(lines) = take { lines } else { 0 };
            while let Some((_, hash)) = waiting.pop_front_if(|(since, _)| *since + delay <= number) {
                let revision = hash.revision();
                assert_eq!(hash.take(|| true).unwrap().unwrap().hash_revision, revision);
            }
            if number % checkpoint_every == checkpoint_every - 1 {
                store.checkpoint().unwrap();
            }
        }
    }
}

#[test]
fn the_history_that_a_hash_needs_is_kept_until_it_is_taken_or_given_up() {
    for is_taken in [true, false] {
        let options = Options { history_segment_bytes: 8 << 10, ..Options::default() };
        let mut store = Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/data"), options).unwrap();
        for number in 0..300 {
            run(&mut store, &format!("put key{} {number:0>80} 0", number % 7));
        }
        store.checkpoint().unwrap();
        store.compact(250).unwrap();
        let hash = store.compaction_hash().unwrap();
        store.checkpoint().unwrap();
        assert!(store.released_revision() < 250);
        if is_taken {
            assert_eq!(hash.take(|| true).unwrap().unwrap(), store.view().hash_kv(Some(250)).unwrap());
        } else {
            drop(hash);
            assert_eq!(store.view().hash_kv(Some(250)).unwrap().compact_revision, 250);
        }
        // Nothing has changed, and there is something to be done.
        store.checkpoint().unwrap();
        assert_eq!(store.released_revision(), 250);
        // Too late: what it needs may be gone.
        store.compact(260).unwrap();
        store.checkpoint().unwrap();
        assert!(store.compaction_hash().is_none());
    }
}

#[test]
fn it_is_that_of_etcd_wherever_the_data_is() {
    for checkpoint_every in [usize::MAX, 1, 5, 17] {
        let options = Options { cache_bytes: 1000, history_segment_bytes: 8 << 10, ..Options::default() };
        let disk = Arc::new(wal::SimDisk::new(1));
        let mut store = Store::open(disk.clone(), Path::new("/data"), options).unwrap();
        let mut hashes = 0;
        for (number, line) in include_str!("golden/hash_kv.txt").lines().enumerate() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["#", ..] => {}
                ["revision", revision] => {
                    assert_eq!(store.revision(), revision.parse().unwrap(), "line {number}")
                }
                ["compact", revision] => store.compact(revision.parse().unwrap()).unwrap(),
                ["hash", revision, expected] => {
                    let hash = store.view().hash_kv(Some(revision.parse().unwrap())).unwrap();
                    assert_eq!(hash.hash, expected.parse().unwrap(), "line {number}: {line}");
                    assert_eq!(hash.compact_revision, store.compact_revision());
                    hashes += 1;
                }
                _ => run(&mut store, line),
            }
            if number % checkpoint_every == checkpoint_every - 1 {
                store.checkpoint().unwrap();
            }
            if number == 100 && checkpoint_every != usize::MAX {
                store.checkpoint().unwrap();
                drop(store);
                store = Store::open(disk.clone(), Path::new("/data"), options).unwrap();
            }
        }
        assert!(hashes > 30);
    }
}
