//! A search through the states that a small cluster can get into.
//!
//! From each *scene* (a cluster in the middle of something, see `scenes`) the search walks a random way, and from there tries
//! *every* next event, and after each of them every next one, as far as its allowances go: each message is delivered,
//! repeated or lost, each disk finishes a piece of work or does not, each node crashes with all, part or nothing of that
//! piece on the disk, comes back, runs out of patience, is given a proposal, a read, a change of the members. Then it walks
//! another way. A state that was seen before with the same allowances is not entered again. All invariants are checked after
//! each event.
//!
//! `QUORATE_SEARCH_STATES` says how many distinct states are to be visited; with `CI` set it is a million, else few.
//! What leads to a broken invariant is printed.

mod events;
mod scenes;

use std::collections::BTreeSet;
use std::env;

use crate::explore::Random;
use crate::network::Network;
use crate::network::member::Work;
use events::{Allowance, Event};
use raft::RoleName;
use scenes::Scene;

/// How many random walks are made for each one that is followed by trying everything, and how long they are at most.
const WALKS: usize = 25;
const WALK_MAX: usize = 80;
/// How many events follow the random walk at most.
const DEPTH_MAX: usize = 12;
/// How many new states one dive may find before the next one begins elsewhere.
const DIVE_STATES: usize = 1500;

/// Prints how the search got where it panics.
struct Trace {
    scene: &'static str,
    events: Vec<Event>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("scene: {}\nevents: {:#?}", self.scene, self.events);
        }
    }
}

/// A state on the way down, and the events that were not tried there yet.
struct Frame {
    network: Network,
    allowance: Allowance,
    untried: Vec<Event>,
}

impl Frame {
    fn new(network: Network, allowance: Allowance, random: &mut Random) -> Frame {
        let mut untried = events::possible(&network, &allowance);
        for place in (1..untried.len()).rev() {
            untried.swap(place, random.below(place + 1));
        }
        Frame { network, allowance, untried }
    }
}

/// How many of the new states showed something that the search must not miss.
#[derive(Debug, Default)]
struct Sights {
    /// Two nodes believe that they lead.
    two_leaders: u64,
    candidates: u64,
    joint: u64,
    learners: u64,
    /// A disk is at a piece of work, and another waits behind it.
    busy_disks: u64,
    installing: u64,
    losses: u64,
    /// Somebody must drop entries from his disk.
    truncations: u64,
    reads_answered: u64,
}

impl Sights {
    fn note(&mut self, network: &Network) {
        let mut leaders = 0;
        for member in network.members.values() {
            let Some(node) = &member.node else { continue };
            leaders += u64::from(node.role() == RoleName::Leader);
            self.candidates += u64::from(node.role() == RoleName::Candidate);
            self.joint += u64::from(node.membership().is_joint());
            self.learners += u64::from(!node.membership().learners().is_empty());
            self.busy_disks += u64::from(member.queue.len() > 1);
            self.losses += u64::from(node.loss().is_some());
            for work in &member.queue {
                match work {
                    Work::Install(..) => self.installing += 1,
                    Work::Persist(persist) => self.truncations += u64::from(persist.truncate_from.is_some()),
                }
            }
        }
        self.two_leaders += u64::from(leaders > 1);
        self.reads_answered += u64::from(network.checker.reads_answered > 0);
    }

    fn rarest(&self) -> u64 {
        let all = [
            self.two_leaders,
            self.candidates,
            self.joint,
            self.learners,
            self.busy_disks,
            self.installing,
            self.losses,
            self.truncations,
            self.reads_answered,
        ];
        all.into_iter().min().expect("some")
    }
}

#[derive(Default)]
struct Search {
    /// The states that were visited, by fingerprint.
    states: BTreeSet<u64>,
    /// The same together with the allowances that were left: from here everything was tried, or is being tried.
    entered: BTreeSet<u64>,
    sights: Sights,
    events: u64,
    random: u64,
}

impl Search {
    /// Does one event; whether that leads to a place where the search was not yet.
    fn go(&mut self, network: &mut Network, allowance: &mut Allowance, event: Event) -> bool {
        self.events += 1;
        events::happen(network, allowance, event);
        let state = network.state_hash();
        if self.states.insert(state) {
            self.sights.note(network);
        }
        self.entered.insert(allowance.mix(state))
    }

    /// Walks a random way, as far as it leads; the cluster there, and how it got there.
    fn walk(&mut self, scene: &Scene, random: &mut Random, length_max: usize) -> (Network, Trace) {
        let mut network = scene.network.clone();
        let mut trace = Trace { scene: scene.name, events: Vec::new() };
        let mut allowance = Allowance::WALK;
        for _ in 0..random.below(length_max) {
            let possible = events::possible(&network, &allowance);
            if possible.is_empty() {
                break;
            }
            let event = likely(&possible, random);
            trace.events.push(event);
            self.go(&mut network, &mut allowance, event);
        }
        (network, trace)
    }

    /// Walks some random ways, and at the end of the last one tries everything.
    fn dive(&mut self, scene: &Scene) {
        self.random += 1;
        let mut random = Random(self.random.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..WALKS {
            self.walk(scene, &mut random, WALK_MAX);
        }
        let length_max = [1, 10, WALK_MAX][random.below(3)];
        let (network, mut trace) = self.walk(scene, &mut random, length_max);
        let walked = trace.events.len();
        let enough = self.states.len() + DIVE_STATES;
        let mut frames = vec![Frame::new(network, Allowance::SEARCH, &mut random)];
        while let Some(frame) = frames.last_mut() {
            let Some(event) = frame.untried.pop().filter(|_| self.states.len() < enough) else {
                frames.pop();
                continue;
            };
            let (mut network, mut allowance) = (frame.network.clone(), frame.allowance);
            trace.events.truncate(walked + frames.len() - 1);
            trace.events.push(event);
            if self.go(&mut network, &mut allowance, event) && frames.len() < DEPTH_MAX {
                frames.push(Frame::new(network, allowance, &mut random));
            }
        }
    }
}

/// One of these events; mostly one that brings something forward, or the walk would be a string of mishaps.
fn likely(possible: &[Event], random: &mut Random) -> Event {
    let forward = |event: &&Event| matches!(event, Event::Deliver(_) | Event::Disk(_) | Event::Restart(_));
    let works: Vec<&Event> = possible.iter().filter(forward).collect();
    if !works.is_empty() && random.below(10) < 8 {
        *works[random.below(works.len())]
    } else {
        possible[random.below(possible.len())]
    }
}

/// A test's own options; not an input of consensus.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn states_wanted() -> usize {
    let asked = env::var("QUORATE_SEARCH_STATES").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if env::var("CI").is_ok() { 1_000_000 } else { 60_000 })
}

#[test]
fn no_state_that_can_be_reached_breaks_an_invariant() {
    let wanted = states_wanted();
    let scenes = scenes::all();
    let mut search = Search::default();
    while search.states.len() < wanted {
        for scene in &scenes {
            search.dive(scene);
        }
    }
    let (states, events) = (search.states.len(), search.events);
    println!("{} scenes, {states} distinct states, {events} events, {:?}", scenes.len(), search.sights);
    let rarest = search.sights.rarest();
    assert!(rarest > wanted as u64 / 20_000, "too little was seen to prove anything: {:?}", search.sights);
}
