//! How long the database's file is: beside a slow receiver of a snapshot, and after big deletes.
//! `cargo run --release -p quorate-mvcc --example database_file -- --keys 400000 --value 1024`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement is about time")]

mod arguments;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arguments::Arguments;
use bytes::Bytes;
use mvcc::{Applied, LeaseId, Options, Store};

/// Updates beside the slow receiver.
const UPDATES: u64 = 200_000;
/// Keys that are left after the deletes: one of so many.
const KEPT_ONE_OF: u64 = 10;

fn main() {
    let Arguments { keys, value_bytes, dir } = Arguments::read("database_file", 400_000);
    let temporary = tempfile::tempdir().expect("a directory");
    let dir = dir.unwrap_or_else(|| temporary.path().join("store"));
    let mut store = Store::open(Arc::new(wal::OsDisk), &dir, Options::default()).expect("a store");
    (0..keys).for_each(|number| put(&mut store, number, value_bytes));
    store.checkpoint().expect("a checkpoint");
    say(&dir, &format!("{keys} keys of {value_bytes} bytes"));
    beside_a_receiver(&mut store, &dir, keys, value_bytes);
    after_deletes(store, &dir, keys);
}

fn key(number: u64) -> Bytes {
    format!("/registry/things/{number:012}").into()
}

fn put(store: &mut Store, number: u64, value_bytes: usize) {
    let mut txn = store.txn();
    txn.put(key(number), vec![number as u8; value_bytes].into(), LeaseId(0));
    let revision = txn.commit().expect("a change").revision;
    store.set_applied(Applied { index: revision as u64, term: 1 });
    if store.is_checkpoint_due() {
        store.checkpoint().expect("a checkpoint");
    }
}

fn say(dir: &Path, what: &str) {
    let bytes = std::fs::metadata(dir.join("current.redb")).expect("a database").len();
    println!("{what}: current.redb has {} MB", bytes >> 20);
}

/// All keys are written again while a receiver has taken the beginning of a snapshot.
fn beside_a_receiver(store: &mut Store, dir: &Path, keys: u64, value_bytes: usize) {
    let update = |store: &mut Store| {
        (0..UPDATES).for_each(|number| put(store, number.wrapping_mul(0x9e37_79b9) % keys, value_bytes));
        store.checkpoint().expect("a checkpoint");
    };
    update(store);
    say(dir, &format!("{UPDATES} updates"));
    let started = Instant::now();
    let bytes: usize = store.snapshot().expect("a snapshot").map(|chunk| chunk.expect("a chunk").len()).sum();
    println!("a snapshot of {} MB alone: {:.1?}", bytes >> 20, started.elapsed());
    let mut slow = store.snapshot().expect("a snapshot");
    slow.next().expect("more than that").expect("a chunk");
    update(store);
    say(dir, &format!("{UPDATES} updates beside a slow receiver"));
    let started = Instant::now();
    slow.for_each(|chunk| drop(chunk.expect("a chunk")));
    println!("the rest of its snapshot: {:.1?}", started.elapsed());
}

/// Most keys are deleted, and the database is written anew while another thread writes.
fn after_deletes(mut store: Store, dir: &Path, keys: u64) {
    let mut txn = store.txn();
    txn.delete_keys((0..keys).filter(|number| number % KEPT_ONE_OF != 0).map(key));
    let revision = txn.commit().expect("a change").revision;
    store.set_applied(Applied { index: revision as u64, term: 1 });
    store.compact(revision).expect("a compaction");
    store.checkpoint().expect("a checkpoint");
    say(dir, "most keys deleted and compacted");
    let job = store.rewrite();
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            let mut times = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let started = Instant::now();
                put(&mut store, times.len() as u64 % keys, 100);
                times.push(started.elapsed());
                std::thread::sleep(Duration::from_micros(200));
            }
            times.sort_unstable();
            times
        })
    };
    let started = Instant::now();
    let shrunk = job.run(&|| true).expect("a database");
    is_over.store(true, Ordering::Relaxed);
    println!(
        "written anew in {:.1?}, {} MB of {} MB",
        started.elapsed(),
        shrunk.after >> 20,
        shrunk.before >> 20
    );
    let times = writer.join().expect("a writer");
    let at = |part: usize| times[(times.len() - 1) * part / 1000];
    println!(
        "{} puts meanwhile: half in {:.1?}, 99.9 % in {:.1?}, all in {:.1?}",
        times.len(),
        at(500),
        at(999),
        at(1000)
    );
}
