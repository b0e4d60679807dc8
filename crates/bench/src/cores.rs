//! Which cores servers and load run on.
//!
//! A server and the load on one core would measure the scheduler. A child inherits the affinity of the *thread* that
//! starts it, so servers are started from a thread that has pinned itself first: no moment in which they have
//! more cores, and runtimes that look at the number of cores when they start (Go's does) see the right one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// The cores for each side. An empty list leaves a side where the system puts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) server: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Placement {
    /// The first core that this process may use for servers, the last for load; nothing is pinned when there is one.
    pub(crate) fn of_this_machine() -> io::Result<Placement> {
        let allowed = sched_getaffinity(None)?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        Ok(match cores[..] {
            [first, .., last] => Placement { server: vec![first], load: vec![last] },
            _ => Placement::default(),
        })
    }

    /// The core of load thread `number`.
    pub(crate) fn load_core(&self, number: usize) -> Option<usize> {
        self.load.get(number % self.load.len().max(1)).copied()
    }
}

/// Pins the calling thread, and what it starts from now on, to `cores`.
pub(crate) fn pin_thread(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    Ok(sched_setaffinity(None, &set)?)
}
