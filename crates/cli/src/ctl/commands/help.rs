//! `help`: prints the help of a command.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::{Invocation, flags, help, line};

/// The command.
pub const COMMAND: Command =
    Command { name: "help", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

const ABOUT: &str = "\
Help provides help for any command in the application.
Simply type etcdctl help [path to command] for full details.";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Help about any command")
        .long_about(ABOUT)
        .override_usage("[command]")
        .args(flags::positionals(&[]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let topic = invocation.text_arguments();
    let program = OsString::from(&invocation.program);
    let words = [program].into_iter().chain(topic.iter().map(OsString::from)).chain(["--help".into()]);
    match line::parse(words.collect()) {
        Ok(_) => Ok(()),
        Err(_) => {
            let topic: Vec<String> = topic.iter().map(|word| format!("`{word}`")).collect();
            let all = help::render(&line::grammar(&invocation.program), &[]);
            let _ = write!(std::io::stderr(), "Unknown help topic [{}]\n{all}", topic.join(" "));
            Ok(())
        }
    }
}
