//! The database is written anew while the store is in use: it is shorter, and nobody sees anything else of it, whatever happens
//! meanwhile and wherever it ends.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mvcc::*;
use wal::{Crash, SimDisk};

const DATABASE: &str = "/data/current.redb";

fn open(disk: &SimDisk) -> Store {
    let options = Options { cache_bytes: 0, history_segment_bytes: 64 << 10, ..Options::default() };
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap()
}

/// A store and what must be in it.
struct Subject {
    store: Store,
    keys: BTreeMap<Bytes, Bytes>,
    rows: u8,
    commands: u64,
}

impl Subject {
    fn new(disk: &SimDisk) -> Self {
        Self { store: open(disk), keys: BTreeMap::new(), rows: 0, commands: 0 }
    }

    fn put(&mut self, number: usize, value: &str) {
        let (key, value) = (Bytes::from(format!("key/{number:05}")), Bytes::from(value.repeat(100)));
        let mut txn = self.store.txn();
        txn.put(key.clone(), value.clone(), LeaseId(0));
        txn.commit();
        self.keys.insert(key, value);
        self.applied();
    }

    fn delete_from(&mut self, number: usize) {
        let start = Bytes::from(format!("key/{number:05}"));
        let mut txn = self.store.txn();
        txn.delete_range(&KeyRange::from(start.clone()));
        txn.commit();
        self.keys.split_off(&start);
        self.applied();
    }

    fn applied(&mut self) {
        self.commands += 1;
        self.store.side_put(TableId(1), &[self.rows], vec![self.rows; 10]);
        self.rows = self.rows.wrapping_add(1);
        self.store.set_applied(Applied { index: self.commands, term: 1 });
    }

    /// A store of which only a small part is left.
    fn emptied(disk: &SimDisk) -> Self {
        let mut subject = Self::new(disk);
        (0..500).for_each(|number| subject.put(number, "a long value "));
        subject.store.checkpoint().unwrap();
        subject.delete_from(20);
        subject.store.checkpoint().unwrap();
        subject
    }
}

fn content(store: &Store) -> BTreeMap<Bytes, Bytes> {
    let found = store.view().range(&RangeQuery::new(KeyRange::all())).unwrap();
    found.items.iter().map(|item| (item.key(), item.value())).collect()
}

fn file_bytes(disk: &SimDisk) -> usize {
    disk.content(Path::new(DATABASE)).unwrap().len()
}

#[test]
fn what_was_deleted_is_given_back_while_everybody_goes_on() {
    let disk = SimDisk::new(1);
    let subject = RefCell::new(Subject::emptied(&disk));
    let before = file_bytes(&disk);
    let job = subject.borrow().store.rewrite();
    let view = subject.borrow().store.view();
    let mut reader = view.chunks(RangeQuery::new(KeyRange::all())).unwrap();
    let at = reader.at();
    let mut read = reader.next_chunk(5).unwrap().unwrap();
    let steps = Cell::new(0);
    let shrunk = job
        .run(&|| {
            let mut subject = subject.borrow_mut();
            let step = steps.replace(steps.get() + 1);
            // Of each kind a change that the copy has not, and some that no checkpoint has.
            if step < 4 {
                subject.put(step, "another");
                subject.put(7, "and another");
                subject.put(600 + step, "new");
                subject.delete_from(602);
                if step == 1 {
                    subject.store.compact(at).unwrap();
                }
                subject.store.checkpoint().unwrap();
                subject.put(8, "not stored");
            }
            true
        })
        .unwrap();
    let mut subject = subject.into_inner();
    assert!(steps.get() > 2, "{} steps", steps.get());
    assert_eq!((shrunk.before as usize, shrunk.after as usize), (before, file_bytes(&disk)));
    assert!(shrunk.after * 2 < shrunk.before, "{shrunk:?}");
    // Who was in the middle of reading comes to the end of it.
    while let Some(more) = reader.next_chunk(5).unwrap() {
        read.extend(more);
    }
    assert!(read.len() == 20 && read.iter().all(|item| item.value().starts_with(b"a long value")));
    assert_eq!(content(&subject.store), subject.keys);
    subject.store.check_invariants();
    let hash = subject.store.state_hash();
    subject.put(3, "later");
    subject.store.checkpoint().unwrap();
    assert_ne!(subject.store.state_hash(), hash);
    let (keys, hash) = (subject.keys, subject.store.state_hash());
    drop(subject.store);
    let store = open(&disk.crash(Crash::LoseAll));
    assert_eq!((content(&store), store.state_hash()), (keys, hash));
}

/// The old database is closed for nobody who reads it, nor for those who come while the new one is opened.
#[test]
fn reads_find_their_values_while_the_new_database_takes_its_place() {
    let disk = SimDisk::new(1);
    let subject = Subject::emptied(&disk);
    let view = subject.store.view();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for (key, value) in &subject.keys {
                        assert_eq!(view.get(key).unwrap().unwrap().value(), value);
                    }
                }
            });
        }
        for _ in 0..50 {
            subject.store.rewrite().run(&|| true).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn after_a_crash_at_any_moment_there_is_one_database_and_everything_in_it() {
    let base = SimDisk::new(1);
    let subject = Subject::emptied(&base);
    let (keys, hash) = (subject.keys.clone(), subject.store.state_hash());
    drop(subject);
    let mut lengths = std::collections::BTreeSet::new();
    for halt in 0.. {
        let disk = base.restart();
        let mut store = open(&disk);
        disk.halt_after(halt);
        let is_done = store.rewrite().run(&|| true).is_ok();
        if !is_done {
            // Whatever has the name, nothing is written to what has none.
            let mut txn = store.txn();
            txn.put("key".into(), "value".into(), LeaseId(0));
            txn.commit();
            assert!(store.checkpoint().is_err());
        }
        drop(store);
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(halt), Crash::TearLast(halt)] {
            let what = format!("{crash:?} after {halt} operations");
            let crashed = disk.crash(crash);
            let store = open(&crashed);
            assert_eq!((content(&store), store.state_hash()), (keys.clone(), hash), "{what}");
            assert!(!crashed.files().contains(&Path::new("/data/current.tmp").to_owned()), "{what}");
            lengths.insert(file_bytes(&crashed));
            store.rewrite().run(&|| true).unwrap();
            assert_eq!(content(&store), keys, "{what}");
        }
        if is_done {
            break;
        }
    }
    assert!(lengths.len() > 1, "the old one and the new one: {lengths:?}");
}

#[test]
fn what_cannot_be_written_anew_stays_as_it_was() {
    let disk = SimDisk::new(1);
    let mut subject = Subject::emptied(&disk);
    let used: usize = disk.files().iter().map(|path| disk.content(path).unwrap().len()).sum();
    disk.set_capacity(Some(used as u64 + 4096));
    let refused = subject.store.rewrite().run(&|| true).unwrap_err();
    assert!(matches!(&refused, RewriteError::Store(error) if error.is_retryable()), "{refused}");
    disk.set_capacity(None);
    assert!(matches!(subject.store.rewrite().run(&|| false), Err(RewriteError::GivenUp)));
    assert!(disk.files().iter().all(|path| path.extension().is_none_or(|extension| extension != "tmp")));
    subject.put(1, "goes on");
    subject.store.checkpoint().unwrap();
    assert_eq!(content(&subject.store), subject.keys);
    subject.store.rewrite().run(&|| true).unwrap();
    assert_eq!(content(&subject.store), subject.keys);
}

#[test]
fn a_store_that_was_emptied_meanwhile_keeps_its_database() {
    let disk = SimDisk::new(1);
    let subject = RefCell::new(Subject::emptied(&disk));
    let job = subject.borrow().store.rewrite();
    let ended = job.run(&|| {
        let store = &mut subject.borrow_mut().store;
        if store.revision() > 1 {
            drop(store.begin_anew());
            store.set_applied(Applied { index: 10_000, term: 1 });
            store.checkpoint().unwrap();
        }
        true
    });
    assert!(matches!(ended, Err(RewriteError::Emptied)), "{ended:?}");
    let store = subject.into_inner().store;
    assert_eq!(content(&store), BTreeMap::new());
    drop(store);
    assert_eq!(content(&open(&disk)), BTreeMap::new());
}
