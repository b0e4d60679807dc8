//! A member without a network, and what an archive makes of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use archive::name::Millis;
use archive::{Address, Event, Keep, Keeper, Reign, S3Options, Settings, Source, Stop, Store, Wanted};
use backup::Frozen;
use dbfile::Db;
use dbfile::etcd::{KeyValue, RevisionKey, bucket, hash_kv};
use machine::{Applied, Machine};
use mvcc::{KeyRange, Options, RangeQuery, View};
use proto::etcdserverpb::{
    AuthRoleAddRequest, CompactionRequest, DeleteRangeRequest, InternalRaftRequest, LeaseGrantRequest,
    PutRequest,
};
use wal::SimDisk;

pub(crate) const CLUSTER: u64 = 0xc1;
pub(crate) const SECOND: Millis = 1_000;
pub(crate) const START: Millis = 1_700_000_000_000;

/// Keys, each with its version in encoded form.
type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// A state, which several members may share as if they had the same log.
pub(crate) struct World {
    pub(crate) machine: Machine,
    index: u64,
    pub(crate) term: u64,
    /// Which store it has.
    pub(crate) store: u64,
    /// HashKV at each revision while it was the newest, with the compact revision of that moment.
    pub(crate) hashes: BTreeMap<i64, BTreeSet<(u32, i64)>>,
    /// The keys at each revision.
    live: BTreeMap<i64, Live>,
}

impl World {
    pub(crate) fn new() -> Rc<RefCell<Self>> {
        Self::after(0, 3)
    }

    /// A world whose log has had so many entries, in this term.
    pub(crate) fn after(index: u64, term: u64) -> Rc<RefCell<Self>> {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let store = mvcc::Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
        let machine = Machine::open(store).unwrap();
        let hashed = machine.view().hash_kv(None).unwrap();
        let hashes = BTreeMap::from([(1, BTreeSet::from([(hashed.hash, hashed.compact_revision)]))]);
        let live = BTreeMap::from([(1, Live::new())]);
        Rc::new(RefCell::new(Self { machine, index, term, store: 0, hashes, live }))
    }

    pub(crate) fn apply(&mut self, command: InternalRaftRequest) {
        self.index += 1;
        self.machine.apply(Applied { index: self.index, term: self.term }, &command).unwrap();
        let view = self.machine.view();
        let hashed = view.hash_kv(None).unwrap();
        let hash = (hashed.hash, hashed.compact_revision);
        self.hashes.entry(view.revision()).or_default().insert(hash);
        let items = view.range(&RangeQuery::new(KeyRange::all())).unwrap().items;
        let items = items.iter().map(|item| (item.key().to_vec(), item.encoded.to_vec()));
        self.live.insert(view.revision(), items.collect());
    }

    pub(crate) fn put(&mut self, key: &str, value: &str) -> i64 {
        self.put_leased(key, value, 0)
    }

    pub(crate) fn put_leased(&mut self, key: &str, value: &str, lease: i64) -> i64 {
        let put = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            lease,
            ..Default::default()
        };
        self.apply(InternalRaftRequest { put: Some(put), ..Default::default() });
        self.machine.view().revision()
    }

    pub(crate) fn delete(&mut self, key: &str) {
        let delete_range = Some(DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() });
        self.apply(InternalRaftRequest { delete_range, ..Default::default() });
    }

    /// Compacts, and lets go of the files.
    pub(crate) fn compact(&mut self, revision: i64) {
        let compaction = Some(CompactionRequest { revision, physical: false });
        self.apply(InternalRaftRequest { compaction, ..Default::default() });
        self.store();
        self.store();
    }

    pub(crate) fn grant(&mut self, id: i64) {
        let lease_grant = Some(LeaseGrantRequest { id, ttl: 3_600 });
        self.apply(InternalRaftRequest { lease_grant, ..Default::default() });
    }

    pub(crate) fn role(&mut self, name: &str) {
        let auth_role_add = Some(Box::new(AuthRoleAddRequest { name: name.to_owned() }));
        self.apply(InternalRaftRequest { auth_role_add, ..Default::default() });
    }

    pub(crate) fn store(&mut self) {
        let store = self.machine.store_mut();
        if let Some(job) = store.freeze() {
            let done = job.run().unwrap();
            store.complete(done);
        }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.machine.view().revision()
    }
}

/// Something that happens once.
pub(crate) type Then = Box<dyn FnOnce()>;

/// A member of the cluster.
pub(crate) struct Member {
    world: Rc<RefCell<World>>,
    leads: Rc<Cell<bool>>,
    /// What happens right after a state was frozen.
    after_freeze: Rc<RefCell<Option<Then>>>,
}

impl Source for Member {
    fn leads(&self) -> Option<Reign> {
        self.leads.get().then(|| Reign { term: self.world.borrow().term, store: self.world.borrow().store })
    }

    fn catch_up(&self) -> Result<(), String> {
        Ok(())
    }

    fn freeze(&self) -> Result<Frozen, String> {
        let frozen = Frozen::of(&self.world.borrow().machine, |_| None);
        if let Some(then) = self.after_freeze.borrow_mut().take() {
            then();
        }
        Ok(frozen)
    }

    fn view(&self) -> View {
        self.world.borrow().machine.view()
    }
}

/// A keeper, its clock, and everything that it has reported.
pub(crate) struct Run {
    keeper: Keeper<Member>,
    pub(crate) leads: Rc<Cell<bool>>,
    pub(crate) after_freeze: Rc<RefCell<Option<Then>>>,
    pub(crate) now: Millis,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        cluster: CLUSTER,
        member: 7,
        version: "test".to_owned(),
        interval: Duration::from_secs(100),
        piece_interval: Some(Duration::from_secs(10)),
        keep: Keep::Count(2),
        spool_dir: std::env::temp_dir(),
    }
}

impl Run {
    pub(crate) fn new(world: &Rc<RefCell<World>>, address: &Address) -> Self {
        Self::with(world, address, &S3Options::default(), settings(), START)
    }

    pub(crate) fn with(
        world: &Rc<RefCell<World>>,
        address: &Address,
        options: &S3Options,
        settings: Settings,
        now: Millis,
    ) -> Self {
        let (leads, after_freeze) = (Rc::new(Cell::new(true)), Rc::default());
        let member =
            Member { world: world.clone(), leads: leads.clone(), after_freeze: Rc::clone(&after_freeze) };
        let store = address.open(options, Stop::never()).unwrap();
        Self { keeper: Keeper::new(member, store, settings), leads, after_freeze, now, events: Vec::new() }
    }

    /// A second passes.
    pub(crate) fn second(&mut self) -> &[Event] {
        self.seconds(1)
    }

    /// So many pass; returns what happened but for success.
    pub(crate) fn seconds(&mut self, seconds: u64) -> &[Event] {
        let start = self.events.len();
        for _ in 0..seconds {
            self.now += SECOND;
            let events = &mut self.events;
            self.keeper.turn(self.now, &mut |event| {
                if !matches!(event, Event::Done { .. }) {
                    events.push(event);
                }
            });
        }
        &self.events[start..]
    }

    /// Nothing has failed.
    pub(crate) fn assert_well(&self) {
        let failed = self.events.iter().find(|event| matches!(event, Event::Failed { .. }));
        assert!(failed.is_none(), "{failed:?}");
    }

    pub(crate) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_it(event)).count()
    }

    pub(crate) fn fulls(&self) -> usize {
        self.count(|event| matches!(event, Event::Full { .. }))
    }
}

pub(crate) fn directory(path: &Path) -> Address {
    Address::Directory(PathBuf::from(path))
}

pub(crate) fn open(address: &Address) -> Box<dyn Store + Send> {
    address.open(&S3Options::default(), Stop::never()).unwrap()
}

/// Extracts a moment; returns the file, checked, and what it is made of.
pub(crate) fn extracted(
    store: &dyn Store,
    wanted: Wanted,
) -> Result<(Vec<u8>, archive::Extracted), archive::ArchiveError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.db");
    let mut file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let extracted = archive::extract(store, CLUSTER, wanted, directory.path(), &mut file)?;
    let bytes = std::fs::read(&path).unwrap();
    assert!(matches!(dbfile::verify(&bytes[..]).unwrap(), dbfile::Verdict::Right(_)));
    Db::open(&bytes[..]).unwrap().check().unwrap();
    Ok((bytes, extracted))
}

/// The file of a revision has the keys that the cluster had then, and its hash. It may have more
/// history than that had: a compaction is known by the second.
pub(crate) fn assert_is(world: &World, store: &dyn Store, revision: i64) -> Vec<u8> {
    let (bytes, extracted) = extracted(store, Wanted::Revision(revision)).unwrap();
    assert_eq!(extracted.revision, revision);
    let db = Db::open(&bytes[..]).unwrap();
    assert!(live(&db) == world.live[&revision], "keys at revision {revision}");
    let hashed = hash_kv(&db, 0).unwrap();
    assert_eq!(hashed.hash_revision, revision);
    let hash = (hashed.hash, hashed.compact_revision);
    let known = &world.hashes[&revision];
    let has_more = known.iter().all(|(_, compact_revision)| hashed.compact_revision < *compact_revision);
    assert!(has_more || known.contains(&hash), "{hash:?} at revision {revision}, and not {known:?}");
    bytes
}

fn live(db: &Db<&[u8]>) -> Live {
    let mut live = Live::new();
    let Some(bucket) = db.bucket(bucket::KEY).unwrap() else { return live };
    let mut rows = bucket.rows().unwrap();
    while let Some(row) = rows.next_row().unwrap() {
        let key = KeyValue::parse(row.value).unwrap().key.to_vec();
        match RevisionKey::parse(row.key).unwrap().is_delete {
            true => live.remove(&key),
            false => live.insert(key, row.value.to_vec()),
        };
    }
    live
}
