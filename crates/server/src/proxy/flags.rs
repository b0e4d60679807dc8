//! Flags as the Go library `pflag` reads them: `--name value` or `--name=value`, `--name` alone for a boolean, `--` ends them.
//! What is not a flag is passed over. The texts of the errors are the library's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::config::parse_go_duration;

/// A sub-command `<group> start`.
pub(super) struct Command {
    /// The first word of the command line.
    pub(super) group: &'static str,
    /// What the sub-command does, for its help.
    pub(super) about: &'static str,
    /// Its flags, in the order of their names.
    pub(super) flags: &'static [Flag],
    /// Starts it, with the flags and the whole command line.
    pub(super) start: fn(&Flags, &[String]) -> Result<super::Running, super::StartError>,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// The name, without dashes.
    pub(super) name: &'static str,
    /// What values it takes.
    pub(super) kind: Kind,
    /// The default, as one would write it.
    pub(super) default: &'static str,
    /// One sentence for `--help`.
    pub(super) help: &'static str,
}

/// What values a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    /// Words with commas in between. Given again, it adds to what was given before.
    List,
    Duration,
    Int,
    Uint32,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Bool(bool),
    List(Vec<String>),
    Duration(Duration),
    Int(i64),
}

/// The value of every flag of a command.
#[derive(Debug)]
pub(super) struct Flags {
    values: BTreeMap<&'static str, Value>,
}

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Parsed {
    /// `--help` or `-h`.
    Help,
    /// A run with these flags.
    Run(Flags),
}

/// A command line that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlagError {
    #[error("unknown flag: --{0}")]
    Unknown(String),
    #[error("unknown shorthand flag: '{0}' in -{1}")]
    Shorthand(char, String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: --{0}")]
    MissingValue(&'static str),
    #[error("invalid argument {text:?} for \"--{name}\" flag: {why}")]
    Value { name: &'static str, text: String, why: String },
}

/// Returns the first word that is no flag and no value of one: flags may stand in front of the sub-command.
pub(super) fn sub_command<'a>(table: &[Flag], words: &'a [String]) -> Option<&'a str> {
    let takes_next = |word: &str| {
        word.strip_prefix("--")
            .is_some_and(|name| table.iter().any(|flag| flag.name == name && flag.kind != Kind::Bool))
    };
    let mut rest = words.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if word == "--" {
            return None;
        }
        if takes_next(word) {
            rest.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Reads the words behind the command. The sub-command among them is passed over.
///
/// # Errors
/// What is wrong with the first that cannot be read.
pub(super) fn parse(table: &'static [Flag], words: &[String]) -> Result<Parsed, FlagError> {
    let defaults = table.iter().map(|flag| {
        let value = flag.kind.parse(flag.default);
        (flag.name, value.expect("the table's defaults are values of their kinds"))
    });
    let mut flags = Flags { values: defaults.collect() };
    let mut given = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(body) = word.strip_prefix("--") else {
            match word.strip_prefix('-') {
                Some("h") => return Ok(Parsed::Help),
                Some(letters) if !letters.is_empty() => {
                    let letter = letters.chars().next().unwrap_or_default();
                    return Err(FlagError::Shorthand(letter, letters.to_owned()));
                }
                _ => continue,
            }
        };
        if body.is_empty() {
            break;
        }
        if body.starts_with(['-', '=']) {
            return Err(FlagError::Syntax(word.clone()));
        }
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
        let Some(flag) = table.iter().find(|flag| flag.name == name) else {
            return if name == "help" { Ok(Parsed::Help) } else { Err(FlagError::Unknown(name.to_owned())) };
        };
        let text = match value {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true",
            None => rest.next().ok_or(FlagError::MissingValue(flag.name))?.as_str(),
        };
        let value = flag.kind.parse(text);
        let value = value.map_err(|why| FlagError::Value { name: flag.name, text: text.to_owned(), why })?;
        let is_first = !given.contains(&flag.name);
        given.push(flag.name);
        flags.set(flag.name, value, is_first);
    }
    Ok(Parsed::Run(flags))
}

impl Kind {
    fn parse(self, text: &str) -> Result<Value, String> {
        let syntax = |function: &str| format!("strconv.{function}: parsing {text:?}: invalid syntax");
        Ok(match self {
            Kind::Text => Value::Text(text.to_owned()),
            Kind::Bool => match text {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Value::Bool(true),
                "0" | "f" | "F" | "FALSE" | "false" | "False" => Value::Bool(false),
                _ => return Err(syntax("ParseBool")),
            },
            Kind::List if text.is_empty() => Value::List(Vec::new()),
            Kind::List => Value::List(text.split(',').map(str::to_owned).collect()),
            Kind::Duration => {
                let duration = parse_go_duration(text);
                Value::Duration(duration.ok_or_else(|| format!("time: invalid duration {text:?}"))?)
            }
            Kind::Int => Value::Int(text.parse().map_err(|_| syntax("ParseInt"))?),
            Kind::Uint32 => Value::Int(text.parse::<u32>().map_err(|_| syntax("ParseUint"))?.into()),
        })
    }

    fn shown(self) -> &'static str {
        match self {
            Kind::Text => " string",
            Kind::Bool => "",
            Kind::List => " strings",
            Kind::Duration => " duration",
            Kind::Int => " int",
            Kind::Uint32 => " uint32",
        }
    }
}

impl Flags {
    fn set(&mut self, name: &'static str, value: Value, is_first: bool) {
        match (self.values.get_mut(name), value) {
            (Some(Value::List(before)), Value::List(more)) if !is_first => before.extend(more),
            (_, value) => drop(self.values.insert(name, value)),
        }
    }

    /// Returns whether the command has such a flag.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(text) => text,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        match self.get(name) {
            Value::Bool(value) => *value,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Value::List(words) => words,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        match self.get(name) {
            Value::Duration(duration) => *duration,
            other => wrong_kind(name, other),
        }
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Int(value) => *value,
            other => wrong_kind(name, other),
        }
    }

    fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or_else(|| panic!("no flag --{name} in the table"))
    }
}

#[cold]
fn wrong_kind(name: &str, value: &Value) -> ! {
    panic!("--{name} is read as another kind than the table's: {value:?}")
}

impl Command {
    /// Returns the help of the group.
    pub(super) fn help(&self) -> String {
        let group = self.group;
        format!(
            "{group} related command\n\nUsage:\n  quorate {group} [command]\n\nAvailable Commands:\n  start       {}\n",
            self.about
        )
    }

    /// Returns the help of `start`.
    pub(super) fn start_help(&self) -> String {
        let mut text =
            format!("{}\n\nUsage:\n  quorate {} start [flags]\n\nFlags:\n", self.about, self.group);
        for flag in self.flags {
            let default = match (flag.kind, flag.default) {
                (Kind::Bool, "false") | (_, "" | "0") => String::new(),
                (Kind::Text, default) => format!(" (default {default:?})"),
                (Kind::List, default) => format!(" (default [{default}])"),
                (_, default) => format!(" (default {default})"),
            };
            let _ = writeln!(text, "      --{}{}   {}{default}", flag.name, flag.kind.shown(), flag.help);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Flag; 6] = [
        Flag { name: "debug", kind: Kind::Bool, default: "false", help: "" },
        Flag { name: "endpoints", kind: Kind::List, default: "127.0.0.1:2379", help: "" },
        Flag { name: "listen-addr", kind: Kind::Text, default: "127.0.0.1:23790", help: "" },
        Flag { name: "max-concurrent-streams", kind: Kind::Uint32, default: "4294967295", help: "" },
        Flag { name: "resolver-ttl", kind: Kind::Int, default: "0", help: "" },
        Flag { name: "retry-delay", kind: Kind::Duration, default: "1m", help: "" },
    ];

    fn parsed(words: &[&str]) -> Result<Parsed, FlagError> {
        parse(&TABLE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn flags(words: &[&str]) -> Flags {
        match parsed(words) {
            Ok(Parsed::Run(flags)) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_nobody_gives_has_its_default() {
        let flags = flags(&["a word that is no flag"]);
        assert_eq!((flags.text("listen-addr"), flags.bool("debug")), ("127.0.0.1:23790", false));
        assert_eq!(flags.duration("retry-delay"), Duration::from_secs(60));
        assert_eq!(flags.list("endpoints"), ["127.0.0.1:2379"]);
        assert!(flags.has("debug") && !flags.has("nosuch"));
    }

    #[test]
    fn flags_stand_before_the_sub_command_as_well_as_behind_it() {
        for (words, expected) in [
            (["start", "--debug"].as_slice(), Some("start")),
            (&["--endpoints=a:1", "start"], Some("start")),
            (&["--endpoints", "start", "--debug", "start"], Some("start")),
            (&["--endpoints", "start"], None),
            (&["other", "start"], Some("other")),
            (&["--", "start"], None),
            (&[], None),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(sub_command(&TABLE, &words), expected, "{words:?}");
        }
        assert_eq!(flags(&["--endpoints=a:1", "start", "--debug"]).list("endpoints"), ["a:1"]);
    }

    #[test]
    fn a_list_that_is_given_again_grows() {
        let flags =
            flags(&["--endpoints=a,b", "--endpoints", "c", "--debug", "--resolver-ttl=-1", "--", "--nosuch"]);
        assert_eq!(flags.list("endpoints"), ["a", "b", "c"]);
        assert_eq!((flags.bool("debug"), flags.int("resolver-ttl")), (true, -1));
    }

    #[test]
    fn errors_are_pflags() {
        for (words, text) in [
            (["--nosuch"].as_slice(), "unknown flag: --nosuch"),
            (&["-listen-addr=x"], "unknown shorthand flag: 'l' in -listen-addr=x"),
            (&["--=x"], "bad flag syntax: --=x"),
            (&["--listen-addr"], "flag needs an argument: --listen-addr"),
            (
                &["--debug=x"],
                "invalid argument \"x\" for \"--debug\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            (
                &["--retry-delay=x"],
                "invalid argument \"x\" for \"--retry-delay\" flag: time: invalid duration \"x\"",
            ),
            (
                &["--max-concurrent-streams=-1"],
                "invalid argument \"-1\" for \"--max-concurrent-streams\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax",
            ),
        ] {
            assert_eq!(parsed(words).unwrap_err().to_string(), text);
        }
        for word in ["--help", "-h"] {
            assert!(matches!(parsed(&[word]), Ok(Parsed::Help)));
        }
    }
}
