//! The leader is killed, again and again: how long nobody can write.
//!
//! Attempts do not wait for each other: a write that was on its way to the dead leader may have no answer for seconds,
//! while a later one succeeds. So one is sent to each survivor every few milliseconds, and the first success counts.

use crate::client::{Connection, Keep};
use crate::endpoint::Endpoint;
use crate::figures::{self, Figure, Sample};
use crate::messages::{self, path};
use crate::process::{self, Server};
use crate::stats;
use anyhow::{Context, bail};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Time between two attempts: the precision of the result.
const ATTEMPT_EVERY: Duration = Duration::from_millis(10);

/// When a cluster without its leader is given up.
const FAILOVER_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failover {
    /// How often the leader is killed.
    pub(crate) kills: usize,
}

impl Failover {
    pub(crate) fn run(&self, server: &mut Server) -> anyhow::Result<Sample> {
        let mut times = Vec::with_capacity(self.kills);
        for _ in 0..self.kills {
            let leader = server.leader()?;
            let mut survivors = server.addresses();
            survivors.remove(leader);
            let time = process::block_on(async {
                let connections = crate::driver::open(&survivors, survivors.len()).await?;
                server.kill(leader)?;
                first_write(&connections, &survivors).await
            })??;
            times.push(time.as_secs_f64());
            server.restart(leader)?;
            server.wait_until_ready()?;
        }
        let mut sample = Sample::default();
        let slowest = times.iter().copied().fold(0.0, f64::max);
        let median = stats::median(&times).context("no kills")?;
        sample.push(Figure::seconds(figures::FAILOVER, Duration::from_secs_f64(median)));
        sample.push(Figure::seconds("failover: slowest", Duration::from_secs_f64(slowest)));
        Ok(sample)
    }
}

/// Time from now until a write succeeds.
async fn first_write(connections: &[Connection], survivors: &[Endpoint]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut attempts = JoinSet::new();
    let mut due = tokio::time::interval(ATTEMPT_EVERY);
    loop {
        tokio::select! {
            Some(outcome) = attempts.join_next() => {
                if outcome.is_ok_and(|written: bool| written) {
                    return Ok(start.elapsed());
                }
            }
            _ = due.tick() => {
                for connection in connections {
                    let mut client = connection.client(path::PUT);
                    let put = messages::put(b"failover", b"");
                    attempts.spawn_local(async move { client.call(put, Keep::Head).await.is_ok() });
                }
            }
        }
        if start.elapsed() > FAILOVER_MAX {
            bail!("{survivors:?} took no write for {FAILOVER_MAX:?}");
        }
    }
}
