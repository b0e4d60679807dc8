//! A tour: write, read the past, follow the history, compact, come back after a restart.
//! `cargo run -p quorate-mvcc --example store_tour`

use std::path::Path;
use std::sync::Arc;

use mvcc::{Applied, Error, KeyRange, LeaseId, Options, RangeQuery, ReadError, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A disk in memory; `wal::OsDisk` is the real one.
    let disk = Arc::new(wal::SimDisk::new(1));
    let open = || Store::open(disk.clone(), Path::new("/tour"), Options::default());
    let mut store = open()?;

    // A transaction is one revision, however much it changes.
    let mut txn = store.txn();
    txn.put("fruit/apple".into(), "green".into(), LeaseId(0));
    txn.put("fruit/plum".into(), "blue".into(), LeaseId(0));
    let planted = txn.commit().expect("something changed").revision;
    write(&mut store, "fruit/apple", "red")?;
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::prefix("fruit/p"));
    txn.commit();

    // The newest state, and an older one. Views read on any thread while the store is written.
    let view = store.view();
    let fruit = RangeQuery::new(KeyRange::prefix("fruit/"));
    for item in view.range(&fruit)?.items {
        println!("now:   {:?} is {:?} (version {})", item.key(), item.value(), item.meta.version);
    }
    for item in view.range(&fruit.clone().at(planted))?.items {
        println!("r{planted}:    {:?} was {:?}", item.key(), item.value());
    }

    // What happened, in order, with what was before.
    let mut history = view.history(planted);
    while let Some(changes) = history.next_batch()? {
        for change in changes {
            let value = |item: Option<&mvcc::Item>| item.map(mvcc::Item::value);
            let before = change.read_before()?;
            let (before, after) = (value(before.as_ref()), value(change.after.as_ref()));
            println!("{}:  {:?} from {before:?} to {after:?}", change.revision, change.key);
        }
    }

    // The past before a revision can be given up.
    store.compact(store.revision()).expect("it is newer than the last compaction");
    match view.range(&fruit.clone().at(planted)) {
        Err(ReadError::Compacted(revision)) => println!("compacted up to r{revision}"),
        other => println!("unexpected: {other:?}"),
    }

    // A checkpoint says how far the caller's log is covered; what comes after it is applied again after a start.
    store.set_applied(Applied { index: 42, term: 1 });
    store.checkpoint()?;
    let hash = store.state_hash();
    drop(store);
    let store = open()?;
    assert_eq!(store.state_hash(), hash);
    println!("opened again at r{}, applied up to {:?}", store.revision(), store.applied());
    Ok(())
}

fn write(store: &mut Store, key: &'static str, value: &'static str) -> Result<(), Error> {
    let mut txn = store.txn();
    txn.put(key.into(), value.into(), LeaseId(0));
    txn.commit();
    Ok(())
}
