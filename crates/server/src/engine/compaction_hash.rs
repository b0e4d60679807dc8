//! The thread that takes the hashes of compactions.
//!
//! etcd takes them while it compacts, and answers HashKV with them afterwards (contract: semantics 11). Here compacting costs
//! nothing, so hashing is all that there is to do: it reads every key, at leisure, while the store holds on to what the
//! compaction released. A call that cannot wait for that computes the same.

use std::sync::mpsc::{Sender, channel};

use mvcc::CompactionHash;

use super::priority;

/// Hands compactions to the thread, which there is from the first one on.
#[derive(Default)]
pub(crate) struct CompactionHasher(Option<Sender<CompactionHash>>);

impl CompactionHasher {
    /// Has the hash of a compaction taken, behind those before it.
    pub(crate) fn take(&mut self, compaction: CompactionHash) {
        let jobs = self.0.get_or_insert_with(start);
        // Without the thread there is no hash; that of what is there now is the answer then.
        let _ = jobs.send(compaction);
    }
}

fn start() -> Sender<CompactionHash> {
    let (jobs, inbox) = channel::<CompactionHash>();
    let work = move || {
        priority::give_way();
        for compaction in inbox {
            let revision = compaction.revision();
            match compaction.take() {
                Ok(taken) => tracing::info!(
                    hash = taken.hash,
                    revision,
                    "compact-revision" = taken.compact_revision,
                    "storing new hash"
                ),
                Err(error) => {
                    tracing::error!(error = %error, revision, "cannot take the hash of a compaction")
                }
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("compaction-hash".to_owned()).spawn(work) {
        tracing::warn!(error = %error, "no thread for the hashes of compactions");
    }
    jobs
}
