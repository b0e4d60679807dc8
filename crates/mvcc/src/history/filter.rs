//! The filter of a run: says of most keys that the run does not change them, without a look into its blocks.
//!
//! A Bloom filter. There are [`BITS_PER_KEY`] bits for each key of the run, rounded up to whole words, and each key sets
//! [`PROBES`] of them. Of a key that the run does not have, all of them are set by others in about one of a hundred cases.
//!
//! ```text
//! digest of the key (see `state_hash`) = high 32 | low 32
//! probe i (0 to 5):  hash = low + i * (high | 1), modulo 2^32      bit = hash * number of bits / 2^32
//! bit n is bit n % 8 of byte n / 8, the lowest first
//! ```
//!
//! The positions are part of the format.

use crate::state_hash::digest;

/// Bits for each key of a run.
const BITS_PER_KEY: usize = 10;
/// Bits that a key sets: a few less than would be best, as each is a miss in the processor's cache.
const PROBES: u32 = 6;

/// Bytes of a filter of so many keys.
pub(super) fn bytes_for(keys: usize) -> usize {
    (keys * BITS_PER_KEY).div_ceil(64) * 8
}

/// Makes the filter of so many keys.
pub(super) fn build<'k>(keys: impl Iterator<Item = &'k [u8]>, count: usize) -> Vec<u8> {
    let mut filter = vec![0; bytes_for(count)];
    let bits = bits_of(&filter);
    for key in keys {
        probes(key, bits).for_each(|bit| filter[bit / 8] |= 1 << (bit % 8));
    }
    filter
}

/// Whether a key may be among those of the filter. An empty one is that of a run that was written before there were any.
pub(super) fn may_have(filter: &[u8], key: &[u8]) -> bool {
    filter.is_empty() || probes(key, bits_of(filter)).all(|bit| filter[bit / 8] >> (bit % 8) & 1 == 1)
}

fn bits_of(filter: &[u8]) -> u64 {
    filter.len() as u64 * 8
}

fn probes(key: &[u8], bits: u64) -> impl Iterator<Item = usize> {
    let digest = digest(key);
    let (low, step) = (digest as u32, (digest >> 32) as u32 | 1);
    (0..PROBES).map(move |probe| {
        let hash = low.wrapping_add(probe.wrapping_mul(step));
        ((u64::from(hash) * bits) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_all_keys_and_few_others() {
        for count in [1, 2, 7, 100, 20_000] {
            let keys: Vec<_> = (0..count).map(|number| format!("/registry/pods/{number:06}")).collect();
            let filter = build(keys.iter().map(|key| key.as_bytes()), count);
            assert!(keys.iter().all(|key| may_have(&filter, key.as_bytes())));
            let others = (0..10_000).map(|number| format!("/registry/nodes/{number}"));
            let wrong = others.filter(|key| may_have(&filter, key.as_bytes())).count();
            assert!(wrong < 200, "{wrong} of 10,000 with {count} keys");
        }
        assert!(may_have(&[], b"any"));
    }

    #[test]
    fn the_positions_are_part_of_the_format() {
        let filter = build([&b"a"[..], b"b"].into_iter(), 2);
        assert_eq!(u64::from_le_bytes(filter.try_into().unwrap()), GOLDEN);
    }

    const GOLDEN: u64 = 4_612_319_465_978_201_102;
}
