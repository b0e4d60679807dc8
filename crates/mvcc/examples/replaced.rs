//! What changes cost whose previous values are not in memory: puts of cold keys, then a delete of all keys.
//! `cargo run --release -p quorate-mvcc --example replaced -- --keys 1000000 --value 1024`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement is about time")]

mod arguments;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arguments::Arguments;
use bytes::Bytes;
use mvcc::{Applied, KeyRange, LeaseId, Options, Store};

/// Bytes of the cache of values: next to nothing is in memory.
const CACHE_BYTES: usize = 1 << 20;
/// Cold keys that are put.
const PUTS: u64 = 100_000;

fn main() {
    let Arguments { keys, value_bytes, dir } = Arguments::read("replaced", 1_000_000);
    let temporary = tempfile::tempdir().expect("a directory");
    let dir = dir.unwrap_or_else(|| temporary.path().join("store"));
    fill(&dir, keys, value_bytes);
    let mut store = open(&dir);
    println!("{keys} keys of {value_bytes} bytes; opened, {} MB", memory_mb("VmRSS:"));
    put_cold_keys(&mut store, keys);
    drop(store);
    let mut store = open(&dir);
    delete_everything(&mut store);
}

fn open(dir: &Path) -> Store {
    let options = Options { cache_bytes: CACHE_BYTES, ..Options::default() };
    Store::open(Arc::new(wal::OsDisk), dir, options).expect("a store")
}

fn key(number: u64) -> Bytes {
    format!("/registry/things/{number:012}").into()
}

fn scatter(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

/// Makes a checkpoint of what was applied; says how long it took and how much memory there was at most.
fn checkpoint(store: &mut Store, what: &str) {
    let index = store.applied().index + 1;
    store.set_applied(Applied { index, term: 1 });
    reset_peak();
    let start = Instant::now();
    store.checkpoint().expect("a checkpoint");
    if !what.is_empty() {
        println!("  {what}: {:.2} s, at most {} MB", start.elapsed().as_secs_f64(), memory_mb("VmHWM:"));
    }
}

fn fill(dir: &Path, keys: u64, value_bytes: usize) {
    let mut store = open(dir);
    for number in 0..keys {
        let mut txn = store.txn();
        _ = txn.put(key(number), vec![number as u8; value_bytes].into(), LeaseId(0));
        txn.commit();
        if store.is_checkpoint_due() {
            checkpoint(&mut store, "");
        }
    }
    checkpoint(&mut store, "");
}

fn put_cold_keys(store: &mut Store, keys: u64) {
    let start = Instant::now();
    for number in 0..PUTS {
        let mut txn = store.txn();
        _ = txn.put(key(scatter(number) % keys), Bytes::from_static(b"new"), LeaseId(0));
        txn.commit();
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / PUTS as f64;
    println!("put of a cold key, of {PUTS}: {each:.2} us each, {} MB unstored", store.unstored_bytes() >> 20);
    checkpoint(store, "their checkpoint");
}

fn delete_everything(store: &mut Store) {
    let before = memory_mb("VmRSS:");
    reset_peak();
    let start = Instant::now();
    let mut txn = store.txn();
    _ = txn.delete_range(&KeyRange::all());
    let staged = start.elapsed();
    let start = Instant::now();
    txn.commit();
    let committed = start.elapsed();
    println!(
        "delete of everything: {:.2} s and {:.2} s to commit, {} MB more, at most {} MB more",
        staged.as_secs_f64(),
        committed.as_secs_f64(),
        memory_mb("VmRSS:").saturating_sub(before),
        memory_mb("VmHWM:").saturating_sub(before),
    );
    checkpoint(store, "its checkpoint");
    println!("  then {} MB", memory_mb("VmRSS:"));
}

fn memory_mb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Has the kernel begin anew with the most memory that there was.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
