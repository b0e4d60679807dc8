//! `watch -i`: watches are asked for line by line while others go on.

use std::ffi::OsString;
use std::io::BufRead as _;

use clap::Command as Grammar;
use tokio::sync::mpsc;

use super::{Variables, arguments, child, child_of, grammar, invocation, request, show};
use crate::ctl::connect::Session;
use crate::ctl::exit::{Exit, Failure};
use crate::ctl::print::note;
use crate::ctl::watching::{Notice, Watching};
use crate::ctl::{Invocation, words};

/// Reads lines and runs what they ask for, until there are no more.
pub(super) async fn run(invocation: &Invocation, variables: Variables) -> Result<(), Failure> {
    let session = invocation.open().await?;
    let mut lines = lines();
    let mut watches =
        Watches { watching: Watching::new(session.clone()), children: Vec::new(), session, variables };
    loop {
        // A line waits until the watch of the line before it is there: as in etcdctl, their order is that of the lines.
        let reads = !watches.watching.is_creating();
        tokio::select! {
            biased;
            notice = watches.watching.next() => watches.notice(notice).await?,
            line = lines.recv(), if reads => match line {
                Some(line) => watches.line(line?.as_str())?,
                None => return Err(Failure::new(Exit::InvalidInput, "error reading watch request line: EOF")),
            },
        }
    }
}

/// Lines of standard input, read on a thread of their own: there is no way to wait for a file and a socket in one place
/// that works for all kinds of files.
fn lines() -> mpsc::Receiver<Result<String, Failure>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let explain = |error| {
                Failure::new(Exit::InvalidInput, format!("error reading watch request line: {error}"))
            };
            if sender.blocking_send(line.map_err(explain)).is_err() {
                break;
            }
        }
    });
    receiver
}

struct Watches {
    session: Session,
    watching: Watching,
    /// The command of each watch; empty for none.
    children: Vec<Vec<OsString>>,
    variables: Variables,
}

impl Watches {
    async fn notice(&mut self, notice: Notice) -> Result<(), Failure> {
        match notice {
            Notice::Response(watch, response) => {
                show(&self.session, &response)?;
                child::run_for_each(&self.children[watch.0], &response).await
            }
            Notice::Refused(_, why) => super::refused(&self.session, &why),
            Notice::Ended(_) => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let words = match words::split(line) {
            Ok(words) => words,
            Err(failure) => {
                note(format_args!("Invalid command {line} ({})", failure.text.unwrap_or_default()));
                return Ok(());
            }
        };
        let Some((command, rest)) = words.split_first() else {
            note(format_args!("Invalid command: {line} (watch and progress supported)"));
            return Ok(());
        };
        match command.to_str() {
            Some("watch") if rest.is_empty() && self.variables.key.is_empty() => {
                note(format_args!("Invalid command {line} (command type or key is not provided)"));
            }
            Some("watch") => self.watch(line, rest)?,
            Some("progress") => self.watching.request_progress(),
            _ => note(format_args!("Invalid command {line} (only support watch)")),
        }
        Ok(())
    }

    fn watch(&mut self, line: &str, words: &[OsString]) -> Result<(), Failure> {
        let command = grammar(Grammar::new("watch")).no_binary_name(true).args_override_self(true);
        let matches = command
            .disable_help_flag(true)
            .try_get_matches_from(words)
            .map_err(|error| Failure::arguments(first_line(&error)))?;
        let given = invocation::byte_arguments(&matches, self.session.globals.hex());
        match request(&matches, arguments(given, &self.variables)?) {
            Ok(request) => {
                self.watching.add(request);
                self.children.push(child_of(&matches));
            }
            Err(why) => note(format_args!("Invalid command {line} ({why})")),
        }
        Ok(())
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
