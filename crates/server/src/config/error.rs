//! What can be wrong with a configuration, in etcd's words where etcd has some.

use super::table::Flag;
use super::value::{Kind, ValueError};

/// Why the process does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line itself cannot be read.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A word that is not a flag.
    #[error("{0:?} is not a valid flag")]
    Positional(String),
    /// A setting given as a flag and in the environment.
    #[error(
        "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment \
         variable or disable flag))"
    )]
    Conflict {
        /// The variable.
        variable: String,
    },
    /// An environment variable whose value cannot be read.
    #[error("invalid value {value:?} for {variable}: {source}")]
    Environment {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// The configuration file cannot be opened.
    #[error("open {path}: {source}")]
    FileUnreadable {
        /// The file.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The configuration file is neither YAML nor JSON, or no mapping.
    #[error("{path}: {reason}")]
    FileSyntax {
        /// The file.
        path: String,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A key of the configuration file has a value of the wrong kind.
    #[error("{path}: {key}: {reason}")]
    FileValue {
        /// The file.
        path: String,
        /// The key, steps joined by dots.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings that contradict each other or a rule of etcd's.
    #[error("{0}")]
    Invalid(String),
}

/// A command line that cannot be read: etcd prints this and its usage lines, and exits with 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Three dashes, or a `=` where the name should be.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// The last word is a flag that wants a value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(&'static str),
    /// A boolean with a value that is none.
    #[error("invalid boolean value {text:?} for -{name}: {source}")]
    Bool {
        /// The flag.
        name: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// A value that cannot be read.
    #[error("invalid value {text:?} for flag -{name}: {source}")]
    Value {
        /// The flag.
        name: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ValueError,
    },
}

impl UsageError {
    pub(super) fn value(flag: &'static Flag, text: String, source: ValueError) -> UsageError {
        match flag.kind {
            Kind::Bool => UsageError::Bool { name: flag.name, text, source },
            _ => UsageError::Value { name: flag.name, text, source },
        }
    }
}

impl ConfigError {
    /// The exit code: 2 for a command line that cannot be read, 1 for settings that cannot be served.
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Usage(_) => 2,
            _ => 1,
        }
    }
}
