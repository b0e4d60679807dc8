//! What the store does when the disk is full, fails, or lies.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod model;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Command, Model, Op, check};
use mvcc::*;
use wal::{Crash, Fault, SimDisk};

fn options() -> Options {
    Options { cache_bytes: 2000, checkpoint_bytes: 1 << 20, history_segment_bytes: 8 << 10, identity: [1, 2] }
}

fn try_open(disk: &SimDisk) -> Result<Store, Error> {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options())
}

fn commands(count: usize) -> Vec<Command> {
    let put = |number: usize| Op::Put {
        key: format!("key{}", number * 7 % 29).into_bytes(),
        value: vec![number as u8; number % 90],
        lease: 0,
    };
    let command = |number: usize| match number % 10 {
        7 => Command::Txn(vec![put(number), Op::Delete(KeyRange::prefix("key2")), put(number + 1)]),
        8 => Command::SidePut(1, vec![number as u8 % 5], vec![3; 20]),
        _ => Command::Txn(vec![put(number)]),
    };
    (0..count).map(command).collect()
}

/// A store that had these commands with checkpoints in between and at the end, and its model.
fn filled(disk: &SimDisk, count: usize) -> (Store, Model) {
    let mut store = try_open(disk).unwrap();
    let mut model = Model::default();
    for (number, command) in commands(count).iter().enumerate() {
        model.apply(command);
        Model::command(&mut store, command, number as u64 + 1);
        if number % 60 == 59 {
            store.checkpoint().unwrap();
        }
    }
    store.checkpoint().unwrap();
    (store, model)
}

#[test]
fn when_the_disk_is_full_a_checkpoint_can_be_made_later_and_nothing_is_lost() {
    let ranges = [KeyRange::all()];
    let mut refused = 0;
    for room in (0..40).map(|number| (number * 3) << 10) {
        let disk = SimDisk::new(1);
        let (mut store, mut model) = filled(&disk, 100);
        let used: u64 = disk.files().iter().map(|path| disk.content(path).unwrap().len() as u64).sum();
        disk.set_capacity(Some(used + room));
        for (number, command) in commands(300).iter().enumerate().skip(100) {
            model.apply(command);
            Model::command(&mut store, command, number as u64 + 1);
        }
        let overlay = store.unstored_bytes();
        if let Err(error) = store.checkpoint() {
            assert!(error.is_retryable(), "{room}: {error}");
            refused += 1;
            assert_eq!(store.unstored_bytes(), overlay);
            check(&store, &model, &ranges, [1, 50, model.revision()].into_iter());
            // Once more without space, then with it.
            assert!(store.checkpoint().is_err());
            // A crash now is one before the checkpoint.
            let crashed = disk.crash(Crash::Random(room));
            crashed.set_capacity(None);
            let crashed = try_open(&crashed).unwrap();
            assert_eq!(crashed.applied().index, 100);
            disk.set_capacity(None);
            store.checkpoint().unwrap();
        }
        check(&store, &model, &ranges, [1, 50, model.revision()].into_iter());
        drop(store);
        disk.set_capacity(None);
        let store = try_open(&disk.crash(Crash::LoseAll)).unwrap();
        assert_eq!((store.applied().index, store.unstored_bytes()), (300, 0));
        check(&store, &model, &ranges, [1, 50, 200, model.revision()].into_iter());
    }
    assert!(refused > 10, "the disk was never full");
}

#[test]
fn a_failed_sync_is_not_retryable_and_what_was_durable_is_there_after_the_next_start() {
    for seed in 0..6 {
        let disk = SimDisk::new(1);
        let (mut store, _) = filled(&disk, 100);
        let mut model = Model::default();
        commands(100).iter().for_each(|command| model.apply(command));
        for (number, command) in commands(200).iter().enumerate().skip(100) {
            Model::command(&mut store, command, number as u64 + 1);
        }
        disk.inject(Fault::Sync);
        let error = store.checkpoint().unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert!(store.checkpoint().is_err(), "nothing succeeds after {error}");
        drop(store);
        let store = try_open(&disk.crash(Crash::Random(seed))).unwrap();
        assert_eq!(store.applied().index, 100);
        check(&store, &model, &[KeyRange::all()], [1, 50, model.revision()].into_iter());
    }
}

/// Reads everything there is; any of it may fail, but what is read must be right.
fn read_all(store: &Store, model: &Model) -> Result<(), Error> {
    let store_error = |error| match error {
        ReadError::Store(error) => error,
        other => panic!("{other}"),
    };
    for at in [2, 60, 150, model.revision()] {
        let result = store.range(&RangeQuery::new(KeyRange::all()).at(at)).map_err(store_error)?;
        let read: Vec<_> = result.items.iter().map(|item| (item.key(), item.value(), item.meta)).collect();
        let expected: Vec<_> = model
            .items(&KeyRange::all(), at)
            .into_iter()
            .map(|(key, version)| (key.into(), version.value.into(), version.meta))
            .collect();
        assert_eq!(read, expected, "a wrong value at {at}");
    }
    let mut history = store.view().history(2);
    let mut changes = 0;
    while let Some(batch) = history.next_batch().map_err(store_error)? {
        changes += batch.len();
    }
    assert_eq!(changes, model.history(2).len(), "changes are missing");
    Ok(())
}

fn flip_and_read(path: &Path, disk: &SimDisk, model: &Model, bit: usize) -> bool {
    let damaged = disk.fork();
    damaged.damage(path, |content| content[bit / 8] ^= 1 << (bit % 8));
    let read = || match try_open(&damaged) {
        Err(_) => true,
        Ok(store) if store.revision() != model.revision() => panic!("an old state"),
        Ok(store) => read_all(&store, model).is_err(),
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| panic!("bit {bit} of {path:?}: a panic"))
}

/// How many times the usual number of cases (`QUORATE_TEST_BUDGET`, 1 unless given).
#[allow(clippy::disallowed_methods, reason = "the test's size is the environment's affair")]
fn budget() -> usize {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1)
}

#[test]
fn a_flipped_bit_is_noticed_or_does_no_harm() {
    let disk = SimDisk::new(1);
    let (store, model) = filled(&disk, 240);
    drop(store);
    let files: Vec<PathBuf> = disk.files();
    assert!(files.len() > 3, "the history has several segments: {files:?}");
    // redb says what it panicked about before it is caught: not here.
    std::panic::set_hook(Box::new(|info| {
        if info.location().is_some_and(|location| !location.file().contains("redb")) {
            eprintln!("{info}");
        }
    }));
    let (mut flips, mut noticed) = (0, 0);
    for path in &files {
        let bits = disk.content(path).unwrap().len() * 8;
        let step = (bits / (1500 * budget())) | 1;
        for bit in (0..bits).step_by(step) {
            flips += 1;
            noticed += usize::from(flip_and_read(path, &disk, &model, bit));
        }
    }
    drop(std::panic::take_hook());
    assert!(noticed * 4 > flips, "{noticed} of {flips} flips were noticed: the check checks nothing");
}

#[test]
fn a_store_of_somebody_else_is_refused() {
    let disk = SimDisk::new(1);
    drop(filled(&disk, 10));
    let other = Options { identity: [1, 3], ..options() };
    let opened = Store::open(Arc::new(disk.clone()), Path::new("/data"), other);
    assert!(matches!(opened, Err(Error::Corrupt { .. })));
}

#[test]
fn a_history_without_its_database_or_a_database_without_its_history_is_refused() {
    let disk = SimDisk::new(1);
    drop(filled(&disk, 100));
    let lost = disk.fork();
    wal::Disk::remove(&lost, Path::new("/data/current.redb")).unwrap();
    assert!(matches!(try_open(&lost), Err(Error::Corrupt { .. })));
    let lost = disk.fork();
    for path in lost.files().iter().filter(|path| path.starts_with("/data/history")) {
        wal::Disk::remove(&lost, path).unwrap();
    }
    assert!(try_open(&lost).is_err());
}

#[test]
fn a_store_opens_and_is_read_on_a_disk_without_a_single_free_byte() {
    let ranges = [KeyRange::all()];
    let mut with_remains = 0;
    for room in (0..24).map(|number| (number * 2) << 10) {
        let disk = SimDisk::new(1);
        let (mut store, mut model) = filled(&disk, 100);
        let used = |disk: &SimDisk| -> u64 {
            disk.files().iter().map(|path| disk.content(path).unwrap().len() as u64).sum()
        };
        let before = model.clone();
        disk.set_capacity(Some(used(&disk) + room));
        for (number, command) in commands(300).iter().enumerate().skip(100) {
            model.apply(command);
            Model::command(&mut store, command, number as u64 + 1);
        }
        // It ends somewhere: in the middle of the history, or of the database.
        let is_refused = store.checkpoint().is_err();
        drop(store);
        for crash in [Crash::KeepAll, Crash::LoseAll, Crash::Random(room)] {
            let full = disk.crash(crash);
            full.set_capacity(Some(used(&full)));
            let mut store = try_open(&full).unwrap();
            let applied = store.applied().index as usize;
            let model = if applied == 100 { &before } else { &model };
            assert!(is_refused || applied == 300, "a checkpoint was lost");
            check(&store, model, &ranges, [1, 50, model.revision()].into_iter());
            // The caller's log is applied again; a checkpoint is for later.
            let mut model = model.clone();
            for (number, command) in commands(400).iter().enumerate().skip(applied) {
                model.apply(command);
                Model::command(&mut store, command, number as u64 + 1);
            }
            let refused = store.checkpoint().unwrap_err();
            assert!(refused.is_retryable(), "{refused}");
            check(&store, &model, &ranges, [1, 50, 90, model.revision()].into_iter());
            with_remains += usize::from(is_refused);
            full.set_capacity(None);
            store.checkpoint().unwrap();
            check(&store, &model, &ranges, [1, 50, 90, model.revision()].into_iter());
            drop(store);
            let store = try_open(&full.crash(Crash::LoseAll)).unwrap();
            assert_eq!(store.applied().index, 400);
            check(&store, &model, &ranges, [1, 50, 90, model.revision()].into_iter());
        }
    }
    assert!(with_remains > 20, "the disk was full {with_remains} times");
}

#[test]
fn a_database_that_cannot_be_opened_again_is_opened_later() {
    // So many writes of the database find no space, one after the other, from each of its writes on: the commit's, and
    // those with which it is opened again.
    let (mut closed, mut runs) = (0, 0);
    for failures in [1, 2, 3, 8] {
        for writes in 0.. {
            let disk = SimDisk::new(1);
            let (mut store, mut model) = filled(&disk, 100);
            for (number, command) in commands(200).iter().enumerate().skip(100) {
                model.apply(command);
                Model::command(&mut store, command, number as u64 + 1);
            }
            (0..failures).for_each(|_| disk.inject_after(Fault::WriteNoSpace, writes));
            let is_whole = match store.checkpoint() {
                Ok(()) => true,
                // In the history; there, a write without space is a failed write.
                Err(Error::History(_)) => continue,
                Err(error) => {
                    assert!(error.is_retryable(), "{failures} from {writes} on: {error}");
                    false
                }
            };
            for _ in 0..failures {
                check(&store, &model, &[KeyRange::all()], [1, 50, model.revision()].into_iter());
                match store.checkpoint() {
                    Ok(()) => break,
                    Err(error) => assert!(error.is_retryable(), "{failures} from {writes} on: {error}"),
                }
                closed += 1;
            }
            store.checkpoint().unwrap();
            check(&store, &model, &[KeyRange::all()], [1, 50, model.revision()].into_iter());
            drop(store);
            let store = try_open(&disk.crash(Crash::LoseAll)).unwrap();
            assert_eq!(store.applied().index, 200);
            check(&store, &model, &[KeyRange::all()], [1, 50, model.revision()].into_iter());
            runs += 1;
            if is_whole {
                break;
            }
        }
    }
    assert!(closed > 10 && runs > 40, "the database was closed {closed} times in {runs} runs");
}

#[test]
fn without_descriptors_a_checkpoint_is_made_later_and_nothing_is_lost() {
    let mut refused = 0;
    for opened in 0.. {
        let disk = SimDisk::new(1);
        let (mut store, mut model) = filled(&disk, 100);
        for (number, command) in commands(300).iter().enumerate().skip(100) {
            model.apply(command);
            Model::command(&mut store, command, number as u64 + 1);
        }
        // None to be had for a while, and those of files that are not needed at the moment do not help.
        let failures = 40;
        (0..failures).for_each(|_| disk.inject_after(Fault::NoDescriptor, opened));
        let mut attempts = 1;
        while let Err(error) = store.checkpoint() {
            assert!(error.is_retryable(), "after {opened}: {error}");
            attempts += 1;
            assert!(attempts < failures, "after {opened}: {error}");
        }
        refused += attempts - 1;
        drop(store);
        let store = try_open(&disk.crash(Crash::LoseAll)).unwrap();
        assert_eq!(store.applied().index, 300);
        check(&store, &model, &[KeyRange::all()], [1, 50, model.revision()].into_iter());
        if attempts == 1 {
            break;
        }
    }
    assert!(refused > 10, "{refused} checkpoints were refused");
}

#[test]
fn a_change_that_is_longer_than_a_segment_is_kept_like_any_other() {
    let disk = SimDisk::new(1);
    let mut store = try_open(&disk).unwrap();
    let mut model = Model::default();
    let put = |key: &str, len: usize, byte: u8| Op::Put { key: key.into(), value: vec![byte; len], lease: 0 };
    let segment = options().history_segment_bytes as usize;
    // Twice the same key, so that the record has both values; between small ones, and with a long key.
    let long_key = "k".repeat(2 * segment);
    let mut ops = vec![put("a", 10, 1), put("big", segment, 2), put("big", segment, 3), put("b", 10, 4)];
    ops.extend([put("big", 3 * segment, 5), put("big", 4 * segment, 6), put(&long_key, 5, 7)]);
    ops.extend([put(&long_key, 6, 8), put("c", 5, 9), Op::Delete(KeyRange::all()), put("d", 5, 1)]);
    for (number, op) in ops.iter().enumerate() {
        let command = Command::Txn(vec![op.clone()]);
        model.apply(&command);
        Model::command(&mut store, &command, number as u64 + 1);
        store.checkpoint().unwrap();
        check(&store, &model, &[KeyRange::all()], 1..=model.revision());
        // As of this checkpoint, also with a torn write of the next one.
        for crash in [Crash::LoseAll, Crash::TearLast(number as u64)] {
            let again = try_open(&disk.crash(crash)).unwrap();
            assert_eq!(again.applied().index, number as u64 + 1);
            check(&again, &model, &[KeyRange::all()], 1..=model.revision());
        }
    }
    let before = store.disk_bytes();
    store.compact(model.revision()).unwrap();
    store.checkpoint().unwrap();
    assert!(store.disk_bytes() < before - 10 * segment as u64, "what was compacted is released");
}

#[test]
fn long_keys_share_a_segment() {
    let disk = SimDisk::new(1);
    let options = Options { history_segment_bytes: 1 << 20, ..options() };
    let mut store = Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
    let count = 60;
    for number in 0..count {
        let mut txn = store.txn();
        txn.put(format!("{number:03}{}", "k".repeat(20_000)).into(), "v".into(), LeaseId(0));
        txn.commit();
        store.checkpoint().unwrap();
    }
    let segments =
        disk.files().iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).count();
    // The record, a block of the index, and the root have the key: sixteen changes a segment.
    assert!(segments <= count / 10, "{segments} segments for {count} changes");
}
