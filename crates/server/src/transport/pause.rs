//! How long to wait before the next attempt to connect.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::limits::{PAUSE_MAX, PAUSE_MIN};

/// Grows from attempt to attempt, with some chance in it, so that members that lost each other at the same time do not
/// call at the same time for ever.
pub(super) struct Pause {
    ceiling: Duration,
    random: u64,
}

impl Pause {
    pub(super) fn new() -> Self {
        let random = std::hash::RandomState::new().build_hasher().finish() | 1;
        Self { ceiling: PAUSE_MIN, random }
    }

    /// The peer is there: the next pause is a short one.
    pub(super) fn reset(&mut self) {
        self.ceiling = PAUSE_MIN;
    }

    /// The time to wait now: between half of the ceiling and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.ceiling / 2 + self.ceiling.mul_f64(self.fraction() / 2.0);
        self.ceiling = (self.ceiling * 2).min(PAUSE_MAX);
        pause
    }

    /// From 0 to below 1 (xorshift64).
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut pause = Pause::new();
        for _ in 0..3 {
            let mut ceiling = PAUSE_MIN;
            for _ in 0..20 {
                let next = pause.next();
                assert!(next >= ceiling / 2 && next <= ceiling, "{next:?} of {ceiling:?}");
                ceiling = (ceiling * 2).min(PAUSE_MAX);
            }
            assert_eq!(ceiling, PAUSE_MAX);
            pause.reset();
        }
    }
}
