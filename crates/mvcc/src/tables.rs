//! The current state on the disk: a redb database with the live keys, the side tables and the checkpoint's mark.
//!
//! ```text
//! keys    key                  -> create 8 | mod 8 | sub 4 | version 8 | lease 8 | value length 4 | digest 8 | crc 4
//! values  key                  -> crc 4 | value                    crc over key, mod, sub, value
//! side    table 1 | row key    -> crc 4 | row value                crc over table, row key, row value
//! mark    "checkpoint"         -> see `checkpoint::Mark`
//! ```
//!
//! Keys and values are two tables so that a start reads the small one only. redb does not verify its checksums on reads
//! (measured: most flipped bits went unnoticed), so each record has one of ours (A5); that records are missing shows in
//! the mark's counts and state hash. One transaction a checkpoint, durable, two-phase and with quick-repair: nothing else
//! writes. redb may panic on damaged pages; that is caught here and is corruption like any other.

mod handle;
mod load;
mod rewrite;
mod scan;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::MappedRwLockReadGuard;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use wal::Disk;

use self::handle::Handle;
pub(crate) use self::load::Loader;
pub(crate) use self::rewrite::{Copy, Filling};
pub(crate) use self::scan::{KeyPairs, Pair};
pub(crate) use self::values::Snapshot;
use crate::backend::{Backend, Gathered, Health};
use crate::index::Entry;
use crate::record::{Fields, crc};
use crate::{Change, Error, Revision};

const KEYS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("keys");
const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");
const SIDE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("side");
const MARK: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("mark");
const MARK_KEY: &str = "checkpoint";

/// Bytes of redb's own page cache: the values that matter are in ours, in wire form.
const PAGE_CACHE_BYTES: usize = 24 << 20;

/// The database file, open.
pub(crate) struct Tables {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Closed where it could not be opened anew, on a disk that was still full for example.
    database: Handle,
    health: Arc<Health>,
    purpose: Purpose,
}

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Checkpoints, and readers.
    Service,
    /// It is filled, once.
    Filling,
}

/// What one checkpoint writes.
pub(crate) struct Batch<'a> {
    /// Whether all keys that there are go first.
    pub(crate) empties_keys: bool,
    /// The last change of each key that changed, in order of the keys.
    pub(crate) changes: Vec<&'a Change>,
    /// Rows of side tables: `table 1 | row key` and the value.
    pub(crate) rows: Vec<(Vec<u8>, Option<&'a [u8]>)>,
    pub(crate) mark: Vec<u8>,
}

impl Tables {
    /// Opens the database at `path`; if there is none, makes one with this mark (W4: it gets its name when it is whole).
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path, initial_mark: &[u8]) -> Result<Self, Error> {
        let io = |op| move |source| Error::Io { path: path.to_owned(), op, source };
        if !disk.exists(path).map_err(io("look for"))? {
            Self::create(&disk, path, initial_mark)?;
        }
        let mut tables = Self::closed(disk, path.to_owned(), Purpose::Service);
        tables.place().clear();
        tables.reopen()?;
        Ok(tables)
    }

    fn closed(disk: Arc<dyn Disk>, path: PathBuf, purpose: Purpose) -> Self {
        Self { disk, path, database: Handle::default(), health: Arc::default(), purpose }
    }

    fn create(disk: &Arc<dyn Disk>, path: &Path, initial_mark: &[u8]) -> Result<(), Error> {
        let tables = Self::create_temporary(disk, path, Purpose::Service)?;
        tables.commit(&Batch {
            empties_keys: false,
            changes: Vec::new(),
            rows: Vec::new(),
            mark: initial_mark.to_vec(),
        })?;
        tables.name(path)
    }

    /// An empty database under a temporary name.
    fn create_temporary(disk: &Arc<dyn Disk>, path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let temporary = path.with_extension("tmp");
        let io = |op| {
            let path = temporary.clone();
            move |source| Error::Io { path, op, source }
        };
        if disk.exists(&temporary).map_err(io("look for"))? {
            disk.remove(&temporary).map_err(io("remove"))?;
        }
        disk.create(&temporary, 0).map_err(io("create"))?;
        let mut tables = Self::closed(disk.clone(), temporary, purpose);
        tables.reopen()?;
        Ok(tables)
    }

    /// Closes a database that has a temporary name and gives it its name, durably (W4).
    fn name(self, path: &Path) -> Result<(), Error> {
        self.close_durably()?;
        self.rename_to(path)
    }

    /// Closes the database, with all of its content on the disk.
    fn close_durably(&self) -> Result<(), Error> {
        self.database.close();
        let synced = self.disk.open(&self.path).and_then(|file| file.sync_data());
        synced.map_err(|source| Error::Io { path: self.path.clone(), op: "sync", source })
    }

    /// Gives a database that was closed durably its name.
    fn rename_to(self, path: &Path) -> Result<(), Error> {
        let Self { disk, path: temporary, .. } = self;
        let io = |op| {
            let path = temporary.clone();
            move |source| Error::Io { path, op, source }
        };
        disk.rename(&temporary, path).map_err(io("rename"))?;
        disk.sync_dir(path.parent().unwrap_or(Path::new("."))).map_err(io("sync the directory of"))
    }

    /// Opens the file (again). Whatever an earlier open left in memory is dropped; the file is as of its last commit.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        self.database.close();
        let file = self.disk.open(&self.path).map_err(|source| Error::Io {
            path: self.path.clone(),
            op: "open",
            source,
        })?;
        self.health.abandon();
        self.health = Arc::new(Health::default());
        let backend = Backend::new(file, self.health.clone());
        let opened = self.guard(|| {
            let mut builder = Database::builder();
            Ok(match self.purpose {
                Purpose::Service => builder.set_cache_size(PAGE_CACHE_BYTES).create_with_backend(backend)?,
                Purpose::Filling => builder
                    .set_cache_size(load::PAGE_CACHE_BYTES)
                    .create_with_backend(Gathered::new(backend))?,
            })
        });
        self.database = Handle::of(opened?);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.database.is_open()
    }

    /// Closes it until the next [`reopen`](Self::reopen).
    pub(crate) fn close(&mut self) {
        self.database.close();
    }

    fn database(&self) -> Result<MappedRwLockReadGuard<'_, Database>, Error> {
        self.database.get().ok_or_else(|| Error::NotOpen { path: self.path.clone() })
    }

    /// Length of the file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.health.file_bytes()
    }

    fn guard<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Error> {
        guard(&self.path, work).map_err(|error| match error {
            // Without space nothing was overwritten; a sync that failed is another matter.
            error if is_no_space(&error) && !self.health.has_failed_sync() => {
                Error::NoSpace(error.to_string())
            }
            error => error,
        })
    }

    /// The state as of the last commit, for readers.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let database = self.database()?;
        self.guard(|| {
            let transaction = database.begin_read()?;
            let values = transaction.open_table(VALUES)?;
            let mark = transaction.open_table(MARK)?.get(MARK_KEY)?.map(|mark| mark.value().to_vec());
            let (path, health) = (self.path.clone(), self.health.clone());
            let keeps = self.database.clone();
            Ok(mark.map(|mark| Snapshot::new(path, health, transaction, values, mark, keeps)))
        })?
        .ok_or_else(|| self.corrupt("it has no mark"))
    }

    pub(crate) fn mark(&self) -> Result<Vec<u8>, Error> {
        let database = self.database()?;
        let mark = self.guard(|| {
            let table = database.begin_read()?.open_table(MARK)?;
            Ok(table.get(MARK_KEY)?.map(|mark| mark.value().to_vec()))
        })?;
        mark.ok_or_else(|| self.corrupt("it has no mark"))
    }

    /// Hands out the live keys in order.
    pub(crate) fn load_keys(&self, mut each: impl FnMut(&[u8], Entry)) -> Result<(), Error> {
        self.load(KEYS, |key, record| {
            let entry = decode_entry(key, record).ok_or("a record of a key does not match its checksum")?;
            each(key, entry);
            Ok(())
        })
    }

    /// Hands out the rows of the side tables in order.
    pub(crate) fn load_rows(&self, mut each: impl FnMut(u8, &[u8], &[u8])) -> Result<(), Error> {
        self.load(SIDE, |key, record| {
            let value = row_value(key, record)?;
            let (table, row) = key.split_first().ok_or("a row has no table")?;
            each(*table, row, value);
            Ok(())
        })
    }

    fn load(
        &self,
        table: TableDefinition<'static, &[u8], &[u8]>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
    ) -> Result<(), Error> {
        let database = self.database()?;
        let mut damage = None;
        self.guard(|| {
            let table = database.begin_read()?.open_table(table)?;
            for pair in table.iter()? {
                let (key, record) = pair?;
                damage = each(key.value(), record.value()).err();
                if damage.is_some() {
                    break;
                }
            }
            Ok(())
        })?;
        damage.map_or(Ok(()), |what| Err(self.corrupt(what)))
    }

    /// Writes a checkpoint: all of it, durably, or nothing.
    pub(crate) fn commit(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let database = self.database()?;
        self.guard(|| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(redb::Durability::Immediate)?;
            transaction.set_quick_repair(true);
            if batch.empties_keys {
                transaction.delete_table(KEYS)?;
                transaction.delete_table(VALUES)?;
            }
            {
                let mut keys = transaction.open_table(KEYS)?;
                let mut values = transaction.open_table(VALUES)?;
                let mut record = Vec::new();
                for Change { key, after, revision, .. } in &batch.changes {
                    let Some(item) = after else {
                        keys.remove(&key[..])?;
                        values.remove(&key[..])?;
                        continue;
                    };
                    let value = item.value_bytes();
                    let entry = Entry::of(&item.meta, value);
                    keys.insert(&key[..], &encode_entry(key, &entry)[..])?;
                    put_value_record(&mut record, key, *revision, value);
                    values.insert(&key[..], &record[..])?;
                }
                let mut side = transaction.open_table(SIDE)?;
                for (key, value) in &batch.rows {
                    match value {
                        Some(value) => drop(side.insert(&key[..], &row_record(key, value)[..])?),
                        None => drop(side.remove(&key[..])?),
                    }
                }
                transaction.open_table(MARK)?.insert(MARK_KEY, &batch.mark[..])?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// Has redb check all of its pages against its checksums. Returns whether they and its lists of free pages were right;
    /// what it puts right it writes.
    pub(crate) fn check_integrity(&mut self) -> Result<bool, Error> {
        let Self { database, path, .. } = self;
        let mut database = database.get_mut().ok_or_else(|| Error::NotOpen { path: path.clone() })?;
        guard(path, || Ok(database.check_integrity()?))
    }

    /// Gives the space between its pages back. Returns whether there was any.
    pub(crate) fn shrink(&mut self) -> Result<bool, Error> {
        let Self { database, path, .. } = self;
        let mut database = database.get_mut().ok_or_else(|| Error::NotOpen { path: path.clone() })?;
        guard(path, || {
            let has_moved = database.compact()?;
            // What redb commits while it moves pages leaves no list of free pages for the next opening to begin with.
            let mut transaction = database.begin_write()?;
            transaction.set_durability(redb::Durability::Immediate)?;
            transaction.set_quick_repair(true);
            transaction.commit()?;
            Ok(has_moved)
        })
    }

    pub(crate) fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::Corrupt { path: self.path.clone(), what: what.into() }
    }
}

/// Runs redb, which may panic on a damaged file.
fn guard<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(redb::Error::Corrupted(what))) => Err(Error::Corrupt { path: path.to_owned(), what }),
        Ok(Err(source)) => Err(Error::Database { path: path.to_owned(), source: Box::new(source) }),
        Err(_) => Err(Error::Corrupt { path: path.to_owned(), what: "its pages make no sense".to_owned() }),
    }
}

fn is_no_space(error: &Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, Error::Database { source, .. }
        if matches!(&**source, redb::Error::Io(io) if matches!(io.kind(), StorageFull | QuotaExceeded)))
}

pub(crate) fn encode_entry(key: &[u8], entry: &Entry) -> [u8; 52] {
    let mut record = [0; 52];
    record[0..8].copy_from_slice(&entry.create_revision.to_le_bytes());
    record[8..16].copy_from_slice(&entry.mod_revision.to_le_bytes());
    record[16..20].copy_from_slice(&entry.mod_sub.to_le_bytes());
    record[20..28].copy_from_slice(&entry.version.to_le_bytes());
    record[28..36].copy_from_slice(&entry.lease.to_le_bytes());
    record[36..40].copy_from_slice(&entry.value_len.to_le_bytes());
    record[40..48].copy_from_slice(&entry.digest.to_le_bytes());
    let check = crc(&[key, &record[..48]]);
    record[48..].copy_from_slice(&check.to_le_bytes());
    record
}

fn decode_entry(key: &[u8], record: &[u8]) -> Option<Entry> {
    let mut fields = Fields(record);
    let entry = Entry {
        create_revision: fields.i64()?,
        mod_revision: fields.i64()?,
        mod_sub: fields.u32()?,
        version: fields.i64()?,
        lease: fields.i64()?,
        value_len: fields.u32()?,
        digest: fields.u64()?,
        ..Entry::default()
    };
    let check = fields.u32()?;
    (fields.0.is_empty() && check == crc(&[key, &record[..48]]) && entry.is_live()).then_some(entry)
}

fn row_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&crc(&[key, value]).to_le_bytes(), value].concat()
}

/// The value of a row's record. `Err` says what is wrong with it.
fn row_value<'a>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let (check, value) = record.split_at_checked(4).ok_or("a row is too short")?;
    if key.is_empty() {
        return Err("a row has no table");
    }
    if check != crc(&[key, value]).to_le_bytes() {
        return Err("a row does not match its checksum");
    }
    Ok(value)
}

/// Makes the record of a value in an emptied buffer.
fn put_value_record(record: &mut Vec<u8>, key: &[u8], revision: Revision, value: &[u8]) {
    record.clear();
    record.extend(value_check(key, revision, value));
    record.extend_from_slice(value);
}

/// The checksum of a value's record.
pub(crate) fn value_check(key: &[u8], revision: Revision, value: &[u8]) -> [u8; 4] {
    value_crc(key, revision, value).to_le_bytes()
}

fn value_crc(key: &[u8], revision: Revision, value: &[u8]) -> u32 {
    crc(&[key, &revision.main.to_le_bytes(), &revision.sub.to_le_bytes(), value])
}
