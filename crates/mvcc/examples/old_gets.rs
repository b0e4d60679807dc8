//! What a get at an old revision costs where the history is in many runs:
//! `cargo run --release -p quorate-mvcc --example old_gets -- --runs 1000`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement is about time")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mvcc::{KeyRange, LeaseId, Options, RangeQuery, Store};

const KEYS: u64 = 50_000;
const VALUE_BYTES: usize = 256;
/// Short segments, so that many runs take little time to write: one has about 400 changes.
const SEGMENT_BYTES: u64 = 256 << 10;
const GETS: u64 = 1000;

fn main() {
    let mut words = std::env::args().skip(1);
    let runs: u64 = match (words.next().as_deref(), words.next()) {
        (None, _) => 1000,
        (Some("--runs"), Some(runs)) => runs.parse().unwrap_or_else(|_| usage()),
        _ => usage(),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let open = |dir: &Path| {
        let options = Options { history_segment_bytes: SEGMENT_BYTES, ..Options::default() };
        Store::open(Arc::new(wal::OsDisk), dir, options).expect("a store")
    };
    let mut store = open(dir.path());
    let write = |store: &mut Store, number: u64| {
        let mut txn = store.txn();
        txn.put(key(number), vec![number as u8; VALUE_BYTES].into(), LeaseId(0));
        txn.commit();
        if store.is_checkpoint_due() {
            store.checkpoint().expect("a checkpoint");
        }
    };
    (0..KEYS).for_each(|number| write(&mut store, number));
    let old = store.revision();
    while store.disk_bytes() < runs * SEGMENT_BYTES {
        (0..10_000).for_each(|_| {
            let number = scatter(store.revision() as u64) % KEYS;
            write(&mut store, number);
        });
    }
    store.checkpoint().expect("a checkpoint");
    println!("{} changes in {} MB", store.revision(), store.disk_bytes() >> 20);
    drop(store);
    let store = open(dir.path());
    get(&store, old, "the first get at an old revision", 1);
    get(&store, old, "a get at an old revision", GETS);
    get(&store, store.revision(), "a get at the newest", GETS);
}

fn usage() -> ! {
    eprintln!("usage: old_gets [--runs N]");
    std::process::exit(2)
}

fn get(store: &Store, at: i64, what: &str, times: u64) {
    let start = Instant::now();
    for number in 0..times {
        let query = RangeQuery::new(KeyRange::single(key(scatter(number + 7) % KEYS))).at(at);
        assert_eq!(store.range(&query).expect("a get").items.len(), 1);
    }
    println!("{what}: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / times as f64);
}

fn key(number: u64) -> Bytes {
    format!("/registry/things/{number:012}").into()
}

fn scatter(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}
