//! Standard output that takes nothing.

use std::fs::OpenOptions;
use std::process::Stdio;

use testkit::{Program, Server, require};

use super::{ctl, errors, printed};

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let server = Server::start(&require!("a full device", Program::quorate()), &[]);
    printed(&server, &["put", "k", "v"]);
    for arguments in [&["get", "k"][..], &["tree"], &["member", "list", "-w", "json"], &["version"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = ctl();
        command.args(["--endpoints", &server.client_address()]).args(arguments);
        let output = command.stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = errors(&output);
        assert!(
            said.starts_with("Error: cannot write to standard output: No space left"),
            "{arguments:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    let server = Server::start(&require!("a closed pipe", Program::quorate()), &[]);
    printed(&server, &["put", "k", &"v".repeat(100_000)]);
    let mut command = ctl();
    let mut child = command.args(["--endpoints", &server.client_address(), "get", "k"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), errors(&output).as_str()), (Some(141), ""));
}
