//! The state machine and its checkpoint.
//!
//! All that a state has to tell is which entries it contains and in which order they were applied.
//! So it is the name of the last one, and a digest of all of them: two states are equal exactly if
//! they applied the same entries.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use raft::{Entry, EntryId, Index, Term};
use wal::{Disk, SimDisk};

const FILE: &str = "/state";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) last: EntryId,
    pub(crate) digest: u64,
}

/// Returns what distinguishes an entry from others of the same name, of which there must be none.
pub(crate) fn content(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    entry.hash(&mut hasher);
    hasher.finish()
}

impl State {
    /// Applies an entry.
    ///
    /// # Panics
    /// If it is not the one after the last.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.last.index.next(), "applied out of order");
        let mut hasher = DefaultHasher::new();
        (self.digest, content(entry)).hash(&mut hasher);
        *self = State { last: entry.id(), digest: hasher.finish() };
    }

    /// Replaces the checkpoint on the disk, durably, by this one: whole or not at all.
    pub(crate) fn write(self, disk: &SimDisk) -> std::io::Result<()> {
        let numbers = [self.last.index.0, self.last.term.0, self.digest];
        let bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        wal::replace_file(disk, Path::new(FILE), &bytes)
    }

    /// Reads the checkpoint; the empty state if there is none. What is returned is durable: a
    /// process that was killed leaves a file name that is visible and yet lost in the next crash of
    /// the machine.
    pub(crate) fn read(disk: &SimDisk) -> std::io::Result<State> {
        disk.sync_dir(Path::new("/"))?;
        let Some(bytes) = disk.content(Path::new(FILE)) else { return Ok(State::default()) };
        let number = |place: usize| {
            let bytes = bytes[8 * place..8 * (place + 1)].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let last = EntryId::new(Index(number(0)), Term(number(1)));
        Ok(State { last, digest: number(2) })
    }
}
