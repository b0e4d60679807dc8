//! `quorateutl`: everything that is done to the files of a member that does not run.

use std::process::ExitCode;

/// Runs the command of this process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
