//! Randomness that nothing depends on: where a round of endpoints begins, and how long a pause is.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a number.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns a number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    // 53 bits: as many as the fraction of an `f64` has.
    (number() >> 11) as f64 / (1_u64 << 53) as f64
}
