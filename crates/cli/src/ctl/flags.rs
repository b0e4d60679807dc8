//! The flags of commands, as etcdctl's parser (pflag) takes them: `--limit 5`, `--limit=5`, `--prefix`,
//! `--prefix=false`. The last one counts when a flag is repeated.
//!
//! A command is a [`clap::Command`] made of these, so that help, completion and man pages all come from one place.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command as Grammar, builder::OsStringValueParser};

use crate::go::{duration::parse_duration, number};

/// The positional arguments that are more than the command knows: the command itself says what it thinks of them.
const SURPLUS: &str = "surplus";
const SURPLUS_ID: &str = "<surplus>";

/// Returns a flag that is on or off.
pub fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("bool")
        .value_parser(number::parse_bool)
}

/// Returns a flag with a text.
pub fn text(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).value_name("string")
}

/// Returns a flag with texts, comma-separated or repeated.
pub fn list(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).value_name("strings").action(ArgAction::Append)
}

/// Returns a flag with a number.
pub fn number(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).value_name("int").value_parser(number::parse_flag)
}

/// Returns a flag with a duration.
pub fn duration(name: &'static str, help: &'static str) -> Arg {
    valued(name, help).value_name("duration").value_parser(parse_duration)
}

fn valued(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).num_args(1).allow_hyphen_values(true)
}

/// Returns the positional arguments of a command. Neither too few nor too many are refused here: etcdctl's commands
/// each have their own words for it. The id of `key` is `<key>`.
pub fn positionals(names: &[&'static str]) -> Vec<Arg> {
    // The id has brackets: `--key` is a flag of every command.
    let positional = |name: &'static str| {
        Arg::new(format!("<{name}>")).value_name(name).value_parser(OsStringValueParser::new())
    };
    let named = names.iter().map(|name| positional(name));
    named.chain([positional(SURPLUS).num_args(0..).hide(true)]).collect()
}

/// Returns a command without commands below it: its description, the rest of its usage line, and its positional arguments.
pub fn leaf(name: &'static str, about: &'static str, usage: &'static str, names: &[&'static str]) -> Grammar {
    Grammar::new(name).about(about).override_usage(usage).args(positionals(names))
}

/// What of a command line belongs to one command.
pub trait Flags {
    /// Returns whether a flag that is off by default is on.
    fn is_on(&self, name: &str) -> bool;
    /// Returns the value of a flag with a text, if it was given.
    fn text(&self, name: &str) -> Option<&str>;
    /// Returns the values of a flag with texts.
    fn list(&self, name: &str) -> Vec<String>;
    /// Returns the value of a flag with a number, 0 if it was not given.
    fn number(&self, name: &str) -> i64;
    /// Returns the value of a flag with a duration, if it was given.
    fn duration(&self, name: &str) -> Option<Duration>;
    /// Returns all positional arguments, in order.
    fn positionals(&self) -> Vec<OsString>;
}

impl Flags for ArgMatches {
    fn is_on(&self, name: &str) -> bool {
        self.get_one(name).copied().unwrap_or(false)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get_one::<String>(name).map(String::as_str)
    }

    fn list(&self, name: &str) -> Vec<String> {
        let given = self.get_many::<String>(name).into_iter().flatten();
        given.flat_map(|texts| texts.split(',')).map(str::to_owned).collect()
    }

    fn number(&self, name: &str) -> i64 {
        self.get_one(name).copied().unwrap_or(0)
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        self.get_one(name).copied()
    }

    fn positionals(&self) -> Vec<OsString> {
        let named =
            self.ids().map(clap::Id::as_str).filter(|name| name.starts_with('<') && *name != SURPLUS_ID);
        let of = |name| self.try_get_many::<OsString>(name).ok().flatten().into_iter().flatten();
        let given = named.flat_map(of).chain(of(SURPLUS_ID));
        given.cloned().collect()
    }
}
