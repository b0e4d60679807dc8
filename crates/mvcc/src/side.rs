//! Side tables: small tables of opaque rows that belong to the same state (leases, members, alarms, users, ...).
//!
//! They are kept in memory whole, go into the same checkpoints and the same state hash as the keys, and have no history.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::state_hash::{StateHash, of_row};
use crate::versions::version_bytes;

/// Which side table. The numbers are the caller's, and part of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

/// All side tables.
#[derive(Debug, Default)]
pub(crate) struct Side {
    tables: BTreeMap<TableId, BTreeMap<Vec<u8>, Bytes>>,
    rows: u64,
    /// Bytes of the rows, as versions of keys are counted.
    bytes: u64,
    hash: StateHash,
    /// The last state of the rows that changed since the last checkpoint: `table 1 | row key`.
    changed: BTreeMap<Vec<u8>, Option<Bytes>>,
}

impl Side {
    /// Adds a row that is in the checkpoint.
    pub(crate) fn load(&mut self, table: TableId, key: &[u8], value: &[u8]) {
        self.tables.entry(table).or_default().insert(key.to_vec(), Bytes::copy_from_slice(value));
        self.rows += 1;
        self.bytes += version_bytes(key.len(), value.len());
        self.hash += of_row(table.0, key, value);
    }

    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Option<&Bytes> {
        self.tables.get(&table)?.get(key)
    }

    pub(crate) fn scan(&self, table: TableId) -> impl Iterator<Item = (&[u8], &Bytes)> {
        self.tables.get(&table).into_iter().flatten().map(|(key, value)| (&key[..], value))
    }

    pub(crate) fn put(&mut self, table: TableId, key: &[u8], value: Bytes) -> Option<Bytes> {
        self.hash += of_row(table.0, key, &value);
        self.bytes += version_bytes(key.len(), value.len());
        self.note(table, key, Some(value.clone()));
        let old = self.tables.entry(table).or_default().insert(key.to_vec(), value);
        match &old {
            Some(old) => self.forget(table, key, old),
            None => self.rows += 1,
        }
        old
    }

    pub(crate) fn delete(&mut self, table: TableId, key: &[u8]) -> Option<Bytes> {
        let old = self.tables.get_mut(&table)?.remove(key)?;
        self.forget(table, key, &old);
        self.rows -= 1;
        self.note(table, key, None);
        Some(old)
    }

    fn forget(&mut self, table: TableId, key: &[u8], old: &[u8]) {
        self.hash -= of_row(table.0, key, old);
        self.bytes -= version_bytes(key.len(), old.len());
    }

    fn note(&mut self, table: TableId, key: &[u8], value: Option<Bytes>) {
        self.changed.insert([&[table.0], key].concat(), value);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn hash(&self) -> StateHash {
        self.hash
    }

    /// Hands over the changes since the last time.
    pub(crate) fn take_changed(&mut self) -> Vec<(Vec<u8>, Option<Bytes>)> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }
}
