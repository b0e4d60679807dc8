//! `cargo xtask <task>`: everything done to this repository that is not `cargo build` or `cargo test`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use xtask::dist::{Options, Profile, RELEASE_TARGET};
use xtask::{bench, ci, codegen, dist, repository_root, tidy};

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
    /// Build the programs and pack them: tarball, Debian packages, root of a container image, bill of materials, digests.
    Dist {
        /// How to build the programs.
        #[arg(long, value_enum, default_value_t = Profile::Release)]
        profile: Profile,
        /// The target triple, or `host` for this machine's own.
        #[arg(long, default_value = RELEASE_TARGET)]
        target: String,
        /// Take programs that are built already from this directory.
        #[arg(long)]
        programs: Option<PathBuf>,
        /// The directory for the packages.
        #[arg(long, default_value = "target/packages")]
        output: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let root = repository_root();
    match Arguments::parse().task {
        Task::Codegen => codegen::write(&root),
        Task::Tidy => tidy::run(&root),
        Task::Ci => ci::run(&root),
        Task::Bench { arguments } => bench::run(&root, &arguments),
        Task::Dist { profile, target, programs, output } => {
            dist::run(&root, &Options { profile, target, programs, output: root.join(output) })
        }
    }
}
