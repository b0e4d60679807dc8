//! How fast a file of many rows is written and read.
//!
//! `cargo run --release -p quorate-dbfile --example throughput [ROWS] [FILE]`: a million rows by default, in a temporary
//! file. A row has a key of 17 bytes and a value of 200, as a small key of etcd has.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use dbfile::etcd::{KeyValue, RevisionKey, hash_kv, status};
use dbfile::{Db, PageSize, Plan};

/// What is collected before it is written to the file.
const BUFFER_BYTES: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: i64 = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let path = kept.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("quorate-dbfile-throughput-{}", std::process::id()))
    });
    let outcome = write(&path, rows).and_then(|()| read(&path));
    if kept.is_none() {
        std::fs::remove_file(&path)?;
    }
    outcome
}

/// The rows of the bucket `key`: each a key of its own.
fn row(main: i64) -> (RevisionKey, Vec<u8>) {
    let key = format!("registry/pods/default/pod-{main:010}");
    let value = KeyValue {
        key: key.as_bytes(),
        create_revision: main,
        mod_revision: main,
        version: 1,
        value: &[b'v'; 145],
        lease: 0,
    };
    (RevisionKey::put(main, 0), value.encoded())
}

fn write(path: &std::path::Path, rows: i64) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut plan = Plan::new(PageSize::default());
    plan.bucket(b"key")?;
    for main in 2..rows + 2 {
        let (key, value) = row(main);
        plan.row(key.bytes().len(), value.len())?;
    }
    plan.bucket(b"meta")?;
    let layout = plan.finish();
    let bytes = layout.file_bytes();
    report("planned", started, bytes);

    let started = Instant::now();
    let mut file = File::create(path)?;
    let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut writer = layout.begin(&mut out);
    writer.bucket(b"key", &mut out)?;
    for main in 2..rows + 2 {
        let (key, value) = row(main);
        writer.row(&key.bytes(), &value, &mut out)?;
        if out.len() >= BUFFER_BYTES {
            file.write_all(&out)?;
            out.clear();
        }
    }
    writer.bucket(b"meta", &mut out)?;
    writer.finish(&mut out)?;
    file.write_all(&out)?;
    report("written", started, bytes);
    Ok(())
}

fn read(path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let file = File::open(path)?;
    let db = Db::open(&file)?;
    let timed = |what: &str, read: &dyn Fn() -> Result<(), Box<dyn Error>>| {
        let started = Instant::now();
        read().map(|()| report(what, started, db.bytes()))
    };
    timed("digest verified", &|| Ok(dbfile::verify(&file).map(drop)?))?;
    timed("checked", &|| Ok(db.check().map(drop)?))?;
    timed("rows read", &|| {
        let mut rows = db.bucket(b"key")?.ok_or("it was just written")?.rows()?;
        while rows.next_row()?.is_some() {}
        Ok(())
    })?;
    timed("status", &|| Ok(status(&db).map(drop)?))?;
    timed("hash of the keys", &|| Ok(hash_kv(&db, 0).map(drop)?))?;
    println!("memory at most: {}", memory_max()?);
    Ok(())
}

fn report(what: &str, started: Instant, bytes: u64) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:>18} in {seconds:6.2} s, {:6.0} MB/s", bytes as f64 / seconds / 1e6);
}

/// The most that this process has had resident.
fn memory_max() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().to_owned())
}
