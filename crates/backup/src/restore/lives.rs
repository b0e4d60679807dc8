//! From the versions of a file, which are in the order of revisions, to what a store keeps of each key: its newest version if it lives,
//! and what was before each of its changes.
//!
//! ```text
//!  rows ─► sort by key ─► compare ─┬─ what was before changes, sorted by revision ─► `changes`
//!                            │     └─ leases that do not exist
//!                            └─► put_live ─► store
//! ```
//!
//! Everything that versions say of each other is checked in between, before anything is written: a row that contradicts
//! another is refused with its page.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use dbfile::etcd::{RevisionKey, bucket};
use dbfile::{Db, PageId, ReadAt};
use mvcc::{Extent, Item, LeaseId, Revision, StateBuilder};

use super::form::{Form, Spooled};
use super::keys::{Version, check_order, for_each_version};
use super::small::Small;
use super::{Progress, RestoreError, Stage, joined};
use crate::sorter::{Record, Sorted, Sorter};
use crate::versions::put;

/// Memory for versions that are sorted by key, in bytes.
const BY_KEY_BYTES: usize = 64 << 20;

/// Memory for what was before changes, in bytes.
const BEFORES_BYTES: usize = 32 << 20;

/// Sorts all versions by key.
pub(super) fn sort<S: ReadAt>(
    db: &Db<S>,
    extent: Extent,
    spool_dir: &Path,
    spooled: Spooled,
    progress: &mut Progress<'_>,
) -> Result<Sorted, RestoreError> {
    let mut sorter = Sorter::new(spool_dir.to_owned(), BY_KEY_BYTES);
    let mut last = Revision::default();
    let mut steps = progress.begin(Stage::Reading, db.bytes());
    for_each_version(db, 0, |version| {
        check_order(last, version, extent.compact_revision)?;
        last = version.revision;
        steps.add((version.row.key.len() + version.row.value.len()) as u64);
        if version.is_raise() {
            return Ok(());
        }
        let (key, item) = version.change()?;
        push(&mut sorter, &key, version, item.as_ref(), spooled).map_err(RestoreError::Sort)
    })?;
    sorter.finish().map_err(RestoreError::Sort)
}

/// Bytes of a sorted version before its form: main revision 8, sub 4, page 8; of a put also create revision 8, version 8, lease 8.
const DELETE_BYTES: usize = 20;
const PUT_BYTES: usize = DELETE_BYTES + 24;

fn push(
    sorter: &mut Sorter,
    key: &[u8],
    version: &Version<'_>,
    item: Option<&Item>,
    spooled: Spooled,
) -> std::io::Result<()> {
    let Revision { main, sub } = version.revision;
    let mut head = [0; PUT_BYTES];
    head[..8].copy_from_slice(&main.to_le_bytes());
    head[8..12].copy_from_slice(&sub.to_le_bytes());
    head[12..20].copy_from_slice(&version.row.page.0.to_le_bytes());
    let Some(item) = item else { return sorter.push(key, &[&head[..DELETE_BYTES]]) };
    head[20..28].copy_from_slice(&item.meta.create_revision.to_le_bytes());
    head[28..36].copy_from_slice(&item.meta.version.to_le_bytes());
    head[36..44].copy_from_slice(&item.meta.lease.0.to_le_bytes());
    let form = spooled.form(version);
    let (front, rest) = form.encoded();
    sorter.push(key, &[&head, &front, rest])
}

/// A version that comes back in the order of keys.
struct OfKey {
    revision: Revision,
    page: PageId,
    /// `None`: a delete.
    put: Option<Put>,
}

/// What a put says of its key, and where the rest of it is.
struct Put {
    revision: Revision,
    create_revision: i64,
    version: i64,
    lease: i64,
    form: Form,
}

impl OfKey {
    fn of(record: Record) -> Self {
        let content = record.into_content();
        let number = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().expect("eight bytes"));
        let sub = u32::from_le_bytes(content[8..12].try_into().expect("four bytes"));
        let revision = Revision { main: number(0) as i64, sub };
        let put = (content.len() > DELETE_BYTES).then(|| Put {
            revision,
            create_revision: number(20) as i64,
            version: number(28) as i64,
            lease: number(36) as i64,
            form: Form::decode(content.slice(PUT_BYTES..)),
        });
        Self { revision, page: PageId(number(12)), put }
    }

    fn refused(&self, what: impl Into<String>) -> RestoreError {
        let Revision { main, sub } = self.revision;
        let key = RevisionKey { main, sub: sub.into(), is_delete: self.put.is_none() };
        RestoreError::Row {
            page: self.page,
            bucket: bucket::KEY.to_vec(),
            row: key.bytes().to_vec(),
            what: what.into(),
        }
    }
}

/// What became of the versions.
pub(super) struct Compared {
    /// Leases that keys are attached to, and that do not exist.
    pub(super) stray_leases: BTreeSet<i64>,
    /// What was before changes, in the order of the changes.
    pub(super) befores: Sorted,
}

/// A key whose versions come one after the other.
#[derive(Default)]
struct Life {
    /// Whether any version has come.
    is_known: bool,
    /// Main revision of the newest.
    main: i64,
    newest: Option<Put>,
    /// What it was before that revision.
    before: Option<Put>,
}

/// Holds the versions of each key against each other.
pub(super) fn compare(
    versions: &Sorted,
    extent: Extent,
    small: &Small,
    spool_dir: &Path,
    progress: &mut Progress<'_>,
) -> Result<Compared, RestoreError> {
    let mut befores = Sorter::new(spool_dir.to_owned(), BEFORES_BYTES);
    let mut stray_leases = BTreeSet::new();
    let mut steps = progress.begin(Stage::Comparing, versions.bytes());
    let mut merge = versions.merge().map_err(RestoreError::Sort)?;
    let (mut key, mut life) = (Vec::new(), Life::default());
    while let Some(record) = merge.next().map_err(RestoreError::Sort)? {
        steps.add(record.bytes());
        if record.key() != &key[..] {
            stray_leases.extend(std::mem::take(&mut life).stray_lease(small));
            key.clear();
            key.extend_from_slice(record.key());
        }
        let version = OfKey::of(record);
        life.check(&version, extent.compact_revision)?;
        life.follow(version, extent.compact_revision, &mut befores)?;
    }
    stray_leases.extend(life.stray_lease(small));
    Ok(Compared { stray_leases, befores: befores.finish().map_err(RestoreError::Sort)? })
}

impl Life {
    /// Returns the lease that the key is attached to in the end, if there is none of this id.
    fn stray_lease(self, small: &Small) -> Option<i64> {
        let lease = self.newest?.lease;
        (lease != 0 && !small.has_lease(lease)).then_some(lease)
    }

    /// Holds a version against the one before it.
    fn check(&self, version: &OfKey, compact_revision: i64) -> Result<(), RestoreError> {
        let main = version.revision.main;
        let is_compacted = main <= compact_revision;
        let Some(put) = &version.put else {
            let is_possible = self.newest.is_some() || (is_compacted && !self.is_known);
            return if is_possible {
                Ok(())
            } else {
                Err(version.refused("it deletes a key that does not live"))
            };
        };
        let (created, number) = (put.create_revision, put.version);
        let expected = match &self.newest {
            Some(before) => (before.create_revision, before.version + 1),
            // What was before it is compacted away.
            None if is_compacted && !self.is_known => {
                (created, if created == main { number } else { number.max(2) })
            }
            None => (main, 1),
        };
        if (created, number) == expected {
            return Ok(());
        }
        Err(version.refused(format!(
            "version {number} of a key created at {created}, where version {} of one created at {} comes next",
            expected.1, expected.0
        )))
    }

    /// Takes the next version.
    fn follow(
        &mut self,
        version: OfKey,
        compact_revision: i64,
        befores: &mut Sorter,
    ) -> Result<(), RestoreError> {
        let OfKey { revision, put: newest, .. } = version;
        if revision.main != self.main {
            self.before = self.newest.take();
        }
        if let Some(before) = self.before.as_ref().filter(|_| revision.main > compact_revision) {
            let Revision { main, sub } = before.revision;
            let (front, rest) = before.form.encoded();
            let content = [&main.to_le_bytes()[..], &sub.to_le_bytes(), &front, rest];
            befores.push(&put(revision).bytes(), &content).map_err(RestoreError::Sort)?;
        }
        *self = Self { is_known: true, main: revision.main, newest, before: self.before.take() };
        Ok(())
    }
}

/// Bytes of versions that go from one thread to the other at a time.
const BATCH_BYTES: usize = 256 << 10;

/// Batches that are read before those before them are written.
const BATCHES_MAX: usize = 4;

/// Newest versions of keys that live, and of how many bytes of sorted records they are.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    item_bytes: usize,
    record_bytes: u64,
}

/// Puts the newest version of each key that lives into a store, and returns how many there are. They are read on a thread of their
/// own.
pub(super) fn put_live<S: ReadAt + Sync>(
    db: &Db<S>,
    versions: &Sorted,
    store: &mut StateBuilder,
    progress: &mut Progress<'_>,
) -> Result<u64, RestoreError> {
    let mut steps = progress.begin(Stage::Writing, versions.bytes());
    let (sender, receiver) = mpsc::sync_channel(BATCHES_MAX);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_live(db, versions, &sender));
        let mut keys = 0;
        for Batch { items, record_bytes, .. } in receiver {
            steps.add(record_bytes);
            keys += items.len() as u64;
            items.into_iter().try_for_each(|item| store.put_live(item))?;
        }
        joined(reader)?;
        Ok(keys)
    })
}

/// Reads the newest versions, until nobody takes them any more.
fn read_live<S: ReadAt>(
    db: &Db<S>,
    versions: &Sorted,
    take: &mpsc::SyncSender<Batch>,
) -> Result<(), RestoreError> {
    let mut merge = versions.merge().map_err(RestoreError::Sort)?;
    let mut next = merge.next().map_err(RestoreError::Sort)?;
    let mut batch = Batch::default();
    while let Some(record) = next {
        next = merge.next().map_err(RestoreError::Sort)?;
        batch.record_bytes += record.bytes();
        if next.as_ref().is_some_and(|next| next.key() == record.key()) {
            continue;
        }
        let Some(item) = live(db, record)? else { continue };
        batch.item_bytes += item.encoded.len();
        batch.items.push(item);
        if batch.item_bytes >= BATCH_BYTES && take.send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    // If it is not taken, the other thread says why.
    let _ = take.send(batch);
    Ok(())
}

/// Returns the version of a key's newest record, unless it is a delete.
fn live<S: ReadAt>(db: &Db<S>, record: Record) -> Result<Option<Item>, RestoreError> {
    let key = record.key().to_vec();
    let Some(Put { revision, lease, form, .. }) = OfKey::of(record).put else { return Ok(None) };
    let item = form.item(db, revision)?;
    if (item.key_bytes(), item.meta.lease) != (&key[..], LeaseId(lease)) {
        return Err(RestoreError::changes_meanwhile());
    }
    Ok(Some(item))
}
