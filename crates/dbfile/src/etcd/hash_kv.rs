//! HashKV of a file: the hash by which the members of a cluster compare their keys.
//!
//! CRC-32 (Castagnoli) over the bucket's name `key`, then key and value of each of its rows up to a revision. Of the rows
//! up to the compaction revision only those count that a compaction at the hashed revision would keep: the newest
//! version of each key that is live then. A delete at the compaction revision never counts, as not all versions of etcd
//! keep it. If no key is live at the hashed revision, etcd hashes what it has: what its last compaction kept.

use std::ops::ControlFlow;

use super::live_keys::LiveKeys;
use super::versions::{VersionRow, for_each_version, last_revision};
use super::{EtcdError, MetaRows, bucket};
use crate::limits::LIVE_KEYS_MAX;
use crate::{Db, ReadAt};

/// A hash of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// CRC-32 (Castagnoli).
    pub hash: u32,
    /// The revision up to which is hashed.
    pub hash_revision: i64,
    /// The compaction revision that the hash is relative to; -1: never compacted.
    pub compact_revision: i64,
}

/// Computes the hash at a revision; 0 is the newest.
///
/// Goes through the bucket `key` once if it was never compacted, else twice or three times, and once or twice more for
/// each 1.8 million live keys after the first. Takes 50 MiB at most for the keys, and a bit for each row up to the
/// compaction revision.
///
/// # Errors
/// [`EtcdError::FutureRevision`] and [`EtcdError::Compacted`]; when the file is damaged, or a row of `key` or `meta` is
/// not what it must be.
pub fn hash_kv<S: ReadAt>(db: &Db<S>, at: i64) -> Result<HashKv, EtcdError> {
    hash_kv_with(db, at, LIVE_KEYS_MAX)
}

fn hash_kv_with<S: ReadAt>(db: &Db<S>, at: i64, keys_max: usize) -> Result<HashKv, EtcdError> {
    let compacted = MetaRows::read(db)?.compact_revision();
    let current = current_revision(db, compacted)?;
    let at = if at == 0 { current } else { at };
    if at > current {
        return Err(EtcdError::FutureRevision { asked: at, current });
    }
    if let Some(compacted) = compacted.filter(|&compacted| at < compacted) {
        return Err(EtcdError::Compacted { asked: at, compacted });
    }
    let compact_revision = compacted.unwrap_or(-1);
    let kept = match compacted {
        Some(compacted) => Some(kept(db, at, compacted, keys_max)?),
        None => None,
    };
    let mut hash = crc32c::crc32c(bucket::KEY);
    for_each_version(db, |version| {
        let main = version.revision.main;
        if main > at {
            return Ok(ControlFlow::Break(()));
        }
        let is_kept = kept.as_ref().is_none_or(|kept| main > compact_revision || kept.has(version.ordinal));
        if is_kept && !(main == compact_revision && version.revision.is_delete) {
            hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, version.row.key), version.row.value);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(HashKv { hash, hash_revision: at, compact_revision })
}

/// Returns the newest revision of the store.
fn current_revision<S: ReadAt>(db: &Db<S>, compacted: Option<i64>) -> Result<i64, EtcdError> {
    let last = last_revision(db)?.map_or(1, |last| last.main.max(1));
    Ok(compacted.unwrap_or(last).max(last))
}

/// Finds the rows up to the compaction revision that count.
fn kept<S: ReadAt>(db: &Db<S>, at: i64, compacted: i64, keys_max: usize) -> Result<Marks, EtcdError> {
    let (is_any_live, marks) = newest_versions(db, at, compacted, keys_max)?;
    if is_any_live {
        return Ok(marks);
    }
    newest_versions(db, compacted, compacted, keys_max).map(|(_, marks)| marks)
}

/// Returns whether any key is live at revision `at`, and marks of the newest versions of live keys that are from
/// revision `compacted` or before.
fn newest_versions<S: ReadAt>(
    db: &Db<S>,
    at: i64,
    compacted: i64,
    keys_max: usize,
) -> Result<(bool, Marks), EtcdError> {
    let mut live = LiveKeys::new(keys_max);
    let mut marks = Marks::default();
    let mut is_any_live = false;
    loop {
        let mut compacted_rows = 0;
        for_each_version(db, |version: &VersionRow<'_>| {
            let revision = version.revision;
            if revision.main > at {
                return Ok(ControlFlow::Break(()));
            }
            if revision.main <= compacted {
                compacted_rows = version.ordinal + 1;
            }
            // etcd loads revisions from 1 on.
            if revision.main > 0 {
                live.take(version.user_key()?, revision.is_delete, version.ordinal);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        is_any_live |= live.len() > 0;
        live.places().filter(|&place| place < compacted_rows).for_each(|place| marks.set(place));
        if !live.next_pass() {
            return Ok((is_any_live, marks));
        }
    }
}

/// Rows that are marked: a bit for each.
#[derive(Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn set(&mut self, row: u64) {
        let word = (row / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    fn has(&self, row: u64) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word & 1 << (row % 64) != 0)
    }
}
