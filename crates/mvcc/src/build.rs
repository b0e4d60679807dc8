//! Making a store from versions that are known already, with the revisions that they have: what a restore does.
//!
//! ```text
//!  rows ─────────────────────┬─► StateBuilder ───┐
//!  live versions, by key ────┘                   ├─► StoreBuilder ─► a store's directory
//!  changes, by revision ───────► ChangesBuilder ─┘
//! ```
//!
//! The three come each in their own order and in any order among each other, changes from another thread if that is wanted;
//! all of them are streams, and memory is that of a segment of the history and some tens of MiB of pages. As with a snapshot that is imported, the database gets its name in the
//! very end: without that the directory is no store.
//!
//! What is given is checked as far as one item says it (its form, its revisions, the order). Whether the changes lead to the
//! live versions is the caller's to know: they are where they came from.

mod history_writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wal::Disk;

pub(crate) use self::history_writer::HistoryWriter;
use crate::checkpoint::{Mark, ends_with};
use crate::history::History;
use crate::index::Entry;
use crate::open::{DATABASE, HISTORY};
use crate::snapshot::floor_of;
use crate::state_hash::{self, StateHash};
use crate::tables::Loader;
use crate::{Applied, Change, Error, Item, Options, Revision, TableId};

/// Bytes of live versions that are handed to the database at a time.
const BATCH_BYTES: usize = 1 << 20;

/// Why a store is not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// What was given is not what a store can hold.
    #[error("{0}")]
    Refused(&'static str),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The numbers of a store that is to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The newest main revision; 1 for an empty store.
    pub revision: i64,
    /// Reads below this revision are refused; -1: never compacted.
    pub compact_revision: i64,
}

impl Extent {
    /// Main revision of the first change that the store keeps: that of the compaction is among them, for watchers that begin
    /// there.
    #[must_use]
    pub fn first_change(self) -> i64 {
        self.compact_revision.max(crate::shared::FIRST_CHANGE)
    }
}

/// Empties a directory, and returns what writes the two parts of a store into it.
pub(crate) fn empty_store(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
) -> Result<(Loader, HistoryWriter), Error> {
    let io = |op| move |source| Error::Io { path: dir.to_owned(), op, source };
    if disk.exists(dir).map_err(io("look for"))? {
        disk.remove_dir_all(dir).map_err(io("empty"))?;
    }
    disk.create_dir_all(dir).map_err(io("create"))?;
    let loader = Loader::create(&disk, &dir.join(DATABASE))?;
    let wal_options =
        wal::Options { segment_bytes: options.history_segment_bytes, identity: options.identity };
    let history = History::open(disk, &dir.join(HISTORY), wal_options, None)?;
    Ok((loader, HistoryWriter::new(history)))
}

/// A store being built. Dropped before [`finish`](Self::finish), it leaves files that are no store.
pub struct StoreBuilder {
    dir: PathBuf,
    options: Options,
    extent: Extent,
    state: StateBuilder,
    changes: ChangesBuilder,
}

/// The half of a [`StoreBuilder`] that writes the state.
pub struct StateBuilder {
    extent: Extent,
    loader: Loader,
    rows: u64,
    row_hash: StateHash,
    keys: u64,
    key_hash: StateHash,
    last_key: Vec<u8>,
    batch: Vec<Item>,
    batch_bytes: usize,
}

/// The half of a [`StoreBuilder`] that writes the history.
pub struct ChangesBuilder {
    extent: Extent,
    history: HistoryWriter,
}

impl StoreBuilder {
    /// Begins to build a store in `dir`, which is emptied first. The options are those that it will be opened with.
    ///
    /// # Errors
    /// [`BuildError::Refused`] for numbers that no store has, and those of the disk.
    pub fn begin(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        extent: Extent,
    ) -> Result<Self, BuildError> {
        let Extent { revision, compact_revision } = extent;
        if !(1..i64::MAX).contains(&revision) || !(-1..=revision).contains(&compact_revision) {
            return Err(BuildError::Refused("no store has such revisions"));
        }
        let (loader, mut history) = empty_store(disk, dir, options)?;
        history.start_behind(floor_of(compact_revision));
        let state = StateBuilder {
            extent,
            loader,
            rows: 0,
            row_hash: StateHash::default(),
            keys: 0,
            key_hash: StateHash::default(),
            last_key: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
        };
        Ok(Self { dir: dir.to_owned(), options, extent, state, changes: ChangesBuilder { extent, history } })
    }

    /// Returns the two halves, which know nothing of each other: two threads may fill them.
    pub fn halves(&mut self) -> (&mut StateBuilder, &mut ChangesBuilder) {
        (&mut self.state, &mut self.changes)
    }

    /// Makes all of it durable, and a store of it. `applied` is the place in the caller's log that it stands for.
    ///
    /// # Errors
    /// [`BuildError::Refused`] if the newest changes are missing, and those of the disk.
    pub fn finish(self, applied: Applied) -> Result<(), BuildError> {
        let Self { dir, options, extent, mut state, changes: ChangesBuilder { history, .. } } = self;
        state.write_batch()?;
        let StateBuilder { loader, rows, row_hash, keys, key_hash, .. } = state;
        let Extent { revision, compact_revision } = extent;
        let is_empty = revision == 1;
        if !is_empty && !ends_with(history.last(), revision, compact_revision) {
            return Err(BuildError::Refused("the changes of the newest revision are missing"));
        }
        let mark = Mark {
            revision,
            compact_revision,
            applied,
            keys,
            key_hash,
            rows,
            row_hash,
            ..history.finish()?.mark(options.identity)
        };
        Ok(loader.finish(mark.encode(), &dir.join(DATABASE))?)
    }
}

impl StateBuilder {
    /// Adds a row of a side table. No two have the same key.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn put_row(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<(), BuildError> {
        self.rows += 1;
        self.row_hash += state_hash::of_row(table.0, key, value);
        let key = [&[table.0], key].concat();
        Ok(self.loader.put_rows(&[(&key, value)])?)
    }

    /// Adds the newest version of a key that lives. They come in the order of their keys.
    ///
    /// # Errors
    /// [`BuildError::Refused`] if it is not the next key, or not of this store's revisions, and those of the disk.
    pub fn put_live(&mut self, item: Item) -> Result<(), BuildError> {
        let key = item.key_bytes();
        if self.keys > 0 && key <= &self.last_key[..] {
            return Err(BuildError::Refused("keys are not in order"));
        }
        if item.meta.mod_revision.main > self.extent.revision {
            return Err(BuildError::Refused("a key is from the future"));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.keys += 1;
        self.batch_bytes += item.encoded.len();
        self.batch.push(item);
        if self.batch_bytes >= BATCH_BYTES { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> Result<(), BuildError> {
        let mut entries = Vec::with_capacity(self.batch.len());
        for item in &self.batch {
            let entry = Entry::of(&item.meta, item.value_bytes());
            self.key_hash += state_hash::of_key(state_hash::digest(item.key_bytes()), &entry);
            entries.push((item, entry));
        }
        self.loader.put_items(&entries)?;
        drop(entries);
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }
}

impl ChangesBuilder {
    /// Adds a change, from [`Extent::first_change`] on, in the order of revisions: what the key is afterwards (`None`: it was
    /// deleted), and what it was before the transaction.
    ///
    /// # Errors
    /// [`BuildError::Refused`] if it cannot be the next change, and those of the disk.
    pub fn append(
        &mut self,
        revision: Revision,
        key: Bytes,
        after: Option<Item>,
        before: Option<Item>,
    ) -> Result<(), BuildError> {
        let Extent { revision: newest, compact_revision } = self.extent;
        let last = self.history.last();
        if !last.precedes_beyond(revision, compact_revision) || revision.main > newest {
            return Err(BuildError::Refused("it does not follow the change before it"));
        }
        if after.as_ref().is_some_and(|after| after.meta.mod_revision != revision) {
            return Err(BuildError::Refused("a change has a version of another revision"));
        }
        if before.as_ref().is_some_and(|before| before.meta.mod_revision.main >= revision.main) {
            return Err(BuildError::Refused("a change replaces a version that is not older"));
        }
        // What is compacted cannot be read, and not every member has it.
        let before = before.filter(|_| revision.main > compact_revision);
        Ok(self.history.append(&Change::new(revision, key, after, before.into()))?)
    }
}
