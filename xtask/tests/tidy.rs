//! The tree is tidy: what `cargo xtask tidy` says, said by `cargo test --workspace`.

use xtask::{repository_root, tidy};

#[test]
fn the_tree_is_tidy() {
    let findings = tidy::check(&repository_root()).unwrap();
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}
