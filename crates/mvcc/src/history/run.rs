//! Runs: the sealed part of the history, each with an index on the disk.
//!
//! The index is a series of sorted [blocks](super::block) of changes, another of lives, and a root, which names the first
//! entry of each block, marks every so many changes where they are, for scans that begin at a revision, and has a
//! filter of the run's keys. A root takes about 1/300 of the run; it is read when a reader asks this
//! run for something, and kept for a while ([`super::roots`]).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wal::{Head, Position, Reader, Wal};

use super::block::{BLOCK_BYTES, ENTRY_OVERHEAD, Entries, Entry, Life, Noted, Writer};
use super::roots::Roots;
use super::{BLOCK, LIVES, ROOT, filter, wal_record_overhead};
use crate::encoding::{put_varint, take_varint};
use crate::index::Keys;
use crate::reap::Deleted;
use crate::versions::superseded_bytes;
use crate::{Change, Error, KeyRange, RangeEnd, Revision};

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
}

/// What a run is read with.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) dir: &'a Path,
    pub(crate) roots: &'a Roots,
}

/// Keys in order and where the first change of each is (`None` if the key was not alive before it), and whether these
/// were all.
pub(crate) type FirstChanges = (Vec<(Vec<u8>, Option<Position>)>, bool);

/// The blocks of one kind: first key and revision of each, and where it is.
type Blocks<K> = Vec<(K, Revision, Position)>;

/// The root of a run in memory.
#[derive(Debug, Default)]
pub(super) struct Root {
    blocks: Blocks<Vec<u8>>,
    /// Some changes in order of their revisions, the first one among them, and where they are.
    marks: Vec<(Revision, Position)>,
    /// `None`: the run was written before lives were.
    lives: Option<Blocks<Vec<u8>>>,
    /// Empty: the run was written before filters were.
    filter: Vec<u8>,
}

impl Root {
    /// Returns the bytes that it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let blocks = |blocks: &Blocks<Vec<u8>>| {
            let keys: usize = blocks.iter().map(|(key, ..)| key.capacity()).sum();
            keys + blocks.capacity() * size_of::<(Vec<u8>, Revision, Position)>()
        };
        let marks = self.marks.capacity() * size_of::<(Revision, Position)>();
        let lives = self.lives.as_ref().map_or(0, blocks);
        size_of::<Self>() + blocks(&self.blocks) + marks + lives + self.filter.capacity()
    }

    /// One of about so many bytes.
    #[cfg(test)]
    pub(super) fn of_bytes(bytes: usize) -> Self {
        Self { filter: vec![0; bytes], ..Self::default() }
    }
}

impl SealedRun {
    pub(crate) fn new(
        first_segment: u64,
        root: Position,
        first: Revision,
        last: Revision,
        superseded_bytes: u64,
    ) -> Self {
        Self { first_segment, root, first, last, superseded_bytes }
    }

    fn root(&self, files: Files<'_>) -> Result<Arc<Root>, Error> {
        if let Some(root) = files.roots.get(self.root) {
            return Ok(root);
        }
        let record = files.reader.read(self.root)?;
        let root =
            if record.head.kind == ROOT { decode_root(&record.payload, self.first_segment) } else { None };
        let root = Arc::new(root.ok_or_else(|| self.damaged(files.dir))?);
        files.roots.put(self.root, &root);
        Ok(root)
    }

    /// A place at or before the first change of main revision `main` or later.
    pub(crate) fn position_before(&self, files: Files<'_>, main: i64) -> Result<Position, Error> {
        let root = self.root(files)?;
        let after = root.marks.partition_point(|(revision, _)| revision.main < main);
        // The first mark is the first change of the run.
        root.marks
            .get(after.saturating_sub(1))
            .map(|&(_, position)| position)
            .ok_or_else(|| self.damaged(files.dir))
    }

    /// How many changes there are after main revision `at`, to within a mark.
    pub(crate) fn changes_after(&self, files: Files<'_>, at: i64) -> Result<u64, Error> {
        let root = self.root(files)?;
        let marks = root.marks.len() - root.marks.partition_point(|(revision, _)| revision.main <= at);
        Ok((marks * MARK_EVERY) as u64)
    }

    /// For each key from `start` on that changed after main revision `at`: its first change after it. At most `max` keys;
    /// the flag says whether that was all there is in the range.
    pub(crate) fn first_changes(
        &self,
        files: Files<'_>,
        range: &KeyRange,
        start: &[u8],
        at: i64,
        max: usize,
    ) -> Result<FirstChanges, Error> {
        let start = start.max(&range.start[..]);
        let root = self.root(files)?;
        if range.end == RangeEnd::Single && !filter::may_have(&root.filter, &range.start) {
            return Ok((Vec::new(), true));
        }
        let mut found: Vec<(Vec<u8>, Option<Position>)> = Vec::new();
        for (_, _, position) in blocks_from(&root.blocks, start) {
            let block = self.block(files, *position, BLOCK)?;
            let mut entries = Entries::of(&block);
            while !entries.is_done() {
                let entry = entries.change().ok_or_else(|| self.damaged(files.dir))?;
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

    /// Visits the lives of the range's keys that ended here, sorted by key and then by revision. Returns whether they are
    /// known.
    pub(crate) fn lives(
        &self,
        files: Files<'_>,
        range: &KeyRange,
        visit: &mut impl FnMut(&[u8], Life),
    ) -> Result<bool, Error> {
        let start = &range.start[..];
        let root = self.root(files)?;
        let Some(blocks) = &root.lives else { return Ok(false) };
        for (_, _, position) in blocks_from(blocks, start) {
            let block = self.block(files, *position, LIVES)?;
            let mut entries = Entries::of(&block);
            while !entries.is_done() {
                let life = entries.life().ok_or_else(|| self.damaged(files.dir))?;
                if range.ends_before(&entries.key) {
                    return Ok(true);
                }
                if &entries.key[..] >= start {
                    visit(&entries.key, life);
                }
            }
        }
        Ok(true)
    }

    fn block(&self, files: Files<'_>, position: Position, kind: u8) -> Result<Bytes, Error> {
        let block = files.reader.read(position)?;
        if block.head.kind == kind { Ok(block.payload) } else { Err(self.damaged(files.dir)) }
    }

    fn position(&self, entry: &Entry) -> Position {
        Position { segment: self.first_segment + entry.segment, offset: entry.offset }
    }

    fn damaged(&self, dir: &Path) -> Error {
        Error::Corrupt { path: dir.to_owned(), what: format!("the index at {} makes no sense", self.root) }
    }
}

/// The blocks that may hold this key or later ones: the one before the first that begins at the key or later is among
/// them.
fn blocks_from<'a>(
    blocks: &'a [(Vec<u8>, Revision, Position)],
    start: &[u8],
) -> &'a [(Vec<u8>, Revision, Position)] {
    &blocks[blocks.partition_point(|(key, ..)| &key[..] < start).saturating_sub(1)..]
}

fn decode_root(mut input: &[u8], first_segment: u64) -> Option<Root> {
    let input = &mut input;
    let mut root = Root { blocks: take_blocks(input, first_segment)?, ..Root::default() };
    for _ in 0..take_varint(input)? {
        root.marks.push(take_place(input, first_segment)?);
    }
    if !input.is_empty() {
        root.lives = Some(take_blocks(input, first_segment)?);
    }
    if !input.is_empty() {
        let len = usize::try_from(take_varint(input)?).ok()?;
        let (filter, rest) = input.split_at_checked(len).filter(|(filter, _)| !filter.is_empty())?;
        *input = rest;
        root.filter = filter.to_vec();
    }
    (input.is_empty() && !root.marks.is_empty()).then_some(root)
}

fn take_blocks(input: &mut &[u8], first_segment: u64) -> Option<Blocks<Vec<u8>>> {
    let mut blocks = Vec::new();
    for _ in 0..take_varint(input)? {
        let len = usize::try_from(take_varint(input)?).ok()?;
        let (key, rest) = input.split_at_checked(len)?;
        *input = rest;
        let (revision, position) = take_place(input, first_segment)?;
        blocks.push((key.to_vec(), revision, position));
    }
    Some(blocks)
}

fn take_place(input: &mut &[u8], first_segment: u64) -> Option<(Revision, Position)> {
    let main = i64::try_from(take_varint(input)?).ok()?;
    let sub = u32::try_from(take_varint(input)?).ok()?;
    let segment = first_segment.checked_add(take_varint(input)?)?;
    Some((Revision { main, sub }, Position { segment, offset: take_varint(input)? }))
}

fn put_blocks(root: &mut Vec<u8>, blocks: &[(&[u8], Revision, Position)], first_segment: u64) {
    put_varint(root, blocks.len() as u64);
    for &(key, revision, position) in blocks {
        put_varint(root, key.len() as u64);
        root.extend_from_slice(key);
        put_place(root, revision, position, first_segment);
    }
}

fn put_place(root: &mut Vec<u8>, revision: Revision, position: Position, first_segment: u64) {
    let segment = position.segment - first_segment;
    for number in [revision.main as u64, u64::from(revision.sub), segment, position.offset] {
        put_varint(root, number);
    }
}

/// Takes a record of the index and says where it is.
pub(crate) type Append<'a> = dyn FnMut(Head, &[u8]) -> Result<Position, Error> + 'a;

/// Collects the changes of the run being written.
#[derive(Debug, Default)]
pub(crate) struct RunBuilder {
    keys: Keys,
    changes: Vec<Noted>,
    /// Deletions, each with the create revision of what was deleted: numbers of changes, ascending.
    deletions: Vec<(u32, i64)>,
    /// All deletions, also of what the same transaction had put: numbers of changes, ascending.
    tombstones: Vec<u32>,
    size: IndexSize,
    superseded_bytes: u64,
}

/// Upper bounds for what the index takes, counted as entries are added.
#[derive(Debug, Default, Clone, Copy)]
struct IndexSize {
    /// Bytes of all entries.
    entries: usize,
    /// Bytes of keys that fill a block each. Such a key stands in the root once for each of its entries.
    long_keys: usize,
    /// The longest of the other keys.
    longest_key: usize,
}

impl IndexSize {
    fn add(&mut self, key: &[u8]) {
        self.entries += key.len() + ENTRY_OVERHEAD;
        if key.len() >= BLOCK_BYTES {
            self.long_keys += key.len();
        } else {
            self.longest_key = self.longest_key.max(key.len());
        }
    }

    /// Bytes of log for all blocks and the root.
    fn log_bytes(&self, changes: usize) -> usize {
        // A block is closed by the entry that fills it, so all but the last of each kind are full.
        let blocks = self.entries / BLOCK_BYTES + 2;
        let first_keys = self.long_keys + blocks * self.longest_key;
        let marks = (changes / MARK_EVERY + 2) * ENTRY_OVERHEAD;
        let filter = filter::bytes_for(changes) + ENTRY_OVERHEAD;
        let overhead = blocks * (wal_record_overhead() + ENTRY_OVERHEAD) + wal_record_overhead() + 32;
        self.entries + first_keys + marks + filter + overhead
    }
}

impl RunBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Forgets the changes, for the next run, which will need as much memory.
    pub(crate) fn restart(&mut self) {
        // Each field by its name: none is to be forgotten.
        let Self { keys, changes, deletions, tombstones, size, superseded_bytes } = self;
        keys.clear();
        changes.clear();
        deletions.clear();
        tombstones.clear();
        (*size, *superseded_bytes) = (IndexSize::default(), 0);
    }

    /// The first deletion among the changes.
    pub(super) fn first_deletion(&self) -> Option<Revision> {
        self.tombstones.first().map(|&number| self.changes[number as usize].revision)
    }

    /// The keys that were deleted.
    pub(super) fn deleted(&self) -> Deleted {
        let mut deleted = Deleted::default();
        for &number in &self.tombstones {
            deleted.push(self.key(number), self.changes[number as usize].revision);
        }
        deleted
    }

    pub(crate) fn add(&mut self, change: &Change, position: Position) {
        let key = &change.key[..];
        self.keys.push(key);
        let noted = Noted { revision: change.revision, has_before: change.before.is_some(), position };
        let number = self.changes.len() as u32;
        if !change.is_put() {
            self.tombstones.push(number);
            if let Some(before) = change.before.meta() {
                self.deletions.push((number, before.create_revision));
                self.size.add(key);
            }
        }
        self.changes.push(noted);
        self.size.add(key);
        self.superseded_bytes += superseded_bytes(change);
    }

    /// Most bytes of log that the index can take once this key is added.
    pub(super) fn index_bytes_with(&self, key: &[u8]) -> u64 {
        let mut size = self.size;
        // A deletion has two entries, one in each kind of block.
        (0..2).for_each(|_| size.add(key));
        size.log_bytes(self.changes.len() + 1) as u64
    }

    /// Appends blocks and root.
    pub(super) fn write(&self, wal: &mut Wal) -> Result<SealedRun, Error> {
        self.write_to(&mut |head, payload| Ok(wal.append(head, &[payload])?))
    }

    /// Hands the records of the index to `append`, in order; it says where each of them is.
    pub(crate) fn write_to(&self, append: &mut Append<'_>) -> Result<SealedRun, Error> {
        let Noted { revision: first, position: start, .. } =
            *self.changes.first().expect("a run has changes");
        let last = self.changes.last().expect("a run has changes").revision;
        let mut order: Vec<u32> = (0..self.changes.len() as u32).collect();
        // Changes are in order of revision already; a stable sort keeps that within each key.
        order.sort_by(|&one, &other| self.key(one).cmp(self.key(other)));
        let change = |block: &mut Writer, number: &u32| {
            block.change(self.key(*number), &self.changes[*number as usize], start.segment);
        };
        let blocks = self.write_blocks(append, BLOCK, &order, |&number| number, change)?;
        let lives = self.lives();
        let life = |block: &mut Writer, (number, life): &(u32, Life)| block.life(self.key(*number), life);
        let lives = self.write_blocks(append, LIVES, &lives, |&(number, _)| number, life)?;
        let root = self.encode_root(&blocks, &lives, &self.filter(&order), start.segment);
        let root = append(Head { kind: ROOT, number: last.main as u64, tag: 0 }, &root)?;
        Ok(SealedRun::new(start.segment, root, first, last, self.superseded_bytes))
    }

    fn key(&self, number: u32) -> &[u8] {
        self.keys.get(number as usize)
    }

    /// The lives that ended, each with the number of its deletion, sorted by key and then by revision. A transaction that
    /// deletes a key more than once ends one life that others can see.
    fn lives(&self) -> Vec<(u32, Life)> {
        let life = |&(number, created): &(u32, i64)| {
            (number, Life { created, ended: self.changes[number as usize].revision })
        };
        let mut lives: Vec<(u32, Life)> = self.deletions.iter().map(life).collect();
        lives.sort_by(|(one, _), (other, _)| self.key(*one).cmp(self.key(*other)));
        lives.dedup_by(|(next, next_life), (number, life)| {
            next_life.ended.main == life.ended.main && self.key(*next) == self.key(*number)
        });
        lives
    }

    /// Appends entries in blocks of a kind; `number_of` tells the change that an entry is of.
    fn write_blocks<E>(
        &self,
        append: &mut Append<'_>,
        kind: u8,
        entries: &[E],
        number_of: impl Fn(&E) -> u32,
        put: impl Fn(&mut Writer, &E),
    ) -> Result<Blocks<&[u8]>, Error> {
        let last = self.changes.last().expect("a run has changes").revision;
        let mut blocks = Vec::new();
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let mut block = Writer::default();
            let mut taken = 0;
            while taken < rest.len() && block.bytes.len() < BLOCK_BYTES {
                put(&mut block, &rest[taken]);
                taken += 1;
            }
            let head = Head { kind, number: last.main as u64, tag: blocks.len() as u64 };
            let position = append(head, &block.bytes)?;
            let first = number_of(first);
            blocks.push((self.key(first), self.changes[first as usize].revision, position));
            rest = &rest[taken..];
        }
        Ok(blocks)
    }

    fn encode_root(
        &self,
        blocks: &[(&[u8], Revision, Position)],
        lives: &[(&[u8], Revision, Position)],
        filter: &[u8],
        first_segment: u64,
    ) -> Vec<u8> {
        let mut root = Vec::new();
        put_blocks(&mut root, blocks, first_segment);
        let marks = self.changes.iter().step_by(MARK_EVERY);
        put_varint(&mut root, marks.len() as u64);
        marks.for_each(|mark| put_place(&mut root, mark.revision, mark.position, first_segment));
        put_blocks(&mut root, lives, first_segment);
        put_varint(&mut root, filter.len() as u64);
        root.extend_from_slice(filter);
        root
    }

    /// The filter of all keys; `order` has the changes by key.
    fn filter(&self, order: &[u32]) -> Vec<u8> {
        let keys = || order.chunk_by(|&one, &next| self.key(one) == self.key(next)).map(|of| self.key(of[0]));
        filter::build(keys(), keys().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_was_written_before_lives_or_filters_were_is_read() {
        let mut builder = RunBuilder::default();
        let (revision, position) = (Revision { main: 2, sub: 0 }, Position { segment: 7, offset: 64 });
        builder.add(&Change::new(revision, "a".into(), None, None.into()), position);
        let block: (&[u8], Revision, Position) = (b"a", revision, position);
        let bytes = builder.encode_root(&[block], &[block], b"12345678", 7);
        let expected = b"\x01\x01a\x02\x00\x00\x40\x01\x02\x00\x00\x40\x01\x01a\x02\x00\x00\x40\x0812345678";
        assert_eq!(bytes, expected);
        let root = decode_root(&bytes, 7).unwrap();
        let blocks = vec![(b"a".to_vec(), revision, position)];
        assert_eq!((&root.blocks, &root.marks), (&blocks, &vec![(revision, position)]));
        assert_eq!((root.lives, &root.filter[..]), (Some(blocks.clone()), &b"12345678"[..]));
        let without_filter = decode_root(&bytes[..bytes.len() - 9], 7).unwrap();
        assert_eq!((without_filter.lives, without_filter.filter), (Some(blocks), Vec::new()));
        let without_lives = decode_root(&bytes[..bytes.len() - 16], 7).unwrap();
        assert_eq!((without_lives.lives, without_lives.filter), (None, Vec::new()));
        for end in (0..bytes.len()).filter(|&end| ![bytes.len() - 9, bytes.len() - 16].contains(&end)) {
            assert!(decode_root(&bytes[..end], 7).is_none(), "cut at {end}");
        }
    }
}
