//! `cargo xtask bench`: measures the release build of this tree, and nothing else by accident.
//!
//! What to measure is the load generator's business; this only makes sure that both programs are built from the sources
//! as they stand, and hands over the path of the server.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process;

/// Builds, then runs `quorate-bench --server <path of quorate> <arguments>`.
///
/// # Errors
/// When the build or the run fails.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let mut build = process::cargo();
    build
        .args(["build", "--release", "--package", "quorate", "--package", "quorate-bench"])
        .current_dir(root);
    process::run(&mut build)?;
    let programs = release_directory(root);
    let mut bench = std::process::Command::new(programs.join("quorate-bench"));
    bench.arg("--server").arg(programs.join("quorate")).args(arguments);
    process::run(&mut bench)
}

/// Where cargo puts release builds.
fn release_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("release")
}
