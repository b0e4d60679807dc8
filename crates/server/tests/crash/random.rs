//! Seeded randomness: one seed, one sequence.

/// Keys that all writers write to.
pub(crate) const KEYS: u64 = 40;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn key(&mut self) -> String {
        format!("key/{}", self.below(KEYS))
    }

    pub(crate) fn two_keys(&mut self) -> (String, String) {
        let first = self.below(KEYS);
        let second = (first + 1 + self.below(KEYS - 1)) % KEYS;
        (format!("key/{first}"), format!("key/{second}"))
    }
}
