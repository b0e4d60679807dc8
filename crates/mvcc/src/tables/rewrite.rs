//! Writing the database anew beside the one in use, without the space between its pages.
//!
//! The copy begins with the keys of a checkpoint and then follows the changes since, some at a time. In the end it takes the rows
//! and the mark of the last checkpoint and the name of the database, and is the database. Count and hash of its keys are kept
//! along and must be those of the mark: otherwise it gets no name.

use std::path::PathBuf;
use std::sync::Arc;

use redb::ReadableDatabase;
use wal::Disk;

use super::scan::Pair;
use super::{Batch, KEYS, Loader, Purpose, Snapshot, Tables, decode_entry};
use crate::checkpoint::Mark;
use crate::index::Entry;
use crate::state_hash::{self, StateHash};
use crate::{Change, Error};

/// Bytes of records that are put into the copy at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Where a database is.
#[derive(Clone)]
pub(crate) struct Place {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

/// The copy while it is filled.
pub(crate) struct Filling {
    loader: Loader,
    pairs: super::KeyPairs,
    mark: Vec<u8>,
    keys: u64,
    hash: StateHash,
}

/// A copy that has all keys as of some revision.
pub(crate) struct Copy {
    tables: Tables,
    mark: Vec<u8>,
    keys: u64,
    hash: StateHash,
}

/// A key's records.
struct Record {
    key: Vec<u8>,
    entry: Entry,
    entry_record: Vec<u8>,
    value_record: Vec<u8>,
}

impl Place {
    /// Removes what an interrupted copy has left. If that cannot be, it does no harm, and the next copy begins with it.
    pub(crate) fn clear(&self) {
        let path = self.path.with_extension("tmp");
        if self.disk.exists(&path).is_ok_and(|exists| exists) {
            let _ = self.disk.remove(&path);
        }
    }
}

impl Filling {
    /// Begins a copy of a checkpoint.
    pub(crate) fn begin(place: &Place, snapshot: &Snapshot) -> Result<Self, Error> {
        let loader = Loader::create(&place.disk, &place.path)?;
        let (pairs, mark) = (snapshot.pairs()?, snapshot.mark().to_vec());
        Ok(Self { loader, pairs, mark, keys: 0, hash: StateHash::default() })
    }

    /// Copies some keys. Returns whether there are more.
    pub(crate) fn step(&mut self) -> Result<bool, Error> {
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        while bytes < PIECE_BYTES {
            let Some(record) = self.pairs.next_pair(Record::of)? else { break };
            bytes += record.key.len() + record.value_record.len();
            self.keys += 1;
            self.hash += state_hash::of_key(state_hash::digest(&record.key), &record.entry);
            records.push(record);
        }
        if records.is_empty() {
            return Ok(false);
        }
        let pairs: Vec<_> = records.iter().map(Record::pair).collect();
        self.loader.put_pairs(&pairs)?;
        Ok(true)
    }

    /// Ends it when all keys are copied.
    pub(crate) fn finish(self) -> Result<Copy, Error> {
        let Self { loader, mark, keys, hash, .. } = self;
        let mut tables = loader.into_tables(&mark)?;
        tables.purpose = Purpose::Service;
        tables.reopen()?;
        Ok(Copy { tables, mark, keys, hash })
    }
}

impl Record {
    fn of(pair: &Pair<'_>) -> Self {
        let Pair { key, entry, entry_record, value_record } = pair;
        Self {
            key: key.to_vec(),
            entry: *entry,
            entry_record: entry_record.to_vec(),
            value_record: value_record.to_vec(),
        }
    }

    fn pair(&self) -> Pair<'_> {
        let Self { key, entry, entry_record, value_record } = self;
        Pair { key, entry: *entry, entry_record, value_record }
    }
}

impl Copy {
    /// Follows changes, in order: the last one of each key counts.
    pub(crate) fn follow(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut last: Vec<&Change> = changes.iter().rev().collect();
        last.sort_by(|one, other| one.key.cmp(&other.key));
        last.dedup_by(|next, kept| next.key == kept.key);
        for change in &last {
            let digest = state_hash::digest(&change.key);
            if let Some(entry) = self.entry(&change.key)? {
                self.keys -= 1;
                self.hash -= state_hash::of_key(digest, &entry);
            }
            if let Some(item) = &change.after {
                self.keys += 1;
                self.hash += state_hash::of_key(digest, &Entry::of(&item.meta, item.value_bytes()));
            }
        }
        let batch = Batch { empties_keys: false, changes: last, rows: Vec::new(), mark: self.mark.clone() };
        self.tables.commit(&batch)
    }

    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let database = self.tables.database()?;
        let found = self.tables.guard(|| {
            let table = database.begin_read()?.open_table(KEYS)?;
            Ok(table.get(key)?.map(|record| decode_entry(key, record.value())))
        })?;
        match found {
            Some(None) => Err(self.tables.corrupt("a record of a key does not match its checksum")),
            Some(entry) => Ok(entry),
            None => Ok(None),
        }
    }

    /// Takes the rows and the mark of a database whose keys it has, durably.
    pub(crate) fn complete(&mut self, of: &Tables, mark: &Mark) -> Result<(), Error> {
        if (self.keys, self.hash) != (mark.keys, mark.key_hash) {
            let what = format!("{} keys were copied that are not the {} of its mark", self.keys, mark.keys);
            return Err(of.corrupt(what));
        }
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        of.load_rows(|table, key, value| rows.push(([&[table], key].concat(), value.to_vec())))?;
        let rows = rows.iter().map(|(key, value)| (key.clone(), Some(&value[..]))).collect();
        self.tables.commit(&Batch { empties_keys: false, changes: Vec::new(), rows, mark: mark.encode() })
    }

    /// Closes the copy, durably.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.tables.close_durably()
    }

    /// Gives the copy, which is closed, the name of the database, and leaves it closed in the place of the one in use. After an
    /// error nobody knows which of the two has the name. Who reads the old one reads on: it is open for as long as there is a
    /// snapshot of it, without a name, and nothing is written to it any more.
    pub(crate) fn replace(self, tables: &mut Tables) -> Result<(), Error> {
        let closed = Tables::closed(tables.disk.clone(), tables.path.clone(), Purpose::Service);
        let old = std::mem::replace(tables, closed);
        self.tables.rename_to(&tables.path)?;
        old.health.abandon();
        Ok(())
    }
}

impl Tables {
    /// Returns where the database is.
    pub(crate) fn place(&self) -> Place {
        Place { disk: self.disk.clone(), path: self.path.clone() }
    }
}
