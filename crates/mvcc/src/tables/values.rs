//! Reading values as of a checkpoint: of one key, or of many in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::handle::Handle;
use super::{guard, value_crc};
use crate::Error;
use crate::backend::Health;
use crate::index::Entry;
use crate::item::Item;

type Table = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
type Guard = redb::AccessGuard<'static, &'static [u8]>;

/// Records that are passed by on the way to the next wanted one before it is looked up from the root.
const PASSED_MAX: usize = 1;

/// The values as of one checkpoint. What the index says is stored is in here, or the file is corrupt.
pub(crate) struct Snapshot {
    pub(super) path: PathBuf,
    pub(super) health: Arc<Health>,
    pub(super) transaction: redb::ReadTransaction,
    values: Table,
    /// Read when the snapshot was taken: whoever wants to know it may hold a lock.
    mark: Vec<u8>,
    /// Keeps the database open. After the others, as they end before it.
    _keeps: Handle,
}

impl Snapshot {
    pub(super) fn new(
        path: PathBuf,
        health: Arc<Health>,
        transaction: redb::ReadTransaction,
        values: Table,
        mark: Vec<u8>,
        keeps: Handle,
    ) -> Self {
        Self { path, health, transaction, values, mark, _keeps: keeps }
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The mark, as it was written.
    pub(crate) fn mark(&self) -> &[u8] {
        &self.mark
    }

    /// The item of a key with this index entry.
    pub(crate) fn item(&self, key: &[u8], entry: &Entry) -> Result<Item, Error> {
        let record =
            guard(&self.path, || Ok(self.values.get(key)?.map(|record| decode(key, entry, record.value()))))?;
        record.unwrap_or(Err(MISSING)).map_err(|what| self.damaged(key, what))
    }

    /// The items of several keys in order; a key may be there more than once. Neighbours are read by one scan.
    pub(crate) fn items(&self, wanted: &[(&[u8], &Entry)]) -> Result<Vec<Item>, Error> {
        let items = self.items_or_damage(wanted)?.into_iter().zip(wanted);
        items.map(|(item, (key, _))| item.map_err(|what| self.damaged(key, what))).collect()
    }

    /// The same; of a value that is damaged, what is wrong with it.
    pub(crate) fn items_or_damage(
        &self,
        wanted: &[(&[u8], &Entry)],
    ) -> Result<Vec<Result<Item, &'static str>>, Error> {
        let mut items: Vec<Result<Item, &'static str>> = Vec::with_capacity(wanted.len());
        let mut walk = Walk { values: &self.values, range: None, ahead: None };
        for (number, (key, entry)) in wanted.iter().enumerate() {
            let item = match items.last() {
                Some(last) if wanted[number - 1].0 == *key => last.clone(),
                _ => {
                    let item = guard(&self.path, || {
                        Ok(walk.find(key)?.map(|record| decode(key, entry, record.value())))
                    })?;
                    item.unwrap_or(Err(MISSING))
                }
            };
            items.push(item);
        }
        Ok(items)
    }

    /// Returns the error for a value that is damaged. What was written over after the database was opened anew is no damage.
    pub(crate) fn damaged(&self, key: &[u8], what: &str) -> Error {
        if self.health.is_abandoned() {
            return Error::Outdated;
        }
        Error::DamagedValue {
            path: self.path.clone(),
            key: Bytes::copy_from_slice(key),
            what: what.to_owned(),
        }
    }
}

/// What is wrong with a value that is not there.
const MISSING: &str = "its value is missing";

/// Returns the item of a key from the record of its value, or what is wrong with that.
fn decode(key: &[u8], entry: &Entry, record: &[u8]) -> Result<Item, &'static str> {
    let (check, value) = record.split_at_checked(4).ok_or("its value is too short")?;
    if check != value_crc(key, entry.revision(), value).to_le_bytes() {
        return Err("its value does not match its checksum");
    }
    Ok(Item::new(key, entry.meta(), value))
}

/// A way through the values that looks for keys in ascending order.
struct Walk<'t> {
    values: &'t Table,
    range: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    /// What the range came to and nobody has wanted yet.
    ahead: Option<(Guard, Guard)>,
}

impl Walk<'_> {
    /// Returns the record of the next key.
    fn find(&mut self, key: &[u8]) -> Result<Option<Guard>, redb::Error> {
        let mut passed = 0;
        loop {
            let Some((found, record)) = self.next(key)? else { return Ok(None) };
            if found.value() == key {
                return Ok(Some(record));
            }
            if found.value() > key {
                self.ahead = Some((found, record));
                return Ok(None);
            }
            passed += 1;
            if passed == PASSED_MAX {
                self.range = None;
            }
        }
    }

    /// The next record of the range; if there is no range, of one that begins with a key.
    fn next(&mut self, key: &[u8]) -> Result<Option<(Guard, Guard)>, redb::Error> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let range = match &mut self.range {
            Some(range) => range,
            None => self.range.insert(self.values.range::<&[u8]>(key..)?),
        };
        Ok(range.next().transpose()?)
    }
}
