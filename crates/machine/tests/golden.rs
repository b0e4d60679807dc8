//! The semantics as scripts: `tests/golden/*.txt` is the specification, and this runs it.
//!
//! `QUORATE_UPDATE_GOLDEN=1 cargo test -p quorate-machine --test golden` rewrites the outputs; read the difference.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::path::PathBuf;

use support::{script, world::World};

macro_rules! scripts {
    ($($name:ident)*) => {
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            let mut world = World::new();
            script::run(&path(stringify!($name)), |command| world.execute(command));
        })*
    };
}

scripts! {
    alarm
    auth_enable
    auth_keys
    auth_lease
    auth_roles
    auth_txn
    auth_users
    compact
    delete
    hash_kv
    lease
    lease_expire
    member
    member_change
    member_reset
    put
    range
    range_sort
    range_stream
    reopen
    txn
    txn_compare
    txn_duplicate_keys
    txn_nested
    txn_refused
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"))
}

#[test]
fn every_script_is_run() {
    let mut found: Vec<String> = std::fs::read_dir(path("x").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, SCRIPTS);
}
