//! What goes wrong, one fault a function. What goes right again is here as well.

use raft::{Message, NodeId};
use wal::{Fault, SimDisk};

use crate::log_writer::Next;
use crate::network::Cut;
use crate::server::End;
use crate::world::World;

impl World {
    /// Stops a process, as a signal does, or a machine that swaps.
    pub(crate) fn pause(&mut self, id: NodeId) {
        self.server(id).is_paused = self.servers[&id].is_running();
        self.trace.note(|| format!("{id} is paused"));
    }

    /// Lets a process go on. It finds everything that came meanwhile.
    pub(crate) fn resume(&mut self, id: NodeId) {
        self.trace.note(|| format!("{id} goes on"));
        let pace = self.random.pick(&self.weather.paces);
        let server = self.server(id);
        server.pace = pace;
        server.is_paused = false;
        self.arrive_at_once(id);
    }

    /// Lets a disk finish nothing for a while.
    pub(crate) fn stall_disk(&mut self, id: NodeId) {
        self.trace.note(|| format!("the disk of {id} stalls"));
        self.server(id).is_stalled = true;
    }

    /// Lets a disk work again that stalled, and have room if it was full.
    pub(crate) fn repair_disk(&mut self, id: NodeId) {
        let server = self.server(id);
        server.is_stalled = false;
        server.disk.set_capacity(None);
        self.trace.note(|| format!("the disk of {id} works and has room"));
    }

    /// Cuts a node off: in both directions, or so that nothing reaches it, or so that it reaches
    /// nobody; or cuts a single link, in one direction.
    pub(crate) fn cut_links(&mut self, id: NodeId) {
        let cut = self.random.pick(&[Cut::Lost, Cut::Held]);
        let ids = self.ids();
        let one = self.random.pick(&ids);
        let (is_mute, is_deaf, others) = match self.random.below(4) {
            0 => (true, true, ids),
            1 => (false, true, ids),
            2 => (true, false, ids),
            _ => (true, false, vec![one]),
        };
        for other in others {
            if is_mute {
                self.network.cut(id, other, cut);
            }
            if is_deaf {
                self.network.cut(other, id, cut);
            }
        }
        self.trace.note(|| format!("links of {id} are cut: mute {is_mute}, deaf {is_deaf}, {cut:?}"));
    }

    /// Holds up everything from and to a node, a leader mostly, while it goes on taking proposals,
    /// and lets the others change their leader, perhaps more than once. So much happens seldom by
    /// chance while one node hears nothing, and then all of it comes at once.
    pub(crate) fn change_leaders_without(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.ids().into_iter().filter(|other| *other != id).collect();
        if others.is_empty() || !self.servers[&id].is_active() {
            return;
        }
        for other in &others {
            self.network.cut(id, *other, Cut::Held);
            self.network.cut(*other, id, Cut::Held);
        }
        self.trace.note(|| format!("{id} is held up while the others go on"));
        let count = self.random.below(4);
        self.propose(id, count);
        self.ready(id);
        self.write_all(id);
        for _ in 0..1 + self.random.below(3) {
            self.change_leader_among(&others);
        }
    }

    fn change_leader_among(&mut self, ids: &[NodeId]) {
        let before = self.checkers.leaders.latest();
        let target = self.random.pick(ids);
        for _ in 0..20 {
            if self.checkers.leaders.latest() != before {
                break;
            }
            for id in ids {
                let is_active = self.servers[id].is_active();
                if is_active {
                    self.input(*id, raft::Node::tick);
                    self.input(*id, |node| node.transfer(target).is_ok());
                }
            }
            self.settle_among(ids);
        }
        if let Some(leader) = self.leader().filter(|leader| ids.contains(leader)) {
            let count = self.random.below(3);
            self.propose(leader, count);
            self.settle_among(ids);
        }
    }

    /// Mends all links. What was held up arrives, in one piece at each node.
    pub(crate) fn mend_links(&mut self) {
        self.trace.note(|| "all links are mended".to_owned());
        self.network.mend_all();
        for id in self.ids() {
            if self.servers[&id].is_active() {
                self.arrive_at_once(id);
            }
        }
    }

    /// Lets a disk have little room: none, or enough for a small file and not for a file of
    /// entries.
    pub(crate) fn fill_disk(&mut self, id: NodeId) {
        let room = self.random.pick(&[0, 200, 1000, 3000]);
        self.fill_disk_but_for(id, room);
    }

    pub(crate) fn fill_disk_but_for(&mut self, id: NodeId, room: u64) {
        let disk = &self.servers[&id].disk;
        disk.set_capacity(Some(used_bytes(disk) + room));
        self.trace.note(|| format!("the disk of {id} has room for {room} bytes"));
    }

    /// Lets one of the next operations find no space, as on a file system that never overwrites.
    pub(crate) fn refuse_space_once(&mut self, id: NodeId) {
        let fault = self.random.pick(&[Fault::WriteNoSpace, Fault::Create]);
        self.inject(id, fault);
    }

    /// Lets one of the next operations fail, which ends the process.
    pub(crate) fn fail_disk(&mut self, id: NodeId) {
        let faults = [
            Fault::Sync,
            Fault::Sync,
            Fault::Write,
            Fault::SyncDir,
            Fault::Rename,
            Fault::Remove,
            Fault::Read,
        ];
        let fault = self.random.pick(&faults);
        self.inject(id, fault);
    }

    fn inject(&mut self, id: NodeId, fault: Fault) {
        let after = self.random.below(4) as u64;
        let server = self.server(id);
        server.may_fail = true;
        server.disk.inject_after(fault, after);
        self.trace.note(|| format!("the disk of {id} will fail: {fault:?} after {after}"));
    }

    /// Lets a machine crash at one of the next operations of its disk, while it works.
    pub(crate) fn crash_at_work(&mut self, id: NodeId) {
        let operations = self.random.below(14) as u64;
        let server = self.server(id);
        server.may_fail = true;
        server.disk.halt_after(operations);
        self.trace.note(|| format!("{id} will stop after {operations} operations of its disk"));
        for _ in 0..6 {
            self.write(id, Next::Work);
            self.apply(id);
        }
        // Not enough work: it ends all the same.
        if self.servers[&id].may_fail {
            self.crash(id);
        }
    }

    /// Lets a process end as an operator ends it: it leaves proof that everything is synced.
    pub(crate) fn stop(&mut self, id: NodeId) {
        let Some(process) = self.process(id) else { return };
        let _ = process.log.witness();
        self.end(id, End::Killed);
    }

    /// Loses everything that is on its way from or to a node.
    pub(crate) fn drop_mail_of(&mut self, id: NodeId) {
        let concerns = |message: &Message| message.from == id || message.to == id;
        while let Some(place) = self.network.mail.iter().position(|packet| concerns(&packet.message)) {
            self.lose(place);
        }
    }
}

fn used_bytes(disk: &SimDisk) -> u64 {
    disk.files().iter().filter_map(|path| disk.content(path)).map(|content| content.len() as u64).sum()
}
