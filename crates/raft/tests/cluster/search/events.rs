//! What may happen next.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::network::Network;
use crate::network::member::{Work, Written, command};
use raft::MembershipChange::{self, AddLearner, AddVoter, Remove};
use raft::{Node, NodeId, RoleName, Term};

/// The longest patience of a node in the scenes, in ticks.
pub(crate) const PATIENCE_TICKS: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The message at this place of the pool arrives, and is gone; or a copy stays on its way; or it is lost.
    Deliver(usize),
    Repeat(usize),
    Lose(usize),
    /// The disk finishes a piece of work.
    Disk(NodeId),
    /// The node stops; of the piece that its disk was at, so much is written.
    Crash(NodeId, Written),
    Restart(NodeId),
    /// Enough time passes for the node to give its leader up, or, leading, to send heartbeats.
    Patience(NodeId),
    Tick(NodeId),
    Propose(NodeId),
    Change(NodeId, usize),
    Read(NodeId),
    Compact(NodeId),
    Transfer(NodeId, NodeId),
}

/// How often each kind of mishap or request may still happen. What is not listed here may always happen.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Allowance {
    repeats: u8,
    losses: u8,
    crashes: u8,
    patience: u8,
    ticks: u8,
    proposals: u8,
    changes: u8,
    reads: u8,
    compactions: u8,
    transfers: u8,
    term_max: Term,
}

impl Allowance {
    /// For the random walk.
    pub(crate) const WALK: Allowance = Allowance {
        repeats: 3,
        losses: 4,
        crashes: 2,
        patience: 4,
        ticks: 3,
        proposals: 3,
        changes: 1,
        reads: 1,
        compactions: 1,
        transfers: 1,
        term_max: Term(5),
    };
    /// For the search where everything is tried.
    pub(crate) const SEARCH: Allowance = Allowance {
        repeats: 1,
        losses: 1,
        crashes: 1,
        patience: 1,
        ticks: 1,
        proposals: 1,
        changes: 1,
        reads: 1,
        compactions: 1,
        transfers: 0,
        term_max: Term(6),
    };

    /// A number for the state with this number and these allowances.
    pub(crate) fn mix(&self, state: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self, state).hash(&mut hasher);
        hasher.finish()
    }
}

/// Changes of members to choose from; node 4 is not a founding member.
const CHANGES: [&[MembershipChange]; 5] = [
    &[AddLearner(NodeId(4))],
    &[AddVoter(NodeId(4))],
    &[Remove(NodeId(3))],
    &[AddVoter(NodeId(4)), Remove(NodeId(1))],
    &[AddLearner(NodeId(2))],
];

/// Every event that may happen now.
pub(crate) fn possible(network: &Network, allowance: &Allowance) -> Vec<Event> {
    let mut events = Vec::new();
    messages(network, allowance, &mut events);
    for (id, member) in &network.members {
        match &member.node {
            None => events.push(Event::Restart(*id)),
            Some(node) => {
                if !member.queue.is_empty() {
                    events.push(Event::Disk(*id));
                }
                if allowance.crashes > 0 {
                    crashes(*id, member.queue.front(), &mut events);
                }
                requests(network, *id, node, allowance, &mut events);
            }
        }
    }
    events
}

fn messages(network: &Network, allowance: &Allowance, events: &mut Vec<Event>) {
    for (place, packet) in network.pool.iter().enumerate() {
        // Of messages that are the same, one is enough.
        if network.pool[..place].iter().any(|earlier| earlier.message == packet.message) {
            continue;
        }
        if network.members.get(&packet.message.to).is_some_and(|member| member.node.is_some()) {
            events.push(Event::Deliver(place));
            if allowance.repeats > 0 {
                events.push(Event::Repeat(place));
            }
        }
        if allowance.losses > 0 {
            events.push(Event::Lose(place));
        }
    }
}

/// A crash at every place where the disk may have stopped.
fn crashes(id: NodeId, at: Option<&Work>, events: &mut Vec<Event>) {
    events.push(Event::Crash(id, Written::Nothing));
    if let Some(Work::Persist(persist)) = at
        && persist.is_write()
    {
        if persist.truncate_from.is_some() {
            events.push(Event::Crash(id, Written::Promises));
        }
        let parts = (0..=persist.entries.len()).map(Written::Entries);
        events.extend(parts.map(|written| Event::Crash(id, written)));
    }
}

fn requests(network: &Network, id: NodeId, node: &Node, allowance: &Allowance, events: &mut Vec<Event>) {
    if allowance.patience > 0 && (node.term() < allowance.term_max || node.role() == RoleName::Leader) {
        events.push(Event::Patience(id));
    }
    if allowance.ticks > 0 {
        events.push(Event::Tick(id));
    }
    if allowance.compactions > 0 && node.applied_index() > network.members[&id].store.snapshot.last.index {
        events.push(Event::Compact(id));
    }
    if allowance.reads > 0 && node.leader().is_some() {
        events.push(Event::Read(id));
    }
    if node.role() != RoleName::Leader {
        return;
    }
    if allowance.proposals > 0 {
        events.push(Event::Propose(id));
    }
    if allowance.changes > 0 {
        events.extend((0..CHANGES.len()).map(|change| Event::Change(id, change)));
    }
    if allowance.transfers > 0 {
        let others = network.members.keys().filter(|other| **other != id);
        events.extend(others.map(|other| Event::Transfer(id, *other)));
    }
}

/// Lets an event happen.
pub(crate) fn happen(network: &mut Network, allowance: &mut Allowance, event: Event) {
    match event {
        Event::Deliver(place) => drop(network.deliver(place, false)),
        Event::Repeat(place) => {
            allowance.repeats -= 1;
            network.deliver(place, true);
        }
        Event::Lose(place) => {
            allowance.losses -= 1;
            network.lose(place);
        }
        Event::Disk(id) => drop(network.work(id)),
        Event::Crash(id, written) => {
            allowance.crashes -= 1;
            network.crash(id, written);
        }
        // Of the entries, the newest is in memory; the others are read when they are needed.
        Event::Restart(id) => network.restart(id, 1),
        Event::Patience(id) => {
            allowance.patience -= 1;
            for _ in 0..PATIENCE_TICKS {
                network.at(id, Node::tick);
            }
        }
        Event::Tick(id) => {
            allowance.ticks -= 1;
            network.at(id, Node::tick);
        }
        _ => ask(network, allowance, event),
    }
}

fn ask(network: &mut Network, allowance: &mut Allowance, event: Event) {
    match event {
        Event::Propose(id) => {
            allowance.proposals -= 1;
            network.proposals += 1;
            let number = network.proposals;
            network.at(id, |node| node.propose(command(number)).is_ok());
        }
        Event::Change(id, change) => {
            allowance.changes -= 1;
            network.at(id, |node| node.propose_change(CHANGES[change], command(0)).is_ok());
        }
        Event::Read(id) => {
            allowance.reads -= 1;
            network.read(id);
        }
        Event::Compact(id) => {
            allowance.compactions -= 1;
            network.member(id).compact(0);
            network.settle(id);
        }
        Event::Transfer(id, to) => {
            allowance.transfers -= 1;
            network.at(id, |node| node.transfer(to).is_ok());
        }
        other => unreachable!("{other:?} is no request"),
    }
}
