//! What a backup holds is what the store holds: HashKV of the file equals that of the store at every revision that is not
//! compacted, and the rows beside the keys say what the machine says.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use backup::{Export, ExportError, Frozen};
use dbfile::Db;
use dbfile::etcd::{AlarmKey, AuthSettings, ClusterSettings, Member, MetaRows, bucket, hash_kv, status};
use machine::{Applied, Machine};
use mvcc::{LeaseId, Options, Store};
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    AlarmRequest, AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    CompactionRequest, DeleteRangeRequest, InternalRaftRequest, LeaseGrantRequest, PutRequest, RequestOp,
    TxnRequest,
};
use proto::{authpb, leasepb};
use wal::SimDisk;

/// A machine, and the index of its last command.
struct World {
    machine: Machine,
    index: u64,
}

impl World {
    fn new() -> Self {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
        Self { machine: Machine::open(store).unwrap(), index: 0 }
    }

    fn apply(&mut self, command: InternalRaftRequest) {
        self.index += 1;
        self.machine.apply(Applied { index: self.index, term: 3 }, &command).unwrap();
    }

    /// Makes a checkpoint, so that what was written is in files.
    fn store(&mut self) {
        let store = self.machine.store_mut();
        if let Some(job) = store.freeze() {
            let done = job.run().unwrap();
            store.complete(done);
        }
    }

    fn file(&self) -> Vec<u8> {
        let export = Export::plan(Frozen::of(&self.machine, |_| None), std::env::temp_dir()).unwrap();
        let mut file = Vec::new();
        let (bytes, db_bytes) = (export.file_bytes(), export.db_bytes());
        let written: Result<(), ExportError> = export.write(|piece| {
            file.extend_from_slice(piece);
            Ok(())
        });
        written.unwrap();
        assert_eq!(file.len() as u64, bytes);
        assert_eq!(bytes, db_bytes + 32);
        assert!(matches!(dbfile::verify(&file[..]).unwrap(), dbfile::Verdict::Right(_)));
        file
    }
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

fn delete(key: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Both(u8, u8),
    Compact(u8),
    Store,
}

fn command(step: &Step, revision: i64) -> InternalRaftRequest {
    let key = |number: &u8| format!("k{number}");
    let mut command = InternalRaftRequest::default();
    match step {
        Step::Put(number, value) => {
            command.put = Some(put(&key(number), &"v".repeat(usize::from(*value) * 9)))
        }
        Step::Delete(number) => command.delete_range = Some(delete(&key(number))),
        Step::Both(one, other) => {
            let op = |request| RequestOp { request: Some(request) };
            let success = vec![
                op(Request::RequestPut(put(&key(one), "t"))),
                op(Request::RequestDeleteRange(delete(&format!("{}x", key(other))))),
                op(Request::RequestPut(put(&format!("{}x", key(other)), "u"))),
            ];
            command.txn = Some(TxnRequest { success, ..Default::default() });
        }
        Step::Compact(back) => {
            let revision = revision - i64::from(*back % 8);
            command.compaction = Some(CompactionRequest { revision, physical: false });
        }
        Step::Store => {}
    }
    command
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12_u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..12_u8).prop_map(Step::Delete),
        2 => (0..12_u8, 0..12_u8).prop_map(|(one, other)| Step::Both(one, other)),
        1 => any::<u8>().prop_map(Step::Compact),
        1 => Just(Step::Store),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_revision_of_the_file_is_that_of_the_store(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in &steps {
            match step {
                Step::Store => world.store(),
                step => {
                    let revision = world.machine.store().revision();
                    world.apply(command(step, revision));
                }
            }
        }
        let file = world.file();
        let db = Db::open(&file[..]).unwrap();
        db.check().unwrap();
        let view = world.machine.view();
        let meta = MetaRows::read(&db).unwrap();
        prop_assert_eq!(meta.compact_revision().unwrap_or(-1), view.compact_revision());
        prop_assert_eq!(meta.consistent_index, Some(world.index));
        for revision in view.compact_revision().max(1)..=view.revision() {
            let ours = view.hash_kv(Some(revision)).unwrap();
            let theirs = hash_kv(&db, revision).unwrap();
            prop_assert_eq!(theirs.hash, ours.hash, "at revision {}", revision);
        }
        let live = view.range(&mvcc::RangeQuery::new(mvcc::KeyRange::all())).unwrap().count;
        prop_assert_eq!(status(&db).unwrap().keys, live);
    }
}

/// The rows of a bucket.
fn rows(file: &[u8], name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let db = Db::open(file).unwrap();
    let bucket = db.bucket(name).unwrap().expect("the bucket is there");
    let mut rows = bucket.rows().unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        found.push((row.key.to_vec(), row.value.to_vec()));
    }
    found
}

#[test]
fn leases_users_roles_and_alarms_are_rows_of_etcd() {
    let mut world = World::new();
    let command = |change: fn(&mut InternalRaftRequest)| {
        let mut command = InternalRaftRequest::default();
        change(&mut command);
        command
    };
    let commands: [fn(&mut InternalRaftRequest); 8] = [
        |it| it.lease_grant = Some(LeaseGrantRequest { id: 7, ttl: 60 }),
        |it| it.lease_grant = Some(LeaseGrantRequest { id: -2, ttl: 90 }),
        |it| it.put = Some(PutRequest { key: "k".into(), lease: 7, ..Default::default() }),
        |it| it.alarm = Some(Box::new(AlarmRequest { action: 1, member_id: 5, alarm: 2 })),
        |it| {
            let (name, hashed_password) = ("root".to_owned(), "aGFzaA==".to_owned());
            it.auth_user_add =
                Some(Box::new(AuthUserAddRequest { name, hashed_password, ..Default::default() }));
        },
        |it| it.auth_role_add = Some(Box::new(AuthRoleAddRequest { name: "r".to_owned() })),
        |it| {
            let (user, role) = ("root".to_owned(), "root".to_owned());
            it.auth_user_grant_role = Some(Box::new(AuthUserGrantRoleRequest { user, role }));
        },
        |it| it.auth_enable = Some(Box::new(AuthEnableRequest {})),
    ];
    commands.into_iter().for_each(|change| world.apply(command(change)));
    let file = world.file();
    let lease = |id: i64, ttl, remaining_ttl| {
        (id.to_be_bytes().to_vec(), leasepb::Lease { id, ttl, remaining_ttl }.encode_to_vec())
    };
    assert_eq!(rows(&file, bucket::LEASE), [lease(7, 60, 0), lease(-2, 90, 0)]);
    assert_eq!(rows(&file, bucket::ALARM), [(AlarmKey { member: 5, alarm: 2 }.encoded(), Vec::new())]);
    let users = rows(&file, bucket::AUTH_USERS);
    assert_eq!(users.len(), 1);
    let user = authpb::User::decode(&users[0].1[..]).unwrap();
    assert_eq!(
        (&user.name[..], &user.password[..], &user.roles[..]),
        (&b"root"[..], &b"hash"[..], &["root".to_owned()][..])
    );
    assert_eq!(rows(&file, bucket::AUTH_ROLES)[0].0, b"r");
    let db = Db::open(&file[..]).unwrap();
    let auth = AuthSettings::read(&db).unwrap();
    assert_eq!((auth.enabled, auth.revision), (Some(true), Some(world.machine.auth().revision())));
    assert_eq!(ClusterSettings::read(&db).unwrap().version, Some(backup::STORAGE_VERSION));
    assert!(rows(&file, bucket::MEMBERS).iter().all(|(_, value)| Member::parse(value).is_ok()));
}

#[test]
fn what_is_left_of_a_lease_is_known_where_somebody_counts() {
    let mut world = World::new();
    let grant = |id| InternalRaftRequest {
        lease_grant: Some(LeaseGrantRequest { id, ttl: 60 }),
        ..Default::default()
    };
    (1..=4).for_each(|id| world.apply(grant(id)));
    let left = |id| match id {
        LeaseId(1) => Some(20),
        // It has just run out, and is still there.
        LeaseId(2) => Some(-3),
        LeaseId(3) => Some(61),
        _ => None,
    };
    let export = Export::plan(Frozen::of(&world.machine, left), std::env::temp_dir()).unwrap();
    let mut file = Vec::new();
    let written: Result<(), ExportError> = export.write(|piece| {
        file.extend_from_slice(piece);
        Ok(())
    });
    written.unwrap();
    let remaining =
        |(_, value): (Vec<u8>, Vec<u8>)| leasepb::Lease::decode(&value[..]).unwrap().remaining_ttl;
    let found: Vec<i64> = rows(&file, bucket::LEASE).into_iter().map(remaining).collect();
    assert_eq!(found, [20, 1, 0, 0], "0: all of it");
}

/// Whoever shares its cores with others leaves them some between stretches of both passes, and gets the same file.
#[test]
fn an_export_rests_between_stretches() {
    const BYTES: usize = 8 << 20;
    const STRETCH_BYTES_MAX: usize = 2 << 20;
    let mut world = World::new();
    let value = "v".repeat(1 << 10);
    for number in 0..BYTES / value.len() {
        let command =
            InternalRaftRequest { put: Some(put(&number.to_string(), &value)), ..Default::default() };
        world.apply(command);
    }
    // One half comes in the order of keys, and the other of revisions.
    let compaction = CompactionRequest { revision: (BYTES / value.len() / 2) as i64, physical: false };
    world.apply(InternalRaftRequest { compaction: Some(compaction), ..Default::default() });
    world.store();

    let sent = Arc::new(AtomicUsize::new(0));
    let rests = Arc::new(Mutex::new(Vec::new()));
    let (seen, noted) = (sent.clone(), rests.clone());
    let frozen = Frozen::of(&world.machine, |_| None)
        .with_rests(move || noted.lock().unwrap().push(seen.load(Ordering::Relaxed)));
    let export = Export::plan(frozen, std::env::temp_dir()).unwrap();
    let planned = rests.lock().unwrap().len();
    assert!(planned >= BYTES / STRETCH_BYTES_MAX, "{planned}");
    let mut file = Vec::new();
    let written: Result<(), ExportError> = export.write(|piece| {
        file.extend_from_slice(piece);
        sent.store(file.len(), Ordering::Relaxed);
        Ok(())
    });
    written.unwrap();
    let rests = rests.lock().unwrap();
    let stops: Vec<usize> = rests[planned..].iter().copied().chain([file.len()]).collect();
    let longest = stops.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(stops[0].max(longest) <= STRETCH_BYTES_MAX, "{stops:?}");
    assert_eq!(file, world.file());
}
