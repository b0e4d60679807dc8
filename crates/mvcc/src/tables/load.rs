//! Filling a new database from a snapshot: everything in order, in pieces, and nothing of it counts before the end.
//!
//! The database has a temporary name until it has its mark, so whatever is left of an interrupted import is no store. Pieces
//! are committed without being durable, only to bound the memory that a transaction takes; the last commit makes all
//! durable.
//!
//! Keys ascend, so they go in through a cursor behind the last one: redb then fills its pages, and looks for a place once for a
//! MiB of them instead of once for each.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use wal::Disk;

use super::scan::Pair;
use super::{Batch, KEYS, Purpose, SIDE, Tables, VALUES, encode_entry, put_value_record, row_record};
use crate::index::Entry;
use crate::{Error, Item};

/// Bytes of records in one transaction, about.
const TRANSACTION_BYTES: usize = 16 << 20;

/// Bytes of redb's page cache meanwhile. Half of it is for pages that are to be written. A transaction fits into that with the
/// gaps in its pages: what is written before the transaction ends is read again for its checksums.
pub(super) const PAGE_CACHE_BYTES: usize = 48 << 20;

/// Behind all keys.
const END: Bound<&[u8]> = Bound::Unbounded;

/// A database being filled.
pub(crate) struct Loader {
    /// Before the database, so that it ends before it.
    transaction: Option<redb::WriteTransaction>,
    tables: Tables,
    bytes: usize,
}

impl Loader {
    /// Makes the database that will be at `path`.
    pub(crate) fn create(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, Error> {
        let tables = Tables::create_temporary(disk, path, Purpose::Filling)?;
        Ok(Self { transaction: None, tables, bytes: 0 })
    }

    /// Adds rows: the key with its table's number, and the value.
    pub(crate) fn put_rows(&mut self, rows: &[(&[u8], &[u8])]) -> Result<(), Error> {
        let bytes = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.put(bytes, |transaction| {
            let mut table = transaction.open_table(SIDE)?;
            for (key, value) in rows {
                drop(table.insert(*key, &row_record(key, value)[..])?);
            }
            Ok(())
        })
    }

    /// Adds keys with their values, behind those that are there.
    pub(crate) fn put_pairs(&mut self, pairs: &[Pair<'_>]) -> Result<(), Error> {
        let bytes = pairs.iter().map(|pair| 2 * pair.key.len() + pair.value_record.len()).sum();
        self.put(bytes, |transaction| {
            let (mut keys, mut values) = (transaction.open_table(KEYS)?, transaction.open_table(VALUES)?);
            let (mut keys, mut values) = (keys.upper_bound_mut(END)?, values.upper_bound_mut(END)?);
            for pair in pairs {
                keys.insert_before(pair.key, pair.entry_record)?;
                values.insert_before(pair.key, pair.value_record)?;
            }
            keys.close()?;
            Ok(values.close()?)
        })
    }

    /// Adds keys with their newest versions, behind those that are there.
    pub(crate) fn put_items(&mut self, items: &[(&Item, Entry)]) -> Result<(), Error> {
        let bytes = items.iter().map(|(item, _)| item.encoded.len() + item.key_bytes().len()).sum();
        self.put(bytes, |transaction| {
            let (mut keys, mut values) = (transaction.open_table(KEYS)?, transaction.open_table(VALUES)?);
            let (mut keys, mut values) = (keys.upper_bound_mut(END)?, values.upper_bound_mut(END)?);
            let mut record = Vec::new();
            for (item, entry) in items {
                let key = item.key_bytes();
                keys.insert_before(key, &encode_entry(key, entry)[..])?;
                put_value_record(&mut record, key, entry.revision(), item.value_bytes());
                values.insert_before(key, &record[..])?;
            }
            keys.close()?;
            Ok(values.close()?)
        })
    }

    fn put(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let Self { tables, transaction, .. } = self;
        let database = tables.database()?;
        tables.guard(|| {
            if transaction.is_none() {
                let mut begun = database.begin_write()?;
                begun.set_durability(redb::Durability::None)?;
                *transaction = Some(begun);
            }
            transaction.as_ref().map_or(Ok(()), work)
        })?;
        drop(database);
        self.bytes += bytes;
        if self.bytes >= TRANSACTION_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        self.tables.guard(|| Ok(transaction.commit()?))
    }

    /// Writes the mark, makes all of it durable, and returns the database, which has no name yet.
    pub(super) fn into_tables(mut self, mark: &[u8]) -> Result<Tables, Error> {
        self.commit()?;
        let mark = mark.to_vec();
        self.tables.commit(&Batch { empties_keys: false, changes: Vec::new(), rows: Vec::new(), mark })?;
        Ok(self.tables)
    }

    /// Writes the mark, makes all of it durable, and gives the database its name.
    pub(crate) fn finish(self, mark: Vec<u8>, path: &Path) -> Result<(), Error> {
        self.into_tables(&mark)?.name(path)
    }
}
