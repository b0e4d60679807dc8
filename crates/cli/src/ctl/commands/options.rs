//! `options`: prints the global flags.

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::print::write;
use crate::ctl::{Invocation, help};

/// The command.
pub const COMMAND: Command =
    Command { name: "options", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar.about("Show the global command-line flags").override_usage("")
}

async fn run(_: Invocation) -> Result<(), Failure> {
    let flags = help::global_flags();
    write(format!("The following options can be passed to any command:\n\n{flags}").as_bytes())
}
