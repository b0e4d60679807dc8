//! Reading a checkpoint whole, in order, while later ones are made: what an export does.
//!
//! Each record is held against its checksum, and a value against the digest that the state hash knows of it, before
//! anybody gets to see it.

use std::path::PathBuf;
use std::sync::Arc;

use super::{KEYS, SIDE, Snapshot, VALUES, decode_entry, guard, row_value, value_crc};
use crate::Error;
use crate::backend::Health;
use crate::index::Entry;
use crate::state_hash;

type Pairs = redb::Range<'static, &'static [u8], &'static [u8]>;

/// Where records come from, for errors.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    health: Arc<Health>,
}

impl Source {
    fn read<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Error> {
        guard(&self.path, work).map_err(|error| self.blame(error))
    }

    fn corrupt(&self, what: String) -> Error {
        self.blame(Error::Corrupt { path: self.path.clone(), what })
    }

    /// Returns the error for what is wrong with a key; without one, with the whole.
    fn damaged(&self, key: Vec<u8>, what: &str) -> Error {
        if key.is_empty() {
            return self.corrupt(what.to_owned());
        }
        self.blame(Error::DamagedValue { path: self.path.clone(), key: key.into(), what: what.to_owned() })
    }

    /// What was written over after the database was opened anew is no damage.
    fn blame(&self, error: Error) -> Error {
        if self.health.is_abandoned() { Error::Outdated } else { error }
    }
}

impl Snapshot {
    fn source(&self) -> Source {
        Source { path: self.path.clone(), health: self.health.clone() }
    }

    /// Says that the checkpoint is not what its mark says.
    pub(crate) fn corrupt(&self, what: String) -> Error {
        self.source().corrupt(what)
    }

    /// The rows of the side tables, in order.
    pub(crate) fn rows(&self) -> Result<Rows, Error> {
        let source = self.source();
        let rows = source.read(|| Ok(self.transaction.open_table(SIDE)?.range::<&[u8]>(..)?))?;
        Ok(Rows { source, rows })
    }

    /// The live keys with their values, in order.
    pub(crate) fn pairs(&self) -> Result<KeyPairs, Error> {
        let source = self.source();
        let (keys, values) = source.read(|| {
            let keys = self.transaction.open_table(KEYS)?.range::<&[u8]>(..)?;
            Ok((keys, self.transaction.open_table(VALUES)?.range::<&[u8]>(..)?))
        })?;
        Ok(KeyPairs { source, keys, values })
    }
}

/// The rows of a checkpoint.
pub(crate) struct Rows {
    source: Source,
    rows: Pairs,
}

impl Rows {
    /// Shows the next row: table and row key in one, and the value. `None`: there is none.
    pub(crate) fn next_row<T>(&mut self, show: impl FnOnce(&[u8], &[u8]) -> T) -> Result<Option<T>, Error> {
        let Self { source, rows } = self;
        let shown = source.read(|| {
            let Some((key, record)) = rows.next().transpose()? else { return Ok(Ok(None)) };
            Ok(row_value(key.value(), record.value()).map(|value| Some(show(key.value(), value))))
        })?;
        shown.map_err(|what| source.corrupt(what.to_owned()))
    }
}

/// A live key as it is stored.
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) entry: Entry,
    /// The record of the entry.
    pub(crate) entry_record: &'a [u8],
    /// The record of the value, with its checksum.
    pub(crate) value_record: &'a [u8],
}

impl<'a> Pair<'a> {
    /// Checks the records of a key. `Err` says what is wrong.
    pub(crate) fn check(
        key: &'a [u8],
        entry_record: &'a [u8],
        value_record: &'a [u8],
    ) -> Result<Self, &'static str> {
        let entry = decode_entry(key, entry_record).ok_or("a record of a key does not match its checksum")?;
        let (check, value) = value_record.split_at_checked(4).ok_or("a value is too short")?;
        if check != value_crc(key, entry.revision(), value).to_le_bytes() {
            return Err("a value does not match its checksum");
        }
        if value.len() as u64 != u64::from(entry.value_len) || state_hash::digest(value) != entry.digest {
            return Err("a value is not the one that its key has");
        }
        Ok(Self { key, entry, entry_record, value_record })
    }
}

/// The live keys of a checkpoint.
pub(crate) struct KeyPairs {
    source: Source,
    keys: Pairs,
    values: Pairs,
}

impl KeyPairs {
    /// Shows the next key. `None`: there is none.
    pub(crate) fn next_pair<T>(&mut self, show: impl FnOnce(&Pair<'_>) -> T) -> Result<Option<T>, Error> {
        let Self { source, keys, values } = self;
        let shown = source.read(|| {
            let (key, value) = match (keys.next().transpose()?, values.next().transpose()?) {
                (Some(key), Some(value)) if key.0.value() == value.0.value() => (key, value),
                (None, None) => return Ok(Ok(None)),
                _ => return Ok(Err((Vec::new(), "its keys and its values do not belong together"))),
            };
            let (entry_record, value_record) = (key.1.value(), value.1.value());
            let pair = Pair::check(key.0.value(), entry_record, value_record);
            Ok(pair.map(|pair| Some(show(&pair))).map_err(|what| (key.0.value().to_vec(), what)))
        })?;
        shown.map_err(|(key, what)| source.damaged(key, what))
    }
}
