//! `cargo xtask ci`: what a change must pass, quickest answers first.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::process;

/// The steps as arguments of cargo. Flags that change how crates are compiled are the same in all of them, so that
/// nothing is built twice: clippy's `-D warnings` reaches only clippy, not the compiler's flags.
const STEPS: [&[&str]; 5] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    // Off by default, so that no other step compiles them.
    &["check", "--package", "quorate-proto", "--features", "client"],
    &["test", "--workspace"],
    &["doc", "--workspace", "--no-deps", "--document-private-items"],
];

/// Links that lead nowhere are errors. Those from public to private items are welcome: the documentation is built with
/// both, for those who work on the code.
const RUSTDOC_FLAGS: &str = "-D warnings -A rustdoc::private-intra-doc-links";

/// Runs all steps, up to the first that fails.
///
/// # Errors
/// When a step fails.
pub fn run(root: &Path) -> Result<()> {
    for step in STEPS {
        let started = Instant::now();
        let mut command = process::cargo();
        command.args(step).current_dir(root).env("RUSTDOCFLAGS", RUSTDOC_FLAGS);
        process::run(&mut command)?;
        eprintln!("  {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}
