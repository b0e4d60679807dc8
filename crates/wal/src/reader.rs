//! The readers' end of a log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;

use crate::limits::{READ_BYTES, SCAN_BYTES};
use crate::record::{Found, Head, Header, Record, find};
use crate::segment::{FIRST, Segment, Window};
use crate::{Error, Position};

/// The segments of a log, oldest first, shared by its writer and its readers. Never empty.
pub(crate) struct Shared {
    segments: RwLock<Vec<Arc<Segment>>>,
}

/// What can be said about a segment from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; later segments have larger ones, not always by one.
    pub id: u64,
    /// Where its first record starts.
    pub start: Position,
    /// Where what can be read of it ends.
    pub end: Position,
    /// Its first record's head; `None` while it is empty.
    pub first: Option<Head>,
    /// Whether a later segment exists, so that this one stays as it is.
    pub sealed: bool,
    /// Length of its file in bytes.
    pub file_bytes: u64,
}

impl Shared {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self { segments: RwLock::new(segments) }
    }

    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.segments.write().push(segment);
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let place = segments.binary_search_by_key(&id, |segment| segment.id()).ok()?;
        Some(segments[place].clone())
    }

    pub(crate) fn after(&self, id: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let place = segments.partition_point(|segment| segment.id() <= id);
        segments.get(place).cloned()
    }

    /// Takes out the segments strictly between two.
    pub(crate) fn take_between(&self, before: u64, after: u64) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let from = segments.partition_point(|segment| segment.id() <= before);
        let to = segments.partition_point(|segment| segment.id() < after);
        segments.drain(from..to).collect()
    }

    /// Takes out the oldest segment, if it comes before the one named and is not pinned.
    pub(crate) fn take_oldest(&self, before: u64) -> Option<Arc<Segment>> {
        let mut segments = self.segments.write();
        let is_free = segments
            .first()
            .is_some_and(|oldest| oldest.id() < before && oldest.pins.load(Ordering::Acquire) == 0);
        is_free.then(|| segments.remove(0))
    }

    pub(crate) fn put_back(&self, oldest: Arc<Segment>) {
        self.segments.write().insert(0, oldest);
    }

    pub(crate) fn describe(&self) -> Vec<SegmentInfo> {
        let segments = self.segments.read();
        let describe = |(place, segment): (usize, &Arc<Segment>)| SegmentInfo {
            id: segment.id(),
            start: segment.start(),
            end: Position { segment: segment.id(), offset: segment.end() },
            first: segment.first(),
            sealed: place + 1 < segments.len(),
            file_bytes: segment.file_bytes(),
        };
        segments.iter().enumerate().map(describe).collect()
    }
}

/// Reads records of a log while it is written to. Each read checks the record's CRCs. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// Keeps a segment, and those behind it, from being released for as long as it lives.
#[must_use]
pub struct Pin {
    segment: Arc<Segment>,
}

impl Pin {
    /// The oldest segment that is kept.
    pub fn segment(&self) -> u64 {
        self.segment.id()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.segment.pins.fetch_sub(1, Ordering::Release);
    }
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Reads the record at a position that [`append`](crate::Wal::append) returned, once it is flushed.
    ///
    /// # Errors
    /// [`Error::NoSuchRecord`] if its segment was released, or it was cut off or not flushed yet;
    /// [`Error::Corrupt`], also when no record ever started there; [`Error::Io`].
    pub fn read(&self, position: Position) -> Result<Record, Error> {
        let missing = Error::NoSuchRecord(position);
        let Some(segment) = self.shared.get(position.segment) else { return Err(missing) };
        let mut window = Window::default();
        match read_at(&segment, &mut window, position.offset, READ_BYTES)? {
            Some((at, _, _, record)) if at == position.offset => Ok(record),
            _ => Err(missing),
        }
    }

    /// Reads on from a position (where a record starts or ends), across segments, to the end of what is flushed.
    pub fn scan(&self, from: Position) -> Scan {
        let segment = self.shared.get(from.segment);
        Scan {
            reader: self.clone(),
            segment,
            at: from,
            chain: None,
            window: Window::default(),
            failed: false,
        }
    }

    /// Reads everything there is.
    pub fn scan_all(&self) -> Scan {
        self.scan(self.start())
    }

    /// Where the oldest record starts.
    pub fn start(&self) -> Position {
        self.shared.segments.read().first().map(|segment| segment.start()).unwrap_or_default()
    }

    /// Where the flushed part ends.
    pub fn end(&self) -> Position {
        let segments = self.shared.segments.read();
        let end = |segment: &Arc<Segment>| Position { segment: segment.id(), offset: segment.end() };
        segments.last().map(end).unwrap_or_default()
    }

    /// The last flushed record in a segment; `None` if it has none. One read, but for a segment whose end was cut off:
    /// that one is read whole.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn last_record(&self, segment: u64) -> Result<Option<Record>, Error> {
        let start = Position { segment, offset: FIRST };
        let segment = self.shared.get(segment).ok_or(Error::NoSuchRecord(start))?;
        if let Some(offset) = segment.last() {
            return self.read(Position { offset, ..start }).map(Some);
        }
        let mut scan = self.scan(start);
        let mut last = None;
        while let Some(record) = scan.within_segment()? {
            last = Some(record);
        }
        Ok(last)
    }

    /// Keeps the segments from this one on from being [released](crate::Wal::release_before) for as long as the pin
    /// lives; those before it may have been already: [`Pin::segment`] is the oldest that is kept.
    pub fn pin(&self, from_segment: u64) -> Pin {
        // Under the lock, so that none is being released at this moment.
        let segments = self.shared.segments.read();
        let place = segments.partition_point(|segment| segment.id() < from_segment).min(segments.len() - 1);
        let segment = segments[place].clone();
        segment.pins.fetch_add(1, Ordering::Acquire);
        Pin { segment }
    }

    /// Returns how many pins there are.
    pub fn pins(&self) -> usize {
        let segments = self.shared.segments.read();
        segments.iter().map(|segment| segment.pins.load(Ordering::Relaxed)).sum()
    }

    /// The segments, oldest first. The last one is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.describe()
    }
}

impl Segment {
    /// The chain in front of the first record at or behind `offset`; `None` if there is none in this segment.
    pub(crate) fn chain_at(&self, offset: u64) -> Result<Option<u32>, Error> {
        let found = read_at(self, &mut Window::default(), offset, READ_BYTES)?;
        Ok(found.map(|(_, header, _, _)| header.chain))
    }
}

/// Reads the first record at or behind `offset`, through a window that is filled as needed, about `bytes` at once:
/// where it starts, its header, its CRC, and itself. `None` at the end of what can be read.
fn read_at(
    segment: &Segment,
    window: &mut Window,
    offset: u64,
    bytes: u64,
) -> Result<Option<(u64, Header, u32, Record)>, Error> {
    let end = segment.end();
    let mut at = offset.max(FIRST);
    let mut until = at;
    while at < end {
        let index = match window.index(at) {
            Some(index) => index,
            None => {
                *window = segment.load(at, until, bytes, end)?;
                window.index(at).ok_or_else(|| segment.corrupt(at, "the segment ends within a record"))?
            }
        };
        match find(&window.stream, index) {
            Found::Padding { next } => at = window.offset(next),
            Found::Damaged(what) => return Err(segment.corrupt(at, what)),
            Found::Short { needs } => {
                let needed = window.offset(needs - 1) + 1;
                if needed > end || until >= needed {
                    return Err(segment.corrupt(at, "a record reaches beyond the end of its segment"));
                }
                until = needed;
                *window = segment.load(at, until, bytes, end)?;
            }
            Found::Record { header, crc, payload } => {
                let next = window.offset(payload.end);
                if window.offset(payload.end - 1) >= end {
                    return Err(segment.corrupt(at, "a record reaches beyond the end of its segment"));
                }
                let position = Position { segment: segment.id(), offset: at };
                let next = Position { segment: segment.id(), offset: next };
                let payload = window.stream.slice(payload);
                return Ok(Some((at, header, crc, Record { position, next, head: header.head, payload })));
            }
        }
    }
    Ok(None)
}

/// Records in order. It ends at the end of what is flushed; asked again later, it goes on from there.
///
/// Besides each record's CRCs it checks that each follows the one before.
pub struct Scan {
    reader: Reader,
    segment: Option<Arc<Segment>>,
    at: Position,
    /// Header CRC of the record before `at`.
    chain: Option<u32>,
    window: Window,
    failed: bool,
}

impl Scan {
    /// Where it looks for the next record.
    pub fn position(&self) -> Position {
        self.at
    }

    fn step(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(record) = self.within_segment()? {
                return Ok(Some(record));
            }
            let Some(next) = self.segment.as_ref().and_then(|segment| self.reader.shared.after(segment.id()))
            else {
                return Ok(None);
            };
            // It may have grown before it got a successor, and does not any more.
            if let Some(record) = self.within_segment()? {
                return Ok(Some(record));
            }
            self.enter(next)?;
        }
    }

    /// The next record of this segment.
    fn within_segment(&mut self) -> Result<Option<Record>, Error> {
        let Some(segment) = &self.segment else { return Err(Error::NoSuchRecord(self.at)) };
        let Some((at, header, crc, record)) = read_at(segment, &mut self.window, self.at.offset, SCAN_BYTES)?
        else {
            return Ok(None);
        };
        let chain = if at == FIRST { Some(segment.header.chain) } else { self.chain };
        if chain.is_some_and(|chain| chain != header.chain) {
            return Err(segment.corrupt(at, "a record does not follow the one before it"));
        }
        self.chain = Some(crc);
        self.at = record.next;
        Ok(Some(record))
    }

    /// Goes on to the segment behind this one.
    fn enter(&mut self, next: Arc<Segment>) -> Result<(), Error> {
        let here = self.segment.as_ref().map(|segment| segment.id());
        let Some(predecessor) = next.header.predecessor.filter(|before| Some(before.segment) == here) else {
            // Where we are was cut off, or released together with what is behind it.
            return Err(Error::NoSuchRecord(self.at));
        };
        if self.chain.is_some_and(|chain| chain != next.header.chain) {
            let was_cut_off = self.at.offset > predecessor.end;
            let unrelated = next.corrupt(0, "the segment does not follow the one before it");
            return Err(if was_cut_off { Error::NoSuchRecord(self.at) } else { unrelated });
        }
        self.at = next.start();
        self.chain = Some(next.header.chain);
        self.window = Window::default();
        self.segment = Some(next);
        Ok(())
    }
}

impl Iterator for Scan {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        // Nothing behind damage is handed out.
        self.failed = step.is_err();
        step.transpose()
    }
}
