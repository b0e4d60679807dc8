//! Numbers that differ between members and between the lives of one, where that is enough: nothing secret is made of them.
//!
//! Not from the clock: a machine without a battery for its clock begins at the same moment each time it starts, and clocks
//! are set back.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that the operating system's randomness stands behind.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[test]
fn no_two_are_the_same() {
    let numbers: std::collections::BTreeSet<u64> = (0..1000).map(|_| random()).collect();
    assert_eq!(numbers.len(), 1000);
}
