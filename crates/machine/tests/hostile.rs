//! Applying is total: bytes that decode as a command have an outcome, whoever made them. Nothing panics, and what is
//! refused changes nothing.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use machine::Applied;
use proptest::prelude::*;
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use support::{generate, store};

/// A command with some of its bytes changed.
fn damaged() -> impl Strategy<Value = Option<InternalRaftRequest>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let command = generate::on_behalf(prop_oneof![2 => generate::command(), 1 => generate::auth_command()]);
    (command, damage).prop_map(|(command, damage)| {
        let mut bytes = command.encode_to_vec();
        for (place, byte) in damage {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        InternalRaftRequest::decode(&bytes[..]).ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_decodes_has_an_outcome(
        commands in prop::collection::vec(damaged(), 1..60),
        is_enabled in any::<bool>(),
    ) {
        let mut machine = store::fresh();
        let prepared = [generate::ADD_ROOT(), generate::GRANT_ROOT(), generate::ENABLE()];
        let prepared = prepared.iter().filter(|_| is_enabled);
        for (command, index) in prepared.chain(commands.iter().flatten()).zip(1..) {
            let before = machine.store().state_hash();
            let outcome = machine.apply(Applied { index, term: 1 }, command).unwrap();
            if outcome.result.is_err() {
                prop_assert_eq!(machine.store().state_hash(), before);
                prop_assert!(outcome.changes.is_none() && outcome.effects.is_empty());
            }
        }
    }
}
