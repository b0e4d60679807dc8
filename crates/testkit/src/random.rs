//! Random numbers from a seed, the same on every machine, so that a failure can be run again.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). Equal seeds give equal
/// sequences.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// One of many sequences of a seed, for those that draw side by side.
    pub fn stream(seed: u64, number: u64) -> Random {
        let mut random = Random(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        random.draw();
        random
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    ///
    /// # Panics
    /// For a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % bound as u64).expect("less than a usize")
    }

    /// From `low` up to and with `high`.
    ///
    /// # Panics
    /// If `high` is below `low`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.draw() % u64::try_from(high - low + 1).expect("low <= high")).expect("small")
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

#[test]
fn a_seed_is_a_sequence() {
    // The first numbers of seed 0, as the authors' own program prints them.
    let mut random = Random::new(0);
    assert_eq!([random.draw(), random.draw()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    assert_ne!(Random::stream(7, 1).draw(), Random::stream(7, 2).draw());
}
