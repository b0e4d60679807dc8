//! The state hash: 128 bits that say whether two members hold the same state.
//!
//! Each record (a live key, or a row of a side table) has a hash of its own, and the state hash is their sum, modulo 2^128.
//! A sum does not depend on the order of its terms and a term can be taken out again, so the hash costs two short hashes a
//! change and never a scan. It is meant against faults, not against somebody who looks for collisions on purpose.
//!
//! The functions are part of the formats: checkpoints hold their results and members compare them.

use std::ops::{AddAssign, SubAssign};

use crate::index::Entry;

/// Odd constants with no structure: the fractional parts of the square roots of 2, 3, 5, 7 and 11.
const SEEDS: [u64; 5] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

/// Both halves of a product of 128 bits, folded into one: each bit of the result depends on every bit of both factors.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// A hash of 64 bits of some bytes.
///
/// Bytes are taken 16 at a time as two little-endian words `a`, `b` (the last ones filled up with zeros):
/// `state = fold(a ^ SEED1, b ^ state) + a`, from `state = SEED0 ^ length`, and folded once more at the end.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut state = SEEDS[0] ^ bytes.len() as u64;
    let (blocks, rest) = bytes.as_chunks::<16>();
    for block in blocks {
        state = absorb(state, word(&block[..8]), word(&block[8..]));
    }
    if !rest.is_empty() {
        let (low, high) = rest.split_at(rest.len().min(8));
        state = absorb(state, word(low), word(high));
    }
    fold(state ^ SEEDS[2], SEEDS[3])
}

fn absorb(state: u64, low: u64, high: u64) -> u64 {
    fold(low ^ SEEDS[1], high ^ state).wrapping_add(low)
}

/// The hash of 128 bits of a record: a few words, then digests of its parts.
fn record(words: &[u64]) -> u128 {
    let (mut one, mut other) = (SEEDS[3], SEEDS[4]);
    for &word in words {
        one = fold(word ^ SEEDS[1], one ^ SEEDS[2]).wrapping_add(word.rotate_left(32));
        other = fold(word ^ SEEDS[4], other ^ SEEDS[0]).wrapping_add(word);
    }
    u128::from(fold(one, SEEDS[0])) << 64 | u128::from(fold(other ^ SEEDS[2], SEEDS[1]))
}

/// A sum of hashes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StateHash(pub(crate) u128);

impl AddAssign<u128> for StateHash {
    fn add_assign(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }
}

impl SubAssign<u128> for StateHash {
    fn sub_assign(&mut self, hash: u128) {
        self.0 = self.0.wrapping_sub(hash);
    }
}

impl StateHash {
    /// What is shown and compared: the records, and the numbers that belong to no record.
    pub(crate) fn with_numbers(self, revision: i64, compact_revision: i64) -> u128 {
        let numbers = record(&[3, revision as u64, compact_revision as u64]);
        self.0.wrapping_add(numbers)
    }
}

/// The hash of a live key.
pub(crate) fn of_key(key_digest: u64, entry: &Entry) -> u128 {
    record(&[
        1,
        key_digest,
        entry.create_revision as u64,
        entry.mod_revision as u64,
        u64::from(entry.mod_sub),
        entry.version as u64,
        entry.lease as u64,
        entry.digest,
    ])
}

/// The hash of a sequence of chunks, from that of all before and the next one.
pub(crate) fn of_chunks(before: u128, chunk: &[u8]) -> u128 {
    record(&[4, (before >> 64) as u64, before as u64, digest(chunk)])
}

/// The hash of a row of a side table.
pub(crate) fn of_row(table: u8, key: &[u8], value: &[u8]) -> u128 {
    record(&[2, u64::from(table), digest(key), digest(value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_the_input_changes_the_digest() {
        let input = [0x5au8; 37];
        let original = digest(&input);
        for bit in 0..input.len() * 8 {
            let mut flipped = input;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest(&flipped), original, "bit {bit}");
        }
    }

    #[test]
    fn zeros_at_the_end_count() {
        let digests: Vec<u64> = (0..40).map(|len| digest(&vec![0; len])).collect();
        let mut distinct = digests.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn the_functions_are_part_of_the_format() {
        assert_eq!(digest(b""), GOLDEN_EMPTY);
        assert_eq!(digest(b"quorate holds a quorum"), GOLDEN_TEXT);
        assert_eq!(of_row(1, b"key", b"value"), GOLDEN_ROW);
    }

    const GOLDEN_EMPTY: u64 = 0xf9ab_303f_6191_6d7b;
    const GOLDEN_TEXT: u64 = 0xd4db_44d0_60ef_8386;
    const GOLDEN_ROW: u128 = 0xf105_ea76_f1ca_2a20_fdcb_32de_f1b3_1b46;

    #[test]
    fn order_does_not_matter_and_terms_can_be_taken_out() {
        let rows: Vec<u128> = (0..5u8).map(|number| of_row(0, &[number], b"v")).collect();
        let mut forward = StateHash::default();
        let mut backward = StateHash::default();
        rows.iter().for_each(|&row| forward += row);
        rows.iter().rev().for_each(|&row| backward += row);
        assert_eq!(forward, backward);
        rows.iter().for_each(|&row| forward -= row);
        assert_eq!(forward, StateHash::default());
    }
}
