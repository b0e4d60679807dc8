//! What a key was before a transaction changed it, or where that is.
//!
//! Whoever changes a key needs to know of its version before only what the index knows. So the value of that version is not
//! read for the change. If it is in memory, the change refers to it. Otherwise the change says that it is *stored*: the last
//! checkpoint before the change has it, and the checkpoint that stores the change copies it into the history.
//!
//! ```text
//!  the change is           the version before it is read from
//!  not in a checkpoint     the tables, as of the last checkpoint       (nothing has changed the key in between)
//!  in a checkpoint         its record in the history
//! ```
//!
//! If its value turns out to be damaged when a checkpoint is to copy it, the version is *lost*: the history says that it was
//! there, and what it was but for the value. Whoever asks for the value gets an error, and the key has its new version.
//!
//! A reader need not know which of the two it is. It reads the key at the revision before, and that is found under the lock
//! together with the tables or the record that it is in, however many checkpoints there have been.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use wal::Position;

use crate::index::Entry;
use crate::open::HISTORY;
use crate::shared::{ENTRIES_PER_HOLD, Inner, Shared};
use crate::{Change, Error, Item, KeyRange, Meta, ReadError, Store};

/// What a key was before a transaction.
#[derive(Debug, Clone)]
pub enum Before {
    /// The key did not live.
    Nothing,
    /// This version, which is in memory.
    Item(Item),
    /// A version whose value is on the disk.
    Stored(Stored),
    /// A version whose value was damaged when it was to be copied into the history.
    Lost(Lost),
}

/// A version of a key without its value, which is in the last checkpoint before some change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stored {
    meta: Meta,
    value_len: u32,
    /// Whose version it is. What waits for a checkpoint is part of that, so this does not keep it alive.
    store: Weak<Inner>,
}

/// A version of a key whose value nobody can know any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    meta: Meta,
    value_len: u32,
    /// The history, and the record in it that says so, if it was read from there.
    place: Option<Box<(PathBuf, Position)>>,
}

impl Before {
    /// Returns whether the key lived.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Returns everything but the value.
    #[must_use]
    pub fn meta(&self) -> Option<Meta> {
        match self {
            Self::Nothing => None,
            Self::Item(item) => Some(item.meta),
            Self::Stored(stored) => Some(stored.meta),
            Self::Lost(lost) => Some(lost.meta),
        }
    }

    /// Returns the version if it is in memory.
    #[must_use]
    pub fn item(&self) -> Option<&Item> {
        match self {
            Self::Item(item) => Some(item),
            Self::Nothing | Self::Stored(_) | Self::Lost(_) => None,
        }
    }

    /// Returns the version whose value was lost, if it was.
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        match self {
            Self::Lost(lost) => Some(lost),
            Self::Nothing | Self::Item(_) | Self::Stored(_) => None,
        }
    }

    /// Returns whether there is a version whose value is on the disk.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored(_))
    }

    /// Returns the length of the value, in bytes.
    #[must_use]
    pub fn value_len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Item(item) => item.value_bytes().len(),
            Self::Stored(stored) => stored.value_len as usize,
            Self::Lost(lost) => lost.value_len as usize,
        }
    }

    /// Bytes that it keeps in memory besides itself.
    pub(crate) fn bytes(&self) -> usize {
        self.item().map_or(0, |item| item.encoded.len())
    }

    /// The same in memory of its own.
    pub(crate) fn detached(&self) -> Self {
        match self {
            Self::Item(item) => Self::Item(item.detached()),
            other => other.clone(),
        }
    }
}

impl From<Option<Item>> for Before {
    fn from(item: Option<Item>) -> Self {
        item.map_or(Self::Nothing, Self::Item)
    }
}

impl Lost {
    pub(crate) fn new(meta: Meta, value_len: u32) -> Self {
        Self { meta, value_len, place: None }
    }

    pub(crate) fn meta(&self) -> Meta {
        self.meta
    }

    pub(crate) fn value_len(&self) -> u32 {
        self.value_len
    }

    /// Notes the record of the history that says so.
    pub(crate) fn found_at(&mut self, dir: PathBuf, place: Position) {
        self.place = Some(Box::new((dir, place)));
    }

    /// Returns the error for whoever asks for the value.
    pub(crate) fn error(&self, key: &[u8]) -> Error {
        let revision = self.meta.mod_revision;
        let (path, place) = match &self.place {
            Some(place) => (place.0.clone(), format!("; the record at {} says so", place.1)),
            None => (PathBuf::from(HISTORY), String::new()),
        };
        let what = format!("its value of {revision} was damaged when it was replaced, and is lost{place}");
        Error::DamagedValue { path, key: Bytes::copy_from_slice(key), what }
    }
}

impl Stored {
    /// Returns the same version after its value turned out to be damaged.
    pub(crate) fn lost(&self) -> Lost {
        Lost::new(self.meta, self.value_len)
    }

    /// What the index had of it, as far as reading it takes.
    pub(crate) fn entry(&self) -> Entry {
        Entry { value_len: self.value_len, ..Entry::of_meta(&self.meta) }
    }
}

impl Change {
    /// Returns what the key was before the transaction that this change is part of. It may take a look at the disk. `None` also
    /// if the revision before is compacted, from where on nobody can know.
    ///
    /// # Errors
    /// Those of the disk, [`Error::DamagedValue`] among them, and [`Error::Closed`] if the version is on the disk and its store is
    /// not open any more.
    pub fn read_before(&self) -> Result<Option<Item>, ReadError> {
        match &self.before {
            Before::Nothing => Ok(None),
            Before::Item(item) => Ok(Some(item.clone())),
            Before::Lost(lost) => Err(lost.error(&self.key).into()),
            Before::Stored(stored) => {
                let store = stored.store.upgrade().ok_or(Error::Closed)?;
                let found = store.read_before(&self.key, self.revision.main)?;
                let is_it = found.as_ref().is_none_or(|item| item.meta == stored.meta);
                assert!(is_it, "{} of {:?} has another version before it", self.revision, self.key);
                Ok(found)
            }
        }
    }
}

/// Some keys of a range before they are changed, and where to go on; `None` at the end.
pub(crate) struct Slice {
    pub(crate) befores: Vec<(Bytes, Before)>,
    pub(crate) next: Option<Vec<u8>>,
}

impl Store {
    /// What a key is before it is changed. Of what is stored, no more than so many bytes are kept in memory for it.
    pub(crate) fn before(&self, key: &[u8], bytes_left: &mut usize) -> Before {
        let shared = self.inner().shared.read();
        shared.index.get(key).map_or(Before::Nothing, |entry| shared.before(entry, bytes_left, self.inner()))
    }

    /// The same of the keys of a range that live, from `start` on, as far as one hold of the lock goes.
    pub(crate) fn befores(&self, range: &KeyRange, start: &[u8], bytes_left: &mut usize) -> Slice {
        let shared = self.inner().shared.read();
        let mut keys = BytesMut::new();
        let mut found: Vec<(usize, Before)> = Vec::new();
        let next = shared.index.scan_piece(start, range, ENTRIES_PER_HOLD, &mut |key, entry| {
            if entry.is_live() {
                keys.extend_from_slice(key);
                found.push((key.len(), shared.before(entry, bytes_left, self.inner())));
            }
            ControlFlow::Continue(())
        });
        drop(shared);
        // One block for all of them: they are changed together, and kept together.
        let mut keys = keys.freeze();
        let befores = found.into_iter().map(|(len, before)| (keys.split_to(len), before)).collect();
        Slice { befores, next }
    }
}

impl Shared {
    /// What a key is before it is changed. Of what is stored, no more than so many bytes are kept in memory for it.
    fn before(&self, entry: &Entry, bytes_left: &mut usize, store: &Arc<Inner>) -> Before {
        if !entry.is_live() {
            return Before::Nothing;
        }
        let is_stored = entry.mod_revision <= self.stored;
        if let Some(encoded) = self.cache.get(entry.slot, entry.revision()) {
            let left = bytes_left.checked_sub(encoded.len());
            if !is_stored || left.is_some() {
                *bytes_left = left.unwrap_or(0);
                return Before::Item(Item { meta: entry.meta(), encoded: encoded.clone() });
            }
        }
        assert!(is_stored, "what no checkpoint has is in memory");
        Before::Stored(Stored {
            meta: entry.meta(),
            value_len: entry.value_len,
            store: Arc::downgrade(store),
        })
    }
}
