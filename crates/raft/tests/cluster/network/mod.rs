//! A cluster in memory whose network and disks do what the test wants, and a checker that looks at every step.
//!
//! Nothing happens by itself: messages wait in a pool, writes in a queue, until an event lets them through. The same
//! seed gives the same history.

pub(crate) mod checker;
pub(crate) mod member;
pub(crate) mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use raft::{
    Config, Limits, Membership, Message, Node, NodeId, ReadToken, Ready, RoleName, SnapshotWanted, StepError,
};

use checker::Checker;
use member::{Member, Packet, Work, Written};

#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) pool: Vec<Packet>,
    pub(crate) checker: Checker,
    pub(crate) proposals: u64,
    pub(crate) reads: u64,
    /// Which node asked each read.
    readers: BTreeMap<ReadToken, NodeId>,
    wanted: Vec<(NodeId, SnapshotWanted)>,
    pub(crate) fail_fetches: bool,
    /// Nodes whose effects are not taken after each event, so that one `Ready` gathers what follows from many.
    gathering: BTreeSet<NodeId>,
    pub(crate) answered: Vec<(NodeId, ReadToken, raft::Index)>,
    pub(crate) abandoned: Vec<(NodeId, ReadToken)>,
}

/// Small limits, so that a few entries reach every one of them.
pub(crate) fn small_limits() -> Limits {
    Limits {
        tail_entries_max: 3,
        append_bytes_max: 30,
        window_messages_max: 2,
        committed_bytes_max: 80,
        read_rounds_max: 2,
        ..Limits::default()
    }
}

impl Network {
    pub(crate) fn new(ids: &[NodeId], membership: &Membership, seed: u64, limits: &Limits) -> Network {
        let mut network = Network {
            members: BTreeMap::new(),
            pool: Vec::new(),
            checker: Checker::default(),
            proposals: 0,
            reads: 0,
            readers: BTreeMap::new(),
            wanted: Vec::new(),
            fail_fetches: false,
            gathering: BTreeSet::new(),
            answered: Vec::new(),
            abandoned: Vec::new(),
        };
        network.checker.start(membership);
        for id in ids {
            // A node that is not a member yet knows no configuration.
            let known = if membership.contains(*id) { membership.clone() } else { Membership::default() };
            let config = Config {
                election_ticks: 3,
                limits: limits.clone(),
                ..Config::new(*id, seed.wrapping_mul(31).wrapping_add(id.0))
            };
            network.members.insert(*id, Member::new(config, known));
        }
        network
    }

    pub(crate) fn member(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).expect("a member of that id")
    }

    pub(crate) fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.member(id).node.as_mut()
    }

    /// Does something to a node, takes the effects, and checks everything.
    pub(crate) fn at<T>(&mut self, id: NodeId, event: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let result = event(self.node(id)?);
        self.settle(id);
        Some(result)
    }

    /// Lets a node's effects wait from now on.
    pub(crate) fn gather(&mut self, id: NodeId) {
        self.gathering.insert(id);
    }

    /// Takes what every node's effects have become meanwhile, and lets them wait no longer.
    pub(crate) fn end_gathering(&mut self) {
        for id in std::mem::take(&mut self.gathering) {
            self.settle(id);
        }
    }

    /// Takes a node's effects until it has none, unless they are to wait.
    pub(crate) fn settle(&mut self, id: NodeId) {
        if self.gathering.contains(&id) {
            return self.checker.check(&self.members, id);
        }
        self.take_effects(id);
    }

    fn take_effects(&mut self, id: NodeId) {
        while let Some(ready) = self.node(id).and_then(Node::ready) {
            self.take(id, ready);
            self.checker.check(&self.members, id);
        }
        self.checker.check(&self.members, id);
    }

    fn take(&mut self, id: NodeId, mut ready: Ready) {
        self.send(std::mem::take(&mut ready.send));
        let member = self.members.get_mut(&id).expect("a member of that id");
        if let Some(persist) = ready.persist.take() {
            member.queue.push_back(Work::Persist(persist));
        }
        if let Some(snapshot) = ready.install.take() {
            let contents = member.received.take().expect("the snapshot's contents came with its message");
            member.queue.push_back(Work::Install(snapshot, contents));
        }
        member.apply(&mut ready);
        for read in &ready.reads {
            self.checker.read_answered(read.token, read.index);
            self.answered.push((id, read.token, read.index));
        }
        for token in &ready.reads_abandoned {
            self.checker.read_abandoned(*token);
            self.abandoned.push((id, *token));
        }
        let fails = self.fail_fetches;
        for fetch in &ready.fetches {
            self.member(id).fetched(fetch, fails && fetch.purpose != raft::FetchPurpose::Apply);
        }
        for wanted in ready.snapshots {
            self.send_snapshot(id, wanted);
        }
    }

    fn send_snapshot(&mut self, id: NodeId, wanted: SnapshotWanted) {
        let store = &self.members[&id].store;
        let message = wanted.message(store.snapshot.clone());
        self.pool.push(Packet { message, contents: Some(store.state.clone()) });
        self.wanted.push((id, wanted));
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.checker.sent(&message, &self.members[&message.from].store);
            self.pool.push(Packet { message, contents: None });
        }
    }

    /// Delivers one message of the pool; `keep` leaves a copy for later.
    pub(crate) fn deliver(&mut self, place: usize, keep: bool) -> Packet {
        let packet = if keep { self.pool[place].clone() } else { self.pool.remove(place) };
        let to = packet.message.to;
        if packet.contents.is_some() {
            self.report_snapshot(&packet, true);
        }
        let Some(member) = self.members.get_mut(&to) else { return packet };
        if let Some(node) = member.node.as_mut() {
            if let Some(contents) = &packet.contents
                && !member.queue.iter().any(|work| matches!(work, Work::Install(..)))
            {
                member.received = Some(contents.clone());
            }
            match node.step(packet.message.clone()) {
                // Only where a test has moved a node's term by itself.
                Ok(()) | Err(StepError::TermTooFar { .. }) => {}
                Err(error) => panic!("correct nodes send correct messages: {error}"),
            }
            match packet.contents {
                // The content is at hand only now.
                Some(_) => self.take_effects(to),
                None => self.settle(to),
            }
        }
        packet
    }

    pub(crate) fn lose(&mut self, place: usize) -> Packet {
        let packet = self.pool.remove(place);
        if packet.contents.is_some() {
            self.report_snapshot(&packet, false);
        }
        packet
    }

    /// Tells the sender of a snapshot how it ended.
    fn report_snapshot(&mut self, packet: &Packet, arrived: bool) {
        let (from, to) = (packet.message.from, packet.message.to);
        let raft::Body::InstallSnapshot { snapshot, .. } = &packet.message.body else { return };
        let reached = arrived.then_some(snapshot.last.index);
        let Some(place) = self.wanted.iter().position(|(id, wanted)| *id == from && wanted.to == to) else {
            return;
        };
        let (_, wanted) = self.wanted.remove(place);
        self.at(from, |node| node.snapshot_sent(&wanted, reached));
    }

    /// Lets a node's disk finish its oldest piece of work.
    pub(crate) fn work(&mut self, id: NodeId) -> bool {
        if self.member(id).queue.is_empty() {
            return false;
        }
        let messages = self.member(id).work();
        self.send(messages);
        self.settle(id);
        true
    }

    pub(crate) fn crash(&mut self, id: NodeId, written: Written) {
        self.member(id).crash(written);
        let readers = std::mem::take(&mut self.readers);
        self.checker.forget_reads(|token| readers.get(&token) == Some(&id));
        self.readers = readers;
        self.readers.retain(|_, node| *node != id);
    }

    pub(crate) fn restart(&mut self, id: NodeId, tail: usize) {
        self.member(id).start(tail);
        self.checker.restarted(id, &self.members[&id].store);
        self.settle(id);
    }

    /// The node lost its disk and starts anew, as another incarnation that knows nothing.
    pub(crate) fn wipe(&mut self, id: NodeId) {
        self.crash(id, Written::Nothing);
        let member = self.member(id);
        let incarnation = raft::Incarnation(member.store.incarnation.0 + 1);
        member.store = member::Store { incarnation, ..member::Store::new(Membership::default()) };
        self.restart(id, 0);
    }

    /// The node finds its state diverged: it throws the state and its log away, keeps its vote, and starts anew.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.at(id, Node::resign);
        self.crash(id, Written::Nothing);
        self.member(id).store.forget();
        self.restart(id, 0);
    }

    pub(crate) fn read(&mut self, id: NodeId) -> Option<Result<ReadToken, raft::ReadError>> {
        let taken = self.take_read(id);
        self.settle(id);
        taken
    }

    /// Asks for a read without taking the effects yet, so that several share them.
    pub(crate) fn take_read(&mut self, id: NodeId) -> Option<Result<ReadToken, raft::ReadError>> {
        self.reads += 1;
        let token = ReadToken(self.reads);
        self.readers.insert(token, id);
        self.checker.read_asked(token);
        let taken = self.node(id).map(|node| node.read(token));
        if !matches!(taken, Some(Ok(()))) {
            self.checker.read_abandoned(token);
        }
        taken.map(|result| result.map(|()| token))
    }

    /// The leader of the latest term, if it is up.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let nodes = self.members.values().filter_map(|member| member.node.as_ref());
        let leaders = nodes.map(Node::status).filter(|status| status.role == RoleName::Leader);
        leaders.max_by_key(|status| status.term).map(|status| status.id)
    }

    /// The node held a log of entries of these terms before anything was seen of it, and is in the term `now`.
    pub(crate) fn given(&mut self, id: NodeId, terms: &[raft::Term], now: Option<raft::Term>) {
        self.crash(id, Written::Nothing);
        let store = &mut self.member(id).store;
        store.entries = member::entries_of(terms, &store.snapshot.membership);
        let latest = terms.last().copied().unwrap_or_default();
        store.hard_state = raft::HardState { term: now.unwrap_or(latest), vote: None };
        self.restart(id, 1000);
    }

    /// A number for everything about the cluster that can make a difference: nodes, disks, and what is on its way.
    pub(crate) fn state_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for member in self.members.values() {
            member.hash(&mut hasher);
        }
        // The messages on their way, in any order.
        let mail = self.pool.iter().map(|packet| {
            let mut hasher = DefaultHasher::new();
            packet.hash(&mut hasher);
            hasher.finish()
        });
        mail.fold(0_u64, u64::wrapping_add).hash(&mut hasher);
        hasher.finish()
    }

    /// Lets everything through, in order, until nothing waits.
    pub(crate) fn quiet(&mut self) {
        self.quiet_among(|_| true);
    }

    /// The same for these nodes only, and what they say to each other.
    pub(crate) fn quiet_among(&mut self, among: impl Fn(NodeId) -> bool) {
        let ids: Vec<NodeId> = self.members.keys().copied().filter(|id| among(*id)).collect();
        let flows = |packet: &Packet| among(packet.message.from) && among(packet.message.to);
        for _ in 0..100_000 {
            let mut busy = false;
            for id in &ids {
                busy |= self.work(*id);
            }
            if let Some(place) = self.pool.iter().position(&flows) {
                self.deliver(place, false);
                busy = true;
            }
            if !busy {
                return;
            }
        }
        panic!("the network never falls silent");
    }
}
