//! Tests that need something of the machine (an etcd to compare with, root) say so when it is missing.
//!
//! On a developer's machine such a test is skipped. In CI (the environment variable `CI` is set) it fails: there, what
//! is needed is installed, and a comparison that silently stopped comparing would look like one that passes.

use std::io::Write;

/// Set by CI, to anything but nothing and `false`.
pub const CI_VARIABLE: &str = "CI";

/// Says `skipped: why` past the test harness's capture of output, so that a skipped test can be told from a passed one
/// in every log.
///
/// # Panics
/// In CI.
pub fn announce(test: &str, why: &str) {
    assert!(
        !forbids_skipping(std::env::var(CI_VARIABLE).ok().as_deref()),
        "{test} may not be skipped in CI: {why}"
    );
    excuse(test, why);
}

/// As [`announce`], for what even CI may lack, or what does not apply to the server under test.
pub fn excuse(test: &str, why: &str) {
    // `println!` would be captured and thrown away with the other output of a test that passes.
    let _ = writeln!(std::io::stderr(), "{test} skipped: {why}");
}

/// Whether this value of [`CI_VARIABLE`] forbids skipping.
fn forbids_skipping(ci: Option<&str>) -> bool {
    !matches!(ci, None | Some("" | "false"))
}

/// Leaves the calling test with a `skipped:` line when `$result` is an `Err` (in CI: fails it); its value otherwise.
#[macro_export]
macro_rules! require {
    ($test:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(why) => return $crate::skip::announce($test, &why.to_string()),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::forbids_skipping;

    #[test]
    fn only_ci_forbids_to_skip() {
        assert_eq!([None, Some(""), Some("false")].map(forbids_skipping), [false; 3]);
        assert_eq!([Some("true"), Some("1")].map(forbids_skipping), [true; 2]);
    }
}
