//! Entries that wait for something, in the order of the log, and what they weigh.

use std::collections::VecDeque;

use super::id::Index;

/// Invariant: the indexes rise, and `bytes` is the sum of the parts' bytes.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Backlog {
    /// The last entry and the bytes of each part.
    parts: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Backlog {
    /// Adds the entries after the ones in it, up to `last`.
    pub(crate) fn add(&mut self, last: Index, bytes: usize) {
        self.parts.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Removes the parts that end at `index` or before it.
    pub(crate) fn remove_to(&mut self, index: Index) {
        while let Some((last, bytes)) = self.parts.front().copied() {
            if last > index {
                return;
            }
            self.bytes -= bytes;
            self.parts.pop_front();
        }
    }

    /// Returns what the entries weigh. A part of which some entries are done counts whole.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_until_its_last_entry_is_done() {
        let mut backlog = Backlog::default();
        backlog.add(Index(3), 30);
        backlog.add(Index(7), 40);
        backlog.remove_to(Index(2));
        assert_eq!(backlog.bytes(), 70);
        backlog.remove_to(Index(6));
        assert_eq!(backlog.bytes(), 40);
        backlog.remove_to(Index(9));
        assert_eq!(backlog.bytes(), 0);
    }
}
