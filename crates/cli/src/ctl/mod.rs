//! `quoratectl`: everything that is asked of a running cluster. Linked or copied as `etcdctl`, it is etcdctl.
//!
//! A run is: parse the line ([`line`](mod@line)), find the command in the registry ([`commands::COMMANDS`]), run it on a runtime
//! of one thread, and end with the exit code of its [`Failure`], after one line that begins with `Error: `.
//!
//! # How to add a command
//!
//! 1. Write `commands/<family>.rs`: a `pub const COMMAND: Command` with its name, its group in help, a function that
//!    returns its [`clap::Command`] and one that runs it. The flags are made by [`flags`], so that they are read as
//!    etcdctl's are; positional arguments are declared with [`flags::positionals`] and counted by the command, which has
//!    its own words when there are too few or too many. Subcommands are subcommands of the [`clap::Command`];
//!    [`Invocation::name`] says which it is.
//! 2. Add it to [`commands::COMMANDS`].
//! 3. `run` opens a [`Session`](connect::Session) with [`Invocation::open`], after it has looked at its arguments: etcdctl finds
//!    fault with those first. [`Session::call`](connect::Session::call) makes one call on a generated stub,
//!    [`Session::print`](connect::Session::print) prints its answer.
//! 4. Implement [`Answer`](print::Answer) for the types of answers in `print/<family>.rs`. What etcdctl prints with more than
//!    the answer (`Role r created`) is a struct of the answer and the rest.
//! 5. Add rows to a file in `tests/table/`.

use std::io::Write as _;
use std::process::ExitCode;

pub mod beyond;
pub mod child;
pub mod claim;
pub mod commands;
pub mod complete;
pub mod connect;
pub mod discovery;
pub mod endpoints;
pub mod examples;
pub mod exit;
pub mod flags;
pub mod global;
pub mod help;
pub mod input;
pub mod invocation;
pub mod line;
pub mod print;
pub mod progress;
pub mod prompt;
pub mod range;
pub mod refusal;
pub mod watching;
pub mod words;

pub use invocation::Invocation;

use exit::{Exit, Failure};

/// Runs the command of this process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    match run(words) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            if let Some(text) = failure.text {
                let _ = writeln!(std::io::stderr(), "Error: {text}");
            }
            failure.exit.into()
        }
    }
}

fn run(words: Vec<std::ffi::OsString>) -> Result<(), Failure> {
    if complete::answer(&words)? {
        return Ok(());
    }
    let Some((command, invocation)) = line::parse(words)? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on((command.run)(invocation));
    // Not waited for: a thread that reads standard input, say.
    runtime.shutdown_background();
    ended
}
