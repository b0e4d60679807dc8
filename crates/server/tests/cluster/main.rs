//! Clusters of three real processes: what one member was told, all know; what a majority knows, outlives the others.

mod client;
mod discovery;
mod divergence;
#[path = "../crash/history.rs"]
mod history;
#[path = "../crash/keys.rs"]
mod keys;
mod leader_kills;
mod leaders;
mod leases;
mod membership;
mod replication;
mod snapshots;
#[path = "../crash/writer.rs"]
mod writer;

use testkit::Program;

/// The binary that Cargo built.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}
