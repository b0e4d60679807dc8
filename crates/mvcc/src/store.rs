//! The store: the one writer, and where everything begins.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::begun_anew::BegunAnew;
use crate::checkpoint::{Background, CheckpointJob, Done, Frozen, Mark, Sizes};
use crate::hash_kv::Compaction;
use crate::index::{Entry, ValueMark};
use crate::item::{Change, Changes, Item};
use crate::open;
use crate::options::Options;
use crate::shared::{Inner, Shared};
use crate::side::{Side, TableId};
use crate::state_hash::{self, StateHash};
use crate::txn::{Midway, Staged, Txn, changes_of};
use crate::versions::{Superseded, superseded_bytes};
use crate::{
    Applied, Before, CompactError, Error, KeyRange, Meta, Pace, RangeQuery, RangeResult, ReadError, Revision,
    SnapshotExport, ToTheEnd, View,
};

/// What an empty store counts: a database has its pages before it has a key.
const EMPTY_BYTES: u64 = 16 << 10;
/// Keys visited under one hold of the lock.
const KEYS_PER_HOLD: usize = 1024;

/// A multi-version key space, as its one writer has it. Others read through [`View`]s.
pub struct Store {
    inner: Arc<Inner>,
    /// Of whose keys the last complete checkpoint is: those from before, for a while after [`begin_anew`](Self::begin_anew).
    stored_inner: Arc<Inner>,
    /// States that were left since the last checkpoint began: it is the first one of an emptied store then.
    left: Vec<Arc<Inner>>,
    background: Arc<Mutex<Background>>,
    sizes: Arc<Sizes>,
    options: Options,
    /// The same as in `inner`, without a lock: only this writer changes them.
    revision: i64,
    compact_revision: i64,
    applied: Applied,
    key_hash: StateHash,
    /// Bytes of the live keys' versions.
    live_bytes: u64,
    superseded: Superseded,
    side: Side,
    overlay: Overlay,
    /// What is being stored, until its checkpoint is complete.
    frozen: Option<Arc<Frozen>>,
    /// What the last checkpoint begun says: without a change since there is none to make.
    last_mark: Mark,
    /// The last compaction, until a checkpoint releases what its hash needs.
    compaction: Option<Compaction>,
    /// Empty, their memory used again by each transaction.
    staging: Vec<Staged>,
    values: Vec<ValueMark>,
}

/// The changes since the last checkpoint began.
#[derive(Debug, Default)]
struct Overlay {
    transactions: Vec<Arc<[Change]>>,
    /// Bytes of the versions that its changes hold.
    bytes: usize,
    changes: usize,
}

/// What a change takes in memory besides the versions that it holds, while no checkpoint has it: itself, its events, its link
/// in the tail. `cargo run --release -p quorate-mvcc --example bench` measures it.
const CHANGE_BYTES: usize = 400;

/// How many times the bytes of versions that make a checkpoint due the changes themselves may take: with versions of a hundred
/// bytes they come to as much together.
const CHANGES_OF_CHECKPOINT: usize = 4;

/// Changes for which memory is kept from one transaction to the next.
const STAGING_KEPT: usize = 1024;

/// What opening gives, from which a store is made.
pub(crate) struct Opened {
    pub(crate) inner: Inner,
    pub(crate) background: Background,
    pub(crate) side: Side,
    pub(crate) mark: Mark,
    pub(crate) live_bytes: u64,
    pub(crate) superseded: Superseded,
}

impl Store {
    /// Opens the store in `dir`, or makes an empty one. It is then as of its last checkpoint: see
    /// [`applied`](Self::applied).
    ///
    /// # Errors
    /// [`Error::Corrupt`] if anything that is read here is damaged (values are checked when they are read), a newer
    /// format, somebody else's store, and those of the disk.
    pub fn open(disk: Arc<dyn wal::Disk>, dir: &Path, options: Options) -> Result<Self, Error> {
        let Opened { inner, background, side, mark, live_bytes, superseded } =
            open::open(disk, dir, &options)?;
        let sizes = Sizes::default();
        sizes.database.store(background.tables.file_bytes() as i64, Ordering::Relaxed);
        sizes.history.store(background.history.used_bytes() as i64, Ordering::Relaxed);
        sizes.released.store(mark.compact_revision, Ordering::Relaxed);
        let inner = Arc::new(inner);
        Ok(Self {
            stored_inner: inner.clone(),
            left: Vec::new(),
            inner,
            background: Arc::new(Mutex::new(background)),
            sizes: Arc::new(sizes),
            options,
            revision: mark.revision,
            compact_revision: mark.compact_revision,
            applied: mark.applied,
            key_hash: mark.key_hash,
            live_bytes,
            superseded,
            side,
            overlay: Overlay::default(),
            frozen: None,
            last_mark: mark,
            compaction: None,
            staging: Vec::new(),
            values: Vec::new(),
        })
    }

    /// The last entry of the caller's log that is in the store. After opening, that of the last checkpoint: the caller
    /// applies what comes after it again.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Says that everything up to an entry of the caller's log is in the store now.
    pub fn set_applied(&mut self, applied: Applied) {
        self.applied = applied;
    }

    /// The newest main revision; 1 for an empty store.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Reads below this revision are refused; -1 before the first compaction.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// Everything below this revision is physically gone, and that is durable.
    #[must_use]
    pub fn released_revision(&self) -> i64 {
        self.sizes.released.load(Ordering::Relaxed)
    }

    /// A reader's end.
    #[must_use]
    pub fn view(&self) -> View {
        View { inner: self.inner.clone() }
    }

    /// Begins a transaction.
    pub fn txn(&mut self) -> Txn<'_> {
        Txn::new(self)
    }

    pub(crate) fn take_compaction(&mut self) -> Option<Compaction> {
        self.compaction.take()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn take_staging(&mut self) -> Vec<Staged> {
        let mut staging = std::mem::take(&mut self.staging);
        staging.clear();
        staging
    }

    /// The newest version of a key without its value. No IO.
    #[must_use]
    pub fn meta(&self, key: &[u8]) -> Option<Meta> {
        let shared = self.inner.shared.read();
        shared.index.get(key).filter(|entry| entry.is_live()).map(Entry::meta)
    }

    /// The newest version of a key.
    ///
    /// # Errors
    /// Those of the disk, if the value is not in memory.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        self.inner.get(key)
    }

    /// A range of keys, as [`View::range`].
    ///
    /// # Errors
    /// If the revision asked for is compacted or in the future, and those of the disk.
    pub fn range(&self, query: &RangeQuery) -> Result<RangeResult, ReadError> {
        self.inner.range(query, &ToTheEnd)
    }

    /// A range of keys, as far as `pace` lets it go.
    ///
    /// # Errors
    /// As [`range`](Self::range), and [`ReadError::GivenUp`].
    pub fn range_at_pace(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        self.inner.range(query, pace)
    }

    /// The transaction that was committed last, to be looked at in its midst: `changes` is what [`Txn::commit`] returned, and
    /// `oldest` the oldest revision that is read.
    #[must_use]
    pub fn midway(&self, changes: Option<Changes>, oldest: i64) -> Midway {
        Midway::of_last(self, changes, oldest)
    }

    /// Visits the live keys of a range with what is known of them without their values. No IO. For what the caller derives
    /// from the keys when it starts.
    pub fn for_each_meta(&self, range: &KeyRange, mut visit: impl FnMut(&[u8], &Meta)) {
        self.visit_metas(range, |key, meta| {
            visit(key, meta);
            ControlFlow::Continue(())
        });
    }

    /// The same, until a visit breaks it off.
    pub(crate) fn visit_metas(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], &Meta) -> ControlFlow<()>,
    ) {
        let mut next = Some(Vec::new());
        while let Some(start) = next {
            let shared = self.inner.shared.read();
            next = shared.index.scan_piece(&start, range, KEYS_PER_HOLD, &mut |key, entry| {
                if entry.is_live() { visit(key, &entry.meta()) } else { ControlFlow::Continue(()) }
            });
        }
    }

    /// Makes staged changes visible. Called by [`Txn::commit`].
    pub(crate) fn commit(&mut self, mut staged: Vec<Staged>) -> Changes {
        let main = self.revision + 1;
        let mut values = std::mem::take(&mut self.values);
        let changes = changes_of(main, &mut staged, &mut values);
        if staged.capacity() <= STAGING_KEPT {
            self.staging = staged;
        } else {
            drop(staged);
        }
        self.make_visible(main, &changes, &values);
        if values.capacity() <= STAGING_KEPT {
            values.clear();
            self.values = values;
        }
        Changes { revision: main, changes }
    }

    /// Makes the changes of a revision visible; each has the mark of its value.
    fn make_visible(&mut self, main: i64, changes: &Arc<[Change]>, values: &[ValueMark]) {
        let mut sums = Sums { hash: self.key_hash, live_bytes: self.live_bytes };
        {
            let shared = &mut *self.inner.shared.write();
            for (change, value) in changes.iter().zip(values) {
                apply(shared, &mut sums, change, Entry::after(change, *value));
            }
            shared.tail.add_pending(changes.clone());
            shared.revision = main;
        }
        self.revision = main;
        (self.key_hash, self.live_bytes) = (sums.hash, sums.live_bytes);
        self.superseded.add(main, changes.iter().map(superseded_bytes).sum());
        self.overlay.bytes += changes.iter().map(Change::bytes).sum::<usize>();
        self.overlay.changes += changes.len();
        self.overlay.transactions.push(changes.clone());
    }

    /// Takes over the versions that somebody else kept of a revision, in the order of their subs, with everything that they
    /// say of themselves. `None`: the key was deleted. The revision is then the newest, and compacted, so that nothing that
    /// is missing before it is missed.
    ///
    /// # Panics
    /// If the revision is not above the newest, or there is no version.
    pub fn adopt(&mut self, main: i64, versions: impl IntoIterator<Item = (u32, Bytes, Option<Item>)>) {
        assert!(main > self.revision, "r{main} is adopted at r{}", self.revision);
        let mut values = Vec::new();
        let changes = versions.into_iter().map(|(sub, key, after)| {
            values
                .push(after.as_ref().map_or(ValueMark::default(), |item| ValueMark::of(item.value_bytes())));
            Change::new(Revision { main, sub }, key, after, Before::Nothing)
        });
        let changes: Arc<[Change]> = changes.collect();
        assert!(!changes.is_empty(), "a revision without a version is passed over");
        self.make_visible(main, &changes, &values);
        self.compact_here();
    }

    /// Goes to a revision of which nothing was kept, and that is compacted.
    ///
    /// # Panics
    /// If it is not above the newest.
    pub fn pass_to(&mut self, main: i64) {
        assert!(main > self.revision, "r{main} is passed to at r{}", self.revision);
        self.revision = main;
        self.inner.shared.write().revision = main;
        self.compact_here();
    }

    fn compact_here(&mut self) {
        self.compaction = None;
        self.compact_revision = self.revision;
        self.superseded.compact(self.revision);
        self.inner.shared.write().compact_revision = self.revision;
    }

    /// Empties the store of all keys and their history; it is at revision 1 again. The side tables stay. Views that there
    /// are read on in what was there, for as long as what is returned is kept.
    pub fn begin_anew(&mut self) -> BegunAnew {
        let empty = self.inner.emptied(self.options.cache_bytes);
        let left = std::mem::replace(&mut self.inner, Arc::new(empty));
        self.left.push(left.clone());
        let before = BegunAnew::of(left);
        (self.revision, self.compact_revision) = (1, -1);
        (self.key_hash, self.live_bytes) = (StateHash::default(), 0);
        self.superseded = Superseded::default();
        self.overlay = Overlay::default();
        self.compaction = None;
        before
    }

    /// A row of a side table.
    #[must_use]
    pub fn side_get(&self, table: TableId, key: &[u8]) -> Option<&Bytes> {
        self.side.get(table, key)
    }

    /// The rows of a side table, in order of their keys.
    pub fn side_scan(&self, table: TableId) -> impl Iterator<Item = (&[u8], &Bytes)> {
        self.side.scan(table)
    }

    /// Writes a row of a side table. Returns what was there.
    pub fn side_put(&mut self, table: TableId, key: &[u8], value: impl Into<Bytes>) -> Option<Bytes> {
        self.side.put(table, key, value.into())
    }

    /// Deletes a row of a side table. Returns what was there.
    pub fn side_delete(&mut self, table: TableId, key: &[u8]) -> Option<Bytes> {
        self.side.delete(table, key)
    }

    /// Gives up what was before a revision: reads below it are refused from now on (not at it), and after the next
    /// checkpoint the space is given back (C2).
    ///
    /// # Errors
    /// If the revision is not above the last one, or above the newest.
    pub fn compact(&mut self, revision: i64) -> Result<(), CompactError> {
        if revision <= self.compact_revision {
            return Err(CompactError::Compacted);
        }
        if revision > self.revision {
            return Err(CompactError::Future);
        }
        self.compaction = Compaction::of(&self.inner, revision, self.compact_revision);
        self.compact_revision = revision;
        self.superseded.compact(revision);
        self.inner.shared.write().compact_revision = revision;
        Ok(())
    }

    /// The state hash: equal on all members that applied the same commands.
    #[must_use]
    pub fn state_hash(&self) -> u128 {
        let mut hash = self.key_hash;
        hash += self.side.hash().0;
        hash.with_numbers(self.revision, self.compact_revision)
    }

    /// Number of live keys.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.inner.shared.read().index.live()
    }

    /// Bytes of all versions that are kept, each counted once with its key and some overhead, and of the side tables: what
    /// to hold against a quota. Changes, deletes and compactions show at once; for what the files take see
    /// [`disk_bytes`](Self::disk_bytes).
    #[must_use]
    pub fn db_size(&self) -> u64 {
        EMPTY_BYTES + self.live_bytes + self.superseded.bytes() + self.side.bytes()
    }

    /// Length of the database's file (which may be sparse) and of the history as of the last checkpoint, in bytes.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        (self.sizes.database.load(Ordering::Relaxed) + self.sizes.history.load(Ordering::Relaxed)) as u64
    }

    /// Bytes in memory for what is not in a checkpoint yet. It grows for as long as checkpoints fail or are slow: who writes
    /// checks it against a limit.
    #[must_use]
    pub fn unstored_bytes(&self) -> usize {
        let Overlay { bytes, changes, .. } = self.overlay;
        bytes + CHANGE_BYTES * changes + self.frozen.as_ref().map_or(0, |frozen| frozen.bytes)
    }

    /// Whether enough has changed since the last checkpoint began, and none is under way.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        let Overlay { bytes, changes, .. } = self.overlay;
        // Deletions hold no versions: of them, their own memory counts.
        let is_much = bytes >= self.options.checkpoint_bytes
            || CHANGE_BYTES * changes >= CHANGES_OF_CHECKPOINT * self.options.checkpoint_bytes;
        self.frozen.is_none() && is_much
    }

    /// Begins a checkpoint of the state as it is now. Cheap: the work is in [`CheckpointJob::run`]. `None` if nothing has
    /// changed since the last one and compacted history is gone, or while one is under way. A job that was dropped unfinished is handed out again.
    pub fn freeze(&mut self) -> Option<CheckpointJob> {
        if self.frozen.is_none() {
            self.frozen = Some(Arc::new(self.set_aside()?));
        }
        let frozen = self.frozen.as_ref().filter(|frozen| Arc::strong_count(frozen) == 1)?;
        Some(CheckpointJob {
            inner: frozen.inner.clone(),
            background: self.background.clone(),
            frozen: frozen.clone(),
            sizes: self.sizes.clone(),
        })
    }

    fn set_aside(&mut self) -> Option<Frozen> {
        let mark = Mark {
            revision: self.revision,
            compact_revision: self.compact_revision,
            applied: self.applied,
            keys: self.keys(),
            key_hash: self.key_hash,
            rows: self.side.rows(),
            row_hash: self.side.hash(),
            ..self.last_mark.clone()
        };
        // A row may have changed back and forth; the checkpoint can as well do without it then. But one that only releases
        // what somebody held on to at the last is worth making.
        let is_released = self.released_revision() >= self.compact_revision;
        if mark == self.last_mark && is_released && self.left.is_empty() {
            return None;
        }
        self.last_mark = mark.clone();
        self.compaction = None;
        let Overlay { transactions, bytes, changes } = std::mem::take(&mut self.overlay);
        let bytes = bytes + CHANGE_BYTES * changes;
        let rows = self.side.take_changed();
        let left = std::mem::take(&mut self.left);
        Some(Frozen {
            inner: self.inner.clone(),
            history_is_old: AtomicBool::new(!left.is_empty()),
            left,
            transactions: Mutex::new(transactions),
            rows,
            mark,
            bytes,
        })
    }

    /// Ends a checkpoint: what it holds need not be kept in memory any more.
    ///
    /// # Panics
    /// If it is not the checkpoint under way.
    pub fn complete(&mut self, done: Done) {
        let frozen = self.frozen.take().expect("a checkpoint is under way");
        assert_eq!(frozen.mark.applied, done.applied(), "the checkpoint under way is the one that is done");
        self.stored_inner = frozen.inner.clone();
    }

    pub(crate) fn stored_inner(&self) -> &Arc<Inner> {
        &self.stored_inner
    }

    pub(crate) fn background(&self) -> &Arc<Mutex<Background>> {
        &self.background
    }

    pub(crate) fn sizes(&self) -> &Arc<Sizes> {
        &self.sizes
    }

    /// Returns which value is damaged, if anybody has come across one since the store was opened: file, key and what is wrong.
    /// Everything else can be read and written; the key can be deleted and be given a new value.
    #[must_use]
    pub fn damaged_value(&self) -> Option<&str> {
        self.inner.damage.noted()
    }

    /// The content of the last checkpoint that is complete, to be sent to another member. See [`crate::snapshot`].
    ///
    /// # Errors
    /// Those of the disk: a page or two are read here.
    pub fn snapshot(&self) -> Result<SnapshotExport, Error> {
        SnapshotExport::begin(&self.stored_inner)
    }

    /// Makes a checkpoint here and now, for callers that have no other thread to do it on. Does nothing if there is
    /// nothing new, or while one is under way elsewhere.
    ///
    /// # Errors
    /// As [`CheckpointJob::run`].
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        if let Some(job) = self.freeze() {
            let done = job.run()?;
            self.complete(done);
        }
        Ok(())
    }
}

impl Store {
    /// Panics if what is in memory contradicts itself. Goes through everything: for simulations and tests.
    pub fn check_invariants(&self) {
        let shared = self.inner.shared.read();
        assert_eq!((shared.revision, shared.compact_revision), (self.revision, self.compact_revision));
        assert!(shared.stored <= self.revision && self.compact_revision <= self.revision);
        let (mut keys, mut sums) = (0, Sums { hash: StateHash::default(), live_bytes: 0 });
        shared.index.scan(&[], &KeyRange::all(), &mut |key, entry| {
            let name = key.escape_ascii();
            assert!(entry.mod_revision <= self.revision, "{name} is from the future");
            if entry.is_live() {
                keys += 1;
                sums.hash += state_hash::of_key(state_hash::digest(key), entry);
                sums.live_bytes += entry.version_bytes(key.len());
                let is_cached = shared.cache.get(entry.slot, entry.revision()).is_some();
                assert!(is_cached || entry.mod_revision <= shared.stored, "the value of {name} is nowhere");
            }
            let is_in_tail = entry.revision() > shared.tail.floor();
            assert!(
                !is_in_tail || shared.tail.first_after(entry.link, entry.mod_revision - 1).is_some(),
                "the last change of {name} is not linked"
            );
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!((keys, sums.hash, sums.live_bytes), (shared.index.live(), self.key_hash, self.live_bytes));
    }
}

/// Sums over all live keys.
struct Sums {
    hash: StateHash,
    live_bytes: u64,
}

/// Puts a change into the index, the cache and the tail.
fn apply(shared: &mut Shared, sums: &mut Sums, change: &Change, mut entry: Entry) {
    let key = &change.key[..];
    let key_digest = state_hash::digest(key);
    let stored = shared.stored;
    let mut settle = |old: Option<&Entry>, entry: &mut Entry| {
        let previous = old.map(|old| (old.revision(), old.link));
        entry.link = shared.tail.push_pending(change, previous);
        let replaces = old.map_or((u32::MAX, Revision::default()), |old| (old.slot, old.revision()));
        match &change.after {
            Some(item) => {
                entry.slot = shared.cache.put(replaces, change.revision, item.encoded.clone(), stored);
                sums.hash += state_hash::of_key(key_digest, entry);
                sums.live_bytes += entry.version_bytes(key.len());
            }
            None => shared.cache.remove(replaces.0, replaces.1),
        }
        if let Some(old) = old.filter(|old| old.is_live()) {
            sums.hash -= state_hash::of_key(key_digest, old);
            sums.live_bytes -= old.version_bytes(key.len());
        }
    };
    match shared.index.get_mut(key) {
        // In place: nothing that is counted changes.
        Some(old) if old.is_live() == entry.is_live() => {
            settle(Some(old), &mut entry);
            *old = entry;
        }
        old => {
            settle(old.as_deref(), &mut entry);
            shared.index.insert(key, entry);
        }
    }
}
