//! How many bytes the newest part of the log has: what bounds the part that is kept for followers.

use std::collections::VecDeque;

use raft::{Entry, Index, Persist};

/// Bytes that are counted together: a list of a few thousand parts for the largest log.
const PART_BYTES: u64 = 1 << 20;

/// The sizes of what was appended since the start. What was there before is not known, and counts for nothing.
#[derive(Debug, Default)]
pub(crate) struct LogSizes {
    /// The last entry of each part, and the bytes of it and of all before it.
    parts: VecDeque<(Index, u64)>,
    /// Bytes of the parts that are gone.
    before: u64,
}

impl LogSizes {
    /// Follows what is handed to the disk.
    pub(super) fn follow(&mut self, persist: &Persist) {
        if let Some(first) = persist.truncate_from {
            while self.parts.back().is_some_and(|(last, _)| *last >= first) {
                self.parts.pop_back();
            }
        }
        for entry in &persist.entries {
            self.add(entry);
        }
    }

    fn add(&mut self, entry: &Entry) {
        let bytes = self.total() + entry.weight() as u64;
        let start = self.parts.iter().rev().nth(1).map_or(self.before, |(_, bytes)| *bytes);
        match self.parts.back_mut() {
            Some(part) if bytes - start <= PART_BYTES => *part = (entry.index, bytes),
            _ => self.parts.push_back((entry.index, bytes)),
        }
    }

    fn total(&self) -> u64 {
        self.parts.back().map_or(self.before, |(_, bytes)| *bytes)
    }

    /// Returns the entry after which the log has no more than so many bytes.
    pub(super) fn start_of_last(&self, bytes: u64) -> Index {
        let total = self.total();
        let place = self.parts.partition_point(|(_, through)| total - through > bytes);
        match self.parts.get(place) {
            // The part that begins here and all after it fit only if everything does.
            Some((last, _)) if place > 0 || total - self.before > bytes => *last,
            _ => Index::ZERO,
        }
    }

    /// Forgets what is released.
    pub(super) fn release(&mut self, through: Index) {
        while let Some((last, bytes)) = self.parts.front().copied() {
            if last > through {
                return;
            }
            self.before = bytes;
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use raft::{Payload, Term};

    use super::*;

    fn add(sizes: &mut LogSizes, index: u64, bytes: usize) {
        let payload = Payload::Command(vec![0; bytes].into());
        sizes.add(&Entry { index: Index(index), term: Term(1), payload });
    }

    #[test]
    fn the_newest_bytes_begin_after_an_entry() {
        let mut sizes = LogSizes::default();
        assert_eq!(sizes.start_of_last(0), Index::ZERO, "nothing is known");
        (1..=10).for_each(|index| add(&mut sizes, index, PART_BYTES as usize));
        assert_eq!(sizes.start_of_last(20 * PART_BYTES), Index::ZERO);
        assert_eq!(sizes.start_of_last(4 * PART_BYTES), Index(7), "a little more than a part each");
        sizes.release(Index(8));
        assert_eq!(sizes.start_of_last(20 * PART_BYTES), Index::ZERO);
        assert_eq!(sizes.start_of_last(PART_BYTES), Index(10));
    }

    #[test]
    fn small_entries_share_a_part() {
        let mut sizes = LogSizes::default();
        (1..=1000).for_each(|index| add(&mut sizes, index, PART_BYTES as usize / 100));
        assert!(sizes.parts.len() <= 12, "{} parts", sizes.parts.len());
    }
}
