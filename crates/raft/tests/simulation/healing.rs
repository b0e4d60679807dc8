//! Everything is repaired. Then the cluster must work again, whatever happened before: elect a
//! leader, commit, answer a read, leave a joint configuration, and bring every member up to date.

use raft::Node;

use crate::server::End;
use crate::world::World;

/// Rounds in which a healed cluster must commit.
const ROUNDS_MAX: usize = 600;

/// Rounds that a leader has before it is asked for something.
const ROUNDS_MIN: usize = 40;

/// Rounds in which everybody must catch up after that.
const CATCH_UP_ROUNDS: usize = 60;

/// Repairs everything and waits until the cluster works.
pub(crate) fn heal(world: &mut World) {
    world.trace.note(|| "everything is repaired".to_owned());
    world.network.mend_all();
    for id in world.ids() {
        let server = world.server(id);
        server.is_stalled = false;
        server.disk.set_capacity(None);
        if std::mem::take(&mut server.is_paused) {
            world.arrive_at_once(id);
        }
    }
    for round in 0..ROUNDS_MAX {
        world.round();
        if round >= ROUNDS_MIN && world.commits() {
            return catch_up(world);
        }
    }
    world.fail("the healed cluster does not commit");
}

fn catch_up(world: &mut World) {
    if let Some(leader) = world.leader() {
        world.read(leader);
    }
    for _ in 0..CATCH_UP_ROUNDS {
        world.round();
    }
    let Some(leader) = world.leader() else { world.fail("the healed cluster has no leader") };
    let membership = world.node(leader).expect("a running leader").membership().clone();
    if membership.is_joint() {
        world.fail("the joint configuration was never left");
    }
    if world.checkers.reads.waiting() > 0 {
        world.fail("reads are neither answered nor given up");
    }
    for member in membership.members() {
        let process = world.servers[&member].process.as_ref();
        let applied = process.map(|process| process.state.last.index);
        if applied != Some(world.checkers.log.last()) {
            world.fail(&format!("{member} did not catch up: {} are committed", world.checkers.log.last()));
        }
    }
}

impl World {
    /// Lets a tick pass everywhere, and everything that follows from it happen.
    fn round(&mut self) {
        for id in self.ids() {
            if !self.servers[&id].is_running() {
                self.server(id).end(End::Killed);
                self.start(id);
            }
            self.input(id, Node::tick);
        }
        self.settle();
    }

    /// Returns whether the leader, if there is one, commits a command.
    fn commits(&mut self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let before = self.checkers.log.last();
        self.propose(leader, 1);
        self.settle();
        self.checkers.log.last() > before
    }
}
