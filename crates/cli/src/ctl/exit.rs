//! How `quoratectl` ends: exit codes that scripts know from etcdctl, and the one line of an error.

use std::fmt;
use std::io;
use std::process;

/// The exit codes of etcdctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command was carried out.
    Success,
    /// The server refused, or anything else went wrong.
    Error,
    /// No client could be made, or a call without a time limit failed.
    BadConnection,
    /// What was typed into `txn` or `watch -i` makes no sense.
    InvalidInput,
    /// A flag is known, its value is not.
    BadFeature,
    /// A stream ended before its time.
    Interrupted,
    /// The arguments make no sense.
    BadArguments,
    /// The reader of our output is gone. The code is that of a process that died of SIGPIPE.
    PipeClosed,
    /// The code of the command that `lock` ran.
    OfChild(u8),
}

impl Exit {
    /// Returns the number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Error => 1,
            Exit::BadConnection => 2,
            Exit::InvalidInput => 3,
            Exit::BadFeature => 4,
            Exit::Interrupted => 5,
            Exit::BadArguments => 128,
            Exit::PipeClosed => 128 + 13,
            Exit::OfChild(code) => code,
        }
    }
}

impl From<Exit> for process::ExitCode {
    fn from(exit: Exit) -> process::ExitCode {
        exit.code().into()
    }
}

/// Why a command ends without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is said after `Error: `. `None` when everything has been said already.
    pub text: Option<String>,
}

impl Failure {
    /// Returns a failure with this exit code and text. The text begins with etcdctl's, where etcdctl has one.
    pub fn new(exit: Exit, text: impl fmt::Display) -> Failure {
        Failure { exit, text: Some(text.to_string()) }
    }

    /// Returns a general failure: exit code 1.
    pub fn error(text: impl fmt::Display) -> Failure {
        Failure::new(Exit::Error, text)
    }

    /// Returns a failure of arguments: exit code 128.
    pub fn arguments(text: impl fmt::Display) -> Failure {
        Failure::new(Exit::BadArguments, text)
    }

    /// Returns a failure that says no more: the output says it all.
    pub fn silent(exit: Exit) -> Failure {
        Failure { exit, text: None }
    }

    /// Returns the same failure under another exit code, unless the pipe is closed.
    pub fn under(self, exit: Exit) -> Failure {
        if self.exit == Exit::PipeClosed { self } else { Failure { exit, ..self } }
    }

    /// Returns the same failure with its text put into `around`, as in `failed to grant lease ({text})`.
    pub fn within(self, before: &str) -> Failure {
        Failure { text: self.text.map(|text| format!("{before} ({text})")), ..self }
    }

    /// Returns the same failure with a sentence added that says what to do next.
    pub fn with_hint(self, hint: &str) -> Failure {
        Failure { text: self.text.map(|text| format!("{text}: {hint}")), ..self }
    }
}

/// Output that cannot be written: a closed pipe ends quietly, as for a program that dies of SIGPIPE.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(Exit::PipeClosed),
            _ => Failure::error(error),
        }
    }
}
