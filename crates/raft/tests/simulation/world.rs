//! The world: servers, the network between them, and the checkers that look at everything that
//! happens.
//!
//! The functions here let one thing happen and show it to the checkers. They decide nothing: which
//! thing is next comes from a random history (`history`) or from a written one (`scenarios`).

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::durable::Error;
use raft::{Body, Index, Membership, Message, Node, NodeId, RoleName, SnapshotWanted};

use crate::apply::Applied;
use crate::checkers::Checkers;
use crate::checkers::quorum::check_durable;
use crate::figures::Figures;
use crate::log_writer::Next;
use crate::network::{Network, Packet, Transfer};
use crate::process::{Process, Settings};
use crate::random::Random;
use crate::server::{End, Server, is_full};
use crate::show;
use crate::trace::Trace;
use crate::weather::{Weather, limits};

/// Of a thousand commits, so many are looked up on the disks.
const LOOKED_UP: usize = 30;

pub(crate) struct World {
    pub(crate) servers: BTreeMap<NodeId, Server>,
    pub(crate) network: Network,
    pub(crate) checkers: Checkers,
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) trace: Trace,
    pub(crate) figures: Figures,
    commands: u64,
}

impl World {
    /// Starts a cluster of so many founding voters, and so many nodes that may join it.
    pub(crate) fn new(
        voters: u64,
        joiners: u64,
        mut random: Random,
        weather: Weather,
        trace: Trace,
    ) -> World {
        let founders = Membership::new((1..=voters).map(NodeId), []);
        let seed = random.next();
        let server = |id: u64| {
            let known = if id <= voters { founders.clone() } else { Membership::default() };
            (NodeId(id), Server::new(NodeId(id), seed, known))
        };
        let mut world = World {
            servers: (1..=voters + joiners).map(server).collect(),
            network: Network::default(),
            checkers: Checkers::default(),
            random,
            weather,
            trace,
            figures: Figures { histories: 1, ..Figures::default() },
            commands: 0,
        };
        world.ids().into_iter().for_each(|id| world.start(id));
        world
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.servers.keys().copied().collect()
    }

    pub(crate) fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).expect("a server of that id")
    }

    pub(crate) fn process(&mut self, id: NodeId) -> Option<&mut Process> {
        self.server(id).process.as_mut()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.servers.get(&id)?.process.as_ref().map(|process| &process.node)
    }

    /// Returns the leader of the latest term, if it is running.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let nodes = self.servers.values().filter_map(|server| server.process.as_ref());
        let leaders = nodes.map(|process| &process.node).filter(|node| node.role() == RoleName::Leader);
        leaders.max_by_key(|node| node.term()).map(Node::id)
    }

    /// Does something to a node, and looks at it. Its effects are taken later.
    pub(crate) fn input<T>(&mut self, id: NodeId, act: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let result = act(&mut self.process(id)?.node);
        self.observe(id);
        Some(result)
    }

    fn observe(&mut self, id: NodeId) {
        let Some(node) =
            self.servers.get(&id).and_then(|server| server.process.as_ref()).map(|one| &one.node)
        else {
            return;
        };
        let committed_before = self.checkers.log.last();
        let news = self.checkers.observe(node);
        self.trace.mix(&(id, node.term(), node.role(), node.last(), node.commit(), node.stable()));
        self.figures.commits += news.committed;
        if news.leader {
            self.figures.elections += 1;
            self.trace.note(|| show::status(node));
            self.checkers.observe_leader(node, Index::ZERO);
        }
        if news.committed > 0 {
            let latest = self.checkers.leaders.latest().and_then(|(_, leader)| self.node(leader));
            if let Some(latest) = latest {
                self.checkers.observe_leader(latest, committed_before);
            }
            self.look_up_commit(id);
        }
    }

    fn look_up_commit(&mut self, id: NodeId) {
        if self.random.chance(LOOKED_UP)
            && let Some(node) = self.node(id)
        {
            check_durable(&self.servers, node);
            self.figures.quorums += 1;
        }
    }

    /// Takes the node's effects now or, so that several inputs share them, not yet.
    pub(crate) fn after_input(&mut self, id: NodeId) {
        let pace = self.servers[&id].pace;
        if self.random.chance(pace) {
            self.ready(id);
        } else {
            self.figures.batches += 1;
        }
    }

    /// Takes the node's effects until it has none.
    pub(crate) fn ready(&mut self, id: NodeId) {
        while let Some(process) = self.process(id)
            && let Some(ready) = process.node.ready()
        {
            let outgoing = process.take(ready);
            self.send(outgoing.messages);
            outgoing.reads.into_iter().for_each(|read| self.checkers.reads.answered(id, read));
            outgoing.reads_abandoned.into_iter().for_each(|token| self.checkers.reads.abandoned(token));
            outgoing.snapshots.into_iter().for_each(|wanted| self.send_snapshot(id, wanted));
            self.observe(id);
        }
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.checkers.promises.sent(&message);
            self.trace.mix(&message);
            self.post(Packet { message, snapshot: None });
        }
    }

    fn send_snapshot(&mut self, id: NodeId, wanted: SnapshotWanted) {
        let server = &self.servers[&id];
        let process = server.process.as_ref().expect("a process that runs");
        match process.snapshot_for(&wanted) {
            Some((message, content)) => {
                let transfer = Transfer { content, wanted, start: server.starts };
                self.post(Packet { message, snapshot: Some(transfer) });
            }
            None => drop(self.input(id, |node| node.snapshot_sent(&wanted, None))),
        }
    }

    fn post(&mut self, packet: Packet) {
        if let Some(lost) = self.network.send(packet, &mut self.random) {
            self.lost(&lost);
        }
    }

    /// Loses a message.
    pub(crate) fn lose(&mut self, place: usize) {
        let packet = self.network.mail.remove(place);
        self.lost(&packet);
    }

    pub(crate) fn lost(&mut self, packet: &Packet) {
        self.trace.note(|| format!("lost: {}", show::message(&packet.message)));
        self.report_transfer(packet, None);
    }

    /// Delivers a message; `copies` says whether another copy of it stays on its way.
    pub(crate) fn deliver(&mut self, place: usize, copies: Copies) {
        let packet = match copies {
            Copies::None => self.network.mail.remove(place),
            Copies::One => self.network.mail[place].clone(),
        };
        let to = packet.message.to;
        self.arrive(packet, copies);
        self.after_input(to);
    }

    /// Lets a node take a message. Its effects are taken later, except with a snapshot, whose
    /// content is at hand only now.
    pub(crate) fn arrive(&mut self, packet: Packet, copies: Copies) {
        let to = packet.message.to;
        if let (Body::InstallSnapshot { snapshot, .. }, Copies::None) = (&packet.message.body, copies) {
            self.report_transfer(&packet, Some(snapshot.last.index));
        }
        self.trace.note(|| show::message(&packet.message));
        let Some(process) = self.process(to) else { return };
        let is_snapshot = packet.snapshot.is_some();
        process.received = packet.snapshot.map(|transfer| transfer.content);
        let refused = process.node.step(packet.message).err();
        self.observe(to);
        if let Some(error) = refused {
            self.fail(&format!("{to} refuses a message: {error}"));
        }
        if is_snapshot {
            self.ready(to);
            if let Some(process) = self.process(to) {
                process.received = None;
            }
        }
    }

    /// Lets the sender of a snapshot know how it ended, if that is still the same process.
    fn report_transfer(&mut self, packet: &Packet, reached: Option<Index>) {
        let Some(Transfer { wanted, start, .. }) = &packet.snapshot else { return };
        let from = packet.message.from;
        if self.servers[&from].starts == *start {
            self.input(from, |node| node.snapshot_sent(wanted, reached));
        }
    }

    /// Lets everything arrive that waits for a node, and takes the effects of all of it together.
    pub(crate) fn arrive_at_once(&mut self, id: NodeId) {
        for packet in self.network.take_all_for(id) {
            self.arrive(packet, Copies::None);
        }
        self.ready(id);
    }

    /// Lets a node hear of the oldest thing that its log writer or apply thread have done.
    pub(crate) fn hear(&mut self, id: NodeId) -> bool {
        let heard = self.process(id).is_some_and(Process::hear);
        if heard {
            self.observe(id);
        }
        heard
    }

    /// Lets a log writer do a piece of work. Messages that waited for it leave.
    pub(crate) fn write(&mut self, id: NodeId, next: Next) {
        let Some(server) = self.servers.get_mut(&id).filter(|server| !server.is_stalled) else { return };
        let Some(process) = server.process.as_mut() else { return };
        let written = process.write(next, &mut self.figures);
        match written {
            Ok(messages) => self.send(messages),
            Err(error) => self.ended_by(id, &error),
        }
    }

    /// Lets a log reader do a piece of work.
    pub(crate) fn read_log(&mut self, id: NodeId) {
        if let Some(Err(error)) = self.process(id).map(Process::read_log) {
            self.ended_by(id, &error);
        }
    }

    /// Lets an apply thread do a piece of work.
    pub(crate) fn apply(&mut self, id: NodeId) {
        match self.process(id).map(Process::apply) {
            None | Some(Ok(Applied::Nothing)) => {}
            Some(Ok(Applied::Entries(entries))) => {
                for (entry, state) in entries {
                    self.checkers.log.applied(id, &entry, state);
                }
            }
            Some(Ok(Applied::Snapshot(state))) => self.checkers.log.contains(id, state),
            Some(Err(error)) => self.ended_by(id, &error),
        }
    }

    pub(crate) fn make_checkpoint(&mut self, id: NodeId, keep: u64) {
        match self.process(id).map(|process| process.make_checkpoint(keep)) {
            Some(Ok(true)) => self.trace.note(|| format!("{id} makes a checkpoint")),
            Some(Err(error)) => self.ended_by(id, &error),
            _ => {}
        }
    }

    /// An error of the disk ends the process.
    pub(crate) fn ended_by(&mut self, id: NodeId, error: &Error) {
        self.trace.note(|| format!("{id} ends: {error}"));
        if !self.servers[&id].may_fail && !is_full(error) {
            self.fail(&format!("{id} ends, and nothing is wrong with its disk: {error}"));
        }
        self.figures.failed_disks += 1;
        self.crash(id);
    }

    /// Ends a process in one of the ways there are.
    pub(crate) fn crash(&mut self, id: NodeId) {
        use wal::Crash::{KeepAll, LoseAll, Random, TearLast};
        let number = self.random.next();
        let all = [LoseAll, KeepAll, TearLast(number), Random(number), Random(number)].map(End::Crashed);
        let end = if self.random.chance(200) { End::Killed } else { self.random.pick(&all) };
        self.end(id, end);
    }

    pub(crate) fn end(&mut self, id: NodeId, end: End) {
        self.trace.note(|| format!("{id} ends: {end:?}"));
        self.server(id).end(end);
        self.checkers.reads.forget(id);
        self.figures.crashes += 1;
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        let settings = Settings {
            limits: limits(&mut self.random),
            tail_bytes_max: self.random.pick(&[0, 200, 5000]),
            seed: self.random.next(),
        };
        let pace = self.random.pick(&self.weather.paces);
        let server = self.server(id);
        server.pace = pace;
        match server.start(settings) {
            Ok(restored) => {
                let state = server.process.as_ref().expect("it has just started").state;
                self.checkers.restored(id, &restored);
                self.checkers.log.contains(id, state);
                self.observe(id);
                self.trace.note(|| format!("starts: {}", self.show(id)));
            }
            Err(error) if server.may_fail => {
                self.trace.note(|| format!("{id} does not start: {error}"));
                self.crash(id);
            }
            // Tried again when there is space.
            Err(error) if is_full(&error) => server.end(End::Killed),
            Err(error) => self.fail(&format!("{id} does not start: {error}")),
        }
    }

    /// Proposes so many commands at a node, which may refuse them.
    pub(crate) fn propose(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            self.commands += 1;
            let command = Bytes::from(format!("c{}", self.commands));
            self.input(id, |node| node.propose(command).is_ok());
        }
    }

    pub(crate) fn read(&mut self, id: NodeId) {
        let token = self.checkers.reads.next();
        let committed = self.checkers.log.last();
        if self.input(id, |node| node.read(token)) == Some(Ok(())) {
            self.checkers.reads.asked(id, token, committed);
            self.figures.reads += 1;
        }
    }

    /// Returns a line about a server.
    pub(crate) fn show(&self, id: NodeId) -> String {
        let server = &self.servers[&id];
        match &server.process {
            Some(process) => format!(
                "{} applied {} base {}{}{}",
                show::status(&process.node),
                process.state.last,
                process.node.status().base,
                if process.waiting.is_some() { " (its disk is full)" } else { "" },
                process.node.loss().map(|loss| format!(" {loss:?}")).unwrap_or_default(),
            ),
            None => format!("{id} is not running"),
        }
    }

    /// Ends the history with what is wrong, and a line about each server.
    pub(crate) fn fail(&self, what: &str) -> ! {
        let servers: Vec<String> = self.servers.keys().map(|id| self.show(*id)).collect();
        panic!("{what}\n{}", servers.join("\n"));
    }
}

/// How many copies of a delivered message stay on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    None,
    One,
}
