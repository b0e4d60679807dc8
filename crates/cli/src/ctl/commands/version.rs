//! `version`: prints the version of this program, and of the API that it talks.

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::print::write;

/// The command.
pub const COMMAND: Command =
    Command { name: "version", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

/// The version of etcd whose etcdctl this is when it is linked so.
pub const ETCD: &str = "3.7.1";

/// The version of etcd's API.
pub const API: &str = "3.7";

fn grammar(grammar: Grammar) -> Grammar {
    grammar.about("Prints the version of etcdctl").override_usage("")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let version = if invocation.is_etcdctl() { ETCD } else { env!("CARGO_PKG_VERSION") };
    write(format!("{} version: {version}\nAPI version: {API}\n", invocation.program).as_bytes())
}
