//! The global flags, which every command takes at any place of its line, and their environment variables.
//!
//! `--write-out` is `ETCDCTL_WRITE_OUT` in the environment, and so for all of them. A flag that is given both ways is
//! an error: one of the two was forgotten, and which one only its author knows.

use std::cell::OnceCell;
use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::exit::Failure;
use super::flags::{self, Flags as _};
use super::print::note;
use super::prompt;
use crate::go::duration::{parse_duration, print_duration};
use crate::go::number;

const PREFIX: &str = "ETCDCTL_";

/// Variables with the prefix that are no flags: the API version, which etcdctl had to be told up to 3.3, and the two
/// that only `watch` reads.
const OTHER_VARIABLES: [&str; 3] = ["ETCDCTL_API", "ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];

/// What a global flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// A text.
    Text,
    /// Texts, comma-separated or repeated.
    List,
    /// A whole number.
    Number,
    /// A duration.
    Duration,
}

/// A global flag.
#[derive(Clone, Copy, Debug)]
pub struct GlobalFlag {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The short name, if it has one.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// Its value when it is not given.
    pub default: &'static str,
    /// What help says of it.
    pub help: &'static str,
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> GlobalFlag {
    GlobalFlag { name, short: None, kind, default, help }
}

/// The global flags in the order in which `options` prints them.
pub const GLOBAL_FLAGS: [GlobalFlag; 21] = [
    flag(
        "auth-jwt-token",
        Kind::Text,
        "",
        "JWT token used for authentication (if this option is used, --user and --password should not be set)",
    ),
    flag("cacert", Kind::Text, "", "verify certificates of TLS-enabled secure servers using this CA bundle"),
    flag("cert", Kind::Text, "", "identify secure client using this TLS certificate file"),
    flag(
        "command-timeout",
        Kind::Duration,
        "5s",
        "timeout for short running command (excluding dial timeout)",
    ),
    flag("debug", Kind::Switch, "false", "enable client-side debug logging"),
    flag("dial-timeout", Kind::Duration, "2s", "dial timeout for client connections"),
    GlobalFlag {
        short: Some('d'),
        ..flag(
            "discovery-srv",
            Kind::Text,
            "",
            "domain name to query for SRV records describing cluster endpoints",
        )
    },
    flag("discovery-srv-name", Kind::Text, "", "service name to query when using DNS discovery"),
    flag("endpoints", Kind::List, "127.0.0.1:2379", "gRPC endpoints"),
    flag("hex", Kind::Switch, "false", "print byte strings as hex encoded strings"),
    flag(
        "insecure-discovery",
        Kind::Switch,
        "true",
        "accept insecure SRV records describing cluster endpoints",
    ),
    flag(
        "insecure-skip-tls-verify",
        Kind::Switch,
        "false",
        "skip server certificate verification (CAUTION: this option should be enabled only for testing purposes)",
    ),
    flag("insecure-transport", Kind::Switch, "true", "disable transport security for client connections"),
    flag("keepalive-time", Kind::Duration, "2s", "keepalive time for client connections"),
    flag("keepalive-timeout", Kind::Duration, "6s", "keepalive timeout for client connections"),
    flag("key", Kind::Text, "", "identify secure client using this TLS key file"),
    flag(
        "max-recv-bytes",
        Kind::Number,
        "0",
        "client-side response receive limit in bytes (if 0, it defaults to \"math.MaxInt32\")",
    ),
    flag(
        "max-request-bytes",
        Kind::Number,
        "0",
        "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)",
    ),
    flag(
        "password",
        Kind::Text,
        "",
        "password for authentication (if this option is used, --user option shouldn't include password)",
    ),
    flag(
        "user",
        Kind::Text,
        "",
        "username[:password] for authentication (prompt if password is not supplied)",
    ),
    GlobalFlag {
        short: Some('w'),
        ..flag(
            "write-out",
            Kind::Text,
            "simple",
            "set the output format (fields, json, protobuf, simple, table)",
        )
    },
];

impl GlobalFlag {
    /// Returns its environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Returns the flag for the parser. Help leaves it out: `options` lists them all.
    pub fn argument(&self) -> Arg {
        let argument = match self.kind {
            Kind::Switch => flags::switch(self.name, self.help),
            Kind::Text => flags::text(self.name, self.help),
            Kind::List => flags::list(self.name, self.help),
            Kind::Number => flags::number(self.name, self.help),
            Kind::Duration => flags::duration(self.name, self.help),
        };
        let argument = argument.global(true).hide(true);
        if let Some(short) = self.short { argument.short(short) } else { argument }
    }
}

/// The values of the global flags.
#[derive(Clone, Debug)]
pub struct Globals {
    matches: ArgMatches,
    /// The value of each variable that is used: flag and text.
    from_environment: Vec<(&'static str, String)>,
    /// The password that was asked for. It is asked for once, however many clients are made.
    typed_password: OnceCell<String>,
}

/// Whose name and secret calls carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody's.
    None,
    /// A JSON web token.
    Token(String),
    /// A user with a password.
    User {
        /// Its name.
        name: String,
        /// Its password.
        password: String,
    },
}

impl Globals {
    /// Reads the environment and checks it against the flags that were given.
    ///
    /// # Errors
    /// When a flag is given and its variable is set.
    pub fn resolve(matches: &ArgMatches) -> Result<Globals, Failure> {
        Globals::resolve_with(matches, env::vars_os())
    }

    /// Returns the flags that were given, whatever the environment says.
    pub fn of(matches: ArgMatches) -> Globals {
        Globals { matches, from_environment: Vec::new(), typed_password: OnceCell::new() }
    }

    fn resolve_with(
        matches: &ArgMatches,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Globals, Failure> {
        let mut globals = Globals::of(matches.clone());
        for (variable, value) in environment {
            let Some(variable) = variable.to_str().filter(|variable| variable.starts_with(PREFIX)) else {
                continue;
            };
            let value = value.to_string_lossy().into_owned();
            match GLOBAL_FLAGS.iter().find(|flag| flag.variable() == variable) {
                Some(flag) => globals.take(flag, variable, value)?,
                None if OTHER_VARIABLES.contains(&variable) => {}
                None => warn(&format!("unrecognized environment variable {variable}={value}")),
            }
        }
        if globals.debug() {
            globals.print_debug();
        }
        Ok(globals)
    }

    fn take(&mut self, flag: &GlobalFlag, variable: &str, value: String) -> Result<(), Failure> {
        if self.is_given(flag.name) {
            return Err(Failure::error(format!(
                "conflicting environment variable {variable} is shadowed by corresponding command-line flag \
                 (either unset environment variable or disable flag)"
            )));
        }
        if value.is_empty() {
            return Ok(());
        }
        match refusal(flag.kind, &value) {
            // As etcdctl, which ignores it; not as silently.
            Some(why) => warn(&format!("invalid value {value:?} for {variable}: {why}; it is ignored")),
            None => self.from_environment.push((flag.name, value)),
        }
        Ok(())
    }

    /// Returns whether the flag is on the command line.
    pub fn is_given(&self, name: &str) -> bool {
        self.matches.value_source(name) == Some(ValueSource::CommandLine)
    }

    /// Returns whether the flag is on the command line, or its variable set.
    pub fn is_set(&self, name: &str) -> bool {
        self.is_given(name) || self.variable(name).is_some()
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.from_environment.iter().find(|(flag, _)| *flag == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The text to fall back to when the flag is not on the command line.
    fn fallback(&self, name: &str) -> &str {
        let default = || GLOBAL_FLAGS.iter().find(|flag| flag.name == name).map_or("", |flag| flag.default);
        self.variable(name).unwrap_or_else(default)
    }

    /// Returns the value of a flag with a text; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.matches.text(name).unwrap_or_else(|| self.fallback(name))
    }

    /// Returns whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        let given = self.matches.get_one(name).copied();
        given.unwrap_or_else(|| number::parse_bool(self.fallback(name)).unwrap_or(false))
    }

    /// Returns the value of a flag with a duration.
    pub fn duration(&self, name: &str) -> Duration {
        let fallback = || parse_duration(self.fallback(name)).unwrap_or_default();
        self.matches.duration(name).unwrap_or_else(fallback)
    }

    /// Returns the value of a flag with a number.
    pub fn number(&self, name: &str) -> i64 {
        let given = self.matches.get_one(name).copied();
        given.unwrap_or_else(|| number::parse_flag(self.fallback(name)).unwrap_or(0))
    }

    /// Returns the endpoints as given, without spaces around them.
    pub fn endpoints(&self) -> Vec<String> {
        let given = self.matches.list("endpoints");
        let listed = if given.is_empty() { split(self.fallback("endpoints")) } else { given };
        listed.into_iter().map(|endpoint| endpoint.trim().to_owned()).collect()
    }

    /// Returns the time limit of a short command.
    pub fn command_timeout(&self) -> Duration {
        self.duration("command-timeout")
    }

    /// Returns whether byte strings and ids are printed in hexadecimal.
    pub fn hex(&self) -> bool {
        self.is_on("hex")
    }

    fn debug(&self) -> bool {
        self.is_on("debug")
    }

    /// Returns the path in a flag for a file of TLS; `None` if it is not set.
    ///
    /// # Errors
    /// When the flag is given with nothing in it.
    pub fn tls_file(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.text(name) {
            "" if self.is_given(name) => {
                Err(Failure::arguments(format!("empty string is passed to --{name} option")))
            }
            "" => Ok(None),
            path => Ok(Some(path)),
        }
    }

    /// Returns whose credentials calls carry. A password that is not given is asked for.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub fn credentials(&self) -> Result<Credentials, Failure> {
        let (user, password, token) = (self.text("user"), self.text("password"), self.text("auth-jwt-token"));
        if !token.is_empty() {
            return Ok(Credentials::Token(token.to_owned()));
        }
        if user.is_empty() {
            return Ok(Credentials::None);
        }
        let (name, password) = match user.split_once(':') {
            _ if !password.is_empty() => (user, password.to_owned()),
            Some((name, password)) => (name, password.to_owned()),
            None => (user, self.typed_password()?),
        };
        Ok(Credentials::User { name: name.to_owned(), password })
    }

    fn typed_password(&self) -> Result<String, Failure> {
        if let Some(password) = self.typed_password.get() {
            return Ok(password.clone());
        }
        let password = prompt::password("Password: ")?;
        Ok(self.typed_password.get_or_init(|| password).clone())
    }

    fn print_debug(&self) {
        let mut lines = String::new();
        for flag in &GLOBAL_FLAGS {
            let value = match flag.kind {
                Kind::Switch => self.is_on(flag.name).to_string(),
                Kind::Text => self.text(flag.name).to_owned(),
                Kind::List => format!("[{}]", self.endpoints().join(",")),
                Kind::Number => self.number(flag.name).to_string(),
                Kind::Duration => print_duration(self.duration(flag.name)),
            };
            lines += &format!("{}={value}\n", flag.variable());
        }
        let _ = std::io::stderr().write_all(lines.as_bytes());
    }
}

fn split(texts: &str) -> Vec<String> {
    texts.split(',').map(str::to_owned).collect()
}

/// Returns why a flag of this kind does not take this value.
fn refusal(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Switch => number::parse_bool(value).err(),
        Kind::Number => number::parse_flag(value).err(),
        Kind::Duration => parse_duration(value).err(),
        Kind::Text | Kind::List => None,
    }
}

fn warn(what: &str) {
    note(format_args!("Warning: {what}"));
}

#[cfg(test)]
mod tests {
    //! Flags on the line, in the environment, and in both.

    use super::*;

    fn resolve(line: &[&str], environment: &[(&str, &str)]) -> Result<Globals, Failure> {
        let command = clap::Command::new("test").args_override_self(true);
        let command = command.args(GLOBAL_FLAGS.iter().map(GlobalFlag::argument));
        let matches = command.get_matches_from([&["test"], line].concat());
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Globals::resolve_with(&matches, environment)
    }

    #[test]
    fn a_flag_is_of_the_line_or_the_environment_or_has_its_default() {
        let globals = resolve(
            &["--endpoints", "a,b", "--endpoints=c", "--hex"],
            &[("ETCDCTL_WRITE_OUT", "json"), ("ETCDCTL_COMMAND_TIMEOUT", "1m")],
        )
        .unwrap();
        assert_eq!(globals.endpoints(), ["a", "b", "c"]);
        assert!(globals.hex() && globals.is_on("insecure-transport"));
        assert_eq!(globals.text("write-out"), "json");
        assert_eq!(globals.command_timeout(), Duration::from_secs(60));
        assert_eq!(globals.duration("dial-timeout"), Duration::from_secs(2));
        assert!(globals.is_set("command-timeout") && !globals.is_given("command-timeout"));
    }

    #[test]
    fn a_flag_and_its_variable_are_a_conflict_even_when_the_variable_is_empty() {
        for value in ["x", ""] {
            let failure = resolve(&["--endpoints", "a"], &[("ETCDCTL_ENDPOINTS", value)]).unwrap_err();
            assert!(failure.text.unwrap().starts_with("conflicting environment variable ETCDCTL_ENDPOINTS"));
        }
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_ignored() {
        let globals = resolve(&[], &[("ETCDCTL_DIAL_TIMEOUT", "soon"), ("ETCDCTL_HEX", "")]).unwrap();
        assert_eq!(globals.duration("dial-timeout"), Duration::from_secs(2));
        assert!(!globals.hex());
    }

    #[test]
    fn credentials_are_a_token_or_a_user_or_nothing() {
        let user = |name: &str, password: &str| Credentials::User {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        let cases: [(&[&str], Credentials); 5] = [
            (&[], Credentials::None),
            (&["--user", "a:b:c"], user("a", "b:c")),
            (&["--user", "a:b", "--password", "c"], user("a:b", "c")),
            (&["--user", "a", "--password", "c"], user("a", "c")),
            (&["--user", "a:b", "--auth-jwt-token", "t"], Credentials::Token("t".to_owned())),
        ];
        for (line, expected) in cases {
            assert_eq!(resolve(line, &[]).unwrap().credentials(), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn an_empty_path_is_refused() {
        let globals = resolve(&["--cert", ""], &[]).unwrap();
        let failure = Failure::arguments("empty string is passed to --cert option");
        assert_eq!(globals.tls_file("cert"), Err(failure));
        assert_eq!(globals.tls_file("key"), Ok(None));
    }
}
