//! `cargo xtask <task>`: everything done to this repository that is not `cargo build` or `cargo test`.

use clap::{Parser, Subcommand};
use xtask::{codegen, repository_root};

/// Tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Generate proto/src/gen from the .proto files.
    Codegen,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Codegen => codegen::write(&repository_root()),
    }
}
