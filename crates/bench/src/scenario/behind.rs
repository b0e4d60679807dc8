//! Many watchers that are behind: how long until all of them have caught up.
//!
//! A network that heals, or a client of many watches that starts again: each of a thousand watchers of one key starts at the
//! beginning of a long history, all at once.

use crate::client::{Client, Connection};
use crate::endpoint::Endpoint;
use crate::figures::{self, Figure, Sample};
use crate::harness::Site;
use crate::messages::{self, WatchMessage, path};
use crate::process;
use crate::workload::KeyShape;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Connections that the watchers share.
const CONNECTIONS: u64 = 10;

/// When they are given up.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behind {
    /// Length of the history.
    pub(crate) revisions: u64,
    pub(crate) watchers: u64,
    /// Each of which is written equally often.
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
}

impl Behind {
    pub(crate) fn run(&self, site: &Site) -> anyhow::Result<Sample> {
        super::load(site, self.revisions, self.keys, self.value_bytes)?;
        let mut sample = Sample::default();
        let time = process::block_on(self.catch_up(&site.addresses[0]))??;
        sample.push(Figure::seconds(figures::BEHIND, time));
        let events = self.watchers * (self.revisions / self.keys.space);
        sample.push(Figure::rate("events/s to all of them", events as f64 / time.as_secs_f64()));
        Ok(sample)
    }

    async fn catch_up(&self, address: &Endpoint) -> anyhow::Result<Duration> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(address).await?);
        }
        let start = Instant::now();
        let mut watchers = JoinSet::new();
        for number in 0..self.watchers {
            let client = connections[(number % CONNECTIONS) as usize].client(path::WATCH);
            watchers.spawn_local(self.watch(client, number % self.keys.space));
        }
        let all = async {
            while let Some(watcher) = watchers.join_next().await {
                watcher??;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(CATCH_UP_MAX, all).await??;
        Ok(start.elapsed())
    }

    /// One watcher, until it has seen all that was written to its key.
    async fn watch(self, mut client: Client, key: u64) -> anyhow::Result<()> {
        let create = messages::watch_create(&self.keys.key(key), b"", 2);
        let mut stream = client.stream(create).await?;
        let mut left = self.revisions / self.keys.space;
        while left > 0 {
            match messages::watch_message(&stream.next().await?, |_| {})? {
                WatchMessage::Created => {}
                WatchMessage::Canceled { compact_revision } => {
                    anyhow::bail!("the watcher was cancelled (compacted at {compact_revision})")
                }
                WatchMessage::Events { count, .. } => {
                    left = left
                        .checked_sub(count)
                        .ok_or_else(|| anyhow::anyhow!("more events than there were writes"))?;
                }
            }
        }
        Ok(())
    }
}
