//! `quoratectl`: everything that is asked of a running cluster.

use std::process::ExitCode;

/// Runs the command of this process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
