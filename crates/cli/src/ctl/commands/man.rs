//! `man`: writes a manual page for each command. Hidden: it is for those who make packages.

use std::path::PathBuf;

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::{Invocation, line};

/// The command.
pub const COMMAND: Command =
    Command { name: "man", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Writes manual pages to a directory")
        .override_usage("<directory>")
        .hide(true)
        .args(flags::positionals(&["directory"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let arguments = invocation.matches.positionals();
    let [directory] = arguments.as_slice() else {
        return Err(Failure::arguments("man needs one argument: the directory for the pages"));
    };
    let grammar = pages(line::grammar(&invocation.program));
    Ok(clap_mangen::generate_to(grammar, PathBuf::from(directory))?)
}

/// Returns the grammar as pages show it: the global flags on the first page, and on no other.
fn pages(grammar: Grammar) -> Grammar {
    let version = env!("CARGO_PKG_VERSION");
    grammar.version(version).mut_args(|argument| argument.global(false).hide(false))
}
