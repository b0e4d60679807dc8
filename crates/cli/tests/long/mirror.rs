//! `make-mirror` between two servers.

use std::process::Child;

use testkit::{Program, Server, require, wait};

use super::{ctl, errors, printed};

/// A mirror that runs until this is dropped.
struct Mirror(Child);

impl Mirror {
    fn start(source: &Server, destination: &Server, flags: &[&str]) -> Mirror {
        let mut command = ctl();
        command.args(["--endpoints", &source.client_address(), "make-mirror"]);
        Mirror(command.args(flags).arg(destination.client_address()).spawn().unwrap())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until these are all keys and values of a server.
fn await_pairs(server: &Server, expected: &[(&str, &str)]) {
    let expected: String = expected.iter().map(|(key, value)| format!("{key}\n{value}\n")).collect();
    let mut found = String::new();
    let same = wait::within(wait::DEADLINE, || {
        found = printed(server, &["get", "", "--prefix"]);
        (found == expected).then_some(())
    });
    assert!(same.is_some(), "expected {expected:?}, found {found:?}");
}

fn two_servers(quorate: &Program) -> (Server, Server) {
    (Server::start(quorate, &[]), Server::start(quorate, &[]))
}

#[test]
fn all_keys_are_copied_and_every_change_follows() {
    let quorate = require!("make-mirror", Program::quorate());
    let (source, mut destination) = two_servers(&quorate);
    printed(&source, &["put", "a", "1"]);
    printed(&source, &["put", "b", "2"]);
    let mirror = Mirror::start(&source, &destination, &[]);
    await_pairs(&destination, &[("a", "1"), ("b", "2")]);
    printed(&source, &["put", "c", "3"]);
    printed(&source, &["put", "a", "4"]);
    printed(&source, &["del", "b"]);
    await_pairs(&destination, &[("a", "4"), ("c", "3")]);
    // A destination that is gone ends it: what was not written there is not forgotten in silence.
    destination.kill();
    printed(&source, &["put", "d", "5"]);
    let mut mirror = mirror;
    let status = wait::until("the end of the mirror", || mirror.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_prefix_is_kept_exchanged_or_left_out() {
    let quorate = require!("make-mirror of a prefix", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    printed(&source, &["put", "a/1", "x"]);
    printed(&source, &["put", "other", "y"]);
    {
        let _kept = Mirror::start(&source, &destination, &["--prefix", "a/"]);
        await_pairs(&destination, &[("a/1", "x")]);
    }
    {
        let _exchanged = Mirror::start(&source, &destination, &["--prefix", "a/", "--dest-prefix", "b/"]);
        await_pairs(&destination, &[("a/1", "x"), ("b/1", "x")]);
    }
    let _left_out = Mirror::start(&source, &destination, &["--prefix", "a/", "--no-dest-prefix"]);
    await_pairs(&destination, &[("1", "x"), ("a/1", "x"), ("b/1", "x")]);
}

#[test]
fn a_mirror_that_goes_on_begins_at_its_revision() {
    let quorate = require!("make-mirror --rev", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    for (key, value) in [("p/before", "1"), ("p/from", "2"), ("p/after", "3")] {
        printed(&source, &["put", key, value]);
    }
    let _mirror = Mirror::start(&source, &destination, &["--prefix", "p/", "--rev", "3"]);
    await_pairs(&destination, &[("p/after", "3"), ("p/from", "2")]);
}

#[test]
fn a_revision_that_is_compacted_is_an_error() {
    let quorate = require!("make-mirror from a compacted revision", Program::quorate());
    let (source, destination) = two_servers(&quorate);
    for value in ["1", "2", "3"] {
        printed(&source, &["put", "k", value]);
    }
    printed(&source, &["compaction", "4"]);
    let mut command = ctl();
    command.args(["--endpoints", &source.client_address(), "make-mirror", "--rev", "2"]);
    let output = command.arg(destination.client_address()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(errors(&output), "Error: etcdserver: mvcc: required revision has been compacted\n");
}
