//! How a member's memory is divided (rule I2).
//!
//! Half of what the process may have goes to what clients can fill, in shares. The other half is for what grows with the
//! data: the index of the keys, the database's pages, the tail of the raft log, connections. Each share has a bound above, beyond
//! which more would be of no use, and one below, so that the largest request can be served however small the machine is.
//!
//! | share | sixteenths | at least | at most | who exceeds it |
//! |---|---|---|---|---|
//! | unstored changes | 5 | 16 MiB | 768 MiB | writes wait from two thirds on, then are refused; beyond it nothing is applied |
//! | commands in flight | 2 | two requests | 256 MiB | a command is refused |
//! | watch queues | 2 | 4 MiB | 1 GiB | watchers are fed from the history, at the pace at which they read |
//! | unread replies | 4 | 16 MiB | 4 GiB | the connection with the oldest is closed; a longer one counts as seven eighths |
//! | unfinished messages | 1 | two requests | 256 MiB | the oldest is refused |
//! | unfinished heads | 1 | 32 MiB | 256 MiB | its connection is closed |
//! | cached values | 1 | 4 MiB | 96 MiB | those not read for longest go |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::memory::Share;
use metrics::{Memory, Metrics};

const MIB: usize = 1 << 20;

/// The shares, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// What the process may have.
    pub limit: u64,
    /// Changes that no checkpoint has: beyond it nothing more is applied, whoever proposed it. A follower with a slow disk
    /// cannot make the clients of others wait, and what is committed and not applied is bounded by raft.
    pub unstored: usize,
    /// Commands whose callers wait.
    pub in_flight: usize,
    /// Messages that wait in watch streams.
    pub watch_queues: usize,
    /// Replies that their clients have not read.
    pub unread_replies: usize,
    /// Request messages that have come in part.
    pub unfinished_messages: usize,
    /// Heads of requests that have come in part, beyond what each has for free.
    pub unfinished_heads: usize,
    /// Values kept for readers.
    pub cached_values: usize,
    /// What one request may read: all of the half, at the most. No share, but what a share must not be needed for.
    pub one_read: usize,
}

impl Shares {
    /// Returns the shares of a process that may have so many bytes, and takes requests of at most `request_bytes_max`.
    pub fn of(limit: u64, request_bytes_max: usize) -> Self {
        let part = usize::try_from(limit / 2 / 16).unwrap_or(usize::MAX);
        let share = |parts: usize, least: usize, most: usize| {
            part.saturating_mul(parts).clamp(least, most.max(least))
        };
        let two_requests = 2 * request_bytes_max;
        Self {
            limit,
            unstored: share(5, 16 * MIB, 768 * MIB),
            in_flight: share(2, two_requests, 256 * MIB),
            watch_queues: share(2, 4 * MIB, 1 << 30),
            unread_replies: share(4, 16 * MIB, 4 << 30),
            unfinished_messages: share(1, two_requests, 256 * MIB),
            unfinished_heads: share(1, 32 * MIB, 256 * MIB),
            cached_values: share(1, 4 * MIB, 96 * MIB),
            one_read: share(16, 64 * MIB, i32::MAX as usize),
        }
    }

    /// Returns from how many bytes of unstored changes on writes of clients wait for the checkpoints to catch up. A client
    /// whose write has waited for as long as any request may gets "too many requests".
    pub fn unstored_slow(&self) -> usize {
        self.unstored / 3 * 2
    }

    /// Returns how many bytes of changes make a checkpoint due: few enough for others to come while it is written.
    pub fn checkpoint(&self) -> usize {
        (64 * MIB).min(self.unstored / 4)
    }

    /// Shows the shares in the metrics.
    pub fn publish(&self, metrics: &Memory) {
        metrics.set_limit(self.limit);
        for (share, bytes) in [
            (Share::Unstored, self.unstored),
            (Share::InFlight, self.in_flight),
            (Share::WatchQueues, self.watch_queues),
            (Share::UnreadReplies, self.unread_replies),
            (Share::UnfinishedMessages, self.unfinished_messages),
            (Share::UnfinishedHeads, self.unfinished_heads),
            (Share::CachedValues, self.cached_values),
        ] {
            metrics.set_share(share, bytes);
        }
    }
}

/// Bytes that wait in the watch streams of all network workers.
pub struct WatchQueues {
    bytes: AtomicUsize,
    bytes_max: usize,
    metrics: Arc<Metrics>,
}

impl WatchQueues {
    /// Returns empty queues with room for so many bytes.
    pub fn new(bytes_max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max, metrics })
    }

    /// Returns queues that are never full.
    #[cfg(test)]
    pub(crate) fn plenty() -> Arc<Self> {
        let metrics = Metrics::new(metrics::MetricsDetail::Basic, Vec::new());
        Self::new(usize::MAX, Arc::new(metrics))
    }

    /// Returns how many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether there are more than there is room for.
    pub(crate) fn are_full(&self) -> bool {
        self.bytes() > self.bytes_max
    }

    pub(crate) fn add(&self, more: usize) {
        let before = self.bytes.fetch_add(more, Ordering::Relaxed);
        if before <= self.bytes_max && before + more > self.bytes_max {
            self.metrics.memory.exceeded(Share::WatchQueues).inc();
        }
    }

    pub(crate) fn remove(&self, fewer: usize) {
        self.bytes.fetch_sub(fewer, Ordering::Relaxed);
    }
}

/// Bytes on their way into a queue; counted until this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    queues: Arc<WatchQueues>,
    bytes: usize,
}

impl HeldBytes {
    /// Counts so many bytes.
    pub(crate) fn new(queues: &Arc<WatchQueues>, bytes: usize) -> Self {
        queues.add(bytes);
        Self { queues: queues.clone(), bytes }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.queues.remove(self.bytes);
    }
}

impl std::fmt::Debug for WatchQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchQueues").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_large_machine_gives_no_share_more_than_is_of_use() {
        let shares = Shares::of(64 * GIB, 3 * MIB / 2);
        assert_eq!((shares.unstored, shares.unstored_slow()), (768 * MIB, 512 * MIB));
        assert_eq!((shares.in_flight, shares.unread_replies), (256 * MIB, 4 << 30));
        assert_eq!((shares.cached_values, shares.checkpoint()), (96 * MIB, 64 * MIB));
    }

    #[test]
    fn a_small_one_keeps_half_for_what_grows_with_the_data() {
        for limit in [GIB / 2, GIB, 2 * GIB, 4 * GIB] {
            let shares = Shares::of(limit, 3 * MIB / 2);
            let all = shares.unstored
                + shares.in_flight
                + shares.watch_queues
                + shares.unread_replies
                + shares.unfinished_messages
                + shares.unfinished_heads
                + shares.cached_values;
            // The heads have a least of their own on the smallest.
            assert!(all as u64 <= limit / 2 + 16 * MIB as u64, "{limit}: {all}");
            assert!(shares.checkpoint() < shares.unstored_slow());
        }
    }

    #[test]
    fn the_largest_request_has_room_however_small_the_machine() {
        let shares = Shares::of(1, 60 * MIB);
        assert_eq!((shares.in_flight, shares.unfinished_messages), (120 * MIB, 120 * MIB));
        assert_eq!(Shares::of(u64::MAX, usize::MAX / 4).in_flight, usize::MAX / 4 * 2);
    }
}
