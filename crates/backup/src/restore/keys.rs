//! From the versions of a file, which are in the order of revisions, to what a store keeps: the newest version of each live key
//! by key, and changes with what was before them.
//!
//! ```text
//!  pass 1: rows ─► Sorter by key ─► each key's versions ─┬─ newest, if it lives ─► store
//!                                                        └─ befores ─► Sorter by revision ─┐
//!  pass 2: rows after the compaction ──────────────────────────────────────── joined ◄─────┴─► store
//! ```
//!
//! Everything that versions say of each other is checked on the way: a row that contradicts another is refused with its page.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use dbfile::etcd::{KeyValue, MetaRows, RevisionKey, bucket};
use dbfile::{Db, PageId, ReadAt, Row};
use mvcc::{Extent, Item, LeaseId, Revision, StoreBuilder};

use super::small::{Small, refused};
use super::{Progress, RestoreError, Stage};
use crate::sorter::{Merge, Record, Sorted, Sorter};
use crate::versions::put;

/// Memory for versions that are sorted by key, in bytes.
const BY_KEY_BYTES: usize = 64 << 20;

/// Memory for what was before changes, in bytes: both are in memory at once.
const BEFORES_BYTES: usize = 32 << 20;

/// A row of the bucket `key`.
pub(super) struct Version<'r> {
    pub(super) revision: Revision,
    pub(super) is_delete: bool,
    pub(super) row: Row<'r>,
}

impl<'r> Version<'r> {
    /// Reads the key of a row. `None`: no etcd loads it.
    fn parse(row: Row<'r>) -> Result<Option<Self>, RestoreError> {
        let wrong = |what: String| refused(bucket::KEY, &row, what);
        let RevisionKey { main, sub, is_delete } =
            RevisionKey::parse(row.key).map_err(|fault| wrong(fault.to_string()))?;
        if main < 1 {
            return Ok(None);
        }
        let sub = u32::try_from(sub).map_err(|_| wrong("no transaction has so many changes".to_owned()))?;
        Ok(Some(Self { revision: Revision { main, sub }, is_delete, row }))
    }

    /// Whether it is what a restore with a raised revision leaves: a revision of no key.
    pub(super) fn is_raise(&self) -> bool {
        !self.is_delete && self.row.value.is_empty()
    }

    pub(super) fn refused(&self, what: impl Into<String>) -> RestoreError {
        refused(bucket::KEY, &self.row, what)
    }

    /// Returns the key that was changed, and the version that it then had.
    pub(super) fn change(&self) -> Result<(Bytes, Option<Item>), RestoreError> {
        let encoded = Bytes::copy_from_slice(self.row.value);
        if self.is_delete {
            let parsed = KeyValue::parse(&encoded).map_err(|fault| self.refused(fault.to_string()))?;
            let is_sound = !parsed.key.is_empty()
                && encoded == KeyValue { key: parsed.key, ..KeyValue::default() }.encoded();
            let key = encoded.slice_ref(parsed.key);
            return if is_sound { Ok((key, None)) } else { Err(self.refused("it is no delete of a key")) };
        }
        match Item::of_record(self.revision, encoded) {
            Some(item) => Ok((item.key(), Some(item))),
            None => Err(self.refused("it is no version of a key that this revision can have made")),
        }
    }
}

/// Goes through the rows of the bucket `key` from a main revision on.
pub(super) fn for_each_version<S: ReadAt>(
    db: &Db<S>,
    from: i64,
    mut take: impl FnMut(&Version<'_>) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let Some(bucket) = db.bucket(bucket::KEY)? else { return Ok(()) };
    let mut rows = bucket.rows_from(&RevisionKey::put(from.max(0), 0).bytes())?;
    while let Some(row) = rows.next_row()? {
        if let Some(version) = Version::parse(row)? {
            take(&version)?;
        }
    }
    Ok(())
}

/// Returns the revisions of the store that is made of a file, whose newest is raised by so much.
pub(super) fn extent<S: ReadAt>(db: &Db<S>, meta: &MetaRows, raise: u64) -> Result<Extent, RestoreError> {
    let mut latest = 0;
    if let Some(bucket) = db.bucket(bucket::KEY)?
        && let Some(last) = bucket.last_key()?
    {
        for_each_version(db, RevisionKey::parse(&last).map_or(0, |key| key.main), |version| {
            latest = latest.max(version.revision.main);
            Ok(())
        })?;
    }
    let compacted = meta.compact_revision();
    if raise == 0 {
        let compact_revision = compacted.unwrap_or(-1);
        return Ok(Extent { revision: latest.max(compact_revision).max(1), compact_revision });
    }
    let raised = i64::try_from(raise).ok().and_then(|by| latest.checked_add(by));
    let raised = raised.filter(|raised| *raised < i64::MAX);
    let raised = raised.ok_or(RestoreError::Bump { latest, by: raise })?.max(compacted.unwrap_or(-1));
    // As if nothing had ever been readable but what comes.
    Ok(Extent { revision: raised, compact_revision: raised })
}

/// Pass 1: sorts all versions by key.
pub(super) fn sort<S: ReadAt>(
    db: &Db<S>,
    extent: Extent,
    spool_dir: &Path,
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
        let Revision { main, sub } = version.revision;
        let head = head(main, sub, version.is_delete, version.row.page);
        let encoded: &[u8] = item.as_ref().map_or(&[], |_| version.row.value);
        sorter.push(&key, &[&head, encoded]).map_err(RestoreError::Sort)
    })?;
    Ok(sorter.finish())
}

/// Checks that a version follows the one before it. After the compaction revision nothing may be missing: each revision that
/// an etcd uses has its rows, so a gap is a page that is lost.
pub(super) fn check_order(
    last: Revision,
    version: &Version<'_>,
    compact_revision: i64,
) -> Result<(), RestoreError> {
    let revision = version.revision;
    if revision <= last {
        return Err(version.refused(format!("{revision} comes after {last}")));
    }
    if revision.main < 2 {
        return Err(version.refused("no etcd makes a change at revision 1"));
    }
    if revision.main <= compact_revision {
        return Ok(());
    }
    if version.is_raise() {
        return Err(version.refused("the revision is raised here, and not compacted"));
    }
    let first = Revision { main: compact_revision.max(1) + 1, sub: 0 };
    let follows = match last.main <= compact_revision.max(1) {
        true => revision == first,
        false => {
            revision == Revision { main: last.main + 1, sub: 0 }
                || (revision.main == last.main && revision.sub == last.sub + 1)
        }
    };
    if follows {
        Ok(())
    } else {
        Err(version.refused(format!("what is between {last} and {revision} is missing")))
    }
}

/// Bytes of a sorted version before its encoded form.
const HEAD_BYTES: usize = 21;

fn head(main: i64, sub: u32, is_delete: bool, page: PageId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&main.to_le_bytes());
    head[8..12].copy_from_slice(&sub.to_le_bytes());
    head[12] = u8::from(is_delete);
    head[13..].copy_from_slice(&page.0.to_le_bytes());
    head
}

/// A version that comes back in the order of keys.
struct OfKey {
    revision: Revision,
    page: PageId,
    /// `None`: a delete.
    item: Option<Item>,
}

impl OfKey {
    fn of(record: Record) -> Self {
        let content = record.content();
        let number = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().expect("eight bytes"));
        let sub = u32::from_le_bytes(content[8..12].try_into().expect("four bytes"));
        let revision = Revision { main: number(0) as i64, sub };
        let (is_delete, page) = (content[12] == 1, PageId(number(13)));
        let item = (!is_delete).then(|| {
            let encoded = record.into_content().slice(HEAD_BYTES..);
            Item::of_record(revision, encoded).expect("it was one when it was sorted")
        });
        Self { revision, page, item }
    }

    fn refused(&self, what: impl Into<String>) -> RestoreError {
        let Revision { main, sub } = self.revision;
        let key = RevisionKey { main, sub: sub.into(), is_delete: self.item.is_none() };
        RestoreError::Row {
            page: self.page,
            bucket: bucket::KEY.to_vec(),
            row: key.bytes().to_vec(),
            what: what.into(),
        }
    }
}

/// What became of the versions, by key.
#[derive(Default)]
pub(super) struct Joined {
    /// Keys that live.
    pub(super) keys: u64,
    /// Leases that keys are attached to, and that do not exist.
    pub(super) stray_leases: BTreeSet<i64>,
}

/// A key whose versions come one after the other.
#[derive(Default)]
struct Life {
    /// Whether any version has come.
    is_known: bool,
    /// Main revision of the newest.
    main: i64,
    newest: Option<Item>,
    /// What it was before that revision.
    before: Option<Item>,
}

/// Goes through the versions by key: puts the newest of each live key into the store, and returns what was before changes,
/// to be joined with them.
pub(super) fn put_live(
    versions: &Sorted,
    extent: Extent,
    small: &Small,
    builder: &mut StoreBuilder,
    spool_dir: &Path,
    progress: &mut Progress<'_>,
) -> Result<(Joined, Sorted), RestoreError> {
    let mut befores = Sorter::new(spool_dir.to_owned(), BEFORES_BYTES);
    let mut steps = progress.begin(Stage::Writing, versions.bytes());
    let mut joined = Joined::default();
    let mut merge = versions.merge().map_err(RestoreError::Sort)?;
    let (mut key, mut life) = (Vec::new(), Life::default());
    while let Some(record) = merge.next().map_err(RestoreError::Sort)? {
        steps.add(record.bytes());
        if record.key() != &key[..] {
            joined.end(std::mem::take(&mut life), small, builder)?;
            key.clear();
            key.extend_from_slice(record.key());
        }
        let version = OfKey::of(record);
        life.check(&version, extent.compact_revision)?;
        life.follow(version, extent.compact_revision, &mut befores)?;
    }
    joined.end(life, small, builder)?;
    Ok((joined, befores.finish()))
}

impl Joined {
    /// Ends the versions of a key.
    fn end(&mut self, life: Life, small: &Small, builder: &mut StoreBuilder) -> Result<(), RestoreError> {
        let Some(item) = life.newest else { return Ok(()) };
        let LeaseId(lease) = item.meta.lease;
        if lease != 0 && !small.has_lease(lease) {
            self.stray_leases.insert(lease);
        }
        self.keys += 1;
        Ok(builder.put_live(item)?)
    }
}

impl Life {
    /// Holds a version against the one before it.
    fn check(&self, version: &OfKey, compact_revision: i64) -> Result<(), RestoreError> {
        let main = version.revision.main;
        let is_compacted = main <= compact_revision;
        let Some(item) = &version.item else {
            let is_possible = self.newest.is_some() || (is_compacted && !self.is_known);
            return if is_possible {
                Ok(())
            } else {
                Err(version.refused("it deletes a key that does not live"))
            };
        };
        let (created, number) = (item.meta.create_revision, item.meta.version);
        let expected = match &self.newest {
            Some(before) => (before.meta.create_revision, before.meta.version + 1),
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
        let OfKey { revision, item, .. } = version;
        if revision.main != self.main {
            self.before = self.newest.take();
        }
        if let Some(before) = self.before.as_ref().filter(|_| revision.main > compact_revision) {
            let sub = before.meta.mod_revision.sub.to_le_bytes();
            befores.push(&put(revision).bytes(), &[&sub, &before.encoded]).map_err(RestoreError::Sort)?;
        }
        *self = Self { is_known: true, main: revision.main, newest: item, before: self.before.take() };
        Ok(())
    }
}

/// Pass 2: writes the changes, each with what was before it.
pub(super) fn write_changes<S: ReadAt>(
    db: &Db<S>,
    extent: Extent,
    befores: &Sorted,
    builder: &mut StoreBuilder,
    progress: &mut Progress<'_>,
) -> Result<u64, RestoreError> {
    let mut steps = progress.begin(Stage::History, db.bytes());
    let mut befores = Befores::begin(befores)?;
    let mut changes = 0;
    for_each_version(db, extent.first_change(), |version| {
        steps.add((version.row.key.len() + version.row.value.len()) as u64);
        if version.is_raise() {
            return Ok(());
        }
        let (key, after) = version.change()?;
        let before = befores.take(version.revision)?;
        changes += 1;
        Ok(builder.append(version.revision, key, after, before)?)
    })?;
    match befores.next {
        None => Ok(changes),
        Some(_) => Err(RestoreError::Contradiction("the file changes while it is read".to_owned())),
    }
}

/// What was before changes, in the order of the changes.
struct Befores<'s> {
    merge: Merge<'s>,
    next: Option<Record>,
}

impl<'s> Befores<'s> {
    fn begin(sorted: &'s Sorted) -> Result<Self, RestoreError> {
        let mut merge = sorted.merge().map_err(RestoreError::Sort)?;
        let next = merge.next().map_err(RestoreError::Sort)?;
        Ok(Self { merge, next })
    }

    /// Takes what was before a change.
    fn take(&mut self, revision: Revision) -> Result<Option<Item>, RestoreError> {
        let Some(record) = self.next.take_if(|next| *next.key() == *put(revision).bytes()) else {
            return Ok(None);
        };
        self.next = self.merge.next().map_err(RestoreError::Sort)?;
        let content = record.into_content();
        let sub = u32::from_le_bytes(content[..4].try_into().expect("four bytes"));
        let encoded = content.slice(4..);
        let main = KeyValue::parse(&encoded).map_or(0, |parsed| parsed.mod_revision);
        Ok(Item::of_record(Revision { main, sub }, encoded))
    }
}
