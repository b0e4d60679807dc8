//! An inspection finds nothing in an intact store, and everything that matters in a damaged one.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mvcc::inspect::{Checkpoint, Seen, inspect_history};
use mvcc::*;
use wal::{Crash, Disk, Finding, Severity, SimDisk};

const DIR: &str = "/data";

fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        checkpoint_bytes: 1 << 20,
        history_segment_bytes: 16 << 10,
        identity: [1, 2],
    }
}

fn open(disk: &SimDisk) -> Result<Store, Error> {
    Store::open(Arc::new(disk.clone()), Path::new(DIR), options())
}

/// Puts, deletions and rows, several runs of history, compacted in the middle of one.
fn subject() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut store = open(&disk).unwrap();
    for round in 0..300_i64 {
        let mut txn = store.txn();
        let key = format!("/key/{:02}", round * 7 % 40);
        txn.put(key.into(), vec![round as u8; 100].into(), LeaseId(round % 3));
        if round % 5 == 0 {
            txn.delete_range(&KeyRange::single(format!("/key/{:02}", round % 40)));
        }
        txn.commit().unwrap();
        store.side_put(TableId(1), &round.to_be_bytes()[6..], vec![7; 20]);
        store.set_applied(Applied { index: round as u64 + 1, term: 1 });
        if round % 60 == 59 {
            store.checkpoint().unwrap();
        }
    }
    store.compact(100).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    disk.crash(Crash::KeepAll)
}

/// What an inspection says, and how many changes, keys and rows it sees.
fn look(disk: &SimDisk, store: Option<&Store>) -> (Vec<Finding>, [u64; 3]) {
    let dyn_disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut findings, mut counts) = (Vec::new(), [0; 3]);
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Finding(finding) => findings.push(finding),
        Seen::Change(..) => counts[0] += 1,
        Seen::Key(..) => counts[1] += 1,
        Seen::Row(..) => counts[2] += 1,
        Seen::Read(_) | Seen::Segment(_) => {}
    };
    let checkpoint = Checkpoint::open(dyn_disk, Path::new(DIR), Some([1, 2]), &mut see);
    if let Some(checkpoint) = &checkpoint {
        checkpoint.inspect(&mut see);
    }
    inspect_history(disk, Path::new(DIR), checkpoint.as_ref(), store, &wal::InTurn, &mut see).unwrap();
    (findings, counts)
}

fn flip(disk: &SimDisk, path: &Path, offset: u64) {
    let file = disk.open(path).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 0x20]).unwrap();
}

fn content(store: &Store) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let all = store.range(&RangeQuery::new(KeyRange::all())).unwrap();
    all.items.iter().map(|item| (item.key(), item.value())).collect()
}

#[test]
fn an_intact_store_is_seen_whole_and_nothing_is_wrong_with_it() {
    let disk = subject();
    let store = open(&disk.crash(Crash::KeepAll)).unwrap();
    let (findings, [changes, keys, rows]) = look(&disk, Some(&store));
    assert_eq!(findings, []);
    assert_eq!((keys, rows), (store.keys(), 300));
    assert!(changes > 200, "{changes} changes behind the compaction");
}

#[test]
fn whatever_bit_flips_in_the_history_is_found_where_it_is() {
    let disk = subject();
    let segments: Vec<PathBuf> =
        disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    assert!(segments.len() > 3, "{segments:?}");
    for path in &segments {
        let len = disk.open(path).unwrap().len().unwrap();
        for offset in (0..len).step_by(997) {
            flip(&disk, path, offset);
            let (findings, _) = look(&disk, None);
            flip(&disk, path, offset);
            let damages: Vec<_> = findings.iter().filter(|one| one.severity == Severity::Damage).collect();
            if damages.is_empty() {
                let is_unused = findings.iter().all(|one| one.severity == Severity::Note);
                assert!(is_unused && offset >= 512, "{} at {offset}", path.display());
                continue;
            }
            let sector = offset / 512 * 512;
            let is_near = |one: &&&Finding| {
                let region = one.offset..one.offset + one.bytes.max(1);
                one.path == *path && (region.contains(&offset) || region.contains(&sector))
            };
            assert!(damages.iter().any(|one| is_near(&one)), "{} at {offset}: {damages:?}", path.display());
        }
    }
}

#[test]
fn whatever_bit_flips_in_the_database_is_found_or_changes_nothing() {
    let disk = subject();
    let path = disk.files().into_iter().find(|path| path.ends_with("current.redb")).unwrap();
    let len = disk.open(&path).unwrap().len().unwrap();
    let expected = content(&open(&disk.crash(Crash::KeepAll)).unwrap());
    let (mut found, mut silent) = (0, 0);
    for offset in (0..len).step_by(4093) {
        let damaged = disk.crash(Crash::KeepAll);
        flip(&damaged, &path, offset);
        let (findings, _) = look(&damaged.crash(Crash::KeepAll), None);
        if findings.is_empty() {
            silent += 1;
            let store = open(&damaged).unwrap();
            assert_eq!(content(&store), expected, "{offset}");
            continue;
        }
        found += 1;
        let is_near =
            |one: &Finding| one.path == path && one.offset <= offset && offset < one.offset + one.bytes;
        let is_header = offset < 4096;
        assert!(is_header || findings.iter().any(is_near), "{offset}: {findings:?}");
    }
    assert!(found > 0 && silent > 0, "{found} found, {silent} silent");
}

#[test]
fn a_key_that_is_not_what_its_last_change_made_it_is_found() {
    let disk = subject();
    // The keys of one store and the history of another, of the same identity and the same checkpoint's shape.
    let store = {
        let other = SimDisk::new(2);
        let mut store = open(&other).unwrap();
        for key in ["/key/01", "/key/99"] {
            let mut txn = store.txn();
            txn.put(key.into(), "another".into(), LeaseId(0));
            txn.commit().unwrap();
        }
        store
    };
    let (findings, _) = look(&disk, Some(&store));
    assert!(findings.iter().any(|one| one.what.contains("later than the key's own")), "{findings:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let disk = subject();
    let path = disk.files().into_iter().find(|path| path.ends_with("current.redb")).unwrap();
    disk.remove(&path).unwrap();
    let (findings, _) = look(&disk, None);
    assert_eq!((&findings[0].path, findings[0].what.as_str()), (&path, "the database is missing"));
    let disk = subject();
    for path in disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "wal")) {
        disk.remove(&path).unwrap();
    }
    let (findings, _) = look(&disk, None);
    assert!(findings.iter().any(|one| one.what == "there is no file of the history"), "{findings:?}");
}

#[test]
fn a_database_that_was_larger_is_shortened_and_says_the_same() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk).unwrap();
    for key in 0..2000 {
        let mut txn = store.txn();
        txn.put(format!("{key}").into(), vec![1; 1000].into(), LeaseId(0));
        txn.commit().unwrap();
    }
    store.checkpoint().unwrap();
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::from("1"));
    txn.put("0".into(), "left".into(), LeaseId(0));
    txn.commit().unwrap();
    store.compact(store.revision()).unwrap();
    store.checkpoint().unwrap();
    let expected = (store.state_hash(), content(&store));
    drop(store);
    let shrunk = shrink(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    assert!(shrunk.after * 2 < shrunk.before, "{shrunk:?}");
    let store = open(&disk.crash(Crash::KeepAll)).unwrap();
    assert_eq!((store.state_hash(), content(&store)), expected);
    drop(store);
    assert_eq!(look(&disk, None).0, []);
}
