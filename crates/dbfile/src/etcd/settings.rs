//! Buckets with a row for each setting: `meta`, `cluster` and `auth`.

use serde::{Deserialize, Serialize};

use super::fixed::parse_u64;
use super::member::{parse_json, to_json};
use super::{ConfState, EtcdError, RevisionKey, RowFault, Version, bucket};
use crate::{Db, ReadAt, Row};

/// A row: name and value.
type NamedRow = (&'static [u8], Vec<u8>);

const CONF_STATE: &[u8] = b"confState";
const CONSISTENT_INDEX: &[u8] = b"consistent_index";
const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";
const STORAGE_VERSION: &[u8] = b"storageVersion";
const TERM: &[u8] = b"term";

/// The rows of the bucket `meta`: where in the raft log the file is, and up to where it is compacted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetaRows {
    /// Raft's configuration. No etcd starts from it.
    pub conf_state: Option<ConfState>,
    /// Raft index of the last entry applied.
    pub consistent_index: Option<u64>,
    /// Main revision up to which compaction is done; `None`: never compacted.
    pub finished_compact: Option<i64>,
    /// Main revision up to which compaction was begun.
    pub scheduled_compact: Option<i64>,
    /// Version of the rows, written by 3.6 and later. `None` also if it is no version, as in etcd.
    pub storage_version: Option<Version>,
    /// Raft term of the last entry applied, written by 3.5 and later.
    pub term: Option<u64>,
}

impl MetaRows {
    /// Reads the bucket; nothing is in one that is not there. Rows that are not known are skipped.
    ///
    /// # Errors
    /// When the file is damaged, or a known row is not what it must be.
    pub fn read<S: ReadAt>(db: &Db<S>) -> Result<Self, EtcdError> {
        Self::read_some(db, |_| true)
    }

    /// Reads what says up to where the file is compacted, whatever the other rows are.
    pub(super) fn read_compaction<S: ReadAt>(db: &Db<S>) -> Result<Self, EtcdError> {
        Self::read_some(db, |name| [FINISHED_COMPACT, SCHEDULED_COMPACT].contains(&name))
    }

    /// Reads the storage version, whatever the other rows are.
    pub(super) fn read_version<S: ReadAt>(db: &Db<S>) -> Result<Self, EtcdError> {
        Self::read_some(db, |name| name == STORAGE_VERSION)
    }

    fn read_some<S: ReadAt>(db: &Db<S>, is_wanted: fn(&[u8]) -> bool) -> Result<Self, EtcdError> {
        let mut rows = Self::default();
        for_each_row(db, bucket::META, |row| {
            if is_wanted(row.key) { rows.take(row.key, row.value) } else { Ok(()) }
        })?;
        Ok(rows)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RowFault> {
        match key {
            CONF_STATE => self.conf_state = Some(ConfState::parse(value)?),
            CONSISTENT_INDEX => self.consistent_index = Some(parse_u64(value)?),
            FINISHED_COMPACT => self.finished_compact = Some(RevisionKey::parse(value)?.main),
            SCHEDULED_COMPACT => self.scheduled_compact = Some(RevisionKey::parse(value)?.main),
            STORAGE_VERSION => self.storage_version = Version::parse(value),
            TERM => self.term = Some(parse_u64(value)?),
            _ => {}
        }
        Ok(())
    }

    /// Returns the rows, in the order of their names.
    #[must_use]
    pub fn rows(&self) -> Vec<NamedRow> {
        let number = |number: u64| number.to_be_bytes().to_vec();
        let revision = |main| RevisionKey::put(main, 0).bytes().to_vec();
        let rows = [
            (CONF_STATE, self.conf_state.as_ref().map(ConfState::encoded)),
            (CONSISTENT_INDEX, self.consistent_index.map(number)),
            (FINISHED_COMPACT, self.finished_compact.map(revision)),
            (SCHEDULED_COMPACT, self.scheduled_compact.map(revision)),
            (STORAGE_VERSION, self.storage_version.map(|version| version.to_string().into_bytes())),
            (TERM, self.term.map(number)),
        ];
        present(rows)
    }

    /// Returns the revision up to which a reader takes the store as compacted: that of a compaction that was begun counts,
    /// as an etcd that starts finishes it. `None`: never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> Option<i64> {
        self.finished_compact.max(self.scheduled_compact)
    }

    /// Returns the version whose rows the file has, as etcd finds out: 3.6 and later write it, 3.5 is known by `term`.
    /// `None`: older, or never started.
    #[must_use]
    pub fn schema_version(&self) -> Option<Version> {
        self.storage_version.or(self.term.map(|_| Version::V3_5))
    }
}

const CLUSTER_VERSION: &[u8] = b"clusterVersion";
const DOWNGRADE: &[u8] = b"downgrade";

/// The rows of the bucket `cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterSettings {
    /// The version that all members have at least. `None` also if it is no version.
    pub version: Option<Version>,
    /// A downgrade that was asked for.
    pub downgrade: Option<Downgrade>,
}

/// A downgrade of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Downgrade {
    /// The version wanted.
    #[serde(rename = "target-version")]
    pub target_version: String,
    /// Whether it is under way.
    pub enabled: bool,
}

impl ClusterSettings {
    /// Reads the bucket; nothing is in one that is not there. Rows that are not known are skipped.
    ///
    /// # Errors
    /// When the file is damaged, or a known row is not what it must be.
    pub fn read<S: ReadAt>(db: &Db<S>) -> Result<Self, EtcdError> {
        let mut settings = Self::default();
        for_each_row(db, bucket::CLUSTER, |row| {
            match row.key {
                CLUSTER_VERSION => settings.version = Version::parse(row.value),
                DOWNGRADE => settings.downgrade = Some(parse_json(row.value)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(settings)
    }

    /// Returns the rows, in the order of their names.
    #[must_use]
    pub fn rows(&self) -> Vec<NamedRow> {
        let version = self.version.map(|version| version.to_string().into_bytes());
        present([(CLUSTER_VERSION, version), (DOWNGRADE, self.downgrade.as_ref().map(to_json))])
    }
}

const AUTH_ENABLED: &[u8] = b"authEnabled";
const AUTH_REVISION: &[u8] = b"authRevision";

/// The rows of the bucket `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuthSettings {
    /// Whether logins are needed; `None` means that they are not.
    pub enabled: Option<bool>,
    /// How often users and roles have changed; `None` means 1.
    pub revision: Option<u64>,
}

impl AuthSettings {
    /// Reads the bucket; nothing is in one that is not there. Rows that are not known are skipped.
    ///
    /// # Errors
    /// When the file is damaged, or a known row is not what it must be.
    pub fn read<S: ReadAt>(db: &Db<S>) -> Result<Self, EtcdError> {
        let mut settings = Self::default();
        for_each_row(db, bucket::AUTH, |row| {
            match row.key {
                AUTH_ENABLED => settings.enabled = Some(parse_flag(row.value)?),
                AUTH_REVISION => settings.revision = Some(parse_u64(row.value)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(settings)
    }

    /// Returns the rows, in the order of their names.
    #[must_use]
    pub fn rows(&self) -> Vec<NamedRow> {
        let enabled = self.enabled.map(|flag| vec![flag.into()]);
        present([(AUTH_ENABLED, enabled), (AUTH_REVISION, self.revision.map(|it| it.to_be_bytes().to_vec()))])
    }
}

/// etcd takes 1 as yes and any other byte as no.
fn parse_flag(value: &[u8]) -> Result<bool, RowFault> {
    let &[flag] = value else { return Err(RowFault::Number { bytes: value.len(), expected: 1 }) };
    Ok(flag == 1)
}

/// Leaves out what is not there.
fn present<const N: usize>(rows: [(&'static [u8], Option<Vec<u8>>); N]) -> Vec<NamedRow> {
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Goes through a bucket, if it is there; a fault is reported with its row.
fn for_each_row<S: ReadAt>(
    db: &Db<S>,
    name: &'static [u8],
    mut take: impl FnMut(&Row<'_>) -> Result<(), RowFault>,
) -> Result<(), EtcdError> {
    let Some(bucket) = db.bucket(name)? else { return Ok(()) };
    let mut rows = bucket.rows()?;
    while let Some(row) = rows.next_row()? {
        take(&row).map_err(|fault| EtcdError::row(name, &row, fault))?;
    }
    Ok(())
}
