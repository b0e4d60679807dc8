//! Members that lose entries which they have acknowledged (rule M5): on purpose, or with their
//! disk.

use raft::{Body, Entry, Index, Membership, NodeId, Payload, RoleName};
use wal::SimDisk;

use crate::network::Packet;
use crate::server::{End, Server, is_full};
use crate::world::World;

impl World {
    /// Returns whether every server is running and has everything that it ever acknowledged. Only
    /// then another one may lose entries: with two, entries might be gone for good, and nobody
    /// could be elected any more.
    pub(crate) fn is_anyone_in_trouble(&mut self) -> bool {
        for server in self.servers.values_mut().filter(|server| server.is_in_trouble) {
            let node = server.process.as_ref().map(|process| &process.node);
            let has_all =
                node.is_some_and(|node| node.loss().is_none()) && server.survives().0.loss.is_none();
            server.is_in_trouble = !has_all;
        }
        self.servers.values().any(|server| server.is_in_trouble || !server.is_running())
    }

    /// Returns whether this member may lose entries now: the others, in whatever configuration may
    /// come into force, are a quorum.
    fn may_lose_entries(&mut self, id: NodeId) -> bool {
        if self.checkers.log.last() == Index::ZERO || self.is_anyone_in_trouble() {
            return false;
        }
        let leader = self.leader().and_then(|leader| self.node(leader));
        leader.is_some_and(|leader| leader.membership().contains(id)) && !self.may_members_change()
    }

    /// Returns whether a configuration that is not committed, or that needs every voter, is
    /// anywhere. One that is cut off in memory may come back from the disk with a crash, and one
    /// that its leader has lost may arrive with a message.
    fn may_members_change(&self) -> bool {
        let committed = self.checkers.log.last();
        let is_settled = |membership: &Membership, since: Index| {
            let is_large = membership.voters().len() >= 3 || membership.members().next().is_none();
            since <= committed && is_large && !membership.is_joint()
        };
        let is_server_settled = |server: &Server| {
            let node = server.process.as_ref().map(|process| &process.node);
            let on_disk = server.survives().0.memberships;
            node.is_some_and(|node| is_settled(node.membership(), node.membership_index()))
                && is_settled(on_disk.current(), on_disk.current_index())
        };
        let brings_another = |packet: &Packet| {
            let Body::Append { entries, .. } = &packet.message.body else { return false };
            let is_change = |entry: &Entry| matches!(entry.payload, Payload::Membership(_));
            entries.iter().any(|entry| is_change(entry) && entry.index > committed)
        };
        self.network.mail.iter().any(brings_another) || !self.servers.values().all(is_server_settled)
    }

    /// Lets a member throw its log away, and then its state (rule A6), perhaps with a crash on the
    /// way.
    pub(crate) fn forget(&mut self, id: NodeId) {
        if !self.may_lose_entries(id) {
            return;
        }
        self.input(id, raft::Node::resign);
        self.ready(id);
        self.figures.forgets += 1;
        let server = self.servers.get_mut(&id).expect("a server of that id");
        server.is_in_trouble = true;
        if self.random.chance(500) {
            server.may_fail = true;
            server.disk.halt_after(self.random.below(14) as u64);
        }
        let forgotten = server.forget();
        self.trace.note(|| format!("{id} throws its log away: {forgotten:?}"));
        self.checkers.reads.forget(id);
        match forgotten {
            Ok(()) => self.start(id),
            Err(error) if is_full(&error) => self.end(id, End::Killed),
            Err(error) => self.ended_by(id, &error),
        }
    }

    /// Lets a follower acknowledge an entry, and come back with an older copy of its disk, without
    /// that entry, while its leader believes it to be there. The next heartbeat tells it so (rule
    /// M5).
    pub(crate) fn lose_end_of_log(&mut self, id: NodeId) {
        let Some(leader) = self.leader().filter(|leader| *leader != id) else { return };
        let follows = self.node(id).is_some_and(|node| node.leader() == Some(leader));
        if !follows || !self.may_lose_entries(id) {
            return;
        }
        let pair = [leader, id];
        let is_hindered = |server: &Server| server.may_fail || server.is_stalled || !server.is_active();
        if self.network.has_cuts() || pair.iter().any(|one| is_hindered(&self.servers[one])) {
            return;
        }
        self.drop_mail_of(id);
        self.settle_among(&pair);
        let copy = self.servers[&id].disk.crash(wal::Crash::LoseAll);
        let before = self.node(id).map(|node| (node.last(), node.status().vote, node.term()));
        self.propose(leader, 1);
        self.settle_among(&pair);
        let Some((last, vote, term)) = before else { return };
        let is_lost =
            |node: &raft::Node| node.last() != last && (node.status().vote, node.term()) == (vote, term);
        let leads = |node: &raft::Node| {
            node.role() == RoleName::Leader
                && node.term() == term
                && node.follower(id).is_some_and(|follower| {
                    // The heartbeat speaks of what is committed. Of acknowledged entries that are
                    // not, nothing shows the loss, and they may yet be committed before the leader
                    // hears of it: rule M5 does not cover that.
                    follower.matched > last.index && follower.matched <= node.commit()
                })
        };
        if !self.node(id).is_some_and(is_lost) || !self.node(leader).is_some_and(leads) {
            return;
        }
        self.replace_by_copy(leader, id, copy);
    }

    fn replace_by_copy(&mut self, leader: NodeId, id: NodeId, copy: SimDisk) {
        self.trace.note(|| format!("{id} comes back with an older copy of its disk"));
        self.drop_mail_of(id);
        self.end(id, End::Killed);
        let server = self.server(id);
        server.disk = copy;
        server.is_in_trouble = true;
        self.start(id);
        self.input(leader, raft::Node::tick);
        self.ready(leader);
        self.arrive_at_once(id);
        // The answer leaves when the loss is on the disk. Nobody hears it here.
        self.do_all_work(id);
        self.figures.losses += u64::from(self.node(id).is_some_and(|node| node.loss().is_some()));
    }
}
