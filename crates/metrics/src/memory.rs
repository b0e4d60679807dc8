//! Metrics about the memory that clients can fill. Not etcd's: exposed by members that know how much memory they have.

use std::sync::OnceLock;

use super::text::{Exposition, Metric, Samples};
use super::value::{Counter, Gauge};

/// What memory is divided into; the label `share`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Changes that no checkpoint has.
    Unstored,
    /// Commands whose callers wait.
    InFlight,
    /// Messages that wait in watch streams.
    WatchQueues,
    /// Replies that their clients have not read.
    UnreadReplies,
    /// Request messages that have come in part.
    UnfinishedMessages,
    /// Heads of requests that have come in part.
    UnfinishedHeads,
    /// Values kept for readers.
    CachedValues,
}

impl Share {
    /// All of them.
    pub const ALL: [Share; 7] = [
        Share::Unstored,
        Share::InFlight,
        Share::WatchQueues,
        Share::UnreadReplies,
        Share::UnfinishedMessages,
        Share::UnfinishedHeads,
        Share::CachedValues,
    ];

    fn label(self) -> &'static str {
        match self {
            Share::Unstored => "unstored",
            Share::InFlight => "in_flight",
            Share::WatchQueues => "watch_queues",
            Share::UnreadReplies => "unread_replies",
            Share::UnfinishedMessages => "unfinished_messages",
            Share::UnfinishedHeads => "unfinished_heads",
            Share::CachedValues => "cached_values",
        }
    }
}

/// The limit, its shares, and how often each was exceeded.
#[derive(Debug, Default)]
pub struct Memory {
    limit: OnceLock<Gauge>,
    shares: [Gauge; Share::ALL.len()],
    exceeded: [Counter; Share::ALL.len()],
}

impl Memory {
    /// Sets how much the process may have, in bytes. From then on all of this is exposed.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.get_or_init(Gauge::default).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Sets the size of a share in bytes.
    pub fn set_share(&self, share: Share, bytes: usize) {
        self.shares[share as usize].set(bytes as i64);
    }

    /// Returns how often a share was exceeded: somebody was slowed down, refused or cut off for it.
    pub fn exceeded(&self, share: Share) -> &Counter {
        &self.exceeded[share as usize]
    }

    pub(super) fn collect(&self, out: &mut Exposition) {
        let Some(limit) = self.limit.get() else { return };
        out.family("quorate_memory_limit_bytes", "Memory that the process may have.", limit);
        out.family(
            "quorate_memory_share_bytes",
            "Memory set aside for each use that clients can fill.",
            &Sizes(&self.shares),
        );
        out.family(
            "quorate_memory_exceeded_total",
            "Times that somebody was slowed down, refused or cut off because a share was used up.",
            &Excesses(&self.exceeded),
        );
    }
}

struct Sizes<'a>(&'a [Gauge]);

impl Metric for Sizes<'_> {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        for (share, size) in Share::ALL.iter().zip(self.0) {
            out.sample(&[("share", share.label())], size.get() as f64);
        }
    }
}

struct Excesses<'a>(&'a [Counter]);

impl Metric for Excesses<'_> {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        for (share, times) in Share::ALL.iter().zip(self.0) {
            out.sample(&[("share", share.label())], times.get() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_exposed_before_the_limit_is_known() {
        let memory = Memory::default();
        let exposed = || {
            let mut out = Exposition::default();
            memory.collect(&mut out);
            out.finish()
        };
        assert_eq!(exposed(), "");
        memory.set_limit(1 << 30);
        memory.set_share(Share::WatchQueues, 5);
        memory.exceeded(Share::WatchQueues).inc();
        for line in [
            "quorate_memory_limit_bytes 1.073741824e+09\n",
            "quorate_memory_share_bytes{share=\"watch_queues\"} 5\n",
            "quorate_memory_exceeded_total{share=\"watch_queues\"} 1\n",
            "quorate_memory_exceeded_total{share=\"in_flight\"} 0\n",
        ] {
            assert!(exposed().contains(line), "{line}");
        }
    }
}
