//! Readers on other threads while one writes, checkpoints and compacts: what they see is always one state.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "this test is about threads")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use mvcc::*;
use wal::SimDisk;

const ACCOUNTS: i64 = 300;
const TOTAL: i64 = ACCOUNTS * 100;
const TRANSFERS: i64 = 60_000;

fn account(number: i64) -> Bytes {
    Bytes::from(format!("account/{number:04}"))
}

fn amount(item: &Item) -> i64 {
    String::from_utf8(item.value().to_vec()).unwrap().parse().unwrap()
}

/// Moves money about; an account with nothing on it is deleted. Every state has the same total.
fn transfer(store: &mut Store, number: i64) {
    let (from, to) = (number * 7919 % ACCOUNTS, (number * 104_729 + 13) % ACCOUNTS);
    let mut txn = store.txn();
    let available = txn.get(&account(from)).unwrap().map_or(0, |item| amount(&item));
    let moved = if number % 5 == 0 { available } else { available.min(7) };
    if from == to || moved == 0 {
        return;
    }
    let there = txn.get(&account(to)).unwrap().map_or(0, |item| amount(&item));
    let mut set = |number: i64, amount: i64| match amount {
        0 => _ = txn.delete_range(&KeyRange::single(account(number))),
        // Of different lengths, so that the cache holds some.
        amount => {
            let value = Bytes::from(format!("{amount:0width$}", width = 10 + (amount as usize % 50)));
            drop(txn.put(account(number), value, LeaseId(0)));
        }
    };
    set(from, available - moved);
    set(to, there + moved);
    txn.commit().unwrap();
}

/// Runs checkpoints beside the writer.
fn checkpoints(jobs: mpsc::Receiver<CheckpointJob>, done: mpsc::Sender<Done>) {
    for job in jobs {
        if done.send(job.run().unwrap()).is_err() {
            return;
        }
    }
}

fn write(mut store: Store, stop: &AtomicBool) -> Store {
    let (jobs, inbox) = mpsc::channel();
    let (outbox, done) = mpsc::channel();
    let worker = thread::spawn(move || checkpoints(inbox, outbox));
    let mut is_running = false;
    for number in 0..TRANSFERS {
        transfer(&mut store, number);
        if is_running && let Ok(done) = done.try_recv() {
            store.complete(done);
            is_running = false;
        }
        if !is_running
            && number % 50 == 0
            && let Some(job) = store.freeze()
        {
            jobs.send(job).unwrap();
            is_running = true;
        }
        if number % 400 == 399 {
            store.compact(store.revision() - 150).unwrap();
        }
    }
    stop.store(true, Ordering::SeqCst);
    drop(jobs);
    if is_running {
        store.complete(done.recv().unwrap());
    }
    worker.join().unwrap();
    store
}

fn check_total(items: &[Item], what: &str) {
    assert_eq!(items.iter().map(amount).sum::<i64>(), TOTAL, "{what}");
    assert!(items.windows(2).all(|pair| pair[0].key() < pair[1].key()), "{what}");
}

/// Reads in every way until the writer is done; compaction may overtake a read, which is then refused, not wrong.
fn read(view: &View, reader: i64, stop: &AtomicBool) -> usize {
    let mut reads = 0;
    let mut last = 0;
    while !stop.load(Ordering::SeqCst) {
        let newest = view.range(&RangeQuery::new(KeyRange::all())).unwrap();
        check_total(&newest.items, "newest");
        assert!(newest.revision >= last, "time goes forward");
        last = newest.revision;
        let compacted = view.compact_revision().max(2 + ACCOUNTS);
        let old = compacted + (reads as i64 * 31 + reader * 17) % (last - compacted + 1).max(1);
        match view.range(&RangeQuery::new(KeyRange::all()).at(old)) {
            Ok(result) => check_total(&result.items, "old"),
            Err(ReadError::Compacted(_)) => {}
            Err(error) => panic!("at {old}: {error}"),
        }
        let limited = view.range(&RangeQuery::new(KeyRange::all()).at(last).limit(10));
        if let Ok(limited) = limited {
            let all = view.range(&RangeQuery::new(KeyRange::all()).at(last));
            assert!(all.is_err() || all.unwrap().items.len() as u64 == limited.count);
        }
        let mut chunks = view.chunks(RangeQuery::new(KeyRange::all())).unwrap();
        let mut items = Vec::new();
        loop {
            match chunks.next_chunk(7) {
                Ok(Some(chunk)) => items.extend(chunk),
                Ok(None) => break check_total(&items, "chunks"),
                Err(ReadError::Compacted(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let (one, other) = (view.hash_kv(Some(last)), view.hash_kv(Some(last)));
        if let (Ok(one), Ok(other)) = (one, other) {
            assert!(one.compact_revision != other.compact_revision || one.hash == other.hash);
        }
        reads += 1;
    }
    reads
}

/// Follows the history from the beginning: no change is missing, none comes twice.
fn follow(view: &View, stop: &AtomicBool) {
    let mut history = view.history(2);
    let mut next = 2;
    loop {
        let is_last = stop.load(Ordering::SeqCst);
        match history.next_batch() {
            Ok(Some(changes)) => {
                for change in changes {
                    let follows = change.revision.main == next || change.revision.main == next - 1;
                    assert!(follows, "{} after r{}", change.revision, next - 1);
                    next = change.revision.main + 1;
                }
            }
            Ok(None) if is_last => return assert_eq!(next, view.revision() + 1),
            Ok(None) => thread::yield_now(),
            Err(ReadError::Compacted(revision)) => {
                history = view.history(revision);
                next = revision;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn readers_see_whole_states_while_the_writer_goes_on() {
    let options = Options { cache_bytes: 20_000, history_segment_bytes: 32 << 10, ..Options::default() };
    let disk = SimDisk::new(1);
    let mut store = Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
    for number in 0..ACCOUNTS {
        let mut txn = store.txn();
        txn.put(account(number), Bytes::from_static(b"100"), LeaseId(0));
        txn.commit();
    }
    let mut txn = store.txn();
    txn.put(account(0), Bytes::from_static(b"100"), LeaseId(0));
    txn.commit();
    let stop = AtomicBool::new(false);
    let view = store.view();
    let store = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let (view, stop) = (view.clone(), &stop);
                scope.spawn(move || read(&view, reader, stop))
            })
            .collect();
        let follower = scope.spawn(|| follow(&view, &stop));
        let store = write(store, &stop);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        follower.join().unwrap();
        store
    });
    assert!(store.view().range(&RangeQuery::new(KeyRange::all())).unwrap().count > 0);
}
