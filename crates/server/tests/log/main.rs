//! What a process writes to its log, and where.

mod lines;
mod outputs;

use serde_json::Value;
use testkit::{Program, Server, wait};

/// The binary that Cargo built.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

/// The lines with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let parsed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|line| line["msg"] == message).collect()
}

/// The first line with this message, when it is there.
fn await_line(server: &Server, message: &str) -> Value {
    wait::until(&format!("{message:?} in the log"), || lines(&server.log(), message).into_iter().next())
}
