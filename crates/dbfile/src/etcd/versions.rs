//! Going through the bucket `key`.

use std::ops::ControlFlow;

use super::{EtcdError, KeyValue, RevisionKey, bucket};
use crate::{Db, ReadAt, Row};

/// A row of the bucket `key`.
pub(super) struct VersionRow<'r> {
    /// Its place in the bucket, from 0.
    pub(super) ordinal: u64,
    pub(super) revision: RevisionKey,
    pub(super) row: Row<'r>,
}

impl<'r> VersionRow<'r> {
    pub(super) fn parse(ordinal: u64, row: Row<'r>) -> Result<Self, EtcdError> {
        match RevisionKey::parse(row.key) {
            Ok(revision) => Ok(Self { ordinal, revision, row }),
            Err(fault) => Err(EtcdError::row(bucket::KEY, &row, fault)),
        }
    }

    /// Returns the key as users know it.
    pub(super) fn user_key(&self) -> Result<&'r [u8], EtcdError> {
        match KeyValue::parse(self.row.value) {
            Ok(parsed) => Ok(parsed.key),
            Err(fault) => Err(EtcdError::row(bucket::KEY, &self.row, fault)),
        }
    }
}

/// Goes through all versions of all keys by revision, until `take` breaks off. A file without the bucket has none.
pub(super) fn for_each_version<S: ReadAt>(
    db: &Db<S>,
    mut take: impl FnMut(&VersionRow<'_>) -> Result<ControlFlow<()>, EtcdError>,
) -> Result<(), EtcdError> {
    let Some(bucket) = db.bucket(bucket::KEY)? else { return Ok(()) };
    let mut rows = bucket.rows()?;
    let mut ordinal = 0;
    while let Some(row) = rows.next_row()? {
        if take(&VersionRow::parse(ordinal, row)?)?.is_break() {
            break;
        }
        ordinal += 1;
    }
    Ok(())
}

/// Returns the revision of the last row; `None` if there is none.
pub(super) fn last_revision<S: ReadAt>(db: &Db<S>) -> Result<Option<RevisionKey>, EtcdError> {
    let Some(bucket) = db.bucket(bucket::KEY)? else { return Ok(None) };
    let Some(key) = bucket.last_key()? else { return Ok(None) };
    let mut rows = bucket.rows_from(&key)?;
    let row = rows.next_row()?;
    row.map(|row| VersionRow::parse(0, row).map(|last| last.revision)).transpose()
}
