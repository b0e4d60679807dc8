//! The kinds of values a flag can have, and how each is read from text.
//!
//! The error texts are those of Go's flag package and of etcd's own flag types, because they end up in the same line
//! (`invalid value "x" for flag -name: ...`) that operators search for.

use super::go::{self, Nanos};
use super::url::{self, Url};

/// What kind of value a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean: the only kind that needs no value (`--pre-vote`) and never takes the next argument for one.
    Bool,
    /// A signed 64-bit number.
    Int,
    /// An unsigned 64-bit number.
    Uint,
    /// An unsigned 32-bit number.
    Uint32,
    /// A duration with units; in the configuration file a number of nanoseconds, too.
    Duration,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Comma-separated words, each one of these; kept as text.
    Choices(&'static [&'static str]),
    /// A level of the log, as zap reads it: in any case, `warning` for `warn`, and nothing at all for `info`.
    Level,
    /// Comma-separated addresses, sorted and unique.
    Urls,
    /// `*`, or comma-separated addresses; kept as words.
    Origins,
    /// Comma-separated words, sorted and unique.
    Set,
    /// Comma-separated words in the order given.
    List,
    /// Accepted and thrown away: a flag of the past. Takes no value, like a boolean.
    Discarded,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Uint`] and [`Kind::Uint32`].
    Uint(u64),
    /// Of [`Kind::Duration`].
    Duration(Nanos),
    /// Of [`Kind::Text`], [`Kind::Choice`], [`Kind::Choices`] and, in lower case, [`Kind::Level`].
    Text(String),
    /// Of [`Kind::Urls`].
    Urls(Vec<Url>),
    /// Of [`Kind::Origins`], [`Kind::Set`] and [`Kind::List`].
    List(Vec<String>),
    /// Of [`Kind::Discarded`].
    Discarded,
}

/// Why a text is not a value of the kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a number, boolean or duration.
    #[error("parse error")]
    Syntax,
    /// A number too large for its type.
    #[error("value out of range")]
    Range,
    /// Not one of the words allowed.
    #[error("invalid value")]
    Choice,
    /// One of several that is not allowed.
    #[error("invalid value {0:?}")]
    OneOfChoices(String),
    /// Not an address.
    #[error(transparent)]
    Url(#[from] url::UrlError),
}

impl From<go::NumberError> for ValueError {
    fn from(error: go::NumberError) -> ValueError {
        match error {
            go::NumberError::Syntax => ValueError::Syntax,
            go::NumberError::Range => ValueError::Range,
        }
    }
}

impl Kind {
    /// Reads a value as it stands on the command line or in an environment variable.
    pub(super) fn parse(self, text: &str) -> Result<Value, ValueError> {
        Ok(match self {
            Kind::Bool => Value::Bool(go::parse_bool(text).ok_or(ValueError::Syntax)?),
            Kind::Int => Value::Int(go::parse_int(text)?),
            Kind::Uint => Value::Uint(go::parse_uint(text)?),
            Kind::Uint32 => Value::Uint(within_u32(go::parse_uint(text)?)?),
            Kind::Duration => Value::Duration(go::parse_duration(text).ok_or(ValueError::Syntax)?),
            Kind::Text => Value::Text(text.to_owned()),
            Kind::Choice(words) if words.contains(&text) => Value::Text(text.to_owned()),
            Kind::Choice(_) => return Err(ValueError::Choice),
            Kind::Choices(allowed) => match text.split(',').find(|word| !allowed.contains(word)) {
                Some(word) => return Err(ValueError::OneOfChoices(word.to_owned())),
                None => Value::Text(text.to_owned()),
            },
            Kind::Level => Value::Text(level(text).ok_or(ValueError::Choice)?.to_owned()),
            Kind::Urls => Value::Urls(url::parse_list(text)?),
            Kind::Origins if text == "*" => Value::List(words(text)),
            Kind::Origins => Value::List(url::parse_list(text)?.iter().map(Url::to_string).collect()),
            Kind::Set => Value::List(unique(words(text))),
            Kind::List => Value::List(words(text)),
            Kind::Discarded => Value::Discarded,
        })
    }

    /// The value of a flag whose default is nothing at all.
    pub(super) fn empty(self) -> Value {
        match self {
            Kind::Bool => Value::Bool(false),
            Kind::Int => Value::Int(0),
            Kind::Uint | Kind::Uint32 => Value::Uint(0),
            Kind::Duration => Value::Duration(Nanos(0)),
            Kind::Text | Kind::Choice(_) | Kind::Choices(_) | Kind::Level => Value::Text(String::new()),
            Kind::Urls => Value::Urls(Vec::new()),
            Kind::Origins | Kind::Set | Kind::List => Value::List(Vec::new()),
            Kind::Discarded => Value::Discarded,
        }
    }

    /// Whether the flag stands alone (`--flag`), its value only ever following a `=`.
    pub(super) fn stands_alone(self) -> bool {
        matches!(self, Kind::Bool | Kind::Discarded)
    }
}

/// The level of the log that a word means, by its shortest name.
fn level(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "debug" => "debug",
        "" | "info" => "info",
        "warn" | "warning" => "warn",
        "error" => "error",
        "dpanic" => "dpanic",
        "panic" => "panic",
        "fatal" => "fatal",
        _ => return None,
    })
}

pub(super) fn within_u32(number: u64) -> Result<u64, ValueError> {
    if number > u64::from(u32::MAX) { Err(ValueError::Range) } else { Ok(number) }
}

fn words(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

pub(super) fn unique(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

/// As one would write it on the command line.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Uint(value) => write!(f, "{value}"),
            Value::Duration(value) => write!(f, "{value}"),
            Value::Text(value) => f.write_str(value),
            Value::Urls(urls) => f.write_str(&url::join(urls)),
            Value::List(words) => f.write_str(&words.join(",")),
            Value::Discarded => Ok(()),
        }
    }
}
