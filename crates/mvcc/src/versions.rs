//! How much there is: bytes of the versions that the store keeps, as a quota counts them.
//!
//! Counted and not measured on the disk. What files take follows later, and by other rules (a version that is replaced
//! stands twice in the history, as the *after* of one change and the *before* of the next); what users plan with is how
//! many versions of which length fit. So each version counts once, from when it is written until it is deleted or
//! replaced *and* compaction has passed that change.

use std::collections::VecDeque;

use crate::Change;

/// What a version is taken to need besides its key and its value. etcd 3.7.1 needs 54 bytes for the smallest, and 64 to 330 for others.
const VERSION_OVERHEAD: u64 = 48;

/// Bytes from one mark to the next: how far compaction can miss what it frees.
const MARK_EVERY: u64 = 64 << 10;

/// What a version of a key counts; a tombstone is one with an empty value.
pub(crate) fn version_bytes(key_len: usize, value_len: usize) -> u64 {
    VERSION_OVERHEAD + key_len as u64 + value_len as u64
}

/// Bytes of what a change leaves to be kept for reads before it: the version that it replaces, and its own tombstone.
pub(crate) fn superseded_bytes(change: &Change) -> u64 {
    let Change { key, before, .. } = change;
    let before = if before.is_some() { version_bytes(key.len(), before.value_len()) } else { 0 };
    before + if change.is_put() { 0 } else { version_bytes(change.key.len(), 0) }
}

/// Bytes of the versions that are only kept for reads at old revisions.
///
/// Invariants: the marks' revisions and sums ascend; what compaction has passed is at most the whole.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    /// Of all changes there were.
    total: u64,
    /// Of those that compaction has passed.
    compacted: u64,
    /// Revisions, and what `total` was after each: so many as it takes to know it at any revision well enough.
    marks: VecDeque<(i64, u64)>,
}

impl Superseded {
    /// Bytes that are still there.
    pub(crate) fn bytes(&self) -> u64 {
        self.total - self.compacted
    }

    /// The changes of a revision replaced or deleted versions of so many bytes. Revisions ascend.
    pub(crate) fn add(&mut self, revision: i64, bytes: u64) {
        self.total += bytes;
        let marked = self.marks.len().checked_sub(2).map_or(self.compacted, |before| self.marks[before].1);
        match self.marks.back_mut() {
            // The last mark moves on until it is far enough from the one before it.
            Some(last) if last.1 - marked < MARK_EVERY || last.0 == revision => {
                *last = (revision, self.total)
            }
            _ => self.marks.push_back((revision, self.total)),
        }
    }

    /// What the changes up to and including a revision replaced is not needed any more.
    pub(crate) fn compact(&mut self, revision: i64) {
        while let Some(&(_, total)) = self.marks.front().filter(|mark| mark.0 <= revision) {
            self.compacted = total;
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compaction_has_passed_is_gone_to_within_a_mark() {
        let mut superseded = Superseded::default();
        let big = MARK_EVERY;
        for revision in 2..=10 {
            superseded.add(revision, big);
        }
        superseded.compact(4);
        assert_eq!(superseded.bytes(), 6 * big);
        superseded.compact(3);
        assert_eq!(superseded.bytes(), 6 * big, "never back");
        superseded.compact(10);
        assert_eq!(superseded.bytes(), 0, "at the newest revision exactly");
    }

    #[test]
    fn small_changes_share_marks() {
        let mut superseded = Superseded::default();
        let each = 100;
        for revision in 2..100_002 {
            superseded.add(revision, each);
        }
        assert_eq!(superseded.bytes(), 100_000 * each);
        assert!(superseded.marks.len() as u64 <= 100_000 * each / MARK_EVERY + 2);
        superseded.compact(50_001);
        let exact = 50_000 * each;
        assert!((exact..exact + 2 * MARK_EVERY).contains(&superseded.bytes()), "{}", superseded.bytes());
        superseded.compact(100_001);
        assert_eq!(superseded.bytes(), 0);
    }
}
