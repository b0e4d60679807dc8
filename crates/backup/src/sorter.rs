//! Sorting more records than fit into memory, by a key of bytes.
//!
//! What is pushed is gathered up to a bound, sorted, and written to a file as one run; reading merges the runs. Records with
//! equal keys stay in the order in which they were pushed. The file has no name, so nothing of it is left whatever happens to
//! the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;

/// Bytes that are read of a run at a time.
const READ_BYTES: usize = 64 << 10;

/// Bytes before each record: the lengths of key and content.
const HEADER_BYTES: usize = 8;

/// Takes records in any order.
pub(crate) struct Sorter {
    dir: PathBuf,
    memory_bytes: usize,
    /// The records gathered, one behind the other.
    arena: Vec<u8>,
    places: Vec<Place>,
    file: Option<File>,
    /// Where the runs are in the file.
    runs: Vec<(u64, u64)>,
    /// Of keys and contents so far.
    bytes: u64,
}

/// Where a record is in the arena.
#[derive(Clone, Copy)]
struct Place {
    /// The key's first bytes, which most often tell two keys apart.
    prefix: u64,
    offset: u32,
    key_bytes: u32,
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    key_bytes: usize,
}

impl Record {
    /// What it is sorted by.
    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_bytes]
    }

    /// What was pushed with it.
    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes[self.key_bytes..]
    }

    /// The same, without a copy.
    pub(crate) fn into_content(self) -> Bytes {
        Bytes::from(self.bytes).slice(self.key_bytes..)
    }

    /// Bytes of key and content.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Sorter {
    /// A sorter that takes about so much memory. Its file, if it needs one, is in this directory.
    pub(crate) fn new(dir: PathBuf, memory_bytes: usize) -> Self {
        Self {
            dir,
            memory_bytes,
            arena: Vec::new(),
            places: Vec::new(),
            file: None,
            runs: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a record, whose content is the parts one behind the other.
    pub(crate) fn push(&mut self, key: &[u8], content: &[&[u8]]) -> io::Result<()> {
        let content_bytes: usize = content.iter().map(|part| part.len()).sum();
        let needed = HEADER_BYTES + key.len() + content_bytes;
        let used = self.arena.len() + self.places.len() * size_of::<Place>();
        if !self.places.is_empty() && used + needed > self.memory_bytes {
            self.write_run()?;
        }
        if self.arena.capacity() == 0 {
            // Once, and not by doubling: half of what was allocated before would be in use beside it.
            self.arena.reserve(self.memory_bytes / 4 * 3);
        }
        // Rows of a database are shorter than 2 GiB, and a longer one than fits is alone in the arena.
        let place =
            Place { prefix: prefix(key), offset: self.arena.len() as u32, key_bytes: key.len() as u32 };
        self.arena.extend(place.key_bytes.to_le_bytes());
        self.arena.extend((content_bytes as u32).to_le_bytes());
        self.arena.extend_from_slice(key);
        content.iter().for_each(|part| self.arena.extend_from_slice(part));
        self.places.push(place);
        self.bytes += (key.len() + content_bytes) as u64;
        Ok(())
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        let key = |place: &Place| &arena[place.offset as usize + HEADER_BYTES..][..place.key_bytes as usize];
        // Places ascend, so they keep equal keys in order.
        self.places.sort_unstable_by(|one, other| {
            let by_key = || key(one).cmp(key(other));
            one.prefix.cmp(&other.prefix).then_with(by_key).then(one.offset.cmp(&other.offset))
        });
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.sort();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.dir)?,
        };
        let start = self.runs.last().map_or(0, |run| run.1);
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for place in &self.places {
            out.write_all(record_at(&self.arena, place.offset as usize))?;
        }
        out.flush()?;
        drop(out);
        self.runs.push((start, start + self.arena.len() as u64));
        self.file = Some(file);
        self.arena.clear();
        self.places.clear();
        Ok(())
    }

    /// Ends the pushing. What did not fit into memory is in the file to the last record: while it is merged, its memory is for
    /// others.
    ///
    /// # Errors
    /// Those of writing the file.
    pub(crate) fn finish(mut self) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.sort();
        } else {
            self.write_run()?;
            (self.arena, self.places) = (Vec::new(), Vec::new());
        }
        let Self { arena, places, file, runs, bytes, .. } = self;
        Ok(Sorted { arena, places, file, runs, bytes })
    }
}

/// Everything that was pushed.
pub(crate) struct Sorted {
    arena: Vec<u8>,
    /// The records that are in memory, in order.
    places: Vec<Place>,
    file: Option<File>,
    runs: Vec<(u64, u64)>,
    bytes: u64,
}

impl Sorted {
    /// Bytes of all keys and contents.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns all records in order. Can be called again.
    ///
    /// # Errors
    /// Those of reading the file.
    pub(crate) fn merge(&self) -> io::Result<Merge<'_>> {
        let run = |(at, end): &(u64, u64)| {
            let file = self.file.as_ref().expect("a run is in the file");
            Source::Run(Run { file, at: *at, end: *end, buffer: Vec::new(), used: 0 })
        };
        let mut sources: Vec<Source<'_>> = self.runs.iter().map(run).collect();
        sources.push(Source::Memory { arena: &self.arena, places: self.places.iter() });
        let mut firsts = BinaryHeap::with_capacity(sources.len());
        for (number, source) in sources.iter_mut().enumerate() {
            firsts.extend(source.next()?.map(|record| Reverse(First { record, number })));
        }
        Ok(Merge { sources, firsts })
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let taken = key.len().min(8);
    bytes[..taken].copy_from_slice(&key[..taken]);
    u64::from_be_bytes(bytes)
}

/// The record at a place, with its header.
fn record_at(arena: &[u8], offset: usize) -> &[u8] {
    let (key_bytes, content_bytes) = lengths(&arena[offset..]);
    &arena[offset..offset + HEADER_BYTES + key_bytes + content_bytes]
}

fn lengths(header: &[u8]) -> (usize, usize) {
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize;
    (number(0), number(4))
}

/// Sorted sources, made one.
pub(crate) struct Merge<'s> {
    sources: Vec<Source<'s>>,
    firsts: BinaryHeap<Reverse<First>>,
}

/// The next record of a source.
#[derive(PartialEq, Eq)]
struct First {
    record: Record,
    number: usize,
}

impl Ord for First {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // An earlier run was pushed earlier.
        self.record.key().cmp(other.record.key()).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for First {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge<'_> {
    /// The next record.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(mut first) = self.firsts.peek_mut() else { return Ok(None) };
        let number = first.0.number;
        let record = match self.sources[number].next()? {
            // Put in its place: one way through the heap instead of two.
            Some(record) => std::mem::replace(&mut first.0.record, record),
            None => std::collections::binary_heap::PeekMut::pop(first).0.record,
        };
        Ok(Some(record))
    }
}

enum Source<'s> {
    Run(Run<'s>),
    Memory { arena: &'s [u8], places: std::slice::Iter<'s, Place> },
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Record>> {
        match self {
            Self::Run(run) => run.next(),
            Self::Memory { arena, places } => Ok(places.next().map(|place| {
                let bytes = record_at(arena, place.offset as usize)[HEADER_BYTES..].to_vec();
                Record { bytes, key_bytes: place.key_bytes as usize }
            })),
        }
    }
}

/// A run that is read.
struct Run<'s> {
    file: &'s File,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Run<'_> {
    fn next(&mut self) -> io::Result<Option<Record>> {
        if !self.fill(HEADER_BYTES)? {
            return Ok(None);
        }
        let (key_bytes, content_bytes) = lengths(&self.buffer[self.used..]);
        self.used += HEADER_BYTES;
        let bytes = key_bytes + content_bytes;
        if !self.fill(bytes)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = self.buffer[self.used..self.used + bytes].to_vec();
        self.used += bytes.len();
        Ok(Some(Record { bytes, key_bytes }))
    }

    /// Has so many bytes in the buffer. Returns false at the end of the run.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() - self.used >= bytes {
            return Ok(true);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let wanted = READ_BYTES.max(bytes).min(self.buffer.len() + (self.end - self.at) as usize);
        let have = self.buffer.len();
        if wanted < bytes {
            return Ok(false);
        }
        self.buffer.resize(wanted, 0);
        self.file.read_exact_at(&mut self.buffer[have..], self.at)?;
        self.at += (wanted - have) as u64;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_sorted_and_equal_keys_in_their_order_whatever_memory_there_is_as_often_as_one_likes() {
        let dir = tempfile::tempdir().unwrap();
        for memory_bytes in [1, 300, 5_000, 1 << 20] {
            let mut sorter = Sorter::new(dir.path().to_owned(), memory_bytes);
            let mut expected = Vec::new();
            for number in 0..500_u32 {
                // 7 and 20 have no common divisor: keys come out of order, and each of them often.
                let key = format!("a key {}", number * 7 % 20).into_bytes();
                let content = vec![number as u8; (number % 50) as usize];
                sorter.push(&key, &[&number.to_le_bytes(), &content]).unwrap();
                expected.push((key, [&number.to_le_bytes()[..], &content].concat()));
            }
            sorter.push(b"long", &[&[9; 200_000]]).unwrap();
            expected.push((b"long".to_vec(), vec![9; 200_000]));
            expected.sort_by(|one, other| one.0.cmp(&other.0));
            let sorted = sorter.finish().unwrap();
            for _ in 0..2 {
                let mut merge = sorted.merge().unwrap();
                let mut found = Vec::new();
                while let Some(record) = merge.next().unwrap() {
                    found.push((record.key().to_vec(), record.content().to_vec()));
                }
                assert!(found == expected, "with {memory_bytes} bytes");
            }
        }
    }

    #[test]
    fn long_records_come_back_from_many_runs() {
        let dir = tempfile::tempdir().unwrap();
        for (memory_bytes, count, length) in [(300_000, 50_u8, 100_000), (1, 100, 1), (5_000, 100, 0)] {
            let mut sorter = Sorter::new(dir.path().to_owned(), memory_bytes);
            for number in 0..count {
                // 7 divides no count here: each number comes once.
                let number = (u32::from(number) * 7 % u32::from(count)) as u8;
                sorter.push(&[number], &[&vec![number; length]]).unwrap();
            }
            let sorted = sorter.finish().unwrap();
            let mut merge = sorted.merge().unwrap();
            for number in 0..count {
                let record = merge.next().unwrap().unwrap();
                assert_eq!((record.key(), record.content()), (&[number][..], &vec![number; length][..]));
            }
            assert!(merge.next().unwrap().is_none());
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let sorted = Sorter::new(std::env::temp_dir(), 100).finish().unwrap();
        assert!(sorted.merge().unwrap().next().unwrap().is_none());
    }

    #[test]
    fn keys_that_share_their_first_bytes_are_told_apart() {
        let mut sorter = Sorter::new(std::env::temp_dir(), 1 << 20);
        let keys: [&[u8]; 5] = [b"12345678b", b"12345678", b"1", b"1\0", b""];
        keys.iter().for_each(|key| sorter.push(key, &[]).unwrap());
        let sorted = sorter.finish().unwrap();
        let mut merge = sorted.merge().unwrap();
        let mut expected = keys;
        expected.sort_unstable();
        for key in expected {
            assert_eq!(merge.next().unwrap().unwrap().key(), key);
        }
        assert!(merge.next().unwrap().is_none());
    }
}
