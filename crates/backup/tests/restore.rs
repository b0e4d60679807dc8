//! Restoring: what is in a file is in the store that is made of it, and what contradicts itself is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup::restore::{Founding, Options, Progress, RestoreError, Restored, Target, restore_file};
use datadir::url::{parse_cluster, parse_list};
use datadir::{Layout, Marker, Origin, State};
use dbfile::Db;
use dbfile::etcd::{KeyValue, MetaRows, RevisionKey, bucket, hash_kv};
use machine::Machine;
use mvcc::{LeaseId, Store};
use prost::Message;
use support::{Change, Row, compacted, file, history, lease};
use testkit::Random;
use wal::OsDisk;

const NEWEST: i64 = 60;

fn origin() -> Origin {
    let founding = Founding {
        name: "b".to_owned(),
        members: parse_cluster("a=http://127.0.0.1:1,b=http://127.0.0.1:2").unwrap(),
        token: "t".to_owned(),
        advertised: parse_list("http://127.0.0.1:2").unwrap(),
    };
    founding.origin().unwrap()
}

fn target(dir: &Path) -> Target {
    Target { data_dir: dir.join("data"), wal_dir: None }
}

fn restore(dir: &Path, bytes: &[u8], options: Options) -> Result<Restored, RestoreError> {
    let path = dir.join("backup.db");
    std::fs::write(&path, bytes).unwrap();
    restore_file(&path, &origin(), &target(dir), options, &mut Progress::none())
}

fn store_dir(dir: &Path) -> PathBuf {
    Layout::of(&dir.join("data")).store()
}

fn open(dir: &Path) -> Machine {
    let options = mvcc::Options { identity: origin().identity.numbers(), ..mvcc::Options::default() };
    let store = Store::open(Arc::new(OsDisk), &store_dir(dir), options).unwrap();
    store.check_invariants();
    let machine = Machine::open(store).unwrap();
    assert_eq!(machine::inspect::contradictions(&machine), [""; 0]);
    machine
}

fn rows(history: &[Change]) -> Vec<Row> {
    history.iter().map(Change::row).collect()
}

fn leases() -> [(&'static [u8], Vec<Row>); 1] {
    [(bucket::LEASE, vec![lease()])]
}

/// The rows of the keys that live at a revision, by key.
fn live(history: &[Change], at: i64) -> Vec<Vec<u8>> {
    let until = history.iter().filter(|change| change.revision.main <= at);
    let newest: BTreeMap<&[u8], &Change> = until.map(|change| (&change.key[..], change)).collect();
    newest.values().filter(|change| !change.revision.is_delete).map(|change| change.value.clone()).collect()
}

/// Every revision that can be read has the hash that the file has, and the history from the compaction on is the file's.
fn assert_same(bytes: &[u8], machine: &Machine, history: &[Change], compact_revision: i64) {
    let db = Db::open(bytes).unwrap();
    let view = machine.view();
    for at in compact_revision.max(1)..=NEWEST {
        let (ours, theirs) = (view.hash_kv(Some(at)).unwrap(), hash_kv(&db, at).unwrap());
        assert_eq!((ours.hash, ours.compact_revision), (theirs.hash, theirs.compact_revision), "at {at}");
        let everything = mvcc::RangeQuery::new(mvcc::KeyRange::all()).at(at);
        let found = view.range(&everything).unwrap().items;
        let found: Vec<Vec<u8>> = found.iter().map(|item| item.encoded.to_vec()).collect();
        assert_eq!(found, live(history, at), "at {at}");
    }
    let mut found = Vec::new();
    let mut scan = view.history(compact_revision.max(2));
    while let Some(batch) = scan.next_batch().unwrap() {
        found.extend(
            batch
                .iter()
                .map(|change| (change.revision.main, i64::from(change.revision.sub), change.is_put())),
        );
    }
    let kept = history.iter().filter(|change| change.revision.main >= compact_revision);
    let expected: Vec<_> =
        kept.map(|change| (change.revision.main, change.revision.sub, !change.revision.is_delete)).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_revision_of_a_file_is_in_the_store_that_is_made_of_it() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let whole = history(&mut random, NEWEST, 12);
        let at = random.between(1, NEWEST);
        let done =
            MetaRows { finished_compact: Some(at), scheduled_compact: Some(at), ..MetaRows::default() };
        let begun = MetaRows { scheduled_compact: Some(at), ..MetaRows::default() };
        let files = [
            (whole.clone(), MetaRows::default(), -1),
            (compacted(&whole, at, true), done.clone(), at),
            (compacted(&whole, at, false), done, at),
            (whole, begun, at),
        ];
        for (history, meta, compact_revision) in files {
            let dir = tempfile::tempdir().unwrap();
            let bytes = file(&rows(&history), &meta, &leases());
            let restored = restore(dir.path(), &bytes, Options::default()).unwrap();
            assert_eq!(
                (restored.revision, restored.compact_revision),
                (NEWEST, compact_revision),
                "seed {seed}"
            );
            let machine = open(dir.path());
            assert_eq!(machine.store().keys(), restored.keys);
            let lease = machine.lease(LeaseId(7)).unwrap();
            assert_eq!((lease.ttl_seconds, lease.remaining_seconds), (3_600, Some(60)));
            assert_same(&bytes, &machine, &history, compact_revision);
        }
    }
}

/// What a restored store does afterwards is what any store does: changes, compactions, checkpoints, snapshots for others.
#[test]
fn a_restored_store_goes_on() {
    for (seed, at) in (0..8).map(|seed| (seed, 2 + seed as i64 * 8)) {
        let mut random = Random::new(seed);
        let history = compacted(&history(&mut random, NEWEST, 12), at.min(NEWEST), false);
        let meta = MetaRows { finished_compact: Some(at.min(NEWEST)), ..MetaRows::default() };
        let dir = tempfile::tempdir().unwrap();
        restore(dir.path(), &file(&rows(&history), &meta, &leases()), Options::default()).unwrap();
        let mut machine = open(dir.path());
        let store = machine.store_mut();
        for number in 0..30 {
            let mut txn = store.txn();
            txn.put(format!("key/{}", number % 15).into(), "new".into(), LeaseId(0));
            let _ = txn.commit();
            if number % 10 == 9 {
                store.compact(NEWEST + number - 5).unwrap();
                store.checkpoint().unwrap();
                store.check_invariants();
            }
        }
        let (hash, revision) = (store.view().hash_kv(None).unwrap(), store.revision());
        let chunks: Vec<_> = store.snapshot().unwrap().map(Result::unwrap).collect();
        drop(machine);
        let again = open(dir.path());
        assert_eq!(again.view().hash_kv(None).unwrap(), hash);
        let other = dir.path().join("other");
        let options = mvcc::Options { identity: [1, 2], ..mvcc::Options::default() };
        let mut import = mvcc::SnapshotImport::begin(Arc::new(OsDisk), &other, options).unwrap();
        chunks.into_iter().for_each(|chunk| import.push(chunk).unwrap());
        import.finish().unwrap();
        let imported = Store::open(Arc::new(OsDisk), &other, options).unwrap();
        assert_eq!((imported.revision(), imported.view().hash_kv(None).unwrap()), (revision, hash));
    }
}

/// The snapshot of a store that was restored and not changed since goes to another member, too.
#[test]
fn a_restored_store_can_be_sent_to_another_member() {
    for at in [1, 2, 30, 59, 60] {
        let history = compacted(&history(&mut Random::new(9), NEWEST, 12), at, false);
        let meta = MetaRows { finished_compact: Some(at), ..MetaRows::default() };
        let dir = tempfile::tempdir().unwrap();
        restore(dir.path(), &file(&rows(&history), &meta, &leases()), Options::default()).unwrap();
        let machine = open(dir.path());
        let other = dir.path().join("other");
        let options = mvcc::Options::default();
        let mut import = mvcc::SnapshotImport::begin(Arc::new(OsDisk), &other, options).unwrap();
        for chunk in machine.store().snapshot().unwrap() {
            import.push(chunk.unwrap()).unwrap();
        }
        import.finish().unwrap();
        let imported = Store::open(Arc::new(OsDisk), &other, options).unwrap();
        imported.check_invariants();
        assert_eq!(imported.state_hash(), machine.store().state_hash());
    }
}

#[test]
fn a_raised_revision_leaves_the_live_keys_and_nothing_that_could_be_read_before() {
    let whole = history(&mut Random::new(3), NEWEST, 12);
    let bytes = file(&rows(&whole), &MetaRows::default(), &leases());
    let dir = tempfile::tempdir().unwrap();
    let options = Options { raise_revision: 1_000, ..Options::default() };
    let restored = restore(dir.path(), &bytes, options).unwrap();
    assert_eq!((restored.file_revision, restored.revision, restored.compact_revision), (60, 1_060, 1_060));
    let mut machine = open(dir.path());
    let status = dbfile::etcd::status(&Db::open(&bytes[..]).unwrap()).unwrap();
    assert_eq!(machine.store().keys(), status.keys);
    assert!(matches!(machine.view().hash_kv(Some(60)), Err(mvcc::ReadError::Compacted(1_060))));
    assert!(machine.view().history(1_060).next_batch().unwrap().is_none(), "nothing has happened there");
    let mut txn = machine.store_mut().txn();
    txn.put("key".into(), "value".into(), LeaseId(0));
    assert_eq!(txn.commit().unwrap().revision, 1_061);
    machine.store_mut().checkpoint().unwrap();
    assert_eq!(machine.view().history(1_060).next_batch().unwrap().unwrap().len(), 1);
    drop(machine);
    assert_eq!(open(dir.path()).store().revision(), 1_061);
}

/// What etcdutl leaves of a raised revision is a row of its own, with a revision and no key.
#[test]
fn a_file_of_which_the_revision_was_raised_is_restored() {
    let whole = history(&mut Random::new(3), NEWEST, 12);
    let mut rows = rows(&whole);
    rows.push((RevisionKey::put(5_000, 0).bytes().to_vec(), Vec::new()));
    let meta = MetaRows { scheduled_compact: Some(5_000), ..MetaRows::default() };
    let dir = tempfile::tempdir().unwrap();
    let restored = restore(dir.path(), &file(&rows, &meta, &leases()), Options::default()).unwrap();
    assert_eq!((restored.revision, restored.compact_revision), (5_000, 5_000));
    assert_eq!(open(dir.path()).store().revision(), 5_000);
    let dir = tempfile::tempdir().unwrap();
    let error = restore(dir.path(), &file(&rows, &MetaRows::default(), &leases()), Options::default());
    assert!(error.unwrap_err().to_string().contains("raised here, and not compacted"));
}

#[test]
fn an_empty_file_gives_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let restored = restore(dir.path(), &file(&[], &MetaRows::default(), &[]), Options::default()).unwrap();
    assert_eq!((restored.revision, restored.compact_revision, restored.keys), (1, -1, 0));
    let machine = open(dir.path());
    assert_eq!((machine.store().revision(), machine.members().len()), (1, 2));
    assert_eq!(machine.cluster_id(), Some(origin().identity.cluster.0));
}

/// Users, roles, alarms; a key that is attached to a lease that does not exist.
#[test]
fn everything_beside_the_keys_is_restored() {
    let user = |name: &'static str, roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let user = proto::authpb::User { name: name.into(), password: "hash".into(), roles, options: None };
        (name.as_bytes().to_vec(), user.encode_to_vec())
    };
    let role = proto::authpb::Role { name: "r".into(), key_permission: Vec::new() };
    let alarm = dbfile::etcd::AlarmKey { member: 5, alarm: 1 };
    let settings = dbfile::etcd::AuthSettings { enabled: Some(true), revision: Some(9) };
    let others = [
        (bucket::ALARM, vec![(alarm.encoded(), Vec::new())]),
        (bucket::AUTH, settings.rows().into_iter().map(|(name, value)| (name.to_vec(), value)).collect()),
        (bucket::AUTH_ROLES, vec![(b"r".to_vec(), role.encode_to_vec())]),
        (bucket::AUTH_USERS, vec![user("root", &["root"]), user("u", &["r", "root"])]),
        (bucket::MEMBERS, vec![(b"5".to_vec(), b"whatever".to_vec())]),
    ];
    let put = KeyValue { key: b"k", create_revision: 2, mod_revision: 2, version: 1, value: b"", lease: 99 };
    let rows = [(RevisionKey::put(2, 0).bytes().to_vec(), put.encoded())];
    let dir = tempfile::tempdir().unwrap();
    let restored =
        restore(dir.path(), &file(&rows, &MetaRows::default(), &others), Options::default()).unwrap();
    assert_eq!((restored.alarms, restored.stray_leases), (vec![(1, 5)], vec![99]));
    let machine = open(dir.path());
    assert_eq!(machine.auth().users().map(|(name, _)| name).collect::<Vec<_>>(), ["root", "u"]);
    assert!(machine.auth().is_enabled() && machine.auth().revision() == 9);
    assert_eq!(machine.alarms().count(), 1);
    assert_eq!(machine.lease(LeaseId(99)).unwrap().keys().len(), 1);
    assert!(machine.members().all(|member| member.id != 5), "nobody of the old cluster is in the new one");
}

/// A file whose rows were made up, and a part of the reason why it is refused.
type Lie = (Vec<Change>, &'static str);

fn put(main: i64, sub: i64, key: &str, create_revision: i64, version: i64) -> Change {
    let key = key.as_bytes();
    let kv = KeyValue { key, create_revision, mod_revision: main, version, value: b"v", lease: 0 };
    Change { revision: RevisionKey::put(main, sub), key: key.to_vec(), value: kv.encoded() }
}

fn delete(main: i64, sub: i64, key: &str) -> Change {
    let key = key.as_bytes();
    let kv = KeyValue { key, ..KeyValue::default() };
    Change { revision: RevisionKey::delete(main, sub), key: key.to_vec(), value: kv.encoded() }
}

fn raw(revision: RevisionKey, value: &[u8]) -> Change {
    Change { revision, key: Vec::new(), value: value.to_vec() }
}

#[test]
fn rows_that_contradict_themselves_are_refused_and_nothing_is_left() {
    let lies: [Lie; 15] = [
        (vec![put(3, 0, "a", 3, 1)], "missing"),
        (vec![put(2, 1, "a", 2, 1)], "missing"),
        (vec![put(2, 0, "a", 2, 1), put(4, 0, "a", 2, 2)], "what is between r2.0 and r4.0 is missing"),
        (vec![put(2, 0, "a", 2, 1), put(2, 2, "b", 2, 1)], "missing"),
        (vec![put(2, 0, "a", 2, 1), put(3, 1, "b", 3, 1)], "missing"),
        (vec![put(1, 0, "a", 1, 1)], "revision 1"),
        (vec![put(2, 0, "a", 2, 2)], "version 2 of a key created at 2"),
        (vec![put(2, 0, "a", 2, 1), put(3, 0, "a", 2, 3)], "version 3 of a key created at 2"),
        (vec![put(2, 0, "a", 2, 1), put(3, 0, "a", 3, 1)], "version 1 of a key created at 3"),
        (
            vec![put(2, 0, "a", 2, 1), delete(3, 0, "a"), put(4, 0, "a", 2, 2)],
            "version 2 of a key created at 2",
        ),
        (vec![delete(2, 0, "a")], "deletes a key that does not live"),
        (vec![put(2, 0, "a", 2, 1), delete(2, 1, "a"), delete(3, 0, "a")], "does not live"),
        (vec![raw(RevisionKey::put(2, 0), b"\x0a\x05a")], "no version of a key"),
        (vec![raw(RevisionKey::put(2, 0), &put(3, 0, "a", 2, 1).value)], "no version of a key"),
        (
            vec![put(2, 0, "a", 2, 1), raw(RevisionKey::delete(3, 0), &put(3, 0, "a", 2, 1).value)],
            "no delete",
        ),
    ];
    for (history, why) in lies {
        let dir = tempfile::tempdir().unwrap();
        let error =
            restore(dir.path(), &file(&rows(&history), &MetaRows::default(), &[]), Options::default());
        let text = error.unwrap_err().to_string();
        assert!(text.contains(why) && text.contains("page ") && text.contains("row \""), "{why}: {text}");
        assert!(!dir.path().join("data").exists(), "{why}");
    }
}

/// Bucket, key and value of a row, and a part of the reason why it is refused.
type SmallRow = (&'static [u8], &'static [u8], &'static [u8], &'static str);

#[test]
fn small_rows_that_are_none_are_refused() {
    let cases: [SmallRow; 8] = [
        (bucket::LEASE, b"1234567", b"", "7 bytes where a number has 8"),
        (bucket::LEASE, b"\0\0\0\0\0\0\0\x07", b"\x08\x08", "it is the row of lease 8"),
        (bucket::LEASE, b"\0\0\0\0\0\0\0\x07", b"\x08\x07", "no lease is granted for 0 s"),
        (bucket::AUTH_USERS, b"u", b"\x0a\x01v", "is another name's record"),
        (bucket::AUTH_ROLES, b"r", b"\xff", "not a Role"),
        (bucket::AUTH, b"authRevision", b"1", "1 bytes where a number has 8"),
        (b"another", b"k", b"v", "bucket \"another\" is unknown"),
        (bucket::ALARM, b"\xff", b"", "not a protobuf message"),
    ];
    for (name, key, value, why) in cases {
        let dir = tempfile::tempdir().unwrap();
        let others = [(name, vec![(key.to_vec(), value.to_vec())])];
        let text = restore(dir.path(), &file(&[], &MetaRows::default(), &others), Options::default());
        let text = text.unwrap_err().to_string();
        assert!(text.contains(why), "{why}: {text}");
        assert!(!dir.path().join("data").exists(), "{why}");
    }
    let newer = MetaRows {
        storage_version: Some(dbfile::etcd::Version { major: 3, minor: 8, patch: 0 }),
        ..MetaRows::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let error = restore(dir.path(), &file(&[], &newer, &[]), Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "version \"3.8.0\" is not supported");
}

#[test]
fn the_digest_is_looked_at_before_anything_is_written() {
    let mut bytes = file(&rows(&history(&mut Random::new(1), NEWEST, 12)), &MetaRows::default(), &leases());
    let skip = Options { skip_hash_check: true, ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let without = bytes.len() - dbfile::DIGEST_BYTES;
    let error = restore(dir.path(), &bytes[..without], Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "snapshot missing hash but --skip-hash-check=false");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = restore(dir.path(), &bytes, Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("expected sha256 [") && error.contains("], got ["), "{error}");
    assert!(!dir.path().join("data").exists());
    restore(dir.path(), &bytes, skip).unwrap();
    let dir = tempfile::tempdir().unwrap();
    restore(dir.path(), &bytes[..without], skip).unwrap();
}

/// Without a digest, whatever is wrong is refused or harmless; there is neither a panic nor a half-made directory.
#[test]
fn flipped_and_cut_files_are_refused_or_restored_whole() {
    let whole = history(&mut Random::new(5), 40, 12);
    let bytes = file(&rows(&whole), &MetaRows::default(), &leases());
    let skip = Options { skip_hash_check: true, ..Options::default() };
    let mut random = Random::new(11);
    let dir = tempfile::tempdir().unwrap();
    for number in 0..100 {
        let mut damaged = bytes.clone();
        if number % 8 == 0 {
            damaged.truncate(random.below(bytes.len()));
        } else {
            let place = random.below(bytes.len());
            damaged[place] ^= 1 << random.below(8);
        }
        match restore(dir.path(), &damaged, skip) {
            Ok(_) => {
                open(dir.path());
                std::fs::remove_dir_all(dir.path().join("data")).unwrap();
            }
            Err(_) => assert!(!dir.path().join("data").exists()),
        }
    }
}

#[test]
fn what_is_there_already_is_not_touched() {
    let bytes = file(&[], &MetaRows::default(), &[]);
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("x"), "x").unwrap();
    let error = restore(dir.path(), &bytes, Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("data-dir {:?} not empty or could not be read", data.display().to_string())
    );
    std::fs::remove_file(data.join("x")).unwrap();
    std::fs::create_dir(&log).unwrap();
    let target = Target { data_dir: data.clone(), wal_dir: Some(log.clone()) };
    let path = dir.path().join("backup.db");
    let again = || restore_file(&path, &origin(), &target, Options::default(), &mut Progress::none());
    assert_eq!(again().unwrap_err().to_string(), format!("wal-dir {:?} exists", log.display().to_string()));
    std::fs::remove_dir(&log).unwrap();
    again().unwrap();
    assert!(log.join("hard-state-a").exists() && !Layout::of(&data).wal().exists());
}

/// Whatever a restore that was interrupted has left, a member does not take it for its data, and the next restore begins
/// again.
#[test]
fn an_interrupted_restore_is_begun_again() {
    let bytes = file(&rows(&history(&mut Random::new(1), NEWEST, 12)), &MetaRows::default(), &leases());
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let restoring = Layout::of(&data).restoring();
    std::fs::create_dir_all(restoring.store()).unwrap();
    std::fs::write(restoring.store().join("current.tmp"), "half").unwrap();
    std::fs::write(restoring.member().join("wal-dir"), log.to_str().unwrap()).unwrap();
    std::fs::create_dir(&log).unwrap();
    std::fs::write(log.join("hard-state-a"), "half").unwrap();
    let error = datadir::DataDir::take(Arc::new(OsDisk), &data).err().expect("it is no member's");
    assert!(error.to_string().contains("not finished"), "{error}");
    let path = dir.path().join("backup.db");
    std::fs::write(&path, &bytes).unwrap();
    let target = Target { data_dir: data.clone(), wal_dir: Some(log) };
    restore_file(&path, &origin(), &target, Options::default(), &mut Progress::none()).unwrap();
    let marker = Marker::read(&OsDisk, &Layout::of(&data).marker()).unwrap().unwrap();
    assert_eq!((marker.state, marker.origin), (State::Complete, origin()));
    assert!(!restoring.member().exists());
    open(dir.path());
}
