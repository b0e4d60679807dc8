//! Random histories of small clusters: messages lost, repeated, reordered and late, crashes at every persist point,
//! changes of members, snapshots, transfers. After each event all invariants are checked; at the end the cluster is
//! healed and must work again.
//!
//! `QUORATE_TEST_BUDGET` multiplies the number of histories (a budget of 8 visits a million states);
//! `QUORATE_TEST_SEED` runs one.

use std::collections::BTreeSet;
use std::env;

use crate::network::member::command;
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
}

fn event(network: &mut Network, random: &mut Random, weather: &Weather) {
    let ids: Vec<NodeId> = network.members.keys().copied().collect();
    let id = ids[random.below(ids.len())];
    match random.below(1000) {
        0..450 if !network.pool.is_empty() => {
            let place = random.below(network.pool.len().min(12));
            match random.below(100) {
                lot if lot < weather.loss => drop(network.lose(place)),
                lot if lot < weather.loss + weather.repeat => drop(network.deliver(place, true)),
                _ => drop(network.deliver(place, false)),
            }
        }
        450..700 => drop(network.work(id)),
        700..800 => drop(network.at(id, raft::Node::tick)),
        800..880 => {
            network.proposals += 1;
            let number = network.proposals;
            let target = network.leader().filter(|_| random.below(4) > 0).unwrap_or(id);
            network.at(target, |node| node.propose(command(number)).is_ok());
        }
        880..930 => drop(network.read(id)),
        930..960 => disturb(network, random, weather, id),
        960..980 if weather.compaction > random.below(10) => {
            network.member(id).compact(random.below(3) as u64);
            network.settle(id);
        }
        980..990 if weather.changes > random.below(10) => change_members(network, random),
        990..994 => {
            let to = ids[random.below(ids.len())];
            network.at(id, |node| node.transfer(to).is_ok());
        }
        994..996 => drop(network.at(id, raft::Node::campaign)),
        996..997 => drop(network.at(id, raft::Node::resign)),
        997..998 => network.fail_fetches = !network.fail_fetches,
        _ => {}
    }
    if network.pool.len() > 200 {
        network.lose(random.below(100));
    }
}

fn disturb(network: &mut Network, random: &mut Random, weather: &Weather, id: NodeId) {
    if network.members[&id].node.is_none() {
        network.restart(id, random.below(5));
    } else if random.below(30) < weather.crash {
        let written = [None, Some(0), Some(1), Some(usize::MAX)][random.below(4)];
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
    let weather = Weather {
        loss: [0, 5, 25][random.below(3)],
        repeat: [0, 10][random.below(2)],
        crash: [0, 3, 15][random.below(3)],
        changes: [0, 10][random.below(2)],
        compaction: [0, 3, 10][random.below(3)],
    };
    let limits = Limits { append_bytes_max: [30, 80, 1000][random.below(3)], ..small_limits() };
    let mut network = Network::new(&ids, &membership, seed, &limits);
    for _ in 0..events {
        event(&mut network, &mut random, &weather);
        seen(&network);
    }
    network
}

/// A number from the environment: the tests' budget and seed may come from there, consensus' inputs may not.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn option(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn no_history_breaks_an_invariant_and_every_cluster_heals() {
    let seeds = match option("QUORATE_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..250 * option("QUORATE_TEST_BUDGET").unwrap_or(1),
    };
    let (mut committed, mut reads) = (0, 0);
    let mut states = BTreeSet::new();
    for seed in seeds.clone() {
        // Shown when something panics, to be run alone.
        println!("QUORATE_TEST_SEED={seed}");
        let mut network = history(seed, 1500, |network| {
            states.insert(network.fingerprint());
        });
        heal(&mut network, seed);
        committed += network.checker.committed().len();
        reads += network.checker.reads_answered;
    }
    let (histories, states) = (seeds.end - seeds.start, states.len() as u64);
    println!("{histories} histories, {states} states: {committed} entries committed, {reads} reads answered");
    assert!(
        committed as u64 > 5 * histories && states > 300 * histories,
        "too little happened to prove anything"
    );
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
