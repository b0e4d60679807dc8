//! The thread that takes the hashes of compactions.
//!
//! etcd takes them while it compacts, and answers HashKV with them afterwards (contract: semantics 11). Here compacting costs
//! nothing, so hashing is all that there is to do: it reads every key, at leisure, while the store holds on to what the
//! compaction released. A call that cannot wait for that computes the same.
//!
//! What the store holds on to is space on the disk, so at most one compaction is held. When the next one comes before the
//! hash of the last is taken, that hash is given up: members compare the hashes of compactions that they all had the time for.

use std::sync::Arc;
use std::time::Instant;

use mvcc::CompactionHash;
use parking_lot::{Condvar, Mutex};

use crate::{messages, priority, spawn};

/// Hands compactions to the thread, which there is from the first one on.
#[derive(Default)]
pub(crate) struct CompactionHasher(Option<Arc<Desk>>);

impl CompactionHasher {
    /// Has the hash of a compaction taken, in place of those before it.
    pub(crate) fn take(&mut self, compaction: CompactionHash) {
        self.0.get_or_insert_with(start).put(Next::Compaction(compaction));
    }
}

impl Drop for CompactionHasher {
    fn drop(&mut self) {
        if let Some(desk) = &self.0 {
            desk.put(Next::End);
        }
    }
}

/// Where the newest compaction waits for the thread.
#[derive(Default)]
struct Desk {
    next: Mutex<Option<Next>>,
    arrived: Condvar,
}

enum Next {
    Compaction(CompactionHash),
    /// There will not be another.
    End,
}

impl Desk {
    /// Puts down what is to be done next. A compaction that still waits is given up.
    fn put(&self, next: Next) {
        let replaced = self.next.lock().replace(next);
        self.arrived.notify_one();
        drop(replaced);
    }

    /// The next compaction, when there is one; `None` at the end.
    fn take(&self) -> Option<CompactionHash> {
        let mut next = self.next.lock();
        loop {
            match next.take() {
                Some(Next::Compaction(compaction)) => return Some(compaction),
                Some(Next::End) => return None,
                None => self.arrived.wait(&mut next),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.next.lock().is_none()
    }
}

fn start() -> Arc<Desk> {
    let desk = Arc::new(Desk::default());
    let work = {
        let desk = desk.clone();
        move || {
            priority::give_way();
            while let Some(compaction) = desk.take() {
                take(compaction, &desk);
            }
        }
    };
    // Without the thread there is no hash; that of what is there now is the answer then.
    if let Err(error) = spawn::thread("compaction-hash", work) {
        tracing::warn!(error = %error, "no thread for the hashes of compactions");
    }
    desk
}

fn take(compaction: CompactionHash, desk: &Desk) {
    let (revision, started) = (compaction.revision(), Instant::now());
    match compaction.take(|| desk.is_empty()) {
        Ok(Some(taken)) => {
            tracing::info!(
                hash = taken.hash,
                revision,
                "compact-revision" = taken.compact_revision,
                "storing new hash"
            );
            let took = started.elapsed();
            tracing::info!(
                "compact-revision" = revision,
                ?took,
                hash = taken.hash,
                "{}",
                messages::COMPACTED
            );
        }
        Ok(None) => tracing::info!(revision, "the hash of a compaction was given up for the next one"),
        Err(error) => tracing::error!(error = %error, revision, "cannot take the hash of a compaction"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mvcc::{LeaseId, Options, ReadError, Store};
    use wal::SimDisk;

    use super::*;

    /// A store with a history of many segments.
    fn store() -> Store {
        let options = Options { history_segment_bytes: 4096, ..Options::default() };
        Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap()
    }

    fn compaction(store: &mut Store) -> CompactionHash {
        for number in 0..100 {
            let mut txn = store.txn();
            txn.put(format!("key{number:03}").into(), vec![7; 100].into(), LeaseId(0));
            txn.commit();
        }
        store.compact(store.revision()).unwrap();
        let compaction = store.compaction_hash().unwrap();
        store.checkpoint().unwrap();
        compaction
    }

    #[test]
    fn only_the_newest_compaction_waits_and_what_the_others_held_is_released() {
        let mut store = store();
        let desk = Desk::default();
        let compactions: Vec<_> = (0..5).map(|_| compaction(&mut store)).collect();
        let newest = compactions.last().unwrap().revision();
        let first = compactions[0].revision();
        store.checkpoint().unwrap();
        assert!(store.released_revision() < first, "the hashes need the history");
        let held = store.disk_bytes();
        compactions.into_iter().for_each(|compaction| desk.put(Next::Compaction(compaction)));
        store.checkpoint().unwrap();
        assert!(store.disk_bytes() < held - 3 * 10_000, "four of five compactions are released");
        let compaction = desk.take().unwrap();
        assert_eq!(compaction.revision(), newest);
        take(compaction, &desk);
        assert_eq!(store.view().hash_kv(Some(newest)).unwrap().hash_revision, newest);
        assert!(matches!(store.view().hash_kv(Some(first)), Err(ReadError::Compacted(_))));
        store.checkpoint().unwrap();
        assert_eq!(store.released_revision(), newest);
    }

    #[test]
    fn a_hash_is_given_up_when_the_next_compaction_comes() {
        let mut store = store();
        let desk = Desk::default();
        let (older, newer) = (compaction(&mut store), compaction(&mut store));
        let revision = older.revision();
        desk.put(Next::Compaction(newer));
        take(older, &desk);
        assert!(matches!(store.view().hash_kv(Some(revision)), Err(ReadError::Compacted(_))));
        drop(desk);
        store.checkpoint().unwrap();
        assert_eq!(store.released_revision(), store.compact_revision());
    }

    #[test]
    fn the_thread_takes_what_comes_and_ends() {
        let mut store = store();
        let mut hasher = CompactionHasher::default();
        let compaction = compaction(&mut store);
        let revision = compaction.revision();
        hasher.take(compaction);
        while !hasher.0.as_ref().unwrap().is_empty() {
            std::thread::yield_now();
        }
        // Taken, or computed by this call.
        assert_eq!(store.view().hash_kv(Some(revision)).unwrap().hash_revision, revision);
        let desk = hasher.0.clone().unwrap();
        drop(hasher);
        // The thread has the other reference, until it ends.
        while Arc::strong_count(&desk) > 1 {
            std::thread::yield_now();
        }
    }
}
