//! `snapshot status` and `hashkv`, on the file of section 3 of the contract's chapter on etcd's database file.

use std::path::{Path, PathBuf};

use dbfile::etcd::{KeyValue, RevisionKey, bucket};
use dbfile::{PageSize, Plan};
use tempfile::TempDir;

use crate::tool::{Ended, run};

/// A file with three versions of two keys, one of which is deleted.
pub(crate) fn written() -> (TempDir, PathBuf) {
    let put = |key, revision, value, lease| {
        let version =
            KeyValue { key, create_revision: revision, mod_revision: revision, version: 1, value, lease };
        version.encoded()
    };
    let deleted = KeyValue { key: b"a", ..KeyValue::default() }.encoded();
    let rows = [
        (RevisionKey::put(2, 0), put(b"a", 2, b"1", 0)),
        (RevisionKey::put(3, 0), put(b"b", 3, b"xy", 7)),
        (RevisionKey::delete(3, 1), deleted),
    ];
    let mut plan = Plan::new(PageSize::default());
    plan.bucket(bucket::KEY).unwrap();
    for (key, value) in &rows {
        plan.row(key.bytes().len(), value.len()).unwrap();
    }
    plan.bucket(bucket::META).unwrap();
    let mut file = Vec::new();
    let mut writer = plan.finish().begin(&mut file);
    writer.bucket(bucket::KEY, &mut file).unwrap();
    for (key, value) in &rows {
        writer.row(&key.bytes(), value, &mut file).unwrap();
    }
    writer.bucket(bucket::META, &mut file).unwrap();
    writer.finish(&mut file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.db");
    std::fs::write(&path, file).unwrap();
    (dir, path)
}

fn on(path: &Path, arguments: &[&str]) -> Ended {
    run(&[arguments, &[path.to_str().unwrap()]].concat())
}

#[test]
fn a_backup_is_described_in_the_formats_of_etcdutl() {
    let (_dir, path) = written();
    let cases: [(&[&str], &str); 8] = [
        (&["snapshot", "status"], "7eb75787, 3, 1, 25 kB, \n"),
        (
            &["snapshot", "status", "-w", "json"],
            "{\"hash\":2125944711,\"revision\":3,\"totalKey\":1,\"totalSize\":24576,\"version\":\"\"}\n",
        ),
        (
            &["snapshot", "status", "-w", "fields"],
            "\"Hash\" : 2125944711\n\"Revision\" : 3\n\"Keys\" : 1\n\"Size\" : 24576\n\"Version\" : \n",
        ),
        (
            &["snapshot", "status", "-w", "table"],
            "\
┌──────────┬──────────┬────────────┬────────────┬─────────┐
│   HASH   │ REVISION │ TOTAL KEYS │ TOTAL SIZE │ VERSION │
├──────────┼──────────┼────────────┼────────────┼─────────┤
│ 7eb75787 │        3 │          1 │      25 kB │         │
└──────────┴──────────┴────────────┴────────────┴─────────┘
",
        ),
        (&["hashkv"], "HASH, 3, -1\n"),
        (&["hashkv", "--rev", "2"], "HASH, 2, -1\n"),
        (&["hashkv", "-w", "json"], "{\"hash\":HASH,\"hashRevision\":3,\"compactRevision\":-1}\n"),
        (&["hashkv", "-w", "fields"], "\"Hash\" : HASH\n\"Hash revision\" : 3\n\"Compact revision\" : -1\n"),
    ];
    let bytes = std::fs::read(&path).unwrap();
    let db = dbfile::Db::open(&bytes[..]).unwrap();
    for (arguments, expected) in cases {
        let at = if arguments.contains(&"--rev") { 2 } else { 0 };
        let hash = dbfile::etcd::hash_kv(&db, at).unwrap().hash;
        let ended = on(&path, arguments);
        let expected = expected.replace("HASH,", &format!("{hash},")).replace("HASH\n", &format!("{hash}\n"));
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, &*expected, ""), "{arguments:?}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is written");
}

#[test]
fn what_is_no_backup_is_refused_in_one_line() {
    let (dir, path) = written();
    let foreign = dir.path().join("foreign");
    std::fs::write(&foreign, "hello\n").unwrap();
    let missing = dir.path().join("missing");
    let cases: [(&Path, &[&str], i32, &str); 7] = [
        (&path, &["snapshot", "status", "-w", "protobuf"], 4, "protobuf not supported as output format"),
        (&path, &["snapshot", "status", "-w", "bogus"], 4, "unsupported output format"),
        (&path, &["hashkv", "--rev", "4"], 1, "mvcc: required revision is a future revision"),
        (&missing, &["snapshot", "status"], 1, "no such file or directory"),
        (&missing, &["hashkv"], 1, "no such file or directory"),
        (&foreign, &["snapshot", "status"], 1, "invalid database"),
        (&path, &["snapshot", "status", "more"], 128, "snapshot status requires exactly one argument"),
    ];
    for (path, arguments, code, expected) in cases {
        let ended = on(path, arguments);
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.starts_with("Error: ") && ended.stderr.contains(expected), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}

/// A page that is damaged is named.
#[test]
fn a_damaged_page_is_named() {
    let (_dir, path) = written();
    let mut bytes = std::fs::read(&path).unwrap();
    // The flags of the leaf with the keys.
    bytes[4 * 4096 + 8] = 0x10;
    std::fs::write(&path, bytes).unwrap();
    let ended = on(&path, &["snapshot", "status"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("page 4"), "{ended:?}");
}
