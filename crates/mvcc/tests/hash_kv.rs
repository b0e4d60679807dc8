//! HashKV against what a real etcd answered for the same commands.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;

fn put(txn: &mut Txn<'_>, key: &str, value: &str, lease: &str) {
    let value = if value == "-" { "" } else { value };
    let lease = LeaseId(lease.parse().unwrap());
    txn.put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()), lease).unwrap();
}

/// Executes a line of the script; several changes of a transaction stand between `;`.
fn run(store: &mut Store, line: &str) {
    let mut txn = store.txn();
    for change in line.trim_start_matches("txn ").split(" ; ") {
        match change.split(' ').collect::<Vec<_>>()[..] {
            ["put", key, value] => put(&mut txn, key, value, "0"),
            ["put", key, value, lease] => put(&mut txn, key, value, lease),
            ["del", key] => drop(txn.delete_range(&KeyRange::single(key.to_owned())).unwrap()),
            ["del-prefix", key] => drop(txn.delete_range(&KeyRange::prefix(key.to_owned())).unwrap()),
            ["del-all"] => drop(txn.delete_range(&KeyRange::all()).unwrap()),
            _ => panic!("{line}"),
        }
    }
    txn.commit();
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
