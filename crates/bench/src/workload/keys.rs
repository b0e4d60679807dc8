//! Keys, values and chance, cheap enough for 100,000 requests a second and the same in every run.

use bytes::Bytes;

/// Keys are `k` and a number with leading zeros: all of one length, sorted as their numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// Length of each key in bytes.
    pub(crate) bytes: usize,
    /// How many different keys there are.
    pub(crate) space: u64,
}

impl KeyShape {
    /// Before every key.
    pub(crate) const START: &[u8] = b"k";

    /// After every key.
    pub(crate) const END: &[u8] = b"l";

    /// Key `number`. Numbers with more digits than the key has room for lose the leading ones.
    pub(crate) fn key(&self, number: u64) -> Vec<u8> {
        let mut key = vec![b'0'; self.bytes.max(2)];
        key[0] = b'k';
        let mut rest = number;
        for digit in key[1..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        key
    }
}

/// A small generator of random numbers (SplitMix64, Steele et al. 2014), seeded by the caller's number.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: usize) -> Random {
        Random(seed as u64)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the bias of the remainder is far below what a measurement could see.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Values that do not compress: each a different window of one random block.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    block: Bytes,
    value_bytes: usize,
}

impl Filler {
    pub(crate) fn new(value_bytes: usize, random: &mut Random) -> Filler {
        let words = (value_bytes + 4096) / 8;
        let block: Vec<u8> = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        Filler { block: block.into(), value_bytes }
    }

    pub(crate) fn value(&self, random: &mut Random) -> &[u8] {
        let start = random.below((self.block.len() - self.value_bytes) as u64) as usize;
        &self.block[start..start + self.value_bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_length_and_sort_as_their_numbers() {
        let shape = KeyShape { bytes: 8, space: 1_000_000 };
        assert_eq!(shape.key(0), b"k0000000");
        assert_eq!(shape.key(1234), b"k0001234");
        assert!(shape.key(99) < shape.key(100));
        assert!(KeyShape::START <= &shape.key(0)[..] && &shape.key(9_999_999)[..] < KeyShape::END);
    }

    #[test]
    fn chance_repeats_with_its_seed_and_values_have_their_size() {
        assert_eq!(Random::new(1).next(), Random::new(1).next());
        assert_ne!(Random::new(1).next(), Random::new(2).next());
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| random.below(7) < 7));
        for size in [0, 1, 256, 10_000] {
            let filler = Filler::new(size, &mut random);
            assert_eq!(filler.value(&mut random).len(), size);
        }
    }
}
