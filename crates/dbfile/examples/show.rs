//! Shows what is in a database file of etcd: buckets, the status as etcdutl prints it, and the first rows of each bucket.
//!
//! `cargo run -p quorate-dbfile --example show -- backup.db`

use std::error::Error;
use std::fs::File;

use dbfile::etcd::{ClusterSettings, KeyValue, MetaRows, RevisionKey, bucket, hash_kv, status};
use dbfile::{Bucket, Db, ReadAt, Verdict};

/// Rows that are shown of each bucket.
const ROWS_MAX: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: show FILE")?;
    let file = File::open(path)?;
    match dbfile::verify(&file)? {
        Verdict::Absent => println!("digest: none"),
        Verdict::Right(digest) => println!("digest: {digest}, right"),
        Verdict::Wrong { stored, computed } => println!("digest: {stored}, but the file has {computed}"),
    }
    let db = Db::open(&file)?;
    let census = db.check()?;
    println!(
        "pages:  {} of {} bytes, {} free",
        db.meta().pages,
        db.meta().page_size.bytes(),
        census.pages_free
    );

    let meta = MetaRows::read(&db)?;
    println!("meta:   {meta:?}");
    println!("schema: {}", meta.schema_version().map_or("unknown".to_owned(), |version| version.to_string()));
    println!("cluster: {:?}", ClusterSettings::read(&db)?);
    let status = status(&db)?;
    println!("status: {:x}, {}, {}, {} bytes", status.hash, status.revision, status.keys, status.bytes);
    println!("hashkv: {:?}", hash_kv(&db, 0)?);

    for bucket in db.buckets()? {
        show(&bucket?)?;
    }
    Ok(())
}

fn show<S: ReadAt>(bucket: &Bucket<'_, S>) -> Result<(), Box<dyn Error>> {
    println!("\n{}", bucket.name().escape_ascii());
    let mut rows = bucket.rows()?;
    for _ in 0..ROWS_MAX {
        let Some(row) = rows.next_row()? else { return Ok(()) };
        if bucket.name() == bucket::KEY {
            let value = KeyValue::parse(row.value)?;
            let what = if RevisionKey::parse(row.key)?.is_delete { "delete" } else { "put" };
            println!("  {} {what} {}", RevisionKey::parse(row.key)?, value.key.escape_ascii());
        } else {
            println!("  {}: {}", row.key.escape_ascii(), row.value.escape_ascii());
        }
    }
    if rows.next_row()?.is_some() {
        println!("  …");
    }
    Ok(())
}
