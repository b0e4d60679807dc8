//! Runs stages: starts servers, loads data, interleaves the rounds.
//!
//! `ours, peer, peer, ours, …`: what drifts on the machine (temperature, neighbours, the page cache) hits both sides
//! alike. While one server is measured the other idles on the same core.

use crate::cores::Placement;
use crate::endpoint::Endpoint;
use crate::figures::Sample;
use crate::harness::{self, Plan, Site};
use crate::process::{self, Program, Server};
use crate::report::{RowResult, Subject};
use crate::scenario;
use crate::suite::{Row, Servers, Stage, Work};
use crate::workload::UnaryJob;
use crate::workload::lease::LeaseJob;
use anyhow::{Context, bail};

/// What is measured.
pub(crate) enum Source {
    /// Servers that are started for it: ours and, if given, the peer.
    Programs(Vec<Program>),
    /// A server that somebody else runs.
    Running { address: Endpoint, process: Option<u32> },
}

/// A server under measurement.
enum Subjected {
    Own(Box<Server>),
    Running { address: Endpoint, process: Option<u32> },
}

impl Subjected {
    fn site(&self, placement: &Placement) -> Site {
        let (addresses, processes) = match self {
            Subjected::Own(server) => (server.addresses(), server.processes()),
            Subjected::Running { address, process } => {
                (vec![address.clone()], process.iter().copied().collect())
            }
        };
        Site { addresses, processes, placement: placement.clone() }
    }
}

/// Runs stages and prints what they do.
pub(crate) struct Runner {
    pub(crate) source: Source,
    pub(crate) placement: Placement,
}

impl Runner {
    /// What the servers call themselves.
    pub(crate) fn subjects(&self) -> anyhow::Result<Vec<Subject>> {
        match &self.source {
            Source::Programs(programs) => programs
                .iter()
                .map(|program| {
                    let version = Server::start(program)?.version()?;
                    Ok(Subject { label: program.label.clone(), version })
                })
                .collect(),
            Source::Running { address, .. } => {
                Ok(vec![Subject { label: "server".into(), version: process::version(address)? }])
            }
        }
    }

    /// Measures every row of `stage` in all rounds; `finished` sees each row when it is complete.
    pub(crate) fn run(&self, stage: &Stage, subjects: &[Subject]) -> anyhow::Result<Vec<RowResult>> {
        let mut results: Vec<RowResult> =
            stage.rows.iter().map(|row| RowResult::new(row, subjects.len())).collect();
        match stage.servers {
            Servers::Kept(preload) => {
                let mut servers = self.start_all()?;
                for server in &servers {
                    let site = server.site(&self.placement);
                    scenario::load(&site, preload.keys.space, preload.keys, preload.value_bytes)?;
                }
                for round in 0..stage.rounds {
                    for (row, result) in stage.rows.iter().zip(&mut results) {
                        for index in order(round, servers.len()) {
                            progress(row, round, &subjects[index]);
                            let sample = self.measure(&mut servers[index], row, &stage.plan)?;
                            result.samples[index].push(sample);
                        }
                    }
                }
            }
            Servers::New => {
                for round in 0..stage.rounds {
                    for (row, result) in stage.rows.iter().zip(&mut results) {
                        for index in order(round, subjects.len()) {
                            progress(row, round, &subjects[index]);
                            let mut server = self.start(index)?;
                            result.samples[index].push(self.measure(&mut server, row, &stage.plan)?);
                        }
                    }
                }
            }
        }
        Ok(results)
    }

    fn start_all(&self) -> anyhow::Result<Vec<Subjected>> {
        let count = match &self.source {
            Source::Programs(programs) => programs.len(),
            Source::Running { .. } => 1,
        };
        (0..count).map(|index| self.start(index)).collect()
    }

    fn start(&self, index: usize) -> anyhow::Result<Subjected> {
        Ok(match &self.source {
            Source::Programs(programs) => Subjected::Own(Box::new(Server::start(&programs[index])?)),
            Source::Running { address, process } => {
                Subjected::Running { address: address.clone(), process: *process }
            }
        })
    }

    fn measure(&self, server: &mut Subjected, row: &Row, plan: &Plan) -> anyhow::Result<Sample> {
        let site = server.site(&self.placement);
        let one_thread = Plan { threads: 1, ..*plan };
        let sample = match (&row.work, server) {
            (Work::Unary(shape, workload), _) => {
                harness::measure(&site, plan, &UnaryJob { shape: *shape, workload: workload.as_ref() })
            }
            (Work::Watch(job), _) => harness::measure(&site, &one_thread, job),
            (Work::Lease(shape), _) => harness::measure(&site, plan, &LeaseJob { shape: *shape }),
            (Work::Connect(job), _) => harness::measure(&site, plan, job),
            (Work::Logins(logins), _) => logins.run(&site),
            (Work::Neighbours(neighbours), _) => neighbours.run(&site),
            (Work::Behind(behind), _) => behind.run(&site),
            (Work::History(history), _) => history.run(&site),
            (Work::Footprint(footprint), Subjected::Own(server)) => footprint.run(server, &site),
            (Work::Bulk(bulk), Subjected::Own(server)) => bulk.run(server, &site),
            (Work::Failover(failover), Subjected::Own(server)) => failover.run(server),
            (Work::Join(join), Subjected::Own(server)) => join.run(server, &site),
            (
                Work::Footprint(_) | Work::Bulk(_) | Work::Failover(_) | Work::Join(_),
                Subjected::Running { .. },
            ) => {
                bail!("{} starts its servers: give --server", row.name)
            }
        };
        sample.with_context(|| format!("measuring {}", row.name))
    }
}

/// In which order the servers take their turn: reversed in every other round.
fn order(round: usize, servers: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..servers).collect() } else { (0..servers).rev().collect() }
}

fn progress(row: &Row, round: usize, subject: &Subject) {
    eprintln!("round {}, {}: {}", round + 1, row.name, subject.label);
}

impl RowResult {
    fn new(row: &Row, servers: usize) -> RowResult {
        RowResult {
            name: row.name.clone(),
            title: row.title.clone(),
            targets: row.targets.clone(),
            samples: vec![Vec::new(); servers],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate() {
        assert_eq!(order(0, 2), [0, 1]);
        assert_eq!(order(1, 2), [1, 0]);
        assert_eq!(order(1, 1), [0]);
    }
}
