//! Blocks of a run's index: where each change of each key is, sorted by key and then by revision.
//!
//! ```text
//! entry:  shared | unshared | key bytes | main | sub * 2 + has before | segment | offset      numbers are varints
//! ```
//!
//! `shared` bytes of the key are those of the entry before; the first entry of a block shares nothing. `segment` counts
//! from the run's first. *Has before* says whether the key was alive before the transaction: to count keys at an old
//! revision, records need not be read.

use wal::Position;

use crate::Revision;
use crate::encoding::{put_varint, take_varint};

/// Bytes after which a block is closed: one is read and gone through for a look-up.
pub(super) const BLOCK_BYTES: usize = 8 << 10;

/// A change to be indexed, without its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) revision: Revision,
    pub(super) has_before: bool,
    pub(super) position: Position,
}

/// One change in the index; its key is [`Entries::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) revision: Revision,
    pub(super) has_before: bool,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Most bytes that an entry takes beyond its key.
pub(super) const ENTRY_OVERHEAD: usize = 5 + 5 + 10 + 5 + 5 + 10;

/// A block being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    last_key: Vec<u8>,
}

impl Writer {
    pub(super) fn add(&mut self, key: &[u8], change: &Noted, first_segment: u64) {
        let shared = key.iter().zip(&self.last_key).take_while(|(one, other)| one == other).count();
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        let Noted { revision, has_before, position } = *change;
        let sub = u64::from(revision.sub) * 2 + u64::from(has_before);
        for number in [revision.main as u64, sub, position.segment - first_segment, position.offset] {
            put_varint(&mut self.bytes, number);
        }
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
    }
}

/// Goes through a block's entries.
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    /// The key of the entry that came last.
    pub(super) key: Vec<u8>,
}

impl<'a> Entries<'a> {
    pub(super) fn of(block: &'a [u8]) -> Self {
        Self { bytes: block, key: Vec::new() }
    }

    /// The next entry; `Some(None)` where the block makes no sense.
    pub(super) fn next_entry(&mut self) -> Option<Option<Entry>> {
        if self.bytes.is_empty() { None } else { Some(self.take()) }
    }

    fn take(&mut self) -> Option<Entry> {
        let shared = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
        let unshared = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
        let (suffix, rest) = self.bytes.split_at_checked(unshared)?;
        self.bytes = rest;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        let main = i64::try_from(take_varint(&mut self.bytes)?).ok()?;
        let sub = take_varint(&mut self.bytes)?;
        let has_before = sub & 1 == 1;
        let sub = u32::try_from(sub / 2).ok()?;
        let segment = take_varint(&mut self.bytes)?;
        let offset = take_varint(&mut self.bytes)?;
        Some(Entry { revision: Revision { main, sub }, has_before, segment, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_went_in() {
        let entry = |main: i64, segment| Entry {
            revision: Revision { main, sub: 1 },
            has_before: main % 2 == 1,
            segment,
            offset: main as u64 * 100,
        };
        let entries = [
            ("", entry(9, 0)),
            ("a/b", entry(2, 0)),
            ("a/b", entry(300, 1)),
            ("a/c", entry(7, 0)),
            ("b", entry(1, 2)),
        ];
        let mut writer = Writer::default();
        for (key, Entry { revision, has_before, segment, offset }) in entries {
            let position = Position { segment: 5 + segment, offset };
            writer.add(key.as_bytes(), &Noted { revision, has_before, position }, 5);
        }
        let mut read = Entries::of(&writer.bytes);
        for (key, entry) in entries {
            assert_eq!(read.next_entry(), Some(Some(entry)));
            assert_eq!(read.key, key.as_bytes());
        }
        assert_eq!(read.next_entry(), None);
        let mut cut = Entries::of(&writer.bytes[..writer.bytes.len() - 1]);
        (0..4).for_each(|_| assert!(cut.next_entry().unwrap().is_some()));
        assert_eq!(cut.next_entry(), Some(None));
    }
}
