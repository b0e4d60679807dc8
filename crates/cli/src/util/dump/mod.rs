//! `dump`: what is in a data directory, a line for each entry, change or record. Writes nothing.
//!
//! What is damaged is left out, and said on standard error; the rest is shown all the same. Password hashes and tokens are
//! hidden unless they are asked for.

mod command;
mod history;
mod lines;
mod log;
mod meta;
mod rows;
mod state;

use std::io::Write;

use clap::ArgMatches;

use self::lines::Lines;
use super::arguments::{Globals, directories};
use super::failure::Failure;
use super::held::Held;

/// The numbers to show, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    from: u64,
    to: u64,
}

impl Numbers {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let number = |name: &str, default: u64| match matches.get_one::<String>(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Failure::bad_arguments(format!("--{name} must be a number, and is {text:?}"))),
        };
        Ok(Self { from: number("from", 0)?, to: number("to", u64::MAX)? })
    }

    fn contain(self, number: u64) -> bool {
        (self.from..=self.to).contains(&number)
    }
}

pub(super) fn run(globals: &Globals, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
    let format = globals.format()?;
    let (root, wal) = directories(matches);
    let what = matches.get_one::<String>("what").map_or("", String::as_str);
    let text = |name: &str| matches.get_one::<String>(name).map(|text| text.clone().into_bytes());
    if what == "meta" && (text("from").is_some() || text("to").is_some()) {
        return Err(Failure::bad_arguments("--from and --to mean nothing with --what meta"));
    }
    let secrets = matches.get_flag("secrets");
    let mut lines = Lines::new(out, format);
    let held = || Held::shared(&root, wal.clone(), globals.timeout, "dump");
    match what {
        "log" => log::dump(&held()?, Numbers::of(matches)?, secrets, &mut lines)?,
        "history" => history::dump(&held()?, Numbers::of(matches)?, &mut lines)?,
        "state" => state::dump(&held()?, text("from"), text("to"), secrets, &mut lines)?,
        "meta" => meta::dump(&held()?, &mut lines)?,
        other => {
            let what = format!("--what must be log, history, state or meta, and is {other:?}");
            return Err(Failure::bad_arguments(what));
        }
    }
    match lines.finish()? {
        0 => Ok(()),
        damages => Err(Failure::error(format!(
            "{damages} damaged place(s) in data directory {} are left out; see quorateutl verify",
            root.display()
        ))),
    }
}
