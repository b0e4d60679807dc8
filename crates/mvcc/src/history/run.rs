//! Runs: the sealed part of the history, each with an index on the disk.
//!
//! The index is a series of sorted [blocks](super::block) and a root, which names the first entry of each block and marks
//! every so many changes where they are, for scans that begin at a revision. A root takes about 1/500 of the run; it is
//! read when a reader first asks this run for something, and kept.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use wal::{Head, Position, Reader, Wal};

use super::block::{BLOCK_BYTES, ENTRY_OVERHEAD, Entries, Entry, Noted, Writer};
use super::{BLOCK, ROOT, wal_record_overhead};
use crate::encoding::{put_varint, take_varint};
use crate::index::Keys;
use crate::versions::superseded_bytes;
use crate::{Change, Error, KeyRange, Revision};

/// Changes from one mark of the root to the next.
const MARK_EVERY: usize = 256;

/// A run in memory: what is known of it without reading anything.
#[derive(Debug)]
pub(crate) struct SealedRun {
    /// Its first segment; it ends with the segment of its root.
    pub(crate) first_segment: u64,
    pub(crate) root: Position,
    pub(crate) first: Revision,
    pub(crate) last: Revision,
    /// Bytes of what its changes replaced; see [`crate::versions`].
    pub(crate) superseded_bytes: u64,
    loaded: Mutex<Option<Arc<Root>>>,
}

/// Keys in order and where the first change of each is (`None` if the key was not alive before it), and whether these
/// were all.
pub(crate) type FirstChanges = (Vec<(Vec<u8>, Option<Position>)>, bool);

#[derive(Debug, Default)]
struct Root {
    /// First key and revision of each block, and where the block is.
    blocks: Vec<(Vec<u8>, Revision, Position)>,
    /// Some changes in order of their revisions, the first one among them, and where they are.
    marks: Vec<(Revision, Position)>,
}

impl SealedRun {
    pub(crate) fn new(
        first_segment: u64,
        root: Position,
        first: Revision,
        last: Revision,
        superseded_bytes: u64,
    ) -> Self {
        Self { first_segment, root, first, last, superseded_bytes, loaded: Mutex::new(None) }
    }

    fn root(&self, reader: &Reader, dir: &Path) -> Result<Arc<Root>, Error> {
        if let Some(root) = &*self.loaded.lock() {
            return Ok(root.clone());
        }
        let record = reader.read(self.root)?;
        let root =
            if record.head.kind == ROOT { decode_root(&record.payload, self.first_segment) } else { None };
        let root = Arc::new(root.ok_or_else(|| self.damaged(dir))?);
        *self.loaded.lock() = Some(root.clone());
        Ok(root)
    }

    /// A place at or before the first change of main revision `main` or later.
    pub(crate) fn position_before(&self, reader: &Reader, dir: &Path, main: i64) -> Result<Position, Error> {
        let root = self.root(reader, dir)?;
        let after = root.marks.partition_point(|(revision, _)| revision.main < main);
        // The first mark is the first change of the run.
        root.marks
            .get(after.saturating_sub(1))
            .map(|&(_, position)| position)
            .ok_or_else(|| self.damaged(dir))
    }

    /// For each key from `start` on that changed after main revision `at`: its first change after it. At most `max` keys;
    /// the flag says whether that was all there is in the range.
    pub(crate) fn first_changes(
        &self,
        reader: &Reader,
        dir: &Path,
        range: &KeyRange,
        start: &[u8],
        at: i64,
        max: usize,
    ) -> Result<FirstChanges, Error> {
        let start = start.max(&range.start[..]);
        let root = self.root(reader, dir)?;
        // The block before the first one that begins at the start or later may hold the start.
        let first = root.blocks.partition_point(|(key, ..)| &key[..] < start).saturating_sub(1);
        let mut found: Vec<(Vec<u8>, Option<Position>)> = Vec::new();
        for (_, _, position) in &root.blocks[first..] {
            let block = reader.read(*position)?;
            let mut entries = Entries::of(&block.payload);
            while let Some(entry) = entries.next_entry() {
                let entry = entry.filter(|_| block.head.kind == BLOCK).ok_or_else(|| self.damaged(dir))?;
                let key = &entries.key[..];
                if key < start {
                    continue;
                }
                if range.ends_before(key) {
                    return Ok((found, true));
                }
                if entry.revision.main > at && found.last().is_none_or(|(last, _)| last != key) {
                    if found.len() == max {
                        return Ok((found, false));
                    }
                    found.push((key.to_vec(), entry.has_before.then(|| self.position(&entry))));
                }
            }
        }
        Ok((found, true))
    }

    fn position(&self, entry: &Entry) -> Position {
        Position { segment: self.first_segment + entry.segment, offset: entry.offset }
    }

    fn damaged(&self, dir: &Path) -> Error {
        Error::Corrupt { path: dir.to_owned(), what: format!("the index at {} makes no sense", self.root) }
    }
}

fn decode_root(mut input: &[u8], first_segment: u64) -> Option<Root> {
    let input = &mut input;
    let mut root = Root::default();
    let number = |input: &mut &[u8]| take_varint(input);
    let revision = |input: &mut &[u8]| {
        let main = i64::try_from(take_varint(input)?).ok()?;
        Some(Revision { main, sub: u32::try_from(take_varint(input)?).ok()? })
    };
    let position = |input: &mut &[u8]| {
        let segment = first_segment.checked_add(take_varint(input)?)?;
        Some(Position { segment, offset: take_varint(input)? })
    };
    for _ in 0..number(input)? {
        let len = usize::try_from(number(input)?).ok()?;
        let (key, rest) = input.split_at_checked(len)?;
        *input = rest;
        root.blocks.push((key.to_vec(), revision(input)?, position(input)?));
    }
    for _ in 0..number(input)? {
        root.marks.push((revision(input)?, position(input)?));
    }
    (input.is_empty() && !root.marks.is_empty()).then_some(root)
}

/// Collects the changes of the run being written.
#[derive(Debug, Default)]
pub(super) struct RunBuilder {
    keys: Keys,
    changes: Vec<Noted>,
    longest_key: usize,
    /// Most bytes that the entries can take.
    entry_bytes: usize,
    superseded_bytes: u64,
}

impl RunBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Forgets the changes, for the next run, which will need as much memory.
    pub(super) fn restart(&mut self) {
        self.keys.clear();
        self.changes.clear();
        (self.longest_key, self.entry_bytes, self.superseded_bytes) = (0, 0, 0);
    }

    pub(super) fn add(&mut self, change: &Change, position: Position) {
        let key = &change.key[..];
        self.keys.push(key);
        let noted = Noted { revision: change.revision, has_before: change.before.is_some(), position };
        self.changes.push(noted);
        self.longest_key = self.longest_key.max(key.len());
        self.entry_bytes += key.len() + ENTRY_OVERHEAD;
        self.superseded_bytes += superseded_bytes(change);
    }

    /// Most bytes of log that the index can take once this key is added.
    pub(super) fn index_bytes_with(&self, key: &[u8]) -> u64 {
        let entries = self.entry_bytes + key.len() + ENTRY_OVERHEAD;
        // A block is closed by the entry that fills it, so all but the last are full.
        let blocks = entries / BLOCK_BYTES + 1;
        let block = wal_record_overhead() + ENTRY_OVERHEAD + self.longest_key.max(key.len());
        let marks = (self.changes.len() / MARK_EVERY + 2) * ENTRY_OVERHEAD;
        (entries + blocks * block + marks + wal_record_overhead() + 32) as u64
    }

    /// Appends blocks and root.
    pub(super) fn write(&self, wal: &mut Wal) -> Result<SealedRun, Error> {
        let Noted { revision: first, position: start, .. } =
            *self.changes.first().expect("a run has changes");
        let last = self.changes.last().expect("a run has changes").revision;
        let mut order: Vec<u32> = (0..self.changes.len() as u32).collect();
        // Changes are in order of revision already; a stable sort keeps that within each key.
        order.sort_by(|&one, &other| self.keys.get(one as usize).cmp(self.keys.get(other as usize)));
        let mut blocks: Vec<(&[u8], Revision, Position)> = Vec::new();
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let mut block = Writer::default();
            let mut taken = 0;
            while taken < rest.len() && block.bytes.len() < BLOCK_BYTES {
                let number = rest[taken] as usize;
                block.add(self.keys.get(number), &self.changes[number], start.segment);
                taken += 1;
            }
            let head = Head { kind: BLOCK, number: last.main as u64, tag: blocks.len() as u64 };
            let position = wal.append(head, &[&block.bytes])?;
            blocks.push((self.keys.get(first as usize), self.changes[first as usize].revision, position));
            rest = &rest[taken..];
        }
        let root = wal.append(
            Head { kind: ROOT, number: last.main as u64, tag: 0 },
            &[&self.encode_root(&blocks, start.segment)],
        )?;
        Ok(SealedRun::new(start.segment, root, first, last, self.superseded_bytes))
    }

    fn encode_root(&self, blocks: &[(&[u8], Revision, Position)], first_segment: u64) -> Vec<u8> {
        let mut root = Vec::new();
        let put_place = |root: &mut Vec<u8>, revision: Revision, position: Position| {
            let numbers = [
                revision.main as u64,
                u64::from(revision.sub),
                position.segment - first_segment,
                position.offset,
            ];
            numbers.into_iter().for_each(|number| put_varint(root, number));
        };
        put_varint(&mut root, blocks.len() as u64);
        for &(key, revision, position) in blocks {
            put_varint(&mut root, key.len() as u64);
            root.extend_from_slice(key);
            put_place(&mut root, revision, position);
        }
        let marks = self.changes.iter().step_by(MARK_EVERY);
        put_varint(&mut root, marks.len() as u64);
        marks.for_each(|mark| put_place(&mut root, mark.revision, mark.position));
        root
    }
}
