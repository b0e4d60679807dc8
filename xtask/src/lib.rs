//! The tasks behind `cargo xtask`, as a library, so that the tests which `cargo test --workspace` runs can ask the same
//! questions as the command: is the generated code fresh, is the tree tidy.
//!
//! Nothing depends on this crate, and nothing here is part of the product.

pub mod bench;
pub mod ci;
pub mod codegen;
pub mod dist;
mod process;
pub mod tidy;

use std::path::{Path, PathBuf};

/// The root of the repository, wherever the command was started.
pub fn repository_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is one level below the root").to_path_buf()
}
