//! The store against a naive model: random commands, every revision, checkpoints, restarts, crashes everywhere.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod model;

use std::path::Path;
use std::sync::Arc;

use model::strategies::{op, range};
use model::{Command, Model, Op, check};
use mvcc::*;
use proptest::prelude::*;
use wal::{Crash, SimDisk};

/// How many times the usual number of cases (`QUORATE_TEST_BUDGET`, 1 unless given).
#[allow(clippy::disallowed_methods, reason = "the test's size is the environment's affair")]
fn budget() -> u32 {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1)
}

/// Small caches, segments and keys, so that little work reaches every corner.
fn options(cache_bytes: usize) -> Options {
    Options { cache_bytes, checkpoint_bytes: 1 << 20, history_segment_bytes: 8 << 10, identity: [1, 2] }
}

fn try_open(disk: &SimDisk, cache_bytes: usize) -> Result<Store, Error> {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options(cache_bytes))
}

#[derive(Debug, Clone)]
enum Step {
    Command(Command),
    /// Compact at so many 256ths of the revisions.
    Compact(u8),
    Checkpoint,
    /// Begin a checkpoint, run it, do the next steps, and complete it only then.
    Begin,
    Restart,
    Crash(u64),
    Check(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let row = || prop::sample::select(vec![b"x".to_vec(), b"y".to_vec(), b"z".to_vec()]);
    prop_oneof![
        20 => op().prop_map(|op| Step::Command(Command::Txn(vec![op]))),
        4 => prop::collection::vec(op(), 2..12).prop_map(|ops| Step::Command(Command::Txn(ops))),
        1 => (0..3u8, row(), row()).prop_map(|(table, key, value)| Step::Command(Command::SidePut(table, key, value))),
        1 => (0..3u8, row()).prop_map(|(table, key)| Step::Command(Command::SideDelete(table, key))),
        1 => any::<u8>().prop_map(Step::Compact),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Begin),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => any::<u8>().prop_map(Step::Check),
    ]
}

/// A store with the log that its caller would have, and the model of both.
struct Run {
    disk: SimDisk,
    cache_bytes: usize,
    store: Option<Store>,
    done: Option<Done>,
    log: Vec<Command>,
    model: Model,
}

impl Run {
    fn new(disk: SimDisk, cache_bytes: usize) -> Self {
        let store = Some(try_open(&disk, cache_bytes).unwrap());
        Self { disk, cache_bytes, store, done: None, log: Vec::new(), model: Model::default() }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn command(&mut self, command: Command) {
        self.model.apply(&command);
        self.log.push(command.clone());
        let index = self.log.len() as u64;
        Model::command(self.store(), &command, index);
    }

    fn complete(&mut self) {
        if let Some(done) = self.done.take() {
            self.store().complete(done);
        }
    }

    /// Opens what is on the disk and applies the log from there.
    fn reopen(&mut self, disk: SimDisk) {
        self.done = None;
        self.store = None;
        self.disk = disk;
        let mut store = try_open(&self.disk, self.cache_bytes).unwrap();
        let applied = store.applied().index as usize;
        for (number, command) in self.log.iter().enumerate().skip(applied) {
            Model::command(&mut store, command, number as u64 + 1);
        }
        self.store = Some(store);
    }

    fn step(&mut self, step: Step, ranges: &[KeyRange]) {
        match step {
            Step::Command(command) => self.command(command),
            Step::Compact(part) => {
                let revision = self.model.revision() * (i64::from(part) + 1) / 256;
                self.command(Command::Compact(revision));
            }
            Step::Checkpoint => {
                self.complete();
                self.store().checkpoint().unwrap();
            }
            Step::Begin => {
                self.complete();
                self.done = self.store().freeze().map(|job| job.run().unwrap());
            }
            Step::Restart => {
                self.store = None;
                self.reopen(self.disk.restart());
            }
            Step::Crash(seed) => {
                let crash = [Crash::LoseAll, Crash::KeepAll, Crash::Random(seed), Crash::TearLast(seed)];
                self.reopen(self.disk.crash(crash[seed as usize % 4]));
            }
            Step::Check(part) => {
                let at = self.model.revision() * i64::from(part) / 255;
                check(self.store.as_ref().unwrap(), &self.model, ranges, std::iter::once(at));
            }
        }
    }

    fn check_all(&self, ranges: &[KeyRange]) {
        let store = self.store.as_ref().unwrap();
        check(store, &self.model, ranges, 0..=self.model.revision());
        // The same commands without any disk in between give the same hash.
        let mut other = try_open(&SimDisk::new(9), 1 << 20).unwrap();
        for (number, command) in self.log.iter().enumerate() {
            Model::command(&mut other, command, number as u64 + 1);
        }
        assert_eq!(store.state_hash(), other.state_hash());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32 * budget(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does_through_checkpoints_restarts_and_crashes(
        steps in prop::collection::vec(step(), 1..150),
        mut ranges in prop::collection::vec(range(), 3),
        cache_bytes in prop::sample::select(vec![0usize, 1000, 1 << 20]),
    ) {
        ranges.push(KeyRange::all());
        let mut run = Run::new(SimDisk::new(1), cache_bytes);
        for step in steps {
            run.step(step, &ranges);
        }
        run.complete();
        run.check_all(&ranges);
        run.store().checkpoint().unwrap();
        run.check_all(&ranges);
        run.reopen(run.disk.restart());
        run.check_all(&ranges);
    }

    #[test]
    fn a_transaction_reads_its_own_writes_as_the_model_does_after_it(
        before in prop::collection::vec(op(), 0..20),
        ops in prop::collection::vec(op(), 1..20),
        ranges in prop::collection::vec(range(), 4),
        limit in 0..4usize,
    ) {
        let mut run = Run::new(SimDisk::new(1), 0);
        run.command(Command::Txn(before));
        run.store().checkpoint().unwrap();
        let mut model = run.model.clone();
        model.apply(&Command::Txn(ops.clone()));
        let mut txn = run.store().txn();
        for op in ops {
            match op {
                Op::Put { key, value, lease } => drop(txn.put(key.into(), value.into(), LeaseId(lease))),
                Op::Delete(range) => _ = txn.delete_range(&range),
            }
        }
        prop_assert_eq!(txn.revision(), model.revision());
        for range in ranges {
            let expected = model.items(&range, model.revision());
            let result = txn.range(&RangeQuery::new(range).limit(limit)).unwrap();
            prop_assert_eq!(result.count, expected.len() as u64);
            prop_assert_eq!(result.more, limit != 0 && expected.len() > limit);
            let end = if limit == 0 { expected.len() } else { limit.min(expected.len()) };
            let keys: Vec<_> = result.items.iter().map(|item| (item.key().to_vec(), item.meta)).collect();
            let metas: Vec<_> = expected[..end].iter().map(|(key, version)| (key.clone(), version.meta)).collect();
            prop_assert_eq!(keys, metas);
            for (key, version) in &expected {
                prop_assert_eq!(txn.meta(key), Some(version.meta));
                prop_assert_eq!(txn.get(key).unwrap().unwrap().value(), &version.value[..]);
            }
        }
    }
}

/// Commands that fill several segments, with everything in them.
fn script() -> Vec<Vec<Command>> {
    let put = |key: usize, len: usize| Op::Put {
        key: format!("key{key}").into_bytes(),
        value: vec![len as u8; len],
        lease: 0,
    };
    let mut rounds = Vec::new();
    for round in 0..4usize {
        let mut commands: Vec<Command> =
            (0..40).map(|number| Command::Txn(vec![put((number * 7 + round) % 13, 20 + number)])).collect();
        commands.push(Command::Txn(vec![
            Op::Delete(KeyRange::prefix("key1")),
            put(20 + round, 9),
            put(1, 3),
        ]));
        commands.push(Command::SidePut(round as u8 % 3, vec![round as u8], vec![7]));
        commands.push(Command::Compact(round as i64 * 30));
        rounds.push(commands);
    }
    rounds
}

/// Runs the script on a disk that dies after so many operations. Returns the log, the model, and the last index that a
/// completed checkpoint covers; `None` instead of that if the script came to its end.
fn run_until_death(disk: &SimDisk) -> (Run, u64, bool) {
    let mut run = Run {
        disk: disk.clone(),
        cache_bytes: 500,
        store: None,
        done: None,
        log: Vec::new(),
        model: Model::default(),
    };
    let mut covered = 0;
    let Ok(store) = try_open(disk, 500) else { return (run, covered, true) };
    run.store = Some(store);
    for commands in script() {
        for command in commands {
            run.command(command);
        }
        let job = run.store().freeze().unwrap();
        match job.run() {
            Ok(done) => {
                covered = done.applied().index;
                run.store().complete(done);
            }
            Err(error) => {
                assert!(!error.is_retryable(), "{error}");
                return (run, covered, true);
            }
        }
    }
    (run, covered, false)
}

#[test]
fn after_a_crash_at_any_point_the_store_opens_as_of_a_checkpoint_and_goes_on() {
    let operations = {
        let disk = SimDisk::new(3);
        let (_run, _, died) = run_until_death(&disk);
        assert!(!died);
        disk.operations()
    };
    let ranges = [KeyRange::all(), KeyRange::prefix("key1")];
    let step = if budget() > 1 { 1 } else { 3 };
    for halt in (0..operations).step_by(step) {
        let disk = SimDisk::new(3);
        disk.halt_after(halt);
        let (mut run, covered, died) = run_until_death(&disk);
        assert!(died, "after {halt} of {operations} operations");
        run.store = None;
        let seeds = 0..u64::from(budget());
        let random =
            seeds.flat_map(|seed| [Crash::Random(halt * 31 + seed), Crash::TearLast(halt * 17 + seed)]);
        for crash in [Crash::LoseAll, Crash::KeepAll].into_iter().chain(random) {
            let crashed = disk.crash(crash);
            run.reopen(crashed);
            let store = run.store.as_ref().unwrap();
            assert_eq!(store.applied().index, run.log.len() as u64);
            let reopened = try_open(&run.disk.restart(), 500).unwrap();
            assert!(
                reopened.applied().index >= covered,
                "a completed checkpoint is lost: {crash:?} after {halt}"
            );
            let revisions = [run.model.compact_revision.max(1), run.model.revision()];
            check(store, &run.model, &ranges, revisions.into_iter());
            // It goes on: another checkpoint, another start.
            run.store().checkpoint().unwrap();
            run.reopen(run.disk.restart());
            check(run.store.as_ref().unwrap(), &run.model, &ranges, revisions.into_iter());
        }
    }
}
