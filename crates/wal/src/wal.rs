//! The writer's end of a log.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::disk::{Disk, DiskFile};
use crate::error::Context;
use crate::reader::Reader;
use crate::record::{HEADER_BYTES, Head, Header, PERSISTED, check_size};
use crate::recover::{Recovery, recover};
use crate::sector::{self, ROOM, SECTOR};
use crate::segment::{Previous, Segment, SegmentHeader, segment_path};
use crate::{Error, Position};

/// How a log is laid out, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment file in bytes. A record must fit into one.
    pub segment_bytes: u64,
    /// Whose log it is (a cluster and a member): written into each segment, and a log of another is refused.
    pub identity: [u64; 2],
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, identity: [0, 0] }
    }
}

/// The open segments of a log, oldest first, shared with its readers. Never empty; the last one is being written.
pub(crate) type Segments = RwLock<VecDeque<Arc<Segment>>>;

/// What can be said about a segment from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; later segments have larger ones.
    pub id: u64,
    /// Where its first record starts.
    pub start: Position,
    /// Where its last record ends.
    pub end: Position,
    /// Whether a later segment exists, so that this one stays as it is.
    pub sealed: bool,
    /// Length of its file in bytes.
    pub file_bytes: u64,
}

/// A log that is appended to by one owner.
///
/// Records become readable by [`flush`](Self::flush) and durable by [`sync`](Self::sync). Invariants: batches count up
/// along the log; all of batch *n* was durable before any of batch *n+1* was written; each batch that was synced ends
/// with a record that says so.
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    segments: Arc<Segments>,
    current: Arc<Segment>,
    tail: Tail,
    /// Number of the batch that is being written.
    batch: u64,
    /// Whether anything has been appended since the last sync.
    unsynced: bool,
    next: Option<Box<dyn DiskFile>>,
    poisoned: bool,
}

/// The end of the current segment in memory: its last, partial sector and what has been appended since.
struct Tail {
    /// Stream offset of the first byte of `sectors`.
    base: u64,
    sectors: Vec<u8>,
    /// Stream offset behind the last appended record.
    end: u64,
    /// Where the last record that the caller appended starts; `end` if there is none.
    last: u64,
    /// Its check.
    chain: u32,
    /// Stream offset up to which the file has it.
    flushed: u64,
}

impl Tail {
    /// The tail of a segment in which the stream goes on at `end`.
    fn new(segment: &Segment, end: u64, last: u64, chain: u32) -> Result<Self, Error> {
        let base = end / ROOM as u64 * ROOM as u64;
        let mut content = vec![0; (end - base) as usize];
        segment.read(base, &mut content)?;
        let mut sectors = Vec::new();
        sector::lay(&mut sectors, &content);
        Ok(Self { base, sectors, end, last, chain, flushed: end })
    }

    /// Drops what the file has, but for the last sector if it is partial: the next write starts with it.
    fn written(&mut self) {
        self.flushed = self.end;
        let whole = self.sectors.len() / SECTOR * SECTOR;
        self.sectors.drain(..whole);
        self.base = self.end / ROOM as u64 * ROOM as u64;
    }
}

impl Wal {
    /// Opens the log in `dir`, or makes one, and says what was found.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when something that was durable is damaged; [`Error::ForeignLog`], [`Error::NewerFormat`];
    /// [`Error::Io`] and [`Error::NoSpace`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        disk.create_dir_all(dir).context("create", dir)?;
        let found = recover(&*disk, dir, options.identity)?;
        match found.segments.back().cloned() {
            None => Self::create(disk, dir, options),
            Some(current) => {
                let tail = Tail::new(&current, found.end, found.last, found.chain)?;
                let mut wal = Self {
                    disk,
                    dir: dir.to_owned(),
                    options,
                    segments: Arc::new(RwLock::new(found.segments)),
                    current,
                    tail,
                    batch: found.batch,
                    unsynced: found.unsynced,
                    next: None,
                    poisoned: false,
                };
                if found.recovery.torn.is_some() {
                    // The remains of the torn batch are made void, so that no later recovery meets them.
                    let end = wal.end();
                    wal.truncate_to(end)?;
                }
                Ok((wal, found.recovery))
            }
        }
    }

    fn create(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        let header = SegmentHeader { identity: options.identity, id: 1, previous: None, chain: 0, batch: 1 };
        let file = new_segment_file(&*disk, dir, options.segment_bytes)?;
        let current = Arc::new(name_segment(&*disk, dir, file, header)?);
        let tail = Tail::new(&current, 0, 0, 0)?;
        let wal = Self {
            disk,
            dir: dir.to_owned(),
            options,
            segments: Arc::new(RwLock::new(VecDeque::from([current.clone()]))),
            current,
            tail,
            batch: 1,
            unsynced: false,
            next: None,
            poisoned: false,
        };
        Ok((wal, Recovery { created: true, torn: None }))
    }

    /// Appends a record whose payload is the parts one behind the other, and says where it is. It is in memory until
    /// [`flush`](Self::flush) or [`sync`](Self::sync), unless it is the first of a new segment: then the segment
    /// before was synced.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::NoSpace`] when another segment is needed and there is no space: nothing was
    /// appended and the log goes on. [`Error::Io`] and [`Error::Poisoned`].
    ///
    /// # Panics
    /// When `head.kind` is 255, which is the log's own.
    pub fn append(&mut self, head: Head, payload: &[&[u8]]) -> Result<Position, Error> {
        assert_ne!(head.kind, PERSISTED, "kind 255 is the log's own");
        self.check_alive()?;
        check_size(payload, self.payload_max())?;
        let bytes = HEADER_BYTES + payload.iter().map(|part| part.len()).sum::<usize>();
        if self.room() < bytes as u64 {
            self.roll()?;
        }
        Ok(self.put(head, payload))
    }

    /// Longest payload that fits into a segment.
    pub fn payload_max(&self) -> u64 {
        // Two headers: the record's own, and that of the record that ends its batch.
        let overhead = 2 * HEADER_BYTES as u64;
        sector::stream_capacity(self.options.segment_bytes).saturating_sub(overhead).min(u64::from(u32::MAX))
    }

    /// Bytes of records (headers included) that the current segment still takes. A caller that ends each segment with
    /// a record of its own keeps an eye on this and calls [`roll`](Self::roll) itself.
    pub fn room(&self) -> u64 {
        self.current.capacity.saturating_sub(self.tail.end + HEADER_BYTES as u64)
    }

    fn put(&mut self, head: Head, payload: &[&[u8]]) -> Position {
        let at = Position { segment: self.current.id(), offset: self.tail.end };
        let header = Header::new(head, self.batch, self.tail.chain, payload);
        sector::lay(&mut self.tail.sectors, &header.encode(at));
        for part in payload {
            sector::lay(&mut self.tail.sectors, part);
        }
        self.tail.chain = header.check;
        if head.kind != PERSISTED {
            self.tail.last = at.offset;
        }
        self.tail.end = header.next(at).offset;
        self.unsynced = true;
        at
    }

    /// Hands what was appended to the operating system: readable now, durable not yet.
    ///
    /// # Errors
    /// [`Error::Io`], which poisons the log, and [`Error::Poisoned`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        if self.tail.flushed == self.tail.end {
            return Ok(());
        }
        let offset = sector::sector_start(self.tail.base);
        // Whole sectors: the last one is filled up with the zeros that are there anyway.
        let partial = self.tail.sectors.len();
        self.tail.sectors.resize(partial.next_multiple_of(SECTOR), 0);
        let written = self.current.file.write_at(offset, &self.tail.sectors);
        self.tail.sectors.truncate(partial);
        self.poison_on_error(written.context("write", &self.current.path))?;
        self.tail.written();
        self.current.set_end(self.tail.last, self.tail.end);
        Ok(())
    }

    /// Makes everything appended so far durable, by one sync, and returns where the log ends.
    ///
    /// # Errors
    /// [`Error::Io`], which poisons the log: what the disk holds of the unsynced part is not known, and a sync that
    /// is tried again may succeed without having written (W5). [`Error::Poisoned`].
    pub fn sync(&mut self) -> Result<Position, Error> {
        self.check_alive()?;
        if self.unsynced {
            self.put(Head { kind: PERSISTED, number: 0, tag: 0 }, &[]);
            self.flush()?;
            let synced = self.current.file.sync_data();
            self.poison_on_error(synced.context("sync", &self.current.path))?;
            self.unsynced = false;
            self.batch += 1;
        }
        Ok(self.end())
    }

    /// Reserves the space of the next segment ahead of need, so that starting it is cheap and a full disk shows early.
    ///
    /// # Errors
    /// [`Error::NoSpace`] or [`Error::Io`]: nothing has changed, and the call may be repeated.
    pub fn prepare_next(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        if self.next.is_none() {
            self.next = Some(new_segment_file(&*self.disk, &self.dir, self.options.segment_bytes)?);
        }
        Ok(())
    }

    /// Whether the next segment is prepared.
    pub fn is_next_prepared(&self) -> bool {
        self.next.is_some()
    }

    /// Syncs, ends the current segment and starts the next.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn roll(&mut self) -> Result<(), Error> {
        self.prepare_next()?;
        self.sync()?;
        let previous = Previous { segment: self.current.id(), end: self.tail.end, last: self.tail.last };
        self.start_segment(previous, self.tail.chain)
    }

    /// Cuts everything at and behind `position` off, durably: it is void whatever happens next (W7). The position is
    /// one that [`append`](Self::append) or [`end`](Self::end) returned.
    ///
    /// # Errors
    /// [`Error::NoSuchRecord`]; else as [`append`](Self::append). Without success the log is as before.
    pub fn truncate_to(&mut self, position: Position) -> Result<(), Error> {
        self.check_alive()?;
        self.prepare_next()?;
        self.flush()?;
        let cut = self.find(position)?;
        self.start_segment(cut.previous, cut.chain)?;
        let void =
            |segment: &Arc<Segment>| segment.id() > position.segment && segment.id() < self.current.id();
        let voided: Vec<Arc<Segment>> = {
            let mut segments = self.segments.write();
            let voided = segments.iter().filter(|segment| void(segment)).cloned().collect();
            segments.retain(|segment| !void(segment));
            if let Some(segment) = segments.iter().find(|segment| segment.id() == position.segment) {
                segment.set_end(cut.previous.last, cut.previous.end);
            }
            voided
        };
        self.unlink(&voided)
    }

    /// The new end of the log when it is cut at `position`: the segment, its last record, and the check to go on from.
    fn find(&self, position: Position) -> Result<Cut, Error> {
        let nowhere = Error::NoSuchRecord(position);
        let segments = self.segments.read();
        let Some(segment) = segments.iter().find(|segment| segment.id() == position.segment) else {
            return Err(nowhere);
        };
        let mut last = position.offset;
        let mut chain = segment.header.chain;
        let mut at = 0;
        while at < position.offset {
            let Some(header) = segment.header_at(at)?.filter(|_| at < segment.end()) else {
                return Err(nowhere);
            };
            if header.head.kind != PERSISTED {
                last = at;
            }
            chain = header.check;
            at = header.next(Position { offset: at, ..position }).offset;
        }
        if at != position.offset {
            return Err(nowhere);
        }
        let previous = Previous { segment: segment.id(), end: at, last };
        Ok(Cut { previous, chain })
    }

    /// Makes the prepared file the current segment, behind `previous`.
    fn start_segment(&mut self, previous: Previous, chain: u32) -> Result<(), Error> {
        let file = self.next.take().expect("the next segment was prepared");
        // A batch that was cut into was not synced as a whole under this number: the next one gets a new one.
        let batch = self.batch + 1;
        let id = self.current.id() + 1;
        let header =
            SegmentHeader { identity: self.options.identity, id, previous: Some(previous), chain, batch };
        let named = name_segment(&*self.disk, &self.dir, file, header);
        let segment = Arc::new(self.poison_on_error(named)?);
        self.segments.write().push_back(segment.clone());
        self.tail = Tail::new(&segment, 0, 0, chain)?;
        self.current = segment;
        self.batch = batch;
        self.unsynced = false;
        Ok(())
    }

    /// Unlinks all segments before the one with this id; never the current one. Readers that have them open keep them.
    ///
    /// # Errors
    /// [`Error::Io`]: some may be gone and some not; the call may be repeated.
    pub fn release_before(&mut self, segment: u64) -> Result<(), Error> {
        self.check_alive()?;
        let first_kept = segment.min(self.current.id());
        let released: Vec<Arc<Segment>> = {
            let mut segments = self.segments.write();
            let count = segments.iter().take_while(|segment| segment.id() < first_kept).count();
            segments.drain(..count).collect()
        };
        self.unlink(&released)
    }

    /// Removes files, oldest first and each durably before the next, so that a crash leaves no gap.
    fn unlink(&self, segments: &[Arc<Segment>]) -> Result<(), Error> {
        for segment in segments {
            self.disk.remove(&segment.path).context("remove", &segment.path)?;
            self.disk.sync_dir(&self.dir).context("sync", &self.dir)?;
        }
        Ok(())
    }

    /// Where the next record will start, unless it starts a new segment.
    pub fn end(&self) -> Position {
        Position { segment: self.current.id(), offset: self.tail.end }
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.reader().segments()
    }

    /// A reader's end of the log.
    pub fn reader(&self) -> Reader {
        Reader::new(self.segments.clone())
    }

    fn check_alive(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.poisoned |= result.is_err();
        result
    }
}

struct Cut {
    previous: Previous,
    chain: u32,
}

fn temporary_path(dir: &Path) -> PathBuf {
    dir.join("next.tmp")
}

/// A file for a segment that has no name and no header yet.
fn new_segment_file(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<Box<dyn DiskFile>, Error> {
    let path = temporary_path(dir);
    if disk.exists(&path).context("look for", &path)? {
        disk.remove(&path).context("remove", &path)?;
    }
    disk.create(&path, bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoSpace { path },
        _ => Error::Io { path, op: "create", source },
    })
}

/// Gives the prepared file its header and then its name (W4).
fn name_segment(
    disk: &dyn Disk,
    dir: &Path,
    file: Box<dyn DiskFile>,
    header: SegmentHeader,
) -> Result<Segment, Error> {
    let temporary = temporary_path(dir);
    let path = segment_path(dir, header.id);
    file.write_at(0, &header.encode()).context("write", &temporary)?;
    file.sync_data().context("sync", &temporary)?;
    disk.rename(&temporary, &path).context("rename", &temporary)?;
    disk.sync_dir(dir).context("sync", dir)?;
    Segment::new(path, file, header)
}
