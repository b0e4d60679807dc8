//! What the metrics say of compactions.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metrics::Metrics;
use raft::Index;

/// Compactions that were applied, and whether the files have followed them.
pub(super) struct Compactions {
    metrics: Arc<Metrics>,
    /// The last compaction's revision, -1 before the first.
    passed: i64,
    /// Of those that the files have not followed yet, when the first was applied and the index of the last.
    waiting: Option<(Instant, Index)>,
}

impl Compactions {
    /// Returns the compactions of a store after one at this revision.
    pub(super) fn since(compact_revision: i64, metrics: Arc<Metrics>) -> Self {
        Self { metrics, passed: compact_revision, waiting: None }
    }

    /// Another store has taken the place of the one before.
    pub(super) fn start_over(&mut self, compact_revision: i64) {
        (self.passed, self.waiting) = (compact_revision, None);
    }

    /// A compaction at a revision was applied, with the entry of this index.
    pub(super) fn applied(&mut self, revision: i64, index: Index) {
        let given_up = revision.saturating_sub(self.passed.max(0));
        self.metrics.mvcc.compaction_keys.add(u64::try_from(given_up).unwrap_or(0));
        self.passed = revision;
        let since = self.waiting.map_or_else(Instant::now, |(since, _)| since);
        self.waiting = Some((since, index));
    }

    /// A checkpoint is on the disk with everything up to an index, and files were released.
    pub(super) fn checkpointed(&mut self, through: Index, now: SystemTime) {
        let Some((since, _)) = self.waiting.take_if(|(_, index)| *index <= through) else { return };
        self.metrics.mvcc.compaction_total.observe(since.elapsed());
        let unix = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.metrics.mvcc.compaction_last.set(unix as i64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_compaction_ends_with_the_checkpoint_that_has_it() {
        let metrics = Arc::new(Metrics::new(metrics::MetricsDetail::Basic, Vec::new()));
        let mut compactions = Compactions::since(-1, metrics.clone());
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        compactions.applied(10, Index(20));
        compactions.applied(15, Index(30));
        compactions.checkpointed(Index(25), now);
        assert_eq!((metrics.mvcc.compaction_total.count(), metrics.mvcc.compaction_last.get()), (0, 0));
        compactions.checkpointed(Index(30), now);
        compactions.checkpointed(Index(31), now + Duration::from_secs(9));
        assert_eq!(metrics.mvcc.compaction_total.count(), 1);
        assert_eq!((metrics.mvcc.compaction_last.get(), metrics.mvcc.compaction_keys.get()), (1_000_000, 15));
        compactions.start_over(100);
        compactions.applied(101, Index(40));
        assert_eq!(
            metrics.mvcc.compaction_keys.get(),
            16,
            "what another member compacted is not counted here"
        );
    }
}
