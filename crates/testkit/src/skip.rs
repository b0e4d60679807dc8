//! Tests that need something of the machine (an etcd to compare with, root) say so when it is missing.

use std::io::Write;

/// Says `skipped: why` past the test harness's capture of output, so that a skipped test can be told from a passed one
/// in every log.
pub fn announce(test: &str, why: &str) {
    // `println!` would be captured and thrown away with the other output of a test that passes.
    let _ = writeln!(std::io::stderr(), "{test} skipped: {why}");
}

/// Leaves the calling test with a `skipped:` line when `$result` is an `Err`; its value otherwise.
#[macro_export]
macro_rules! require {
    ($test:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(why) => return $crate::skip::announce($test, &why.to_string()),
        }
    };
}
