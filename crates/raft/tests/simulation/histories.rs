//! As many random histories as the budget allows.

use crate::figures::Figures;
use crate::healing::heal;
use crate::history::{EVENTS, cluster, play};
use crate::trace::Trace;
use crate::world::World;

/// Histories for a budget of 1.
const HISTORIES: u64 = 200;

/// Prints how to repeat a history, if it panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let test = "--test simulation random -- --nocapture";
            println!(
                "to repeat this history: QUORATE_TEST_SEED={} cargo test -p quorate-raft {test}",
                self.0
            );
        }
    }
}

/// Plays the history of a seed to its good end.
fn history(seed: u64, trace: Trace) -> World {
    let _replay = Replay(seed);
    let mut world = cluster(seed, trace);
    play(&mut world, EVENTS);
    heal(&mut world);
    world
}

/// A number from the environment: the tests' budget and seed may come from there, consensus' inputs
/// may not.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn option(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn random_histories_break_nothing_and_every_cluster_heals() {
    if let Some(seed) = option("QUORATE_TEST_SEED") {
        let world = history(seed, Trace::shown());
        return println!("seed {seed}, trace {:x}: {}", world.trace.hash(), world.figures);
    }
    let count = HISTORIES * option("QUORATE_TEST_BUDGET").unwrap_or(1);
    let first = option("QUORATE_TEST_FIRST_SEED").unwrap_or(0);
    let mut total = Figures::default();
    for seed in first..first + count {
        total += history(seed, Trace::default()).figures;
    }
    println!("{total}");
    total.assert_enough();
}

/// These broke once. A change of what is drawn makes other histories of them; then they are as good
/// as any others, and `scenarios` still has the sequences.
#[test]
fn seeds_that_once_broke_something() {
    // A hard state that noted entries as committed which lost, with a new term and the cut of those
    // entries in one piece.
    for seed in [14, 43, 48, 51] {
        history(seed, Trace::default());
    }
    // A read whose round was lost, and whose leader became the only voter.
    history(1410, Trace::default());
    // A loss that a heartbeat had shown was forgotten by a restart, and the member voted.
    for seed in [86, 149] {
        history(seed, Trace::default());
    }
}

#[test]
fn one_seed_gives_one_history() {
    let trace = |seed| history(seed, Trace::default()).trace.hash();
    for seed in 0..5 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(0), trace(1));
}
