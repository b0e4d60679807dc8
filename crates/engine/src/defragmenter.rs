//! The thread that gives back what the database does not use, when somebody asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use metrics::Metrics;
use mvcc::{RewriteJob, Shrunk};

use crate::request::{ShrinkAnswer, Unshrunk};
use crate::{priority, spawn};

/// Defragments one database at a time in the background.
pub(crate) struct Defragmenter {
    metrics: Arc<Metrics>,
    running: Option<JoinHandle<()>>,
    /// Told to a thread that is to end before it is done.
    stop: Arc<AtomicBool>,
}

impl Defragmenter {
    /// Returns one at rest.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, running: None, stop: Arc::default() }
    }

    /// Writes a database anew, and answers when that is done.
    pub(crate) fn start(&mut self, job: RewriteJob, answer: ShrinkAnswer) {
        if self.running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let _ = answer.send(Err(Unshrunk::Busy));
            return;
        }
        self.stop = Arc::default();
        let (stop, metrics) = (self.stop.clone(), self.metrics.clone());
        let write = move || {
            priority::yield_often();
            metrics.disk.defrag_inflight.set(1);
            let started = Instant::now();
            let result = job.run(&|| !stop.load(Ordering::Relaxed));
            metrics.disk.backend_defrag.observe(started.elapsed());
            metrics.disk.defrag_inflight.set(0);
            match &result {
                Ok(Shrunk { before, after }) => {
                    tracing::info!("bytes-before" = before, "bytes-after" = after, "finished defragmenting");
                }
                Err(error) => tracing::warn!(error = %error, "the database was not defragmented"),
            }
            // A caller that has gone away does not miss its answer.
            let _ = answer.send(result.map_err(Unshrunk::from));
        };
        match spawn::thread("defragment", write) {
            Ok(thread) => self.running = Some(thread),
            // The caller finds that nobody answers.
            Err(error) => tracing::warn!(error = %error, "no thread to defragment with"),
        }
    }

    /// Ends what runs and waits for it: its files are about to go away, or to get another owner.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.running.take() {
            // One that panics has ended the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_database_is_defragmented_and_its_thread_is_over_when_it_is_stopped() {
        let disk = Arc::new(wal::SimDisk::new(1));
        let mut store = mvcc::Store::open(disk, Path::new("/kv"), mvcc::Options::default()).unwrap();
        for number in 0..300 {
            let mut txn = store.txn();
            txn.put(format!("{number}").into(), vec![7; 5000].into(), mvcc::LeaseId(0));
            txn.commit();
        }
        store.checkpoint().unwrap();
        let mut txn = store.txn();
        txn.delete_range(&mvcc::KeyRange::all());
        txn.commit();
        store.checkpoint().unwrap();
        let metrics = Arc::new(Metrics::new(metrics::MetricsDetail::Basic, Vec::new()));
        let mut defragmenter = Defragmenter::new(metrics.clone());
        let (answer, answered) = oneshot::channel();
        defragmenter.start(store.rewrite(), answer);
        let shrunk = answered.blocking_recv().unwrap().unwrap();
        assert!(shrunk.after * 2 < shrunk.before, "{shrunk:?}");
        defragmenter.stop();
        assert!(defragmenter.running.is_none());
        assert_eq!((metrics.disk.backend_defrag.count(), metrics.disk.defrag_inflight.get()), (1, 0));
    }
}
