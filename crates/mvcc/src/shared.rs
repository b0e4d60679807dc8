//! What the writer, the checkpoint's thread and the readers share, behind one lock that is never held over IO.
//!
//! The writer takes it for each transaction, readers for each chunk of a read, the checkpoint's thread for slices of its
//! bookkeeping: tens of microseconds at the most, except for the commit of a transaction with very many changes, which
//! nobody may see half of.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::RwLock;
use wal::Position;

use crate::cache::Cache;
use crate::hash_kv::CompactionHashes;
use crate::history::{Files, Roots, SealedRun};
use crate::index::{Entry, Index};
use crate::tables::Snapshot;
use crate::tail::{Place, Tail};
use crate::{Before, Error, Item, KeyRange, ReadError, Revision};

/// The main revision of the first change there ever is: an empty store is at 1.
pub(crate) const FIRST_CHANGE: i64 = 2;

/// The shared state and the ways to the disk.
pub(crate) struct Inner {
    pub(crate) shared: RwLock<Shared>,
    pub(crate) reader: wal::Reader,
    pub(crate) history_dir: PathBuf,
    /// Where the history ends that belongs to this state, if the store was emptied since: another one follows there.
    pub(crate) history_end: OnceLock<Position>,
    pub(crate) damage: Damage,
    pub(crate) roots: Arc<Roots>,
}

impl Inner {
    /// Returns what runs are read with.
    pub(crate) fn files(&self) -> Files<'_> {
        Files { reader: &self.reader, dir: &self.history_dir, roots: &self.roots }
    }
}

/// The first damaged value that anybody has come across since the store was opened. Not one that the history says is lost: a store
/// may have that from another member, and would get it from there again.
#[derive(Debug, Default)]
pub(crate) struct Damage(OnceLock<String>);

impl Damage {
    /// Notes an error if it is about one value.
    pub(crate) fn note(&self, error: &Error) {
        if error.is_of_one_value() {
            self.0.get_or_init(|| error.to_string());
        }
    }

    /// Notes the error of a read that failed for one value, and returns the result.
    pub(crate) fn noting<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.note(error))
    }

    /// Returns what was noted: which value of which file.
    pub(crate) fn noted(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The state in memory.
///
/// Invariants: a live key's value is in the cache, or its revision is at most `stored` and it is in `snapshot`; so is what
/// a change replaced that no checkpoint has, or the change refers to it. A change is in the tail, or in a run, or before
/// `compact_revision`. Each key that changed within the tail is in the index, dead or alive.
pub(crate) struct Shared {
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) index: Index,
    pub(crate) cache: Cache,
    pub(crate) tail: Tail,
    /// Sealed runs, oldest first.
    pub(crate) runs: Arc<[Arc<SealedRun>]>,
    /// Main revision of the last checkpoint.
    pub(crate) stored: i64,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) hashes: CompactionHashes,
}

/// What a reader holds on to while it reads at a revision that compaction may overtake: the history from there on is not
/// released.
#[derive(Clone)]
pub(crate) struct Hold {
    _pin: Arc<wal::Pin>,
}

/// A version of a key that was found under the lock; what is still to be read is read without it.
#[derive(Debug)]
pub(crate) enum Found {
    /// In memory.
    Item(Item),
    /// A version that the last checkpoint has; or only its index entry is wanted.
    Stored(Vec<u8>, Entry),
    /// The *before* of this record of the history.
    Before(Position),
    /// There is one, and no more is wanted.
    Counted,
    /// There was none at that revision.
    Nothing,
}

/// Which part of a range is read, as of when.
pub(crate) struct Wanted<'a> {
    pub(crate) range: &'a KeyRange,
    pub(crate) at: i64,
    pub(crate) parts: Parts,
}

/// How much of each version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    All,
    /// No values.
    Keys,
    /// Only that it is there.
    Count,
}

impl Parts {
    pub(crate) fn keys_only(keys_only: bool) -> Self {
        if keys_only { Self::Keys } else { Self::All }
    }
}

/// Versions found, in key order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) found: Vec<(Vec<u8>, Found)>,
    /// Entries of the index that were gone through.
    pub(crate) visited: usize,
    /// Where to go on; `None` at the end of the range.
    pub(crate) next: Option<Vec<u8>>,
}

/// Entries that are gone through under one hold of the lock: about 20 us.
pub(crate) const ENTRIES_PER_HOLD: usize = 256;

impl Shared {
    /// Checks a revision that somebody wants to read at.
    pub(crate) fn check(&self, at: Option<i64>) -> Result<i64, ReadError> {
        match at {
            Some(at) if at > self.revision => Err(ReadError::Future(self.revision)),
            Some(at) if at < self.compact_revision => Err(ReadError::Compacted(self.compact_revision)),
            Some(at) => Ok(at),
            None => Ok(self.revision),
        }
    }

    /// Whether all changes after this revision are in the tail: then runs need not be looked at.
    pub(crate) fn tail_covers(&self, at: i64) -> bool {
        // Revision 0 is as empty as revision 1.
        self.tail.floor().main <= at.max(FIRST_CHANGE - 1)
    }

    /// Lets a reader go on at a revision that is not compacted now, whatever happens.
    pub(crate) fn hold(&self, inner: &Inner, at: i64) -> Hold {
        let needed = self.runs.iter().find(|run| run.last.main > at).map(|run| run.first_segment);
        // The tail begins in the segment after that of the last root, or in the first there is.
        let segment = needed.or(self.runs.last().map(|run| run.root.segment)).unwrap_or(0);
        Hold { _pin: Arc::new(inner.reader.pin(segment)) }
    }

    /// The runs with changes after this revision, oldest first. It is not compacted, or the reader holds on to it.
    ///
    /// # Panics
    /// If a run is missing: what is read without it would be wrong.
    pub(crate) fn runs_after(&self, at: i64) -> Vec<Arc<SealedRun>> {
        let runs: Vec<_> = self.runs.iter().filter(|run| run.last.main > at).cloned().collect();
        // Of the compact revision itself, a store that was made from a backup may have nothing.
        let first = if at + 1 == self.compact_revision { at + 2 } else { at + 1 };
        let begins = runs.first().is_none_or(|run| run.first.main <= first.max(FIRST_CHANGE));
        let goes_on =
            runs.windows(2).all(|pair| pair[0].last.precedes_beyond(pair[1].first, self.compact_revision));
        let ends = runs.last().map_or(self.tail_covers(at), |run| run.last == self.tail.floor());
        assert!(begins && goes_on && ends, "a run of the history is missing after r{at}");
        runs
    }

    /// The newest version of a key.
    pub(crate) fn newest(&self, key: &[u8]) -> Found {
        match self.index.get(key) {
            Some(entry) if entry.is_live() => self.current(key, entry, Parts::All),
            _ => Found::Nothing,
        }
    }

    fn current(&self, key: &[u8], entry: &Entry, parts: Parts) -> Found {
        match parts {
            Parts::All => {}
            Parts::Keys => return Found::Stored(key.to_vec(), *entry),
            Parts::Count => return Found::Counted,
        }
        match self.cache.get(entry.slot, entry.revision()) {
            Some(encoded) => Found::Item(Item { meta: entry.meta(), encoded: encoded.clone() }),
            None => Found::Stored(key.to_vec(), *entry),
        }
    }

    /// Goes through the range from `start`, as far as one hold of the lock goes and until `limit` versions are found. Keys
    /// whose version at that revision is in a run are found with what the tail and the index say.
    pub(crate) fn chunk(&self, wanted: &Wanted<'_>, start: &[u8], limit: usize, with_keys: bool) -> Chunk {
        let found = Vec::with_capacity(limit.min(ENTRIES_PER_HOLD));
        let mut chunk = Chunk { found, visited: 0, next: None };
        self.index.scan(start, wanted.range, &mut |key, entry| {
            if chunk.visited == ENTRIES_PER_HOLD || chunk.found.len() == limit {
                chunk.next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            chunk.visited += 1;
            let found = self.version(wanted, key, entry);
            // Where runs are merged in, even "nothing" is an answer: the key is then named.
            if with_keys {
                chunk.found.push((key.to_vec(), found));
            } else if !matches!(found, Found::Nothing) {
                chunk.found.push((Vec::new(), found));
            }
            ControlFlow::Continue(())
        });
        chunk
    }

    fn version(&self, wanted: &Wanted<'_>, key: &[u8], entry: &Entry) -> Found {
        if entry.mod_revision <= wanted.at {
            return if entry.is_live() { self.current(key, entry, wanted.parts) } else { Found::Nothing };
        }
        // Changed since. If the change is not in the tail, it is in a run, and the caller looks there first.
        if entry.revision() <= self.tail.floor() {
            return Found::Nothing;
        }
        if wanted.parts == Parts::Count {
            let was_alive = self.tail.was_alive_before(entry.link, wanted.at);
            return if was_alive { Found::Counted } else { Found::Nothing };
        }
        match self.tail.first_after(entry.link, wanted.at) {
            Some(Place::Flushed(position, true)) => Found::Before(position),
            Some(Place::Flushed(_, false)) => Found::Nothing,
            Some(Place::Pending(changes, sub)) => match &changes[sub].before {
                Before::Item(item) => Found::Item(item.clone()),
                // No checkpoint since has the change, so the last one has what it replaced.
                Before::Stored(stored) => Found::Stored(key.to_vec(), stored.entry()),
                Before::Nothing => Found::Nothing,
                Before::Lost(_) => unreachable!("what no checkpoint has is not lost"),
            },
            None => Found::Nothing,
        }
    }

    /// Brings an item that was read from the disk into the cache, if it is still the newest.
    pub(crate) fn admit(&mut self, key: &[u8], revision: Revision, encoded: Bytes) {
        let stored = self.stored;
        if let Some(entry) = self.index.get_mut(key)
            && entry.revision() == revision
            && self.cache.get(entry.slot, revision).is_none()
        {
            entry.slot = self.cache.put((entry.slot, revision), revision, encoded, stored);
        }
    }
}
