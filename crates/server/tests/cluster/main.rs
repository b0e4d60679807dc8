//! Clusters of three real processes: what one member was told, all know; what a majority knows, outlives the others.

mod client;
mod clocks;
mod discovery;
mod disks;
mod divergence;
mod downgrades;
mod figures;
mod full_disks;
#[path = "../crash/history.rs"]
mod history;
mod hung_disks;
#[path = "../crash/keys.rs"]
mod keys;
mod leader_kills;
mod leaders;
mod leases;
mod long_entries;
mod membership;
mod network;
mod replication;
mod restarts;
mod snapshots;
mod sockets;
mod spans;
mod traffic;
mod two_elections;
#[path = "../crash/writer.rs"]
mod writer;

use testkit::Program;

/// The binary that Cargo built.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}
