//! How fast a backup is restored, and in how much memory.
//!
//! `cargo run --release -p quorate-backup --example restore_throughput [FILE [KEYS [CHANGES [VALUE_BYTES]]]]`: makes a backup in
//! FILE if it is not there, of a million keys by default, each of which was changed so many times (0 by default) since the
//! compaction, in values of so many bytes (1,024 by default, and at most), and restores it beside. FILE stays, so that
//! another tool can be timed with it; without FILE everything is in a temporary directory and goes.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use backup::restore::{Founding, Options, Progress, Stage, Target, restore_file};
use datadir::url::{parse_cluster, parse_list};
use dbfile::etcd::{KeyValue, RevisionKey};
use dbfile::{PageSize, Plan, WriteError};

/// What is collected before it is written to the file.
const BUFFER_BYTES: usize = 1 << 20;
const VALUE: [u8; 1024] = [b'v'; 1024];
const MEMBERS: &str = "default=http://localhost:2380";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let temporary = tempfile::tempdir()?;
    let file = arguments.next().map_or_else(|| temporary.path().join("backup.db"), PathBuf::from);
    let keys: i64 = arguments.next().map_or(Ok(1_000_000), |keys| keys.parse())?;
    let changes: i64 = arguments.next().map_or(Ok(0), |changes| changes.parse())?;
    let value_bytes: usize = arguments.next().map_or(Ok(VALUE.len()), |bytes| bytes.parse())?;
    let value = VALUE.get(..value_bytes).ok_or("a value has at most 1,024 bytes")?;
    if !file.exists() {
        write(&file, keys, changes, value)?;
    }
    restore(&file)
}

/// Hands out the rows: every key is put once, in an order that is not that of the keys, and then all of them again.
fn for_each_row(
    keys: i64,
    changes: i64,
    value: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    for number in 0..keys * (changes + 1) {
        // A large prime: it divides no number of keys that anybody asks for.
        let key = format!("registry/pods/default/pod-{:010}", number % keys * 1_000_003 % keys);
        let (main, version) = (number + 2, number / keys + 1);
        let create_revision = number % keys + 2;
        let key = key.as_bytes();
        let row = KeyValue { key, create_revision, mod_revision: main, version, value, lease: 0 };
        take(&RevisionKey::put(main, 0).bytes(), &row.encoded())?;
    }
    Ok(())
}

fn write(path: &Path, keys: i64, changes: i64, value: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut plan = Plan::new(PageSize::default());
    plan.bucket(b"key")?;
    for_each_row(keys, changes, value, |key, value| plan.row(key.len(), value.len()))?;
    plan.bucket(b"meta")?;
    let mut file = File::create(path)?;
    let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut writer = plan.finish().begin(&mut out);
    writer.bucket(b"key", &mut out)?;
    let mut failed = None;
    for_each_row(keys, changes, value, |key, value| {
        writer.row(key, value, &mut out)?;
        if out.len() >= BUFFER_BYTES {
            failed = failed.take().or(file.write_all(&out).err());
            out.clear();
        }
        Ok(())
    })?;
    writer.bucket(b"meta", &mut out)?;
    writer.finish(&mut out)?;
    failed.map_or(Ok(()), Err)?;
    file.write_all(&out)?;
    Ok(file.sync_all()?)
}

fn restore(file: &Path) -> Result<(), Box<dyn Error>> {
    let founding = Founding {
        name: "default".to_owned(),
        members: parse_cluster(MEMBERS)?,
        token: "etcd-cluster".to_owned(),
        advertised: parse_list("http://localhost:2380")?,
    };
    let data_dir = file.with_extension("restored");
    let target = Target { data_dir: data_dir.clone(), wal_dir: None };
    let bytes = file.metadata()?.len();
    let started = Instant::now();
    let mut stages: Vec<(Stage, Instant)> = Vec::new();
    let mut progress = Progress::new(|stage, done, _| {
        if done == 0 {
            stages.push((stage, Instant::now()));
        }
    });
    let restored = restore_file(file, &founding.origin()?, &target, Options::default(), &mut progress)?;
    drop(progress);
    let ended = Instant::now();
    std::fs::remove_dir_all(&data_dir)?;
    let ends = stages.iter().skip(1).map(|(_, at)| *at).chain([ended]);
    for ((stage, begun), end) in stages.iter().zip(ends) {
        println!("{:>10} {:6.2} s", format!("{stage:?}"), (end - *begun).as_secs_f64());
    }
    let seconds = (ended - started).as_secs_f64();
    println!("{} keys, {} changes", restored.keys, restored.changes);
    println!("{:.0} MB in {seconds:.2} s, {:.0} MB/s", bytes as f64 / 1e6, bytes as f64 / seconds / 1e6);
    println!("memory at most: {}", memory_max()?);
    Ok(())
}

/// The most that this process has had resident.
fn memory_max() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().to_owned())
}
