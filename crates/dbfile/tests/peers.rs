//! etcd's own tools read files of ours, and find in them what was written.
//!
//! `etcdctl snapshot status` up to 3.5, `etcdutl snapshot status` after it, `etcdutl hashkv`, `bbolt check`. Any of them may
//! be missing but the first, which CI has.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::path::Path;
use std::process::{Command, Output};

use dbfile::etcd::{KeyValue, MetaRows, RevisionKey, hash_kv, status};
use dbfile::{Db, PageSize};
use serde_json::Value;
use support::{Rows, Tables, number, write};
use testkit::{Random, skip};

/// Runs a program; an error says why that was not possible.
fn run(program: &str, arguments: &[&str], file: &Path) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.env("ETCDCTL_API", "3").args(arguments).arg(file);
    command.output().map_err(|error| format!("{program}: {error}"))
}

/// Runs a program that must succeed, and returns the JSON that it prints; an error if it does not know the command.
fn json(program: &str, arguments: &[&str], file: &Path) -> Result<Value, String> {
    let output = run(program, arguments, file)?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    // An etcdctl of 3.6 or later has no such command, and prints its help.
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{program} {arguments:?} prints no JSON: {error}"))
}

/// A store with a history of changes, a compaction, leases and users.
fn store(seed: u64, transactions: i64, value_bytes_max: usize) -> Tables {
    let mut random = Random::new(seed);
    let compact_revision = transactions / 3;
    let mut key = Rows::new();
    let mut versions = std::collections::BTreeMap::new();
    for main in 2..=transactions {
        for sub in 0..=random.below(3) as i64 {
            let name = format!("key/{}", random.below(transactions as usize)).into_bytes();
            let (create_revision, version) = versions.get(&name).copied().unwrap_or((main, 0));
            let is_delete = version > 0 && random.below(4) == 0;
            let value = vec![b'v'; random.below(value_bytes_max)];
            let put = KeyValue {
                key: &name,
                create_revision,
                mod_revision: main,
                version: version + 1,
                value: &value,
                lease: if random.below(10) == 0 { 7 } else { 0 },
            };
            let encoded =
                if is_delete { KeyValue { key: &name, ..KeyValue::default() } } else { put }.encoded();
            key.push((RevisionKey { main, sub, is_delete }.bytes().to_vec(), encoded));
            if is_delete {
                versions.remove(&name);
            } else {
                versions.insert(name, (create_revision, version + 1));
            }
        }
    }
    let meta = MetaRows {
        consistent_index: Some(99),
        term: Some(2),
        scheduled_compact: Some(compact_revision),
        ..MetaRows::default()
    };
    let meta = meta.rows().into_iter().map(|(name, value)| (name.to_vec(), value)).collect();
    let lease = vec![(number(7), b"\x08\x07\x10\x3c".to_vec())];
    vec![(b"key".to_vec(), key), (b"lease".to_vec(), lease), (b"meta".to_vec(), meta)]
}

/// Files of all sizes and page sizes: a leaf, two levels, three levels, rows of many pages.
fn files() -> Vec<Vec<u8>> {
    let page_size = |bytes| PageSize::new(bytes).expect("a page size");
    let empty = vec![(b"key".to_vec(), vec![]), (b"meta".to_vec(), vec![])];
    vec![
        write(page_size(4096), &empty).unwrap(),
        write(page_size(4096), &store(1, 20, 30)).unwrap(),
        write(page_size(4096), &store(2, 1500, 300)).unwrap(),
        write(page_size(4096), &store(3, 100, 20_000)).unwrap(),
        write(page_size(1024), &store(4, 2000, 400)).unwrap(),
        write(page_size(65536), &store(5, 2000, 400)).unwrap(),
    ]
}

fn each_file(check: impl Fn(&Path, &Db<&[u8]>) -> Result<(), String>) -> Result<(), String> {
    let directory = tempfile::tempdir().expect("a directory");
    for file in files() {
        let path = directory.path().join("file.db");
        std::fs::write(&path, &file).expect("a file");
        check(&path, &Db::open(&file[..]).unwrap())?;
    }
    Ok(())
}

fn check_status(program: &str, path: &Path, db: &Db<&[u8]>) -> Result<(), String> {
    let printed = json(program, &["snapshot", "status", "-w", "json"], path)?;
    let status = status(db).unwrap();
    // 3.6 and later print a version, and count what is live.
    let keys = if printed.get("version").is_some() { status.keys } else { status.rows };
    let expected = [status.hash.into(), status.revision as u64, keys, status.bytes];
    let found = ["hash", "revision", "totalKey", "totalSize"].map(|name| printed[name].as_u64());
    assert_eq!(found, expected.map(Some), "{printed}");
    Ok(())
}

#[test]
fn etcdctl_prints_the_same_status() {
    let test = "etcdctl_prints_the_same_status";
    testkit::require!(test, each_file(|path, db| check_status("etcdctl", path, db)));
}

#[test]
fn etcdutl_prints_the_same_status_and_hash_of_keys() {
    let outcome = each_file(|path, db| {
        check_status("etcdutl", path, db)?;
        // The compaction was only begun: etcdutl ends it, in the file.
        let last = hash_kv(db, 0).unwrap();
        for at in [last.hash_revision, last.compact_revision.max(1)] {
            let printed = json("etcdutl", &["hashkv", "-w", "json", "--rev", &at.to_string()], path)?;
            let ours = hash_kv(db, at).unwrap();
            assert_eq!(printed["hash"].as_u64(), Some(ours.hash.into()), "{printed}");
            assert_eq!(printed["compactRevision"].as_i64(), Some(ours.compact_revision), "{printed}");
        }
        Ok(())
    });
    if let Err(why) = outcome {
        skip::excuse("etcdutl_prints_the_same_status_and_hash_of_keys", &why);
    }
}

#[test]
fn bbolt_finds_nothing_wrong() {
    let outcome = each_file(|path, _| {
        let output = run("bbolt", &["check"], path)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.trim() == "OK",
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    });
    if let Err(why) = outcome {
        skip::excuse("bbolt_finds_nothing_wrong", &why);
    }
}
