//! What the tests start from: Quorate.

use testkit::Program;

#[path = "common.rs"]
mod common;

pub(crate) use self::common::*;

/// The server under test, or why there is none.
pub(crate) fn program() -> Result<Program, String> {
    Program::quorate()
}
