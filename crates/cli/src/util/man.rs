//! `man`: writes a manual page for each command.

use std::path::PathBuf;

use clap::ArgMatches;

use super::arguments;
use super::failure::Failure;

pub(super) fn run(program: &'static str, matches: &ArgMatches) -> Result<(), Failure> {
    let directory = matches.get_one::<String>("directory").map(PathBuf::from).unwrap_or_default();
    let grammar = arguments::command(program).version(env!("CARGO_PKG_VERSION"));
    // The global flags are on the first page, and on no other.
    let grammar = grammar.mut_args(|argument| argument.global(false));
    Ok(clap_mangen::generate_to(grammar, directory)?)
}
