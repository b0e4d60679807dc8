//! Users, roles and permissions on real servers.
//!
//! [`identities`] calls every method of the descriptors as eight kinds of callers, and says what
//! each gets; with `QUORATE_TEST_SUBJECT=/path/to/etcd` it says whether etcd does the same. The
//! others are about tokens, storms of logins, watches, secrets, and clusters.

mod call;
mod cluster;
mod identities;
mod methods;
mod names;
mod secrets;
mod storm;
mod tokens;
mod watches;
mod world;

use testkit::Program;

/// The binary that Cargo built, or another server to test.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("a server")
}
