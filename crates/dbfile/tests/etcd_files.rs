//! Files that real etcds wrote (`tests/data/README.md`): what is read of them, and the numbers that etcd's own tools print.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use dbfile::etcd::{
    AuthSettings, ClusterSettings, EtcdError, KeyValue, MetaRows, RevisionKey, Version, hash_kv, status,
};
use dbfile::{Db, PageSize, Verdict};
use support::{Tables, read, write};

const ETCD_3_4: &[u8] = include_bytes!("data/etcd-3.4.23.backup");
const ETCD_3_7: &[u8] = include_bytes!("data/etcd-3.7.1.backup");

fn rows<'t>(tables: &'t Tables, name: &str) -> &'t [(Vec<u8>, Vec<u8>)] {
    &tables.iter().find(|(found, _)| found == name.as_bytes()).expect("a bucket").1
}

fn rows_mut<'t>(tables: &'t mut Tables, name: &str) -> &'t mut support::Rows {
    &mut tables.iter_mut().find(|(found, _)| found == name.as_bytes()).expect("a bucket").1
}

#[test]
fn the_status_is_the_one_that_etcd_prints() {
    let line = |file: &[u8]| {
        let status = status(&Db::open(file).unwrap()).unwrap();
        (status.hash, status.revision, status.keys, status.rows, status.bytes, status.version)
    };
    assert_eq!(line(ETCD_3_4), (1_369_771_524, 50, 41, 54, 40960, String::new()));
    assert_eq!(line(ETCD_3_7), (441_102_391, 50, 41, 57, 53248, "3.7.0".to_owned()));
}

#[test]
fn the_hash_of_the_keys_is_the_one_that_etcd_prints() {
    let at_3_4 = [
        (9, 2_279_851_323),
        (10, 1_741_231_760),
        (12, 2_129_146_412),
        (14, 1_648_845_346),
        (30, 918_691_636),
        (50, 1_334_148_227),
    ];
    let at_3_7 = [
        (9, 2_279_851_323),
        (10, 1_767_148_108),
        (12, 4_201_016_214),
        (14, 3_028_124_115),
        (30, 816_280_781),
        (50, 14_637_273),
    ];
    for (file, hashes) in [(ETCD_3_4, at_3_4), (ETCD_3_7, at_3_7)] {
        let db = Db::open(file).unwrap();
        for (at, hash) in hashes {
            let found = hash_kv(&db, at).unwrap();
            assert_eq!((found.hash, found.hash_revision, found.compact_revision), (hash, at, 9));
        }
        assert_eq!(hash_kv(&db, 0).unwrap(), hash_kv(&db, 50).unwrap());
        assert!(matches!(hash_kv(&db, 51), Err(EtcdError::FutureRevision { asked: 51, current: 50 })));
        assert!(matches!(hash_kv(&db, 8), Err(EtcdError::Compacted { asked: 8, compacted: 9 })));
        assert!(matches!(hash_kv(&db, -1), Err(EtcdError::Compacted { .. })));
    }
}

#[test]
fn settings_are_found() {
    let old = Db::open(ETCD_3_4).unwrap();
    let new = Db::open(ETCD_3_7).unwrap();
    let (old_meta, new_meta) = (MetaRows::read(&old).unwrap(), MetaRows::read(&new).unwrap());
    assert_eq!((old_meta.schema_version(), old_meta.term, old_meta.consistent_index), (None, None, Some(62)));
    assert_eq!(old_meta.compact_revision(), Some(9));
    let v3_7 = Version { major: 3, minor: 7, patch: 0 };
    assert_eq!((new_meta.schema_version(), new_meta.term), (Some(v3_7), Some(2)));
    assert_eq!(new_meta.conf_state.unwrap().voters, [4_038_107_833_119_244_101]);
    assert_eq!(
        ClusterSettings::read(&new).unwrap(),
        ClusterSettings { version: Some(v3_7), downgrade: None }
    );
    assert_eq!(AuthSettings::read(&old).unwrap(), AuthSettings { enabled: None, revision: Some(7) });
}

/// Settings that are read and written again are the same bytes.
#[test]
fn settings_are_written_as_etcd_writes_them() {
    for file in [ETCD_3_4, ETCD_3_7] {
        let tables = read(file).unwrap();
        let db = Db::open(file).unwrap();
        let written = [
            ("meta", MetaRows::read(&db).unwrap().rows()),
            ("cluster", ClusterSettings::read(&db).unwrap().rows()),
            ("auth", AuthSettings::read(&db).unwrap().rows()),
        ];
        for (name, written) in written {
            let written: Vec<_> = written.into_iter().map(|(key, value)| (key.to_vec(), value)).collect();
            assert_eq!(written, rows(&tables, name), "{name}");
        }
        for (key, value) in rows(&tables, "key") {
            assert_eq!(&*RevisionKey::parse(key).unwrap().bytes(), &key[..]);
            assert_eq!(KeyValue::parse(value).unwrap().encoded(), *value);
        }
        for (key, value) in rows(&tables, "members") {
            let member = dbfile::etcd::Member::parse(value).unwrap();
            assert_eq!((dbfile::etcd::member_key(member.id), member.encoded()), (key.clone(), value.clone()));
        }
    }
}

/// The same rows in a file of ours have the same hashes.
#[test]
fn a_copy_says_the_same() {
    for file in [ETCD_3_4, ETCD_3_7] {
        let tables = read(file).unwrap();
        let copy = write(PageSize::new(16384).unwrap(), &tables).unwrap();
        assert!(matches!(dbfile::verify(&copy[..]), Ok(Verdict::Right(_))));
        assert_eq!(read(&copy[..]).unwrap(), tables);
        let (original, copy) = (Db::open(file).unwrap(), Db::open(&copy[..]).unwrap());
        let (mut expected, found) = (status(&original).unwrap(), status(&copy).unwrap());
        expected.bytes = found.bytes;
        assert_eq!(found, expected);
        assert_eq!(hash_kv(&copy, 12).unwrap(), hash_kv(&original, 12).unwrap());
    }
}

/// A member that ended in the middle of a compaction goes on with it when it starts. The hashes are those that etcdutl
/// 3.7.1 prints for these files.
#[test]
fn a_compaction_that_was_begun_counts() {
    let file = unfinished(20, None);
    for (at, hash) in [(20, 2_666_712_892), (30, 816_280_781), (50, 973_524_218)] {
        let found = hash_kv(&Db::open(&file[..]).unwrap(), at).unwrap();
        assert_eq!((found.hash, found.compact_revision), (hash, 20), "at {at}");
    }
    // A restore that raises the revision adds a row without a key, and leaves the compaction to the first start.
    let file = unfinished(1050, Some(1050));
    let found = hash_kv(&Db::open(&file[..]).unwrap(), 0).unwrap();
    assert_eq!((found.hash, found.hash_revision, found.compact_revision), (3_115_942_895, 1050, 1050));
    assert_eq!(status(&Db::open(&file[..]).unwrap()).unwrap().keys, 42);
}

/// The file of 3.7 with a compaction that was begun, and perhaps an empty row.
fn unfinished(scheduled: i64, row: Option<i64>) -> Vec<u8> {
    let mut tables = read(ETCD_3_7).unwrap();
    for (key, value) in rows_mut(&mut tables, "meta") {
        if key == b"scheduledCompactRev" {
            *value = RevisionKey::put(scheduled, 0).bytes().to_vec();
        }
    }
    if let Some(main) = row {
        rows_mut(&mut tables, "key").push((RevisionKey::put(main, 0).bytes().to_vec(), Vec::new()));
    }
    write(PageSize::default(), &tables).unwrap()
}

/// Put a=1; then, in one transaction, put b=xy with a lease and delete a.
#[test]
fn a_store_that_was_never_compacted() {
    let put = |key, revision, value, lease| {
        KeyValue { key, create_revision: revision, mod_revision: revision, version: 1, value, lease }
            .encoded()
    };
    let key = vec![
        (RevisionKey::put(2, 0).bytes().to_vec(), put(b"a", 2, b"1", 0)),
        (RevisionKey::put(3, 0).bytes().to_vec(), put(b"b", 3, b"xy", 7)),
        (RevisionKey::delete(3, 1).bytes().to_vec(), KeyValue { key: b"a", ..KeyValue::default() }.encoded()),
    ];
    let tables = vec![(b"key".to_vec(), key), (b"meta".to_vec(), vec![])];
    let file = write(PageSize::default(), &tables).unwrap();
    let db = Db::open(&file[..]).unwrap();
    let status = status(&db).unwrap();
    assert_eq!((status.hash, status.revision, status.keys, status.rows), (2_125_944_711, 3, 1, 3));
    assert_eq!((status.bytes, &status.version[..]), (24576, ""));
    let hash = hash_kv(&db, 0).unwrap();
    assert_eq!((hash.hash_revision, hash.compact_revision), (3, -1));
}

#[test]
fn rows_of_another_shape_are_refused_with_their_page() {
    let refusal = |bucket: &str, key: &[u8], value: &[u8]| {
        let tables = vec![(bucket.as_bytes().to_vec(), vec![(key.to_vec(), value.to_vec())])];
        let file = write(PageSize::default(), &tables).unwrap();
        let db = Db::open(&file[..]).unwrap();
        let errors = [
            status(&db).err(),
            MetaRows::read(&db).err(),
            ClusterSettings::read(&db).err(),
            AuthSettings::read(&db).err(),
        ];
        errors.into_iter().flatten().next().expect("an error").to_string()
    };
    let put = RevisionKey::put(2, 0).bytes();
    assert_eq!(refusal("key", b"a", b""), r#"page 4, bucket "key", row "a": the key is no revision"#);
    assert!(refusal("key", &put, b"\x08").ends_with(": not a protobuf message of this kind"));
    assert!(refusal("meta", b"term", b"123").ends_with("row \"term\": 3 bytes where a number has 8"));
    assert!(refusal("meta", b"finishedCompactRev", b"").ends_with(": the key is no revision"));
    assert!(refusal("meta", b"confState", b"{").contains("not the JSON of this row: EOF"));
    assert!(refusal("cluster", b"downgrade", b"7").contains("not the JSON of this row: "));
    assert!(refusal("auth", b"authEnabled", b"").ends_with("0 bytes where a number has 1"));
}
