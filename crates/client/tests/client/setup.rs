//! What the tests start from: Quorate.

use testkit::{Cluster, Program};

#[path = "common.rs"]
mod common;

pub(crate) use self::common::{connect, lone, start};

/// The server under test, or why there is none.
pub(crate) fn program() -> Result<Program, String> {
    Program::quorate()
}

/// Three members.
pub(crate) fn three() -> Cluster {
    Cluster::start(&program().expect("Quorate is built"), 3, &[])
}
