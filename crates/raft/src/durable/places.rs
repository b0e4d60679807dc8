//! Where entries are in the log's files, with one note for many entries: a scan from the nearest note finds the rest.

use wal::Position;

use crate::core::id::Index;

/// A note for every so many entries, and for the first of each segment.
const STRIDE: u64 = 64;

/// Invariant: indexes and positions ascend.
#[derive(Debug, Default)]
pub(crate) struct Places {
    notes: Vec<(Index, Position)>,
}

impl Places {
    /// Notes where an entry is, if it is to be noted.
    pub(crate) fn add(&mut self, index: Index, position: Position) {
        let due = self
            .notes
            .last()
            .is_none_or(|(last, place)| index.since(*last) >= STRIDE || place.segment != position.segment);
        if due {
            self.notes.push((index, position));
        }
    }

    /// The last note at or before an entry.
    pub(crate) fn near(&self, index: Index) -> Option<Position> {
        let after = self.notes.partition_point(|note| note.0 <= index);
        after.checked_sub(1).map(|note| self.notes[note].1)
    }

    pub(crate) fn truncate_from(&mut self, first: Index) {
        let keep = self.notes.partition_point(|note| note.0 < first);
        self.notes.truncate(keep);
    }

    /// Forgets notes that only serve entries before `first`.
    pub(crate) fn release_before(&mut self, first: Index) {
        let after = self.notes.partition_point(|note| note.0 <= first);
        self.notes.drain(..after.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_note_is_at_or_before_the_entry() {
        let at = |segment, offset| Position { segment, offset };
        let mut places = Places::default();
        (1..=200).for_each(|index| places.add(Index(index), at(1 + index / 100, index)));
        assert_eq!(places.notes.len(), 5, "1, 65, 100 (a new segment), 164, 200 (another)");
        assert_eq!(places.near(Index(64)), Some(at(1, 1)));
        assert_eq!(places.near(Index(99)), Some(at(1, 65)));
        assert_eq!(places.near(Index(100)), Some(at(2, 100)));
        places.release_before(Index(99));
        assert_eq!((places.near(Index(64)), places.near(Index(99))), (None, Some(at(1, 65))));
        places.truncate_from(Index(100));
        assert_eq!(places.near(Index(150)), Some(at(1, 65)));
    }
}
