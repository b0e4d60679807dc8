//! The readers' end of a log.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::{HEADER_BYTES, Header, PERSISTED, Record};
use crate::segment::Segment;
use crate::wal::{SegmentInfo, Segments};
use crate::{Error, Position};

/// Reads records of a log while it is written to. Each read checks the record's CRCs. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    segments: Arc<Segments>,
}

/// Segments that stay readable for as long as this lives, whether they are released or not.
#[derive(Clone)]
pub struct Pin {
    #[allow(dead_code, reason = "held for its Arcs")]
    segments: Vec<Arc<Segment>>,
}

impl Reader {
    pub(crate) fn new(segments: Arc<Segments>) -> Self {
        Self { segments }
    }

    /// Reads the record at a position that [`append`](crate::Wal::append) returned, if it was flushed.
    ///
    /// # Errors
    /// [`Error::NoSuchRecord`] if its segment was released, or nothing was flushed there; [`Error::Corrupt`],
    /// [`Error::Io`].
    pub fn read(&self, position: Position) -> Result<Record, Error> {
        let segment = self.segment(position.segment).ok_or(Error::NoSuchRecord(position))?;
        match read_record(&segment, position)? {
            Some((header, payload)) if header.head.kind != PERSISTED => {
                Ok(Record { position, next: header.next(position), head: header.head, payload })
            }
            _ => Err(Error::NoSuchRecord(position)),
        }
    }

    /// Reads on from a position, across segments, to the end of what is flushed.
    pub fn scan(&self, from: Position) -> Scan {
        Scan { reader: self.clone(), segment: self.segment(from.segment), at: from, chain: None }
    }

    /// Reads everything.
    pub fn scan_all(&self) -> Scan {
        self.scan(self.start())
    }

    /// Where the oldest record starts.
    pub fn start(&self) -> Position {
        let segments = self.segments.read();
        Position { segment: segments.front().map_or(0, |segment| segment.id()), offset: 0 }
    }

    /// Where the flushed part ends.
    pub fn end(&self) -> Position {
        let segments = self.segments.read();
        segments.back().map_or(Position { segment: 0, offset: 0 }, |segment| Position {
            segment: segment.id(),
            offset: segment.end(),
        })
    }

    /// The last record that the caller appended to a segment; `None` if there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn last_record(&self, segment: u64) -> Result<Option<Record>, Error> {
        let nowhere = Position { segment, offset: 0 };
        let segment = self.segment(segment).ok_or(Error::NoSuchRecord(nowhere))?;
        let position = Position { offset: segment.last(), ..nowhere };
        if position.offset < segment.end() { self.read(position).map(Some) } else { Ok(None) }
    }

    /// Keeps the segments from this one on readable for as long as the pin lives.
    pub fn pin(&self, from_segment: u64) -> Pin {
        let segments = self.segments.read();
        Pin { segments: segments.iter().filter(|segment| segment.id() >= from_segment).cloned().collect() }
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.segments.read();
        let count = segments.len();
        let describe = |(place, segment): (usize, &Arc<Segment>)| SegmentInfo {
            id: segment.id(),
            start: Position { segment: segment.id(), offset: 0 },
            end: Position { segment: segment.id(), offset: segment.end() },
            sealed: place + 1 < count,
            file_bytes: segment.file.len().unwrap_or(0),
        };
        segments.iter().enumerate().map(describe).collect()
    }

    fn segment(&self, id: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let place = segments.binary_search_by_key(&id, |segment| segment.id()).ok()?;
        Some(segments[place].clone())
    }

    fn segment_after(&self, id: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let place = segments.partition_point(|segment| segment.id() <= id);
        segments.get(place).cloned()
    }
}

/// Reads the record at `position`, checked; `None` at the end of what is flushed.
fn read_record(segment: &Segment, position: Position) -> Result<Option<(Header, Bytes)>, Error> {
    if position.offset >= segment.end() {
        return Ok(None);
    }
    let Some(header) = segment.header_at(position.offset)? else {
        return Err(segment.corrupt(position.offset, "a record's header does not match its checksum"));
    };
    if header.next(position).offset > segment.end() {
        return Err(segment.corrupt(position.offset, "a record reaches beyond the end of its segment"));
    }
    let mut payload = vec![0; header.len as usize];
    let stamped = segment.read(position.offset + HEADER_BYTES as u64, &mut payload)?;
    if !stamped || !header.matches(&payload) {
        return Err(segment.corrupt(position.offset, "a record does not match its checksum"));
    }
    Ok(Some((header, payload.into())))
}

/// Records in order. Ends at the end of what is flushed; asked again later, it goes on from there.
pub struct Scan {
    reader: Reader,
    segment: Option<Arc<Segment>>,
    at: Position,
    chain: Option<u32>,
}

impl Scan {
    /// Where the next record will be looked for.
    pub fn position(&self) -> Position {
        self.at
    }

    fn step(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(segment) = &self.segment else { return Ok(None) };
            let Some((header, payload)) = read_record(segment, self.at)? else {
                let Some(next) = self.reader.segment_after(segment.id()) else { return Ok(None) };
                if self.at.offset < segment.end() {
                    // It grew while we looked for its successor.
                    continue;
                }
                self.at = Position { segment: next.id(), offset: 0 };
                self.chain = self.chain.map(|_| next.header.chain);
                self.segment = Some(next);
                continue;
            };
            if self.chain.is_some_and(|chain| chain != header.chain) {
                return Err(segment.corrupt(self.at.offset, "a record does not follow the one before it"));
            }
            let position = self.at;
            self.chain = Some(header.check);
            self.at = header.next(position);
            if header.head.kind != PERSISTED {
                return Ok(Some(Record { position, next: self.at, head: header.head, payload }));
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            // Nothing behind damage is handed out.
            self.segment = None;
        }
        step.transpose()
    }
}
