//! Blocks of a run's index, each of entries sorted by key and then by revision: where each change of each key is, and
//! which lives of keys ended.
//!
//! ```text
//! change:  shared | unshared | key bytes | main | sub * 2 + has before | segment | offset      numbers are varints
//! life:    shared | unshared | key bytes | main | sub | main - create revision
//! ```
//!
//! `shared` bytes of the key are those of the entry before; the first entry of a block shares nothing. `segment` counts
//! from the run's first. *Has before* says whether the key was alive before the transaction. A *life* of a key is from its
//! creation to its deletion: with those that ended, keys are counted at an old revision without going through all changes.

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

/// A life that a transaction of the run ended. It began before that transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) created: i64,
    /// The deletion.
    pub(crate) ended: Revision,
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
    pub(super) fn change(&mut self, key: &[u8], change: &Noted, first_segment: u64) {
        let Noted { revision, has_before, position } = *change;
        let sub = u64::from(revision.sub) * 2 + u64::from(has_before);
        self.add(key, &[revision.main as u64, sub, position.segment - first_segment, position.offset]);
    }

    pub(super) fn life(&mut self, key: &[u8], life: &Life) {
        let Life { created, ended } = *life;
        self.add(key, &[ended.main as u64, u64::from(ended.sub), (ended.main - created) as u64]);
    }

    fn add(&mut self, key: &[u8], numbers: &[u64]) {
        let shared = key.iter().zip(&self.last_key).take_while(|(one, other)| one == other).count();
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        numbers.iter().for_each(|&number| put_varint(&mut self.bytes, number));
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

    pub(super) fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next change; `None` where the block makes no sense.
    pub(super) fn change(&mut self) -> Option<Entry> {
        self.take_key()?;
        let main = i64::try_from(take_varint(&mut self.bytes)?).ok()?;
        let sub = take_varint(&mut self.bytes)?;
        let has_before = sub & 1 == 1;
        let sub = u32::try_from(sub / 2).ok()?;
        let segment = take_varint(&mut self.bytes)?;
        let offset = take_varint(&mut self.bytes)?;
        Some(Entry { revision: Revision { main, sub }, has_before, segment, offset })
    }

    /// The next life; `None` where the block makes no sense.
    pub(super) fn life(&mut self) -> Option<Life> {
        self.take_key()?;
        let main = i64::try_from(take_varint(&mut self.bytes)?).ok()?;
        let sub = u32::try_from(take_varint(&mut self.bytes)?).ok()?;
        let created = main.checked_sub_unsigned(take_varint(&mut self.bytes)?)?;
        Some(Life { created, ended: Revision { main, sub } })
    }

    fn take_key(&mut self) -> Option<()> {
        let shared = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
        let unshared = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
        let (suffix, rest) = self.bytes.split_at_checked(unshared)?;
        self.bytes = rest;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        Some(())
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
            writer.change(key.as_bytes(), &Noted { revision, has_before, position }, 5);
        }
        let mut read = Entries::of(&writer.bytes);
        for (key, entry) in entries {
            assert_eq!(read.change(), Some(entry));
            assert_eq!(read.key, key.as_bytes());
        }
        assert!(read.is_done());
        let mut cut = Entries::of(&writer.bytes[..writer.bytes.len() - 1]);
        (0..4).for_each(|_| assert!(cut.change().is_some()));
        assert_eq!(cut.change(), None);
    }

    #[test]
    fn lives_are_written_as_the_format_says_and_come_back() {
        let life = |created, main, sub| Life { created, ended: Revision { main, sub } };
        let lives = [("a/b", life(2, 3, 0)), ("a/b", life(4, 300, 1)), ("a/c", life(7, 9, 0))];
        let mut writer = Writer::default();
        lives.iter().for_each(|(key, life)| writer.life(key.as_bytes(), life));
        let expected =
            [&b"\x00\x03a/b\x03\x00\x01"[..], b"\x03\x00\xac\x02\x01\xa8\x02", b"\x02\x01c\x09\x00\x02"];
        assert_eq!(writer.bytes, expected.concat());
        let mut read = Entries::of(&writer.bytes);
        for (key, life) in lives {
            assert_eq!(read.life(), Some(life));
            assert_eq!(read.key, key.as_bytes());
        }
        assert!(read.is_done());
        assert_eq!(Entries::of(&writer.bytes[..7]).life(), None);
    }
}
