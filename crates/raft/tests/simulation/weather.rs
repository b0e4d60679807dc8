//! How a history is: calm in some respects, rough in others (swarm testing), so that faults which
//! hide each other do not always come together.

use raft::Limits;

use crate::random::Random;

pub(crate) struct Weather {
    /// What the servers' [pace](crate::server::Server::pace) may be.
    pub(crate) paces: [usize; 3],
    /// Of a thousand deliveries: lost, and repeated.
    pub(crate) loss: usize,
    pub(crate) repeats: usize,
    /// Of a thousand events: a fault that lasts ends.
    pub(crate) repairs: usize,
    /// Out of 200, whenever time passes or something breaks: in about every seventh event.
    pub(crate) ticks: usize,
    pub(crate) crashes: usize,
    pub(crate) pauses: usize,
    pub(crate) cuts: usize,
    pub(crate) stalls: usize,
    pub(crate) full_disks: usize,
    pub(crate) failing_disks: usize,
    pub(crate) changes: usize,
    pub(crate) forgets: usize,
    pub(crate) losses: usize,
    pub(crate) depositions: usize,
    pub(crate) checkpoints: usize,
}

impl Weather {
    pub(crate) fn new(random: &mut Random, voters: u64) -> Weather {
        // The others must be able to go on without one.
        let may_lose = usize::from(voters >= 3);
        Weather {
            paces: random.pick(&[[900, 900, 900], [50, 250, 600], [5, 600, 900], [10, 50, 900]]),
            loss: random.pick(&[0, 20, 80]),
            repeats: random.pick(&[0, 30]),
            ticks: random.pick(&[60, 120]),
            repairs: random.pick(&[5, 15, 40]),
            crashes: random.pick(&[0, 0, 1, 3]),
            pauses: random.pick(&[0, 1, 3]),
            cuts: random.pick(&[0, 1, 3]),
            stalls: random.pick(&[0, 0, 1]),
            full_disks: random.pick(&[0, 0, 1, 4]),
            failing_disks: random.pick(&[0, 0, 1]),
            changes: random.pick(&[0, 4, 10]),
            forgets: random.pick(&[0, 0, 4]) * may_lose,
            losses: random.pick(&[0, 0, 8]) * may_lose,
            depositions: random.pick(&[0, 1, 2]),
            checkpoints: random.pick(&[5, 20]),
        }
    }

    /// Nothing happens by itself: for histories that are written down.
    pub(crate) fn calm() -> Weather {
        Weather {
            paces: [0; 3],
            loss: 0,
            repeats: 0,
            ticks: 0,
            repairs: 0,
            crashes: 0,
            pauses: 0,
            cuts: 0,
            stalls: 0,
            full_disks: 0,
            failing_disks: 0,
            changes: 0,
            forgets: 0,
            losses: 0,
            depositions: 0,
            checkpoints: 0,
        }
    }
}

/// Limits so small that a few entries reach every one of them.
pub(crate) fn limits(random: &mut Random) -> Limits {
    Limits {
        tail_entries_max: random.pick(&[3, 50]),
        append_bytes_max: random.pick(&[40, 200, 2000]),
        window_messages_max: 3,
        committed_bytes_max: 120,
        read_rounds_max: 2,
        ..Limits::default()
    }
}
