//! The committed code must be what the generator makes of the committed `.proto` files.

use xtask::{codegen, repository_root};

#[test]
fn generated_code_is_fresh() {
    let stale = codegen::stale_files(&repository_root()).unwrap();
    assert!(stale.is_empty(), "run `cargo xtask codegen`; these files would change: {stale:?}");
}
