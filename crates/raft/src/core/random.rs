//! Election timeouts must differ between nodes, or votes split for ever; they must not come from the environment,
//! or no failure could be replayed. A generator of twenty lines with a seed from the caller gives both.

use std::hash::{Hash, Hasher};

/// SplitMix64 (Steele, Lea and Flood, 2014): a counter and a mixing function; every seed is a good seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0. The bias of the remainder does not matter for timeouts.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }
}

/// A number of ticks that was drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout(u32);

impl Timeout {
    pub(crate) fn new(ticks: u32) -> Timeout {
        Timeout(ticks)
    }

    pub(crate) fn is_over(self, elapsed_ticks: u32) -> bool {
        elapsed_ticks >= self.0
    }
}

// What was drawn, and what will be, does not tell two states of a node apart: an explorer that chooses itself when a timeout is
// over would count the same state many times.

impl Hash for Random {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Hash for Timeout {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|drawn| *drawn < 10));
    }
}
