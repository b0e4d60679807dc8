//! How a command ends that has not done what it was asked to: one line, and etcdutl's exit codes.

use std::io;
use std::process::ExitCode;

/// Something failed.
pub(super) const ERROR: u8 = 1;
/// A format that the command does not have.
const BAD_FEATURE: u8 = 4;
/// Arguments that make no sense together.
const BAD_ARGUMENTS: u8 = 128;

/// Why a command ends without success.
#[derive(Debug)]
pub(super) enum Failure {
    /// The line to show, and the exit code.
    Said(String, u8),
    /// Whoever read the output has gone: nothing is to be said.
    PipeClosed,
}

impl Failure {
    /// Something went wrong.
    pub(super) fn error(what: impl Into<String>) -> Self {
        Self::Said(what.into(), ERROR)
    }

    /// The command does not have what was asked for.
    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Said(what.into(), BAD_FEATURE)
    }

    /// The arguments make no sense together.
    pub(super) fn bad_arguments(what: impl Into<String>) -> Self {
        Self::Said(what.into(), BAD_ARGUMENTS)
    }

    /// Says what happened, and returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Said(what, code) => {
                eprintln!("Error: {what}");
                code.into()
            }
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of the output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::error(format!("cannot write the output: {error}")),
        }
    }
}
