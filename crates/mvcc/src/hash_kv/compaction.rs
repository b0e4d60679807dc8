//! The hashes of compactions.
//!
//! etcd hashes what a compaction goes through: everything up to the compaction's revision, relative to the compaction before
//! it. It keeps the hashes of the last ten, and answers with them when it is asked for the hash of such a revision, also when
//! that is compacted itself by now; a restart forgets them. Members that compact at the same revisions can so compare what
//! they had, whatever was written since.
//!
//! Here a compaction goes through nothing. So whoever wants that hash takes it apart from it: a [`CompactionHash`] holds on
//! to the history, as it was, for as long as that takes, and is asked at leisure on some thread. Until it is done, a call that
//! wants the hash computes it too.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{HashKv, IsWanted, Span, compute};
use crate::shared::{Hold, Inner};
use crate::{ReadError, Store};

/// So many are kept, as etcd does.
const KEPT_MAX: usize = 10;

/// The hashes of the last compactions, by revision.
#[derive(Default)]
pub(crate) struct CompactionHashes(VecDeque<(i64, Hashed)>);

/// The hash of a compaction.
#[derive(Clone)]
enum Hashed {
    /// It can be taken: relative to this revision, with the history that it needs.
    Possible(i64, Hold),
    Taken(HashKv),
}

impl CompactionHashes {
    fn push(&mut self, revision: i64, hashed: Hashed) {
        self.0.push_back((revision, hashed));
        if self.0.len() > KEPT_MAX {
            self.0.pop_front();
        }
    }

    fn get_mut(&mut self, revision: i64) -> Option<&mut Hashed> {
        self.0.iter_mut().find(|(of, _)| *of == revision).map(|(_, hashed)| hashed)
    }

    fn get(&self, revision: i64) -> Option<Hashed> {
        self.0.iter().find(|(of, _)| *of == revision).map(|(_, hashed)| hashed.clone())
    }

    /// Forgets one that was not taken.
    fn give_up(&mut self, revision: i64) {
        self.0.retain(|(of, hashed)| *of != revision || matches!(hashed, Hashed::Taken(_)));
    }
}

/// The hash of the compaction at this revision, if it is known or can be taken.
pub(super) fn of_compaction(inner: &Inner, at: i64) -> Result<Option<HashKv>, ReadError> {
    let shared = inner.shared.read();
    let revision = shared.revision;
    let hashed = shared.hashes.get(at);
    drop(shared);
    Ok(match hashed {
        None => None,
        Some(Hashed::Taken(hash)) => Some(HashKv { revision, ..hash }),
        Some(Hashed::Possible(previous, hold)) => take(inner, at, previous, &hold, revision, &|| true)?,
    })
}

fn take(
    inner: &Inner,
    at: i64,
    previous: i64,
    hold: &Hold,
    revision: i64,
    is_wanted: IsWanted<'_>,
) -> Result<Option<HashKv>, ReadError> {
    let span = Span { at, compact_revision: previous, is_compaction: true };
    let hash = compute(inner, &span, hold, is_wanted)?;
    Ok(hash.map(|hash| HashKv { hash, hash_revision: at, compact_revision: previous, revision }))
}

/// The hash of a compaction, to be taken. Made by [`Store::compaction_hash`]. It keeps what the compaction released on the
/// disk for as long as it lives; dropped without being taken, it leaves no hash.
#[must_use = "it keeps the history from being released"]
pub struct CompactionHash {
    inner: Arc<Inner>,
    revision: i64,
    previous: i64,
    hold: Hold,
}

impl CompactionHash {
    /// The compaction's revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Takes the hash, which [`View::hash_kv`](crate::View::hash_kv) answers with from then on. Reads every key and the history
    /// that the compaction released, for as long as `is_wanted` says so, which is asked every few hundred keys. Returns
    /// `None`, and leaves no hash, if it says no.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn take(self, is_wanted: impl Fn() -> bool) -> Result<Option<HashKv>, ReadError> {
        let newest = self.inner.shared.read().revision;
        let taken = take(&self.inner, self.revision, self.previous, &self.hold, newest, &is_wanted)?;
        let Some(hash) = taken else { return Ok(None) };
        if let Some(hashed) = self.inner.shared.write().hashes.get_mut(self.revision) {
            *hashed = Hashed::Taken(hash);
        }
        Ok(Some(hash))
    }
}

impl Drop for CompactionHash {
    fn drop(&mut self) {
        self.inner.shared.write().hashes.give_up(self.revision);
    }
}

impl Store {
    /// The hash that etcd remembers of a compaction, to be taken: see [`CompactionHash`]. Of the last compaction, and only until
    /// the next checkpoint begins, which releases what it needs.
    pub fn compaction_hash(&mut self) -> Option<CompactionHash> {
        let Compaction { revision, previous, hold } = self.take_compaction()?;
        let inner = self.inner().clone();
        inner.shared.write().hashes.push(revision, Hashed::Possible(previous, hold.clone()));
        Some(CompactionHash { inner, revision, previous, hold })
    }
}

/// A compaction of which nobody has asked for the hash yet.
pub(crate) struct Compaction {
    revision: i64,
    previous: i64,
    hold: Hold,
}

impl Compaction {
    /// The compaction at `revision` that follows that at `previous`, and is not known to anybody yet. `None` where there is
    /// nothing to hash.
    pub(crate) fn of(inner: &Inner, revision: i64, previous: i64) -> Option<Self> {
        (revision > 0).then(|| Self { revision, previous, hold: inner.shared.read().hold(inner, previous) })
    }
}
