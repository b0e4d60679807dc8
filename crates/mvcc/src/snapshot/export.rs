//! The sending end: from a checkpoint to chunks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wal::Position;

use super::SnapshotId;
use super::format::{self, CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES, End, Header, Kind, put_record};
use crate::checkpoint::{Mark, ends_with};
use crate::history::{self, Payload};
use crate::index::Entry;
use crate::read::Cursor;
use crate::shared::{Hold, Inner, Parts, Wanted};
use crate::state_hash::{self, StateHash};
use crate::tables::{Snapshot, encode_entry, value_check};
use crate::{Before, Error, Item, KeyRange, Revision};

/// Keys that are read at a time: at an old revision each run is looked into for them.
const KEYS_AT_A_TIME: usize = 256;
/// Bytes of stored values that are read at a time, about.
const BYTES_AT_A_TIME: usize = 4 << 20;

/// The content of a checkpoint, chunk by chunk. Made by [`Store::snapshot`](crate::Store::snapshot) or
/// [`View::snapshot`](crate::View::snapshot), and then on its own: it may be read on any thread, as slowly as need be.
///
/// The rows are read when the first chunk is asked for, and kept until they are sent. The keys are read some at a time, from
/// whichever checkpoint is the last one then: those that have changed since are what the history says they were. So no
/// checkpoint is held on to, whose pages the database could not use again while a slow receiver reads. What is held on to is the
/// history from the compact revision on: its files are unlinked when the export is dropped.
///
/// An iterator over chunks of at most [`CHUNK_BYTES_MAX`] bytes. It reads from the disk, and keeps no
/// more in memory than the rows, a chunk, and a few MiB of values. After an error it is over.
pub struct SnapshotExport {
    inner: Arc<Inner>,
    /// The checkpoint, until its rows are read.
    snapshot: Option<Arc<Snapshot>>,
    /// The database, for errors.
    database: PathBuf,
    hold: Hold,
    header: Header,
    /// Where the history begins that goes over, and where it ends.
    start: Position,
    end: Position,
    stage: Stage,
    /// Bytes of the stream in a chunk.
    payload_bytes: usize,
    /// Of the stream, what is in no chunk yet.
    buffer: Vec<u8>,
    taken: usize,
    /// Number of the next chunk.
    number: u32,
    /// Of the chunks so far.
    hash: u128,
    changes: u64,
}

/// What is read next.
enum Stage {
    Header,
    /// The keys of which these were read already, and where to go on.
    Keys(std::vec::IntoIter<Item>, Option<Vec<u8>>, Sum),
    Changes(Box<wal::Scan>, Revision),
    End,
    Over,
}

/// Count and hash of the records so far, to be held against the mark.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    count: u64,
    hash: StateHash,
}

impl Sum {
    fn add(&mut self, hash: u128) {
        self.count += 1;
        self.hash += hash;
    }
}

impl SnapshotExport {
    /// Begins an export of the last checkpoint that is complete. Of the disk it reads a root at most, and not under the lock.
    pub(crate) fn begin(inner: &Arc<Inner>) -> Result<Self, Error> {
        let shared = inner.shared.read();
        let snapshot = shared.snapshot.clone();
        // What that checkpoint needs is not released before the next one is published, and from now on not at all.
        let mark = match Mark::decode(snapshot.mark()) {
            Ok(Some(mark)) => mark,
            _ => return Err(snapshot.corrupt("its mark does not match its checksum".to_owned())),
        };
        let header = Header::of(&mark);
        let first = header.first_change();
        let hold = shared.hold(inner, first - 1);
        let run = shared.runs.iter().find(|run| run.last.main >= first).cloned();
        drop(shared);
        let start = match run {
            Some(run) => run.position_before(inner.files(), first)?,
            None => mark.tail_start,
        };
        Ok(Self {
            inner: inner.clone(),
            database: snapshot.path().to_owned(),
            snapshot: Some(snapshot),
            hold,
            header,
            start,
            end: mark.history_end,
            stage: Stage::Header,
            payload_bytes: CHUNK_BYTES_MAX - CHUNK_HEADER_BYTES,
            buffer: Vec::new(),
            taken: 0,
            number: 0,
            hash: 0,
            changes: 0,
        })
    }

    /// Makes smaller chunks, of this many bytes. All transfers of a snapshot that is to be resumed must do the same.
    ///
    /// # Panics
    /// If chunks were made already, or the length is not between 64 and [`CHUNK_BYTES_MAX`].
    #[must_use]
    pub fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        assert!((64..=CHUNK_BYTES_MAX).contains(&bytes) && self.number == 0, "{bytes} bytes in a chunk");
        self.payload_bytes = bytes - CHUNK_HEADER_BYTES;
        self
    }

    /// Which snapshot it is.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.header.id()
    }

    /// Its main revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.header.revision
    }

    /// Number of the next chunk.
    #[must_use]
    pub fn next_chunk(&self) -> u32 {
        self.number
    }

    /// Goes on with this chunk, of a transfer that broke off. What comes before it is read all the same, since the end needs
    /// its hash. Does nothing if it is beyond that already.
    ///
    /// # Errors
    /// As the iterator.
    pub fn skip_to(&mut self, chunk: u32) -> Result<(), Error> {
        while self.number < chunk && self.advance()?.is_some() {}
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        while self.buffer.len() - self.taken < self.payload_bytes {
            match &self.stage {
                Stage::End if self.buffer.len() > self.taken => break,
                Stage::End => return Ok(Some(self.last_chunk())),
                Stage::Over => return Ok(None),
                _ => self.read_on()?,
            }
        }
        let end = self.buffer.len().min(self.taken + self.payload_bytes);
        let payload = &self.buffer[self.taken..end];
        self.hash = state_hash::of_chunks(self.hash, payload);
        let chunk = format::chunk(self.number, payload);
        self.taken = end;
        // A long record is not moved about for each of its chunks.
        if self.buffer.len() - end < end {
            self.buffer.drain(..end);
            self.buffer.shrink_to(2 * self.payload_bytes);
            self.taken = 0;
        }
        self.number += 1;
        Ok(Some(chunk))
    }

    fn last_chunk(&mut self) -> Bytes {
        let end = End { chunks: self.number, changes: self.changes, hash: self.hash };
        let mut payload = Vec::new();
        put_record(&mut payload, Kind::End, &[&end.encode()]);
        self.stage = Stage::Over;
        self.number += 1;
        format::chunk(self.number - 1, &payload)
    }

    /// Adds the next record to the stream, or goes on to the next stage.
    fn read_on(&mut self) -> Result<(), Error> {
        let Self { header, buffer, stage, .. } = self;
        match stage {
            Stage::Header => {
                put_record(buffer, Kind::Header, &[&header.encode()]);
                let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
                put_rows(buffer, &snapshot, header)?;
                *stage = Stage::Keys(Vec::new().into_iter(), Some(Vec::new()), Sum::default());
            }
            Stage::Keys(items, next, sum) => {
                if let Some(item) = items.next() {
                    put_key(buffer, &item, sum);
                } else if let Some(start) = next.take() {
                    (*items, *next) = read_keys(&self.inner, header.revision, start, &self.hold)?;
                } else {
                    let whole = Sum { count: header.keys, hash: header.key_hash };
                    check_sum("keys", *sum, whole).map_err(|what| corrupt(&self.database, what))?;
                    let scan = Box::new(self.inner.reader.scan(self.start));
                    *stage = Stage::Changes(scan, header.floor());
                }
            }
            Stage::Changes(..) => self.read_change()?,
            Stage::End | Stage::Over => {}
        }
        Ok(())
    }

    fn read_change(&mut self) -> Result<(), Error> {
        let Stage::Changes(scan, last) = &mut self.stage else { return Ok(()) };
        let dir = &self.inner.history_dir;
        let record = match scan.next().transpose()? {
            Some(record) if record.position < self.end => record,
            _ if ends_with(*last, self.header.revision, self.header.compact_revision) => {
                self.stage = Stage::End;
                return Ok(());
            }
            _ => {
                let what = format!("it ends with {last}, and the checkpoint is of r{}", self.header.revision);
                return Err(Error::Corrupt { path: dir.clone(), what });
            }
        };
        let first = self.header.first_change();
        if record.head.kind != history::CHANGE || (record.head.number as i64) < first {
            return Ok(());
        }
        let mut change = history::decode(dir, &record)?;
        if !last.precedes_beyond(change.revision, self.header.compact_revision) {
            let what = format!("{} comes after {last}, at {}", change.revision, record.position);
            return Err(Error::Corrupt { path: dir.clone(), what });
        }
        *last = change.revision;
        self.changes += 1;
        if change.revision.main <= self.header.compact_revision {
            // Cannot be read, and not every member has it still.
            change.before = Before::Nothing;
        }
        let payload = Payload::of(&change);
        let (main, sub) = (change.revision.main.to_le_bytes(), change.revision.sub.to_le_bytes());
        let [fixed, after, before] = payload.parts();
        put_record(&mut self.buffer, Kind::Change, &[&main, &sub, fixed, after, before]);
        Ok(())
    }
}

/// Appends all rows of a checkpoint.
fn put_rows(buffer: &mut Vec<u8>, snapshot: &Snapshot, header: &Header) -> Result<(), Error> {
    let (mut rows, mut sum) = (snapshot.rows()?, Sum::default());
    let mut put = |key: &[u8], value: &[u8]| {
        sum.add(state_hash::of_row(key[0], &key[1..], value));
        put_record(buffer, Kind::Row, &[&(key.len() as u32).to_le_bytes(), key, value]);
    };
    while rows.next_row(&mut put)?.is_some() {}
    let whole = Sum { count: header.rows, hash: header.row_hash };
    check_sum("rows", sum, whole).map_err(|what| snapshot.corrupt(what))
}

/// Reads the next keys at a revision, and says where to go on.
fn read_keys(
    inner: &Inner,
    at: i64,
    start: Vec<u8>,
    hold: &Hold,
) -> Result<(std::vec::IntoIter<Item>, Option<Vec<u8>>), Error> {
    let range = KeyRange::all();
    let wanted = Wanted { range: &range, at, parts: Parts::All };
    let mut cursor = Cursor::held(inner, wanted, start, hold).in_passing(BYTES_AT_A_TIME);
    let items = cursor.step(KEYS_AT_A_TIME)?;
    Ok((items.into_iter(), cursor.into_next()))
}

/// Appends a key as the database has it.
fn put_key(buffer: &mut Vec<u8>, item: &Item, sum: &mut Sum) {
    let (key, value) = (item.key_bytes(), item.value_bytes());
    let entry = Entry::of(&item.meta, value);
    sum.add(state_hash::of_key(state_hash::digest(key), &entry));
    let check = value_check(key, entry.revision(), value);
    let length = (key.len() as u32).to_le_bytes();
    put_record(buffer, Kind::Key, &[&length, key, &encode_entry(key, &entry), &check, value]);
}

fn check_sum(what: &str, found: Sum, marked: Sum) -> Result<(), String> {
    if found == marked {
        return Ok(());
    }
    Err(format!("it has {} {what} that are not the {} of its mark", found.count, marked.count))
}

fn corrupt(database: &Path, what: String) -> Error {
    Error::Corrupt { path: database.to_owned(), what }
}

impl Iterator for SnapshotExport {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.advance();
        let chunk = self.inner.damage.noting(chunk);
        if chunk.is_err() {
            self.stage = Stage::Over;
            self.buffer = Vec::new();
            self.taken = 0;
        }
        chunk.transpose()
    }
}
