//! Random histories: which event is next.

use bytes::Bytes;
use raft::MembershipChange::{AddLearner, AddVoter, Remove};
use raft::{Index, Node, NodeId};

use crate::log_writer::Next;
use crate::network::Cut;
use crate::random::Random;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::world::{Copies, World};

/// Events before a cluster is healed.
pub(crate) const EVENTS: u64 = 10_000;

/// Starts the cluster of a seed.
pub(crate) fn cluster(seed: u64, trace: Trace) -> World {
    let mut random = Random::new(seed);
    let voters = random.pick(&[1, 2, 3, 3, 3, 3, 3, 5]);
    let joiners = random.below(3) as u64;
    let weather = Weather::new(&mut random, voters);
    World::new(voters, joiners, random, weather, trace)
}

/// Lets `events` events happen to the cluster.
pub(crate) fn play(world: &mut World, events: u64) {
    for _ in 0..events {
        world.event();
    }
    for id in world.ids() {
        world.observe_again(id);
    }
    world.figures.events += events;
}

/// What happens by itself.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Tick,
    Checkpoint,
    Crash,
    Pause,
    Cut,
    Stall,
    FullDisk,
    FailingDisk,
    Forget,
    Loss,
    Deposition,
}

impl World {
    fn event(&mut self) {
        let ids = self.ids();
        let id = self.random.pick(&ids);
        if self.random.chance(self.weather.repairs) {
            return self.repair(id);
        }
        if !self.servers[&id].is_running() {
            return self.event_while_down(id);
        }
        match self.random.below(1000) {
            0..400 => self.mail(),
            400..850 if self.servers[&id].is_paused => {}
            400..500 => self.reports(id),
            500..640 => self.log_writer(id),
            640..670 => self.apply(id),
            670..680 => self.read_log(id),
            680..760 => self.after_input(id),
            760..838 => self.client(id),
            838..850 => self.operator(id),
            _ => self.time_or_fault(id),
        }
    }

    fn event_while_down(&mut self, id: NodeId) {
        match self.random.below(1000) {
            0..500 => self.mail(),
            500..550 => self.start(id),
            550..555 => self.crash_while_starting(id),
            _ => {}
        }
    }

    /// Ends one of the faults that last.
    fn repair(&mut self, id: NodeId) {
        let server = self.server(id);
        if server.is_paused {
            self.resume(id);
        } else if self.network.has_cuts() && self.random.chance(500) {
            self.mend_links();
        } else {
            self.repair_disk(id);
        }
    }

    fn crash_while_starting(&mut self, id: NodeId) {
        let operations = self.random.below(20) as u64;
        let server = self.server(id);
        server.may_fail = true;
        server.disk.halt_after(operations);
        self.start(id);
        if self.servers[&id].may_fail {
            self.crash(id);
        }
    }

    /// Something happens to one of the older messages.
    fn mail(&mut self) {
        let Some(place) = self.network.pick(&mut self.random) else { return };
        let message = &self.network.mail[place].message;
        if self.servers.get(&message.to).is_some_and(|server| server.is_paused) {
            return;
        }
        match self.network.cut_of(message) {
            Some(Cut::Held) => {}
            Some(Cut::Lost) => self.lose(place),
            None if self.random.chance(self.weather.loss) => self.lose(place),
            None if self.random.chance(self.weather.repeats) => self.deliver(place, Copies::One),
            None => self.deliver(place, Copies::None),
        }
    }

    /// A node hears of one thing that its threads have done, or of all.
    fn reports(&mut self, id: NodeId) {
        let all = self.random.chance(400);
        while self.hear(id) && all {}
        self.after_input(id);
    }

    /// A log writer does one thing, or everything that it has to do.
    fn log_writer(&mut self, id: NodeId) {
        if self.random.chance(300) {
            return self.write_all(id);
        }
        let next = match self.random.below(100) {
            0..40 => Next::Sync,
            40..60 => Next::Release,
            60..63 => Next::Prepare,
            _ => Next::Work,
        };
        self.write(id, next);
    }

    /// A client proposes, at the leader mostly, or reads anywhere.
    fn client(&mut self, id: NodeId) {
        let at_leader = self.random.chance(800);
        let target =
            self.leader().filter(|leader| at_leader && !self.servers[leader].is_paused).unwrap_or(id);
        if self.random.chance(600) {
            let count = 1 + self.random.below(3);
            self.propose(target, count);
            self.after_input(target);
        } else {
            self.read(id);
            self.after_input(id);
        }
    }

    fn operator(&mut self, id: NodeId) {
        let ids = self.ids();
        match self.random.below(40) {
            0..10 => {
                let id = self.leader().unwrap_or(id);
                let to = self.random.pick(&ids);
                self.input(id, |node| node.transfer(to).is_ok());
                return self.after_input(id);
            }
            10..12 => drop(self.input(id, Node::campaign)),
            12..13 => drop(self.input(id, Node::resign)),
            13..14 => return self.stop(id),
            _ => return self.change_members(),
        }
        self.after_input(id);
    }

    /// Asks for one or two changes of members. A node that was removed may be added again, with
    /// what it has on its disk.
    fn change_members(&mut self) {
        if !self.random.chance(100 * self.weather.changes) || self.is_anyone_in_doubt() {
            return;
        }
        let Some(leader) = self.leader().filter(|leader| self.servers[leader].is_active()) else { return };
        let ids = self.ids();
        let mut change = || {
            let node = self.random.pick(&ids);
            self.random.pick(&[AddVoter(node), AddLearner(node), Remove(node)])
        };
        let changes = [change(), change()];
        let count = 1 + self.random.below(2);
        let proposed =
            self.input(leader, |node| node.propose_change(&changes[..count], Bytes::new()).is_ok());
        if proposed == Some(true) {
            self.figures.changes += 1;
            self.trace.note(|| format!("{leader} proposes {:?}", &changes[..count]));
        }
        self.after_input(leader);
    }

    /// Returns whether a member lost entries and may not have them back: the members stay as they
    /// are until it has.
    fn is_anyone_in_doubt(&mut self) -> bool {
        self.servers.values().any(|server| server.is_in_trouble) && self.is_anyone_in_trouble()
    }

    /// Time passes, or something breaks, as likely as the weather says.
    fn time_or_fault(&mut self, id: NodeId) {
        let weather = &self.weather;
        let table = [
            (weather.ticks, Happening::Tick),
            (weather.checkpoints, Happening::Checkpoint),
            (weather.crashes, Happening::Crash),
            (weather.pauses, Happening::Pause),
            (weather.cuts, Happening::Cut),
            (weather.stalls, Happening::Stall),
            (weather.full_disks, Happening::FullDisk),
            (weather.failing_disks, Happening::FailingDisk),
            (weather.forgets, Happening::Forget),
            (weather.losses, Happening::Loss),
            (weather.depositions, Happening::Deposition),
        ];
        let mut lot = self.random.below(200);
        for (chance, happening) in table {
            if lot < chance {
                return self.happen(id, happening);
            }
            lot -= chance;
        }
    }

    fn happen(&mut self, id: NodeId, happening: Happening) {
        let is_active = self.servers[&id].is_active();
        match happening {
            Happening::Tick if is_active => {
                self.input(id, Node::tick);
                self.after_input(id);
            }
            Happening::Checkpoint if is_active && !self.servers[&id].is_stalled => {
                let keep = self.random.below(6) as u64;
                self.make_checkpoint(id, keep);
            }
            Happening::Crash if !self.servers[&id].is_stalled && self.random.chance(500) => {
                self.crash_at_work(id);
            }
            Happening::Crash => self.crash(id),
            Happening::Pause => {
                let id = self.leader_or(id, 400);
                self.pause(id);
            }
            Happening::Cut => {
                let id = self.leader_or(id, 600);
                self.cut_links(id);
            }
            Happening::Stall => self.stall_disk(id),
            Happening::FullDisk if self.random.chance(500) => self.refuse_space_once(id),
            Happening::FullDisk => self.fill_disk(id),
            Happening::FailingDisk => self.fail_disk(id),
            Happening::Forget if is_active => self.forget(id),
            Happening::Loss if is_active => self.lose_end_of_log(id),
            Happening::Deposition => {
                let id = self.leader_or(id, 800);
                self.change_leaders_without(id);
            }
            Happening::Tick | Happening::Checkpoint | Happening::Forget | Happening::Loss => {}
        }
    }

    /// Returns the leader, if there is one, so many times out of a thousand, and `id` otherwise.
    fn leader_or(&mut self, id: NodeId, per_mille: usize) -> NodeId {
        self.leader().filter(|_| self.random.chance(per_mille)).unwrap_or(id)
    }

    /// Compares all of a node's log once more.
    fn observe_again(&mut self, id: NodeId) {
        if let Some(process) = self.servers[&id].process.as_ref() {
            self.checkers.observe_again(&process.node);
            self.checkers.observe_leader(&process.node, Index::ZERO);
        }
    }
}
