//! How fast redb takes values in the order of their keys, by itself: what nothing that fills a store can fall below.
//!
//! `cargo run --release -p quorate-mvcc --example fill_throughput DIR [KEYS [VALUE_BYTES]]`: a million keys and 1,024 bytes by
//! default. The database is made in DIR, as a restore makes it (a cursor behind the last key, 16 MiB in a transaction, 48 MiB of pages,
//! one sync), and removed.

#![allow(clippy::disallowed_types, reason = "it takes the time")]

use std::error::Error;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use redb::{Database, Durability, TableDefinition};

const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");
const PAGE_CACHE_BYTES: usize = 48 << 20;
const TRANSACTION_BYTES: usize = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir: PathBuf = arguments.next().ok_or("where?")?.into();
    let keys: usize = arguments.next().map_or(Ok(1_000_000), |keys| keys.parse())?;
    let value_bytes: usize = arguments.next().map_or(Ok(1_024), |bytes| bytes.parse())?;
    let value = vec![b'v'; value_bytes];
    let path = dir.join("fill_throughput.redb");
    let database = Database::builder().set_cache_size(PAGE_CACHE_BYTES).create(&path)?;
    let started = Instant::now();
    let in_transaction = TRANSACTION_BYTES / (value_bytes + 36) + 1;
    for first in (0..keys).step_by(in_transaction) {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let mut table = transaction.open_table(VALUES)?;
        let mut cursor = table.upper_bound_mut(Bound::<&[u8]>::Unbounded)?;
        for number in first..keys.min(first + in_transaction) {
            let key = format!("registry/pods/default/pod-{number:010}");
            cursor.insert_before(key.as_bytes(), &value[..])?;
        }
        cursor.close()?;
        drop(table);
        transaction.commit()?;
    }
    let filled = started.elapsed();
    database.begin_write()?.commit()?;
    let durable = started.elapsed();
    drop(database);
    // redb doubles the length of the file; what it has not used takes no space.
    let bytes = path.metadata()?.blocks() * 512;
    std::fs::remove_file(&path)?;
    println!("{keys} keys with {value_bytes} bytes each: {:.2} s", filled.as_secs_f64());
    println!("durable after {:.2} s, in {:.0} MB", durable.as_secs_f64(), bytes as f64 / 1e6);
    Ok(())
}
