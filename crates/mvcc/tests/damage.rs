//! A damaged value in the database: whoever asks for it is told which it is, everybody else goes on, and the key can be deleted and
//! be given another value. What nobody can know any more stays an error in the history, and never becomes an empty value.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::inspect::{Checkpoint, Seen, inspect_history};
use mvcc::*;
use wal::{Crash, Disk, SimDisk};

const KEYS: usize = 40;
const DAMAGED: usize = 17;

fn options() -> Options {
    Options { cache_bytes: 0, history_segment_bytes: 64 << 10, ..Options::default() }
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options()).unwrap()
}

fn key(number: usize) -> Bytes {
    format!("key/{number:05}").into()
}

fn value(number: usize) -> Bytes {
    format!("the value of {number:05}").into()
}

/// A disk with a store in whose database a bit of one value is flipped.
fn damaged() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    for number in 0..KEYS {
        let mut txn = store.txn();
        txn.put(key(number), value(number), LeaseId(0));
        txn.commit();
        store.set_applied(Applied { index: number as u64 + 1, term: 1 });
    }
    store.checkpoint().unwrap();
    drop(store);
    let wanted = value(DAMAGED);
    disk.damage(Path::new("/data/current.redb"), |content| {
        let places: Vec<_> = (0..content.len()).filter(|&at| content[at..].starts_with(&wanted)).collect();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| content[at + 4] ^= 1);
    });
    disk
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ReadError>) -> String {
    match result {
        Err(ReadError::Store(error)) => {
            assert!(error.is_of_one_value() && !error.is_retryable(), "{error}");
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn single(number: usize, at: i64) -> RangeQuery {
    RangeQuery::new(KeyRange::single(key(number))).at(at)
}

#[test]
fn whoever_reads_a_damaged_value_is_told_file_and_key_and_everything_else_is_read() {
    let store = open(&damaged());
    let view = store.view();
    assert_eq!(store.damaged_value(), None);
    let said = "/data/current.redb is corrupt: key \"key/00017\": its value does not match its checksum";
    assert_eq!(view.get(&key(DAMAGED)).unwrap_err().to_string(), said);
    assert_eq!(refusal(view.range(&RangeQuery::new(KeyRange::all()))), said);
    assert_eq!(store.damaged_value(), Some(said));
    for number in (0..KEYS).filter(|&number| number != DAMAGED) {
        assert_eq!(view.get(&key(number)).unwrap().unwrap().value(), value(number));
    }
    let names = RangeQuery { keys_only: true, ..RangeQuery::new(KeyRange::all()) };
    assert_eq!(view.range(&names).unwrap().items.len(), KEYS);
    let mut export = store.snapshot().unwrap();
    assert_eq!(export.find_map(Result::err).unwrap().to_string(), said);
}

/// What replaces the damaged value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Put,
    Delete,
    DeleteAll,
}

/// Applies what is not in a checkpoint yet.
fn change(store: &mut Store, change: Change) -> Option<mvcc::Changes> {
    if store.applied().index > KEYS as u64 {
        return None;
    }
    let mut txn = store.txn();
    match change {
        Change::Put => drop(txn.put(key(DAMAGED), "new".into(), LeaseId(0))),
        Change::Delete => assert_eq!(txn.delete_range(&KeyRange::single(key(DAMAGED))), 1),
        Change::DeleteAll => assert_eq!(txn.delete_range(&KeyRange::all()), KEYS),
    }
    let changes = txn.commit();
    store.set_applied(Applied { index: KEYS as u64 + 1, term: 1 });
    changes
}

/// What can be read after the change, and what cannot.
fn check(store: &Store, change: Change, what: &str) {
    let (before, after) = (1 + KEYS as i64, 2 + KEYS as i64);
    let view = store.view();
    let now = view.get(&key(DAMAGED)).unwrap().map(|item| item.value());
    assert_eq!(now, (change == Change::Put).then(|| "new".into()), "{what}");
    // The others are what they were.
    assert_eq!(view.range(&single(3, before)).unwrap().items[0].value(), value(3), "{what}");
    // The damaged one was there, whatever it was.
    let refused = refusal(view.range(&single(DAMAGED, before)));
    assert!(refused.contains("key \"key/00017\"") && refused.contains("/data/"), "{what}: {refused}");
    let names = RangeQuery { keys_only: true, ..single(DAMAGED, before) };
    assert_eq!(view.range(&names).unwrap().items[0].meta.mod_revision.main, 2 + DAMAGED as i64, "{what}");
    let count = RangeQuery { count_only: true, ..RangeQuery::new(KeyRange::all()).at(before) };
    assert_eq!(view.range(&count).unwrap().count, KEYS as u64, "{what}");
    // When it was put it was all right.
    let mut history = view.history(2);
    let mut changes = Vec::new();
    while let Some(batch) = history.next_batch().unwrap() {
        changes.extend(batch);
    }
    assert_eq!(changes[DAMAGED].after.as_ref().unwrap().value(), value(DAMAGED), "{what}");
    let last = changes.iter().find(|change| change.revision.main == after && change.key == key(DAMAGED));
    let last = last.unwrap();
    assert!(last.before.is_some() && last.before.value_len() == value(DAMAGED).len(), "{what}");
    assert!(!last.is_previous_in_memory(), "{what}");
    refusal(last.read_before());
    refusal(last.event_with_previous());
    assert!(last.detached_with_before().is_err_and(|error| error.is_of_one_value()), "{what}");
    assert!(!last.event().is_empty());
}

#[test]
fn a_damaged_value_can_be_overwritten_and_deleted_at_every_moment_of_a_crash() {
    for how in [Change::Put, Change::Delete, Change::DeleteAll] {
        let base = damaged();
        let mut points = 0;
        for halt in 0.. {
            let disk = base.restart();
            let mut store = open(&disk);
            let mut changes = change(&mut store, how).unwrap().changes.to_vec();
            check(&store, how, "before a checkpoint");
            disk.halt_after(halt);
            let is_done = store.checkpoint().is_ok();
            if is_done {
                check(&store, how, "after a checkpoint");
                assert!(store.damaged_value().is_some());
                changes.retain(|change| change.key == key(DAMAGED));
                refusal(changes[0].read_before());
            }
            let hash = store.state_hash();
            drop(store);
            for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(halt)] {
                let what = format!("{how:?}, {crash:?} after {halt} operations");
                let crashed = disk.crash(crash);
                let mut store = open(&crashed);
                change(&mut store, how);
                store.checkpoint().unwrap();
                check(&store, how, &what);
                assert_eq!(store.state_hash(), hash, "{what}");
                drop(store);
                check(&open(&crashed.restart()), how, &what);
            }
            points += 1;
            if is_done {
                break;
            }
        }
        assert!(points > 5, "a checkpoint has more than {points} operations");
    }
}

#[test]
fn what_is_lost_goes_over_to_another_member_as_that() {
    let disk = damaged();
    let mut store = open(&disk);
    change(&mut store, Change::Put);
    store.checkpoint().unwrap();
    let export = store.snapshot().unwrap();
    let other = SimDisk::new(2);
    let mut import = SnapshotImport::begin(Arc::new(other.clone()), Path::new("/data"), options()).unwrap();
    for chunk in export {
        import.push(chunk.unwrap()).unwrap();
    }
    import.finish().unwrap();
    let store = open(&other);
    check(&store, Change::Put, "at the other member");
    assert_eq!(store.damaged_value(), None, "nothing of its own is damaged");
}

#[test]
fn what_is_lost_is_gone_when_it_is_compacted() {
    let disk = damaged();
    let mut store = open(&disk);
    change(&mut store, Change::Put);
    store.checkpoint().unwrap();
    store.compact(2 + KEYS as i64).unwrap();
    store.checkpoint().unwrap();
    let view = store.view();
    assert_eq!(view.range(&single(DAMAGED, 2 + KEYS as i64)).unwrap().items[0].value(), "new");
    assert_eq!(view.range(&RangeQuery::new(KeyRange::all())).unwrap().items.len(), KEYS);
    assert!(view.hash_kv(None).is_ok());
}

#[test]
fn an_inspection_names_what_is_damaged_and_what_is_lost() {
    let disk = damaged();
    let findings = |disk: &SimDisk| {
        let mut found = Vec::new();
        let disk: Arc<dyn Disk> = Arc::new(disk.restart());
        let mut see = |seen: Seen<'_>| {
            if let Seen::Finding(finding) = seen {
                found.push(finding.what);
            }
        };
        let checkpoint =
            Checkpoint::open(disk, Path::new("/data"), Some(options().identity), &mut see).unwrap();
        checkpoint.inspect(&mut see);
        found
    };
    let found = findings(&disk);
    assert!(found.iter().any(|what| what.contains("key \"key/00017\": a value does not")), "{found:?}");
    let mut store = open(&disk);
    change(&mut store, Change::Put);
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(findings(&disk), Vec::<String>::new());
    let mut lost = 0;
    inspect_history(&disk, Path::new("/data"), None, None, &wal::InTurn, &mut |seen| {
        if let Seen::Finding(finding) = seen {
            assert!(finding.what.contains("its value is lost"), "{}", finding.what);
            lost += 1;
        }
    })
    .unwrap();
    assert_eq!(lost, 1);
}
