//! Sorting more versions than fit into memory.
//!
//! What is pushed is gathered up to a bound, sorted, and written to a file as one run; reading merges the runs. The file
//! has no name, so nothing of it is left whatever happens to the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;
use mvcc::Revision;

/// Bytes that are gathered before they are written.
const MEMORY_BYTES: usize = 32 << 20;

/// Bytes that are read of a run at a time.
const READ_BYTES: usize = 64 << 10;

/// Bytes before each version in the file: main and sub revision, and the version's length.
const HEADER_BYTES: usize = 16;

/// What a version in memory takes besides its bytes, about.
const OVERHEAD_BYTES: usize = 64;

/// A version, as etcd has it in a row.
type Version = (Revision, Bytes);

/// Takes versions in any order.
pub(crate) struct Spool {
    dir: PathBuf,
    memory_bytes: usize,
    gathered: Vec<Version>,
    gathered_bytes: usize,
    file: Option<File>,
    runs: Vec<Run>,
}

/// Where a run is in the file.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

impl Spool {
    /// A spool whose file, if it needs one, is in this directory.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self::within(dir, MEMORY_BYTES)
    }

    fn within(dir: PathBuf, memory_bytes: usize) -> Self {
        Self { dir, memory_bytes, gathered: Vec::new(), gathered_bytes: 0, file: None, runs: Vec::new() }
    }

    /// Takes a version. No two have the same revision.
    pub(crate) fn push(&mut self, revision: Revision, encoded: &[u8]) -> io::Result<()> {
        // A copy: what it is a slice of may be much longer, and would be kept.
        self.gathered.push((revision, Bytes::copy_from_slice(encoded)));
        self.gathered_bytes += encoded.len() + OVERHEAD_BYTES;
        if self.gathered_bytes >= self.memory_bytes { self.write_run() } else { Ok(()) }
    }

    fn write_run(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.dir)?,
        };
        self.gathered.sort_unstable_by_key(|(revision, _)| *revision);
        let start = self.runs.last().map_or(0, |run| run.end);
        let mut end = start;
        let mut out = BufWriter::with_capacity(READ_BYTES, &file);
        for (revision, encoded) in self.gathered.drain(..) {
            out.write_all(&header(revision, encoded.len()))?;
            out.write_all(&encoded)?;
            end += (HEADER_BYTES + encoded.len()) as u64;
        }
        out.flush()?;
        drop(out);
        self.gathered_bytes = 0;
        self.runs.push(Run { start, end });
        self.file = Some(file);
        Ok(())
    }

    /// Ends the pushing.
    pub(crate) fn finish(mut self) -> Sorted {
        self.gathered.sort_unstable_by_key(|(revision, _)| *revision);
        Sorted { in_memory: self.gathered, file: self.file, runs: self.runs }
    }
}

fn header(revision: Revision, length: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&revision.main.to_le_bytes());
    header[8..12].copy_from_slice(&revision.sub.to_le_bytes());
    // A version is shorter than a request, and that than 2 GiB.
    header[12..].copy_from_slice(&(length as u32).to_le_bytes());
    header
}

/// Everything that was pushed.
pub(crate) struct Sorted {
    in_memory: Vec<Version>,
    file: Option<File>,
    runs: Vec<Run>,
}

impl Sorted {
    /// Returns all versions in the order of their revisions. Can be called again.
    ///
    /// # Errors
    /// Those of reading the file.
    pub(crate) fn merge(&self) -> io::Result<Merge<'_>> {
        let mut sources: Vec<Source<'_>> = self.runs.iter().map(|run| self.source(*run)).collect();
        sources.push(Source::Memory(self.in_memory.iter()));
        let mut firsts = BinaryHeap::with_capacity(sources.len());
        for (number, source) in sources.iter_mut().enumerate() {
            firsts.extend(source.next()?.map(|version| Reverse((version, number))));
        }
        Ok(Merge { sources, firsts })
    }

    fn source(&self, run: Run) -> Source<'_> {
        let file = self.file.as_ref().expect("a run is in the file");
        Source::Run(RunReader { file, at: run.start, end: run.end, buffer: Vec::new(), used: 0 })
    }
}

/// Sorted sources, made one.
pub(crate) struct Merge<'s> {
    sources: Vec<Source<'s>>,
    /// The next version of each source, and the source's number.
    firsts: BinaryHeap<Reverse<(Version, usize)>>,
}

impl Merge<'_> {
    pub(crate) fn next(&mut self) -> io::Result<Option<Version>> {
        let Some(Reverse((version, number))) = self.firsts.pop() else { return Ok(None) };
        let next = self.sources[number].next()?;
        self.firsts.extend(next.map(|version| Reverse((version, number))));
        Ok(Some(version))
    }
}

/// Versions in the order of their revisions.
enum Source<'s> {
    Memory(std::slice::Iter<'s, Version>),
    Run(RunReader<'s>),
}

impl Source<'_> {
    fn next(&mut self) -> io::Result<Option<Version>> {
        match self {
            Source::Memory(versions) => Ok(versions.next().cloned()),
            Source::Run(reader) => reader.next(),
        }
    }
}

/// A run that is being read.
struct RunReader<'s> {
    file: &'s File,
    /// Where in the file the buffer ends.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    used: usize,
}

impl RunReader<'_> {
    fn next(&mut self) -> io::Result<Option<Version>> {
        if self.used == self.buffer.len() && self.at == self.end {
            return Ok(None);
        }
        let header: [u8; HEADER_BYTES] =
            self.bytes(HEADER_BYTES)?.try_into().expect("so many were asked for");
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let main = i64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
        let revision = Revision { main, sub: number(&header[8..12]) };
        let encoded = Bytes::copy_from_slice(self.bytes(number(&header[12..]) as usize)?);
        Ok(Some((revision, encoded)))
    }

    /// The next bytes of the run.
    fn bytes(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.used < count {
            self.buffer.drain(..self.used);
            self.used = 0;
            let have = self.buffer.len();
            let want = (count - have).max(READ_BYTES).min((self.end - self.at) as usize);
            self.buffer.resize(have + want, 0);
            self.file.read_exact_at(&mut self.buffer[have..], self.at)?;
            self.at += want as u64;
        }
        let bytes = self.buffer.get(self.used..self.used + count);
        self.used += count;
        bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: i64) -> Revision {
        Revision { main: number / 3, sub: (number % 3) as u32 }
    }

    fn value(number: i64, length: usize) -> Vec<u8> {
        vec![number as u8; length]
    }

    /// Versions of these lengths, pushed in some order, with so much memory.
    fn sorted(memory_bytes: usize, count: i64, length: usize) -> Sorted {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::within(dir.path().to_owned(), memory_bytes);
        for number in 0..count {
            // 7 divides no count here: each number comes once.
            let number = number * 7 % count;
            spool.push(revision(number), &value(number, length)).unwrap();
        }
        spool.finish()
    }

    #[test]
    fn what_is_pushed_in_any_order_comes_out_sorted_as_often_as_one_likes() {
        for (memory_bytes, count, length) in
            [(1 << 20, 1_000, 10), (5_000, 1_000, 10), (5_000, 1_000, 0), (300_000, 50, 100_000), (1, 100, 1)]
        {
            let sorted = sorted(memory_bytes, count, length);
            for _ in 0..2 {
                let mut merge = sorted.merge().unwrap();
                for number in 0..count {
                    let expected = (revision(number), value(number, length).into());
                    assert_eq!(merge.next().unwrap(), Some(expected));
                }
                assert_eq!(merge.next().unwrap(), None);
            }
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(sorted(100, 0, 0).merge().unwrap().next().unwrap(), None);
    }
}
