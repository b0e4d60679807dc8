//! How far a read goes before somebody looks at the clock.
//!
//! A range may have ten keys or ten million, and nobody knows beforehand how much of it is on the disk. So a read is done in
//! pieces, and between two of them it asks its caller whether to go on: a caller that must not be held up lets it go so far
//! and no farther, and one that has the time looks whether anybody still waits for the answer.

/// Decides between the pieces of a read whether it goes on.
pub trait Pace {
    /// Notes what a piece has cost and returns whether the read goes on.
    ///
    /// `keys` is work in the measure of keys that are found in memory, some 0.1 µs each; `bytes` is the length of what was read.
    fn goes_on(&self, keys: usize, bytes: usize) -> bool;

    /// Returns how many keys the next piece may have at most.
    fn piece_keys(&self) -> usize {
        usize::MAX
    }
}

/// The pace of a read that goes on to its end.
#[derive(Debug, Clone, Copy)]
pub struct ToTheEnd;

impl Pace for ToTheEnd {
    fn goes_on(&self, _: usize, _: usize) -> bool {
        true
    }
}

/// What reading one item from the disk costs, in the measure of keys in memory.
pub(crate) const DISK_READ_KEYS: usize = 10;

/// What looking into one run of the history costs, in the same measure.
pub(crate) const RUN_KEYS: usize = 200;
