//! The versions of a file, one after the other in the order of their revisions, as its bucket `key` has them.

use bytes::Bytes;
use dbfile::etcd::{KeyValue, MetaRows, RevisionKey, bucket};
use dbfile::{Db, ReadAt, Row};
use mvcc::{Extent, Item, Revision};

use super::RestoreError;
use super::small::refused;

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
