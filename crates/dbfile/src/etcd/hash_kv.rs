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
use crate::limits::CHANGES_MAX;
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
/// each 1.5 million live keys after the first. Takes 48 MiB at most for the keys, and a bit for each row up to the
/// compaction revision.
///
/// # Errors
/// [`EtcdError::FutureRevision`] and [`EtcdError::Compacted`]; when the file is damaged, or a row of `key` or one
/// about compaction is not what it must be.
pub fn hash_kv<S: ReadAt>(db: &Db<S>, at: i64) -> Result<HashKv, EtcdError> {
    hash_kv_with(db, at, CHANGES_MAX)
}

fn hash_kv_with<S: ReadAt>(db: &Db<S>, at: i64, changes_max: usize) -> Result<HashKv, EtcdError> {
    let compacted = MetaRows::read_compaction(db)?.compact_revision();
    let current = current_revision(db, compacted)?;
    let at = if at == 0 { current } else { at };
    if at > current {
        return Err(EtcdError::FutureRevision { asked: at, current });
    }
    let compact_revision = compacted.unwrap_or(-1);
    // No revision is before the first: a negative one is compacted even where nothing was.
    if at < compact_revision.max(0) {
        return Err(EtcdError::Compacted { asked: at, compacted: compact_revision });
    }
    let kept = match compacted {
        Some(compacted) => Some(kept(db, at, compacted, changes_max)?),
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
fn kept<S: ReadAt>(db: &Db<S>, at: i64, compacted: i64, changes_max: usize) -> Result<Marks, EtcdError> {
    let (is_any_live, marks) = newest_versions(db, at, compacted, changes_max)?;
    if is_any_live {
        return Ok(marks);
    }
    newest_versions(db, compacted, compacted, changes_max).map(|(_, marks)| marks)
}

/// Returns whether any key is live at revision `at`, and marks of the newest versions of live keys that are from
/// revision `compacted` or before.
fn newest_versions<S: ReadAt>(
    db: &Db<S>,
    at: i64,
    compacted: i64,
    changes_max: usize,
) -> Result<(bool, Marks), EtcdError> {
    let mut live = LiveKeys::new(changes_max);
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
        for place in live.end_pass() {
            is_any_live = true;
            if place < compacted_rows {
                marks.set(place);
            }
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use testkit::Random;

    use super::*;
    use crate::etcd::status::status_with;
    use crate::etcd::{KeyValue, RevisionKey};
    use crate::{PageSize, Plan};

    /// A change: revision, key, and the row's value.
    type Change = (RevisionKey, u64, Vec<u8>);

    /// Changes of a few keys, several in a transaction.
    fn history(random: &mut Random) -> Vec<Change> {
        let mut changes = Vec::new();
        for main in 2..=60 {
            for sub in 0..=random.below(3) as i64 {
                let name = random.below(30) as u64;
                let key = name.to_be_bytes();
                let is_delete = random.below(3) == 0;
                let put = KeyValue { mod_revision: main, value: b"v", key: &key, ..KeyValue::default() };
                let delete = KeyValue { key: &key, ..KeyValue::default() };
                let value = if is_delete { delete } else { put };
                changes.push((RevisionKey { main, sub, is_delete }, name, value.encoded()));
            }
        }
        changes
    }

    /// The newest version of each key at a revision, if it is a put.
    fn live(history: &[Change], at: i64) -> Vec<RevisionKey> {
        let until = history.iter().filter(|(revision, _, _)| revision.main <= at);
        let newest: BTreeMap<u64, RevisionKey> = until.map(|(revision, key, _)| (*key, *revision)).collect();
        newest.into_values().filter(|revision| !revision.is_delete).collect()
    }

    /// What etcd leaves of a history after a compaction.
    fn compacted(history: &[Change], at: i64) -> Vec<Change> {
        let live = live(history, at);
        let is_kept = |revision: &RevisionKey| {
            revision.main > at || live.contains(revision) || revision.main == at && revision.is_delete
        };
        history.iter().filter(|(revision, _, _)| is_kept(revision)).cloned().collect()
    }

    fn file(history: &[Change], meta: &MetaRows) -> Vec<u8> {
        let mut plan = Plan::new(PageSize::default());
        plan.bucket(bucket::KEY).unwrap();
        history
            .iter()
            .for_each(|(revision, _, value)| plan.row(revision.bytes().len(), value.len()).unwrap());
        plan.bucket(bucket::META).unwrap();
        meta.rows().iter().for_each(|(name, value)| plan.row(name.len(), value.len()).unwrap());
        let mut file = Vec::new();
        let mut writer = plan.finish().begin(&mut file);
        writer.bucket(bucket::KEY, &mut file).unwrap();
        for (revision, _, value) in history {
            writer.row(&revision.bytes(), value, &mut file).unwrap();
        }
        writer.bucket(bucket::META, &mut file).unwrap();
        meta.rows().iter().for_each(|(name, value)| writer.row(name, value, &mut file).unwrap());
        writer.finish(&mut file).unwrap();
        file
    }

    /// The rule of etcd, word for word, on a history that is whole.
    fn expected(history: &[Change], at: i64, compact_revision: i64) -> u32 {
        let kept = live(history, at);
        let physical = compacted(history, compact_revision);
        let counts = |revision: &RevisionKey| {
            let is_compacted = revision.main <= compact_revision && !kept.is_empty();
            revision.main <= at
                && (!is_compacted || kept.contains(revision))
                && !(revision.main == compact_revision && revision.is_delete)
        };
        let counted = physical.iter().filter(|(revision, _, _)| counts(revision));
        counted.fold(crc32c::crc32c(b"key"), |hash, (revision, _, value)| {
            crc32c::crc32c_append(crc32c::crc32c_append(hash, &revision.bytes()), value)
        })
    }

    #[test]
    fn a_revision_before_the_first_is_compacted_though_nothing_was() {
        let file = file(&history(&mut Random::new(1)), &MetaRows::default());
        let db = Db::open(&file[..]).unwrap();
        let refused = hash_kv(&db, -1);
        assert!(matches!(refused, Err(EtcdError::Compacted { asked: -1, compacted: -1 })), "{refused:?}");
    }

    #[test]
    fn the_hash_is_that_of_the_rule_whatever_memory_there_is() {
        for seed in 0..30 {
            let mut random = Random::new(seed);
            let history = history(&mut random);
            let compact_revision = random.below(60) as i64 + 1;
            let at = compact_revision + random.below(61 - compact_revision as usize) as i64;
            let done = MetaRows { finished_compact: Some(compact_revision), ..MetaRows::default() };
            let begun = MetaRows { scheduled_compact: Some(compact_revision), ..MetaRows::default() };
            let files = [file(&compacted(&history, compact_revision), &done), file(&history, &begun)];
            for file in files {
                let db = Db::open(&file[..]).unwrap();
                for changes_max in [1, 7, CHANGES_MAX] {
                    let found = hash_kv_with(&db, at, changes_max).unwrap();
                    assert_eq!(found.hash, expected(&history, at, compact_revision), "seed {seed}");
                    let keys = status_with(&db, changes_max).unwrap().keys;
                    assert_eq!(keys, live(&history, 60).len() as u64, "seed {seed}");
                }
            }
        }
    }
}
