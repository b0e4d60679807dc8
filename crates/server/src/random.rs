//! Numbers that differ between members and between the lives of one, where that is enough: nothing secret is made of them;
//! and those that are secrets.
//!
//! Not from the clock: a machine without a battery for its clock begins at the same moment each time it starts, and clocks
//! are set back.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that the operating system's randomness stands behind.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns a number below the bound, which must not be 0.
pub(crate) fn below(bound: usize) -> usize {
    (random() % bound as u64) as usize
}

/// The system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness")]
pub(crate) struct NoRandomness;

/// Fills the buffer with bytes that nobody can guess: for tokens and salts.
///
/// # Errors
/// If the system has none.
pub(crate) fn fill_secret(buffer: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| NoRandomness)
}

#[test]
fn no_two_are_the_same() {
    let numbers: std::collections::BTreeSet<u64> = (0..1000).map(|_| random()).collect();
    assert_eq!(numbers.len(), 1000);
}
