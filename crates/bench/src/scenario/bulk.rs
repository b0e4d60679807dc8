//! Many keys: how fast they get in, what they cost in memory, how long the server needs to be back after `kill -9`.

use crate::figures::{self, Better, Figure, Sample, Unit};
use crate::harness::{self, Plan, Site};
use crate::messages::Content;
use crate::process::Server;
use crate::stats;
use crate::tickets::{Pace, Span};
use crate::workload::range::Range;
use crate::workload::{KeyShape, Shape, UnaryJob};
use std::time::Duration;

/// How long a server is left alone before its memory is read: runtimes give memory back late.
const IDLE: Duration = Duration::from_secs(5);

/// How often it is killed.
const KILLS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bulk {
    pub(crate) keys: u64,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
    /// How long the count of all keys is measured.
    pub(crate) count_for: Duration,
}

impl Bulk {
    pub(crate) fn run(&self, server: &mut Server, site: &Site) -> anyhow::Result<Sample> {
        let mut sample = Sample::default();
        self.load(server, site, &mut sample)?;
        self.count(site, &mut sample)?;
        restart(server, &mut sample)?;
        Ok(sample)
    }

    fn keys(&self) -> KeyShape {
        KeyShape { bytes: self.key_bytes, space: self.keys }
    }

    fn load(&self, server: &Server, site: &Site, sample: &mut Sample) -> anyhow::Result<()> {
        let (load, spent) = super::load(site, self.keys, self.keys(), self.value_bytes)?;
        sample.push(Figure::rate("load: puts/s", load.per_second()));
        if let Some(cpu) = spent.cpu_for(load.operations) {
            sample.push(Figure::new("load: CPU s per 100,000", cpu, Unit::CpuSeconds, Better::Lower));
        }
        if let Some((before, after)) = spent.server {
            sample.push(Figure::bytes("load: written to disk", after.written_bytes - before.written_bytes));
            sample.push(Figure::bytes("load: peak RSS", after.peak_bytes));
        }
        std::thread::sleep(IDLE);
        let usage = server.usage()?;
        sample.push(Figure::bytes(figures::RESIDENT, usage.resident_bytes));
        sample.push(Figure::bytes("of that, not backed by files", usage.anonymous_bytes));
        Ok(())
    }

    fn count(&self, site: &Site, sample: &mut Sample) -> anyhow::Result<()> {
        let shape = Shape {
            connections: 8,
            clients: 64,
            pace: Pace::Closed,
            keys: self.keys(),
            value_bytes: self.value_bytes,
        };
        let workload = Range { length: self.keys, content: Content::CountOnly };
        let plan = Plan { warm_up: self.count_for / 5, span: Span::Time(self.count_for), threads: 1 };
        let (load, spent) = harness::run(site, &plan, &UnaryJob { shape, workload: &workload })?;
        sample.push(Figure::rate("count of all keys: requests/s", load.per_second()));
        if let Some(cpu) = spent.cpu_for(load.operations) {
            sample.push(Figure::new(figures::COUNT_CPU, cpu, Unit::CpuSeconds, Better::Lower));
        }
        sample.fail(&load.failures);
        Ok(())
    }
}

/// Kills and restarts, and takes the median of the times to ready.
fn restart(server: &mut Server, sample: &mut Sample) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(KILLS);
    for _ in 0..KILLS {
        times.push(server.kill_and_restart()?.as_secs_f64());
    }
    sample.figures.extend(
        stats::median(&times).map(|time| Figure::seconds(figures::READY, Duration::from_secs_f64(time))),
    );
    sample.push(Figure::bytes("RSS when ready", server.usage()?.resident_bytes));
    Ok(())
}
