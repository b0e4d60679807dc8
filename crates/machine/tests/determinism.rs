//! The same commands give the same state and the same outcomes: twice, and after a crash at any point (A1, A3).

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::fmt::Write as _;

use machine::{Applied, Machine};
use proptest::prelude::*;
use proto::etcdserverpb::InternalRaftRequest;
use support::{generate, print, store};
use wal::{Crash, SimDisk};

const TERM: u64 = 1;

/// Applies the commands behind what was applied, and returns what each of them gave.
fn replay(machine: &mut Machine, commands: &[InternalRaftRequest]) -> Vec<String> {
    let done = machine.store().applied().index;
    let left = (1..).zip(commands).filter(|&(index, _)| index > done);
    left.map(|(index, command)| outcome(machine, index, command)).collect()
}

fn outcome(machine: &mut Machine, index: u64, command: &InternalRaftRequest) -> String {
    let outcome = store::whole(machine.apply(Applied { index, term: TERM }, command).unwrap());
    let result = outcome.result.map(|reply| (reply.revision, reply.body.to_bytes()));
    let mut text = format!("{index}: {result:?}\n");
    for change in outcome.changes.iter().flat_map(|changes| changes.changes.iter()) {
        text.push_str(&print::event(change));
    }
    outcome.effects.iter().for_each(|effect| text.push_str(&print::effect(effect)));
    text
}

/// Everything that a machine says of itself.
fn state(machine: &Machine) -> String {
    let store = machine.store();
    let mut text =
        format!("hash {:032x} r{} {}\n", store.state_hash(), store.revision(), store.compact_revision());
    for (id, lease) in machine.leases() {
        writeln!(text, "{id:?} {lease:?}").unwrap();
    }
    machine.alarms().for_each(|alarm| writeln!(text, "{alarm:?}").unwrap());
    machine.members().for_each(|member| writeln!(text, "{member:?}").unwrap());
    machine.removed_members().for_each(|id| writeln!(text, "removed {id}").unwrap());
    writeln!(text, "{:?} {:?}", machine.cluster_id(), machine.cluster_version()).unwrap();
    text + &auth(machine)
}

/// Users, roles, and whether somebody looks at them.
fn auth(machine: &Machine) -> String {
    let auth = machine.auth();
    auth.check_invariants();
    let mut text = format!("auth {} {}\n", auth.is_enabled(), auth.revision());
    for (name, user) in auth.users() {
        writeln!(text, "user {name:?} {:?} {user:?}", user.password_hash).unwrap();
    }
    auth.roles().for_each(|(name, permissions)| writeln!(text, "role {name:?} {permissions:?}").unwrap());
    text
}

/// Any command, those about members, users and roles included, on anybody's behalf.
fn command() -> impl Strategy<Value = InternalRaftRequest> {
    generate::on_behalf(prop_oneof![
        20 => generate::command(),
        12 => generate::auth_command(),
        1 => generate::member_command(),
    ])
}

/// Commands after which a user `root` exists, mostly, and authentication is on.
fn commands(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<InternalRaftRequest>> {
    let prepared = || [generate::ADD_ROOT, generate::GRANT_ROOT, generate::ENABLE].map(|make| make());
    let before = prop_oneof![1 => Just(Vec::new()), 2 => Just(Vec::from(prepared()))];
    (before, prop::collection::vec(command(), count))
        .prop_map(|(before, commands)| [before, commands].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_same_commands_give_the_same(
        commands in commands(1..50),
        checkpoints in prop::collection::btree_set(0..50usize, 0..4),
        crash_at in 0..50usize,
        crash in prop_oneof![Just(Crash::LoseAll), Just(Crash::KeepAll), any::<u64>().prop_map(Crash::Random)],
    ) {
        let mut reference = store::fresh();
        let outcomes = replay(&mut reference, &commands);
        let expected = state(&reference);

        let mut again = store::fresh();
        prop_assert_eq!(&replay(&mut again, &commands), &outcomes);
        prop_assert_eq!(&state(&again), &expected);

        let disk = SimDisk::new(7);
        let mut machine = store::open(&disk);
        for (place, command) in commands.iter().enumerate().take(crash_at) {
            if checkpoints.contains(&place) {
                store::checkpoint(&mut machine);
            }
            outcome(&mut machine, place as u64 + 1, command);
        }
        drop(machine);
        let mut recovered = store::open(&disk.crash(crash));
        let replayed = replay(&mut recovered, &commands);
        prop_assert_eq!(&replayed[..], &outcomes[outcomes.len() - replayed.len()..]);
        prop_assert_eq!(&state(&recovered), &expected);
    }
}
