//! `cargo xtask <task>`: everything done to this repository that is not `cargo build` or `cargo test`.

use clap::{Parser, Subcommand};
use xtask::{bench, ci, codegen, repository_root, tidy};

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
    /// Check what a reviewer should not have to say (also part of `cargo test --workspace`).
    Tidy,
    /// Everything that must pass before a change is merged, in the order CI runs it.
    Ci,
    /// Build the server and the load generator for release, and run the latter with the arguments that follow.
    Bench {
        /// Arguments for quorate-bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    let root = repository_root();
    match Arguments::parse().task {
        Task::Codegen => codegen::write(&root),
        Task::Tidy => tidy::run(&root),
        Task::Ci => ci::run(&root),
        Task::Bench { arguments } => bench::run(&root, &arguments),
    }
}
