//! Random histories of small clusters: messages lost, repeated, reordered and late, links that are cut in one direction or in
//! both, nodes that pause, disks that stall, crashes at every persist point, state and log thrown away, changes of members,
//! learners, snapshots, transfers. After each event all invariants are checked; at the end the cluster is healed and must work
//! again: elect, commit, answer a read, agree.
//!
//! `QUORATE_TEST_BUDGET` multiplies the number of histories; `QUORATE_TEST_SEED` runs one.

use std::collections::BTreeSet;
use std::env;

use crate::network::member::{Written, command};
use crate::network::{Network, small_limits};
use raft::MembershipChange::{AddLearner, AddVoter, Remove};
use raft::{Limits, Membership, NodeId};

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// Likelihoods in this history: some are calm, some are not (swarm testing).
struct Weather {
    loss: usize,
    repeat: usize,
    crash: usize,
    changes: usize,
    compaction: usize,
    /// Nodes take many inputs before their effects are carried out.
    gathers: bool,
    /// Links are cut, nodes pause, disks stall.
    faults: usize,
    /// Members throw their state and log away.
    forgets: bool,
}

/// What is broken at the moment.
#[derive(Default)]
struct Faults {
    /// Nothing gets through from the first to the second.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// They neither hear nor tick: a process that is stopped, whose disk still finishes what it was given.
    paused: BTreeSet<NodeId>,
    /// Their disks finish nothing.
    stalled: BTreeSet<NodeId>,
}

impl Faults {
    /// One more fault, or one less, or none at all.
    fn change(&mut self, ids: &[NodeId], random: &mut Random) {
        let (one, other) = (ids[random.below(ids.len())], ids[random.below(ids.len())]);
        match random.below(9) {
            0 => drop(self.cut.insert((one, other))),
            1 => ids.iter().for_each(|peer| self.cut.extend([(one, *peer), (*peer, one)])),
            2 => drop(self.paused.insert(one)),
            3 => drop(self.stalled.insert(one)),
            4 => drop(self.paused.pop_first()),
            5 => drop(self.stalled.pop_first()),
            6 => self.cut.retain(|link| link.0 != one && link.1 != one),
            _ => *self = Faults::default(),
        }
    }
}

struct History {
    network: Network,
    random: Random,
    weather: Weather,
    faults: Faults,
}

impl History {
    fn event(&mut self) {
        let ids: Vec<NodeId> = self.network.members.keys().copied().collect();
        let id = ids[self.random.below(ids.len())];
        let (network, random, weather) = (&mut self.network, &mut self.random, &self.weather);
        match random.below(1000) {
            0..450 if !network.pool.is_empty() => self.mail(),
            450..700 if !self.faults.stalled.contains(&id) => drop(network.work(id)),
            700..800 if !self.faults.paused.contains(&id) => drop(network.at(id, raft::Node::tick)),
            800..880 => {
                network.proposals += 1;
                let number = network.proposals;
                let target = network.leader().filter(|_| random.below(4) > 0).unwrap_or(id);
                network.at(target, |node| node.propose(command(number)).is_ok());
            }
            880..920 => drop(network.read(id)),
            920..926 if weather.gathers => network.gather(id),
            926..929 => network.end_gathering(),
            929..930 if weather.gathers => {
                let old = network.leader().unwrap_or(id);
                change_leaders_without(network, old);
            }
            930..960 => disturb(network, random, weather, id),
            960..980 if weather.compaction > random.below(10) => {
                network.member(id).compact(random.below(3) as u64);
                network.settle(id);
            }
            980..988 if weather.changes > random.below(10) => change_members(network, random),
            988..992 => {
                let to = ids[random.below(ids.len())];
                network.at(id, |node| node.transfer(to).is_ok());
            }
            992..994 => drop(network.at(id, raft::Node::campaign)),
            994..995 => drop(network.at(id, raft::Node::resign)),
            995..996 => network.fail_fetches = !network.fail_fetches,
            996..997 if weather.forgets => forget(network, id),
            997..1000 if weather.faults > random.below(10) => self.faults.change(&ids, random),
            _ => {}
        }
        if self.network.pool.len() > 200 {
            self.network.lose(self.random.below(100));
        }
    }

    /// Something happens to one of the older messages.
    fn mail(&mut self) {
        let place = self.random.below(self.network.pool.len().min(12));
        let message = &self.network.pool[place].message;
        let link = (message.from, message.to);
        if self.faults.paused.contains(&link.1) {
            return;
        }
        let lot = self.random.below(100);
        if self.faults.cut.contains(&link) || lot < self.weather.loss {
            self.network.lose(place);
        } else {
            self.network.deliver(place, lot < self.weather.loss + self.weather.repeat);
        }
    }
}

/// The member throws state and log away, if it is the only one in trouble: with two, entries might be gone for good, and
/// nobody would be elected any more.
fn forget(network: &mut Network, id: NodeId) {
    let is_alone = network.members.values().all(|member| member.store.loss.is_none());
    if is_alone && network.members[&id].node.is_some() {
        network.forget(id);
    }
}

/// A leader hears nothing while the others change theirs twice, and then hears all of it before its effects are taken.
fn change_leaders_without(network: &mut Network, old: NodeId) {
    let others: Vec<NodeId> = network.members.keys().copied().filter(|id| *id != old).collect();
    network.gather(old);
    network.at(old, |node| node.propose(command(0)).is_ok());
    network.end_gathering();
    while network.work(old) {}
    for _ in 0..2 {
        let before = network.leader();
        for _ in 0..12 {
            for id in &others {
                network.at(*id, raft::Node::tick);
            }
            network.quiet_among(|id| id != old);
            if network.leader() != before {
                break;
            }
        }
        for id in &others {
            network.at(*id, |node| node.transfer(others[0]).is_ok());
        }
        network.quiet_among(|id| id != old);
    }
    network.gather(old);
    while let Some(place) = network.pool.iter().position(|packet| packet.message.to == old) {
        network.deliver(place, false);
    }
    network.end_gathering();
}

fn disturb(network: &mut Network, random: &mut Random, weather: &Weather, id: NodeId) {
    if network.members[&id].node.is_none() {
        network.restart(id, random.below(5));
    } else if random.below(30) < weather.crash {
        use Written::{Entries, Nothing, Promises};
        let written = [Nothing, Promises, Entries(0), Entries(1), Entries(usize::MAX)][random.below(5)];
        network.crash(id, written);
    }
}

fn change_members(network: &mut Network, random: &mut Random) {
    let ids: Vec<NodeId> = network.members.keys().copied().collect();
    let mut one = || {
        let node = ids[random.below(ids.len())];
        [AddVoter(node), AddLearner(node), Remove(node)][random.below(3)]
    };
    let changes = [one(), one()];
    if let Some(leader) = network.leader() {
        network.at(leader, |node| node.propose_change(&changes, command(0)).is_ok());
    }
}

/// Everything is repaired: the cluster must elect, commit, answer a read and agree.
fn heal(network: &mut Network, seed: u64) {
    let ids: Vec<NodeId> = network.members.keys().copied().collect();
    network.fail_fetches = false;
    network.end_gathering();
    for id in &ids {
        if network.members[id].node.is_none() {
            network.restart(*id, 2);
        }
    }
    for round in 0..400 {
        network.quiet();
        for id in &ids {
            network.at(*id, raft::Node::tick);
        }
        network.quiet();
        let Some(leader) = network.leader().filter(|_| round > 40) else { continue };
        let Some(Ok(entry)) = network.at(leader, |node| node.propose(command(0))) else { continue };
        network.quiet();
        if network.checker.committed().len() as u64 >= entry.index.0 {
            return agree(network, leader, seed);
        }
    }
    let see = |id: &NodeId| network.members[id].node.as_ref().map(|node| (node.status(), node.membership()));
    panic!("seed {seed}: the healed cluster does not commit: {:#?}", ids.iter().map(see).collect::<Vec<_>>());
}

fn agree(network: &mut Network, leader: NodeId, seed: u64) {
    network.answered.clear();
    let token = network.read(leader).and_then(Result::ok);
    let ids: Vec<NodeId> = network.members.keys().copied().collect();
    for _ in 0..12 {
        network.quiet();
        for id in &ids {
            network.at(*id, raft::Node::tick);
        }
    }
    network.quiet();
    assert!(network.answered.iter().any(|(_, answered, _)| Some(*answered) == token), "seed {seed}: no read");
    assert_eq!(
        network.checker.reads_waiting(),
        0,
        "seed {seed}: reads that are neither answered nor given up"
    );
    let membership = network.node(leader).expect("a leader").membership().clone();
    assert!(!membership.is_joint(), "seed {seed}: the joint configuration was never left");
    let full = network.checker.committed().len();
    let seen = network.node(leader).map(|node| node.status());
    for node in membership.members() {
        let member = &network.members[&node];
        let own = member.node.as_ref().map(raft::Node::status);
        assert_eq!(
            member.state.len(),
            full,
            "seed {seed}: {node} did not catch up: {own:?}, its leader: {seen:?}"
        );
    }
}

pub(crate) fn history(seed: u64, events: usize, mut seen: impl FnMut(&Network)) -> Network {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        random.below(2);
    }
    let voters = [1, 2, 3, 3, 3, 5][random.below(6)];
    let ids: Vec<NodeId> = (1..=voters + random.below(3) as u64).map(NodeId).collect();
    let learners = ids.iter().skip(voters as usize + 1).copied();
    let membership = Membership::new(ids[..voters as usize].iter().copied(), learners);
    let changes = [0, 10][random.below(2)];
    let weather = Weather {
        loss: [0, 5, 25][random.below(3)],
        repeat: [0, 10][random.below(2)],
        crash: [0, 3, 15][random.below(3)],
        changes,
        compaction: [0, 3, 10][random.below(3)],
        gathers: random.below(2) == 0,
        faults: [0, 3, 10][random.below(3)],
        // The others must be able to go on without one.
        forgets: changes == 0 && voters >= 3,
    };
    let limits = Limits { append_bytes_max: [30, 80, 1000][random.below(3)], ..small_limits() };
    let network = Network::new(&ids, &membership, seed, &limits);
    let mut history = History { network, random, weather, faults: Faults::default() };
    for _ in 0..events {
        history.event();
        seen(&history.network);
    }
    history.network
}

/// A number from the environment: the tests' budget and seed may come from there, consensus' inputs may not.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn option(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// So many histories of so many events, each healed at the end.
fn play(seeds: std::ops::Range<u64>, events: usize) {
    let (mut committed, mut reads) = (0, 0);
    let mut states = BTreeSet::new();
    for seed in seeds.clone() {
        // Shown when something panics, to be run alone.
        println!("QUORATE_TEST_SEED={seed}");
        let mut network = history(seed, events, |network| {
            states.insert(network.state_hash());
        });
        heal(&mut network, seed);
        committed += network.checker.committed().len();
        reads += network.checker.reads_answered;
    }
    let (histories, states) = (seeds.end - seeds.start, states.len() as u64);
    println!("{histories} histories, {states} states: {committed} entries committed, {reads} reads answered");
    let enough = committed as u64 > 5 * histories && reads > histories && states > 300 * histories;
    assert!(enough || histories < 10, "too little happened to prove anything");
}

#[test]
fn no_history_breaks_an_invariant_and_every_cluster_heals() {
    match option("QUORATE_TEST_SEED") {
        Some(seed) => play(seed..seed + 1, 1500),
        None => play(0..250 * option("QUORATE_TEST_BUDGET").unwrap_or(1), 1500),
    }
}

#[test]
fn neither_does_a_long_history() {
    let first = 1 << 32;
    match option("QUORATE_TEST_SEED") {
        Some(seed) => play(seed..seed + 1, 20_000),
        None => play(first..first + 5 * option("QUORATE_TEST_BUDGET").unwrap_or(1), 20_000),
    }
}

#[test]
fn one_seed_gives_one_history() {
    let trace = |seed| {
        let mut network = history(seed, 1500, |_| {});
        let pool: Vec<String> = network.pool.iter().map(|packet| format!("{:?}", packet.message)).collect();
        let ids: BTreeSet<NodeId> = network.members.keys().copied().collect();
        let nodes: Vec<String> =
            ids.iter().map(|id| format!("{:?}", network.node(*id).map(|node| node.status()))).collect();
        (pool, nodes)
    };
    assert_eq!(trace(11), trace(11));
}
