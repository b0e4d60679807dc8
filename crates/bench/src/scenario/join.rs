//! A member joins a cluster that has much to hand over: what the leader's writers feel of it.

use super::history::{compare_latencies, tickets};
use crate::endpoint::Endpoint;
use crate::figures::{self, Figure, Sample};
use crate::harness::Site;
use crate::process::{self, Server};
use crate::tickets::{Pace, Span};
use crate::workload::KeyShape;
use std::time::{Duration, Instant};

/// How far the new member's log may be behind when it counts as caught up: what is written while the answers travel.
const LAG_ENTRIES_MAX: u64 = 5_000;

/// When a member that does not catch up is given up.
const JOIN_MAX: Duration = Duration::from_secs(300);

/// Time between two looks at the new member.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Join {
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
    /// Rate of the puts beside it.
    pub(crate) puts_per_second: f64,
    /// How long "before" is measured.
    pub(crate) before: Duration,
}

impl Join {
    pub(crate) fn run(&self, server: &mut Server, site: &Site) -> anyhow::Result<Sample> {
        super::load(site, self.keys.space, self.keys, self.value_bytes)?;
        let leader = server.addresses().swap_remove(server.leader()?);
        process::block_on(self.measure(server, &leader))?
    }

    async fn measure(&self, server: &mut Server, leader: &Endpoint) -> anyhow::Result<Sample> {
        let pace = Pace::Open { per_second: self.puts_per_second };
        let mut callers = super::put_callers(leader, self.keys, self.value_bytes).await?;
        callers.run(tickets(pace, Span::Time(self.before / 5))).await;
        let before = callers.run(tickets(pace, Span::Time(self.before))).await;

        let during = tickets(pace, Span::Stopped);
        let start = Instant::now();
        let joined = server.join().await?;
        let joining = async {
            let outcome = caught_up(leader, &joined, start).await;
            during.stop();
            outcome
        };
        let (during, outcome) = tokio::join!(callers.run(during.clone()), joining);
        let mut sample = Sample::default();
        sample.push(Figure::seconds("join: time until caught up", outcome?));
        compare_latencies(&mut sample, "join", figures::JOIN_P99, &before, &during);
        sample.fail(&before.failures);
        sample.fail(&during.failures);
        Ok(sample)
    }
}

/// Waits until the member at `joined` has applied nearly what the leader has; the time since `start`.
async fn caught_up(leader: &Endpoint, joined: &Endpoint, start: Instant) -> anyhow::Result<Duration> {
    loop {
        let ahead = process::status(leader).await?.applied;
        // It does not serve before it has something to serve.
        let applied = process::status(joined).await.map_or(0, |status| status.applied);
        if applied > 0 && applied + LAG_ENTRIES_MAX >= ahead {
            return Ok(start.elapsed());
        }
        anyhow::ensure!(start.elapsed() < JOIN_MAX, "not caught up after {JOIN_MAX:?}: {applied} of {ahead}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
