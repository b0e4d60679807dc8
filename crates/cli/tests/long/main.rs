//! Commands that take long: they are stopped in the middle, and their connections are cut.

#![cfg(test)]

mod check;
mod complete;
mod man;
mod members;
mod mirror;
mod output;
mod proxy;
mod shells;
mod snapshot;

use std::process::{Command, Output, Stdio};

use testkit::Server;

/// Returns our binary, with no endpoint and no variable of the tester's environment.
fn ctl() -> Command {
    let mut command = testkit::interruptible(env!("CARGO_BIN_EXE_quoratectl"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command against a server.
fn run(server: &Server, arguments: &[&str]) -> Output {
    ctl().args(["--endpoints", &server.client_address()]).args(arguments).output().unwrap()
}

/// Runs a command that must succeed, and returns what it printed.
fn printed(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
