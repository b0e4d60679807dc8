//! `help`: prints help about a command.

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::print::write;
use crate::ctl::{Invocation, flags, help, line};

/// The command.
pub const COMMAND: Command =
    Command { name: "help", group: Group::Utility, grammar, run: |invocation| Box::pin(run(invocation)) };

const ABOUT: &str = "Help provides help for any command in the application.
Simply type etcdctl help [path to command] for full details.";

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Help about any command")
        .long_about(ABOUT)
        .override_usage("[command]")
        .args(flags::positionals(&["command"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let root = line::grammar(&invocation.program);
    let words = invocation.text_arguments();
    let path = line::resolve(&root, words.iter().map(String::as_str));
    if path.len() < words.len() {
        let unknown = words.join(" ");
        return Err(Failure::error(format!(
            "Unknown help topic [`{unknown}`]: see `{} --help`",
            root.get_name()
        )));
    }
    write(help::render(&root, &path).as_bytes())
}
