//! A store that is emptied while it is open: what is loaded again comes into the same files.
//!
//! The state in memory is another one from then on; whoever reads the old one is not disturbed. On the disk, the next
//! checkpoint takes all keys out and has its history begin behind the old one, whose files go as for a compaction. Until then the
//! last checkpoint is that of the old state, and after a crash the caller's log says again that the store is emptied.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::cache::Cache;
use crate::checkpoint::Mark;
use crate::hash_kv::CompactionHashes;
use crate::index::Index;
use crate::shared::{Damage, FIRST_CHANGE, Hold, Inner, Shared};
use crate::tail::Tail;

/// What a store held before it [began anew](crate::Store::begin_anew), kept for its readers. Dropping it may take long: it frees an
/// index of all keys.
#[must_use = "readers of the old state find its history as long as this is kept"]
pub struct BegunAnew {
    _hold: Hold,
    _inner: Arc<Inner>,
}

impl BegunAnew {
    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        let shared = inner.shared.read();
        let hold = shared.hold(&inner, shared.compact_revision);
        drop(shared);
        Self { _hold: hold, _inner: inner }
    }
}

impl Inner {
    /// The state of an empty store over the same files.
    pub(crate) fn emptied(&self, cache_bytes: usize) -> Self {
        let shared = Shared {
            revision: FIRST_CHANGE - 1,
            compact_revision: -1,
            index: Index::default(),
            cache: Cache::new(cache_bytes),
            tail: Tail::after(Mark::FIRST_FLOOR),
            runs: Arc::from([]),
            stored: FIRST_CHANGE - 1,
            // Nothing is looked up in it before a checkpoint brings another.
            snapshot: self.shared.read().snapshot.clone(),
            hashes: CompactionHashes::default(),
        };
        Self {
            shared: RwLock::new(shared),
            reader: self.reader.clone(),
            history_dir: self.history_dir.clone(),
            history_end: OnceLock::new(),
            damage: Damage::default(),
            roots: self.roots.clone(),
        }
    }
}
