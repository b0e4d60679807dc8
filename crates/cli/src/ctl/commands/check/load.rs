//! Writes from many connections at once, as fast as asked for or as fast as they are taken.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use proto::etcdserverpb::PutRequest;
use proto::etcdserverpb::kv_client::KvClient;
use tokio::sync::Mutex;
use tokio::time::{self, Interval, MissedTickBehavior};

use super::report::Report;
use crate::ctl::connect::Channel;
use crate::ctl::refusal;

/// Until when writes are made.
pub(super) enum Supply {
    /// At a steady rate, for a time.
    Rate {
        /// When the next write is due. Whoever waits for it holds it.
        next: Mutex<Interval>,
        /// When it is over.
        end: time::Instant,
    },
    /// So many, each when the one before is done.
    Number(Cell<u64>),
}

impl Supply {
    /// Returns a supply of so many writes a second, for this time.
    pub(super) fn rate(writes_per_second: u32, duration: Duration) -> Supply {
        let mut next = time::interval(Duration::from_secs(1) / writes_per_second.max(1));
        // A write that was due while all connections were busy is made when one is free again.
        next.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Supply::Rate { next: Mutex::new(next), end: time::Instant::now() + duration }
    }

    /// Returns a supply of so many writes.
    pub(super) fn number(writes: u64) -> Supply {
        Supply::Number(Cell::new(writes))
    }

    /// Waits until a write is due and returns whether there is one.
    async fn next(&self) -> bool {
        match self {
            Supply::Number(left) => {
                let now = left.get();
                left.set(now.saturating_sub(1));
                now > 0
            }
            Supply::Rate { next, end } => {
                let due = async { next.lock().await.tick().await };
                time::timeout_at(*end, due).await.is_ok() && time::Instant::now() < *end
            }
        }
    }
}

/// The writes of a check.
pub(super) struct Load {
    /// What keys begin with.
    pub(super) prefix: Bytes,
    /// The length of the rest of a key.
    pub(super) key_bytes: usize,
    /// The value of all keys.
    pub(super) value: Bytes,
    /// Until when.
    pub(super) supply: Supply,
}

impl Load {
    /// Makes the writes over these connections, one at a time on each, and returns how they went and how long all took.
    /// An interrupt at the keyboard ends the supply.
    pub(super) async fn run(&self, connections: Vec<Channel>, bar: &ProgressBar) -> (Report, Duration) {
        let start = Instant::now();
        let interrupted = Cell::new(false);
        let keys = Keys::new();
        let workers = connections.into_iter().map(|channel| self.work(channel, &keys, &interrupted, bar));
        let mut workers: FuturesUnordered<_> = workers.collect();
        let mut report = Report::default();
        loop {
            tokio::select! {
                done = workers.next() => match done {
                    Some(done) => report.merge(done),
                    None => break,
                },
                _ = tokio::signal::ctrl_c() => interrupted.set(true),
            }
        }
        (report, start.elapsed())
    }

    async fn work(
        &self,
        channel: Channel,
        keys: &Keys,
        interrupted: &Cell<bool>,
        bar: &ProgressBar,
    ) -> Report {
        let mut stub = KvClient::new(channel);
        let mut report = Report::default();
        while self.supply.next().await && !interrupted.get() {
            let key = keys.next(&self.prefix, self.key_bytes);
            let request = PutRequest { key, value: self.value.clone(), ..PutRequest::default() };
            let start = Instant::now();
            match stub.put(request).await {
                Ok(_) => report.answered(start.elapsed()),
                Err(status) => report.failed(refusal::text_of(&status)),
            }
            bar.inc(1);
        }
        report
    }
}

/// Keys in no order, none of them twice.
struct Keys {
    made: Cell<u64>,
}

impl Keys {
    fn new() -> Keys {
        Keys { made: Cell::new(0) }
    }

    /// Returns a key. Its first bytes are the number of the key, multiplied so that it is spread over all numbers (the
    /// multiplier is odd, so no two are the same); the rest are zeros.
    fn next(&self, prefix: &[u8], bytes: usize) -> Bytes {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let made = self.made.get();
        self.made.set(made + 1);
        let number = made.wrapping_mul(SPREAD).to_be_bytes();
        let mut key = prefix.to_vec();
        key.extend(number.into_iter().chain(std::iter::repeat(0)).take(bytes));
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_is_made_twice() {
        let keys = Keys::new();
        let made: BTreeSet<Bytes> = (0..1000).map(|_| keys.next(b"p/", 256)).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|key| key.len() == 2 + 256 && key.starts_with(b"p/")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_until_its_end() {
        let supply = Supply::rate(10, Duration::from_secs(2));
        let mut writes = 0;
        while supply.next().await {
            writes += 1;
        }
        assert_eq!(writes, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_is_made_and_no_more() {
        let supply = Supply::number(2);
        assert_eq!([supply.next().await, supply.next().await, supply.next().await], [true, true, false]);
    }
}
