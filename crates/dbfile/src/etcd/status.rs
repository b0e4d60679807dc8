//! What `etcdutl snapshot status` says of a file.

use std::ops::ControlFlow;

use super::live_keys::LiveKeys;
use super::versions::{VersionRow, for_each_version};
use super::{EtcdError, MetaRows, bucket};
use crate::limits::CHANGES_MAX;
use crate::{Db, ReadAt};

/// Numbers about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// CRC-32 (Castagnoli) of all buckets: names, keys and values. Differs between members of a cluster.
    pub hash: u32,
    /// Main revision of the newest version; 0: there is none.
    pub revision: i64,
    /// Keys that are live, as 3.6 and later count.
    pub keys: u64,
    /// Rows of all buckets: what 3.4 and 3.5 count as keys.
    pub rows: u64,
    /// Length of the database in bytes, without a digest or what is set aside.
    pub bytes: u64,
    /// The storage version `X.Y.0`; empty before 3.6.
    pub version: String,
}

/// Computes the numbers. Neither the digest nor the pages that are not in use are looked at: see
/// [`verify`](crate::verify) and [`Db::check`].
///
/// Goes through the file once, and once more through the bucket `key` for each 1.5 million live keys after the first.
/// Takes 48 MiB at most for the keys, besides the memory of a [walk](crate::Rows).
///
/// # Errors
/// When the file is damaged, or a row of `key` is not what it must be.
pub fn status<S: ReadAt>(db: &Db<S>) -> Result<Status, EtcdError> {
    status_with(db, CHANGES_MAX)
}

pub(super) fn status_with<S: ReadAt>(db: &Db<S>, changes_max: usize) -> Result<Status, EtcdError> {
    let mut live = LiveKeys::new(changes_max);
    let (mut hash, mut revision, mut row_count) = (0, 0, 0);
    for bucket in db.buckets()? {
        let bucket = bucket?;
        hash = crc32c::crc32c_append(hash, bucket.name());
        let is_key = bucket.name() == bucket::KEY;
        let mut rows = bucket.rows()?;
        while let Some(row) = rows.next_row()? {
            hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, row.key), row.value);
            if is_key {
                let version = VersionRow::parse(row_count, row)?;
                revision = version.revision.main;
                live.take(version.user_key()?, version.revision.is_delete, row_count);
            }
            row_count += 1;
        }
    }
    let mut keys = live.end_pass().len() as u64;
    while live.next_pass() {
        for_each_version(db, |version| {
            live.take(version.user_key()?, version.revision.is_delete, version.ordinal);
            Ok(ControlFlow::Continue(()))
        })?;
        keys += live.end_pass().len() as u64;
    }
    let version = MetaRows::read_version(db)?.storage_version.map(|version| version.to_string());
    let version = version.unwrap_or_default();
    Ok(Status { hash, revision, keys, rows: row_count, bytes: db.bytes(), version })
}
