//! `--auto-compaction-mode` and `--auto-compaction-retention` (contract: server, section 9).
//!
//! Only the leader compacts. *Periodic* remembers the revision ten times in each period (at least six minutes apart
//! for long ones) and compacts to the one of a retention ago; *revision* compacts every five minutes to so many
//! revisions ago.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::command::Field;
use proto::etcdserverpb::CompactionRequest;

use crate::api::Api;
use crate::config::AutoCompaction;

const HOUR: Duration = Duration::from_secs(3600);
const REVISION_INTERVAL: Duration = Duration::from_secs(300);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>, mode: AutoCompaction) {
    match mode {
        AutoCompaction::Off => {}
        AutoCompaction::Periodic(retention) => periodic(&api, retention).await,
        AutoCompaction::Revision(retention) => by_revision(&api, retention).await,
    }
}

/// The revisions of the last retention, sampled.
#[derive(Debug)]
struct Samples {
    revisions: VecDeque<i64>,
    /// How many samples one retention is.
    retained: usize,
    /// Samples between two compactions.
    every: usize,
    since: usize,
}

impl Samples {
    fn new(retention: Duration, interval: Duration) -> Self {
        let count = |time: Duration| (time.as_nanos() / interval.as_nanos().max(1)) as usize;
        Self {
            revisions: VecDeque::new(),
            retained: count(retention).max(1),
            every: count(retention.min(HOUR)).max(1),
            since: 0,
        }
    }

    /// Takes a sample; the revision of a retention ago when it is time to compact to it.
    fn take(&mut self, revision: i64) -> Option<i64> {
        self.revisions.push_back(revision);
        if self.revisions.len() > self.retained + 1 {
            self.revisions.pop_front();
        }
        self.since += 1;
        let full = self.revisions.len() > self.retained;
        if !full || self.since < self.every {
            return None;
        }
        self.revisions.front().copied()
    }

    fn compacted(&mut self) {
        self.since = 0;
    }
}

async fn periodic(api: &Api, retention: Duration) {
    let interval = retention.min(HOUR) / 10;
    let mut samples = Samples::new(retention, interval);
    let mut last = 0;
    samples.take(api.view().revision());
    loop {
        tokio::time::sleep(interval).await;
        let Some(revision) = samples.take(api.view().revision()) else { continue };
        if revision == last || compact(api, revision).await {
            last = revision;
            samples.compacted();
        }
    }
}

async fn by_revision(api: &Api, retention: i64) {
    let mut last = 0;
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let revision = api.view().revision() - retention;
        if revision > 0 && revision != last && compact(api, revision).await {
            last = revision;
        }
    }
}

/// Whether the history up to the revision is gone now, by this call or before it.
async fn compact(api: &Api, revision: i64) -> bool {
    // What follows another cluster is compacted as that is.
    if !api.leads() || api.is_following() {
        return false;
    }
    let request = CompactionRequest { revision, physical: false };
    match api.propose_as_member(Field::Compaction, &request).await {
        Ok(_) => {
            tracing::info!(revision, "completed auto revision compaction");
            true
        }
        Err(status) if status.message() == machine::Rejection::Compacted.text() => true,
        Err(status) => {
            tracing::warn!(revision, status = %status, "failed auto revision compaction");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_short_retention_compacts_once_a_retention() {
        let mut samples = Samples::new(10 * MINUTE, MINUTE);
        for revision in 0..10 {
            assert_eq!(samples.take(revision), None);
        }
        assert_eq!(samples.take(10), Some(0));
        samples.compacted();
        for revision in 11..20 {
            assert_eq!(samples.take(revision), None);
        }
        assert_eq!(samples.take(20), Some(10));
        assert_eq!(samples.take(21), Some(11), "a failed compaction is tried again at the next sample");
    }

    #[test]
    fn a_long_retention_compacts_every_hour() {
        let interval = HOUR / 10;
        let mut samples = Samples::new(3 * HOUR, interval);
        let mut compacted = Vec::new();
        for revision in 0..60 {
            if let Some(to) = samples.take(revision) {
                compacted.push((revision, to));
                samples.compacted();
            }
        }
        assert_eq!(compacted, [(30, 0), (40, 10), (50, 20)]);
    }
}
