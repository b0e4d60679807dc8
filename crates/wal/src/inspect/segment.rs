//! A segment under inspection: its sectors, and the records in them.

use std::path::PathBuf;

use bytes::Bytes;

use super::{Finding, Seen, damage};
use crate::Position;
use crate::disk::DiskFile;
use crate::limits::RECOVERY_BYTES;
use crate::record::{Found, Record, find, header_at, next_header};
use crate::sector::{self, BODY, SECTOR, Stamper, State};
use crate::segment::{FIRST, Predecessor, SegmentHeader, segment_id};
use crate::tail::examine;

/// A segment's file.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) file: Option<Box<dyn DiskFile>>,
    pub(super) file_bytes: u64,
    /// `None` if it is damaged.
    pub(super) header: Option<SegmentHeader>,
}

/// What is known of the end of a segment.
pub(super) enum Seal {
    /// It is the newest.
    Open,
    /// Its successor says where it ends.
    At { end: u64, last: Option<u64>, chain: u32, successor: PathBuf },
    /// Its successor's header is damaged, or names another.
    Unknown,
}

impl Seal {
    pub(super) fn of(successor: Option<&Opened>, segment: &Opened) -> Self {
        let Some(successor) = successor else { return Self::Open };
        let names_it = |predecessor: &Predecessor| Some(predecessor.segment) == segment_id(&segment.path);
        let header = successor.header.as_ref();
        match header.and_then(|header| Some((header, header.predecessor.filter(names_it)?))) {
            Some((header, Predecessor { end, last, .. })) => {
                Self::At { end, last, chain: header.chain, successor: successor.path.clone() }
            }
            None => Self::Unknown,
        }
    }
}

/// Shows what is in a segment, and returns the chain behind its last record, if nothing was missing on the way.
pub(super) fn walk(
    segment: &Opened,
    header: &SegmentHeader,
    seal: &Seal,
    see: &mut dyn FnMut(Seen<'_>),
) -> Option<u32> {
    let stamper = Stamper::new(header.identity, header.id);
    let mut content = read(segment, see);
    let sectors = check_sectors(segment, header, seal, &content, &stamper, see);
    content.truncate(sectors * SECTOR);
    let stream = sector::into_stream(content);
    let records = Records { segment, id: header.id, seal, stream: stream.into() };
    records.walk(header.chain, see)
}

/// Reads the file, zeros in place of what cannot be read.
fn read(segment: &Opened, see: &mut dyn FnMut(Seen<'_>)) -> Vec<u8> {
    let whole = segment.file_bytes / SECTOR as u64 * SECTOR as u64;
    let mut content = vec![0; whole as usize];
    let Some(file) = &segment.file else { return content };
    for (number, chunk) in content.chunks_mut(RECOVERY_BYTES as usize).enumerate() {
        let offset = number as u64 * RECOVERY_BYTES;
        if let Err(error) = file.read_at(offset, chunk) {
            see(damage(&segment.path, offset, chunk.len() as u64, format!("cannot be read: {error}")));
            chunk.fill(0);
        }
        see(Seen::Read(chunk.len() as u64));
    }
    content
}

/// Says which sectors are not what they should be, and returns how many hold records, the header included.
fn check_sectors(
    segment: &Opened,
    header: &SegmentHeader,
    seal: &Seal,
    content: &[u8],
    stamper: &Stamper,
    see: &mut dyn FnMut(Seen<'_>),
) -> usize {
    let sealed_at = match seal {
        Seal::Open => return check_newest(segment, header, content, stamper, see),
        Seal::At { end, .. } => Some(end.div_ceil(SECTOR as u64) as usize),
        Seal::Unknown => None,
    };
    let state = |(number, bytes): (u32, &[u8])| stamper.state(number, bytes);
    let is_written = |sector| matches!(state(sector), State::Written { .. });
    let sectors = || (0u32..).zip(content.chunks_exact(SECTOR)).skip(1);
    let last_written = sectors().filter(|sector| is_written(*sector)).last();
    let used = sealed_at.unwrap_or_else(|| last_written.map_or(1, |(number, _)| number as usize + 1));
    if content.len() < used * SECTOR {
        let missing = (used * SECTOR - content.len()) as u64;
        see(damage(&segment.path, segment.file_bytes, missing, "the file ends before the segment does"));
    }
    for (number, _) in sectors().take(used - 1).filter(|sector| !is_written(*sector)) {
        let at = u64::from(number) * SECTOR as u64;
        see(damage(&segment.path, at, SECTOR as u64, "a sector that was written does not carry its stamp"));
    }
    used
}

/// The same for the newest segment, which ends where recovery would say.
fn check_newest(
    segment: &Opened,
    header: &SegmentHeader,
    content: &[u8],
    stamper: &Stamper,
    see: &mut dyn FnMut(Seen<'_>),
) -> usize {
    if segment.file_bytes != header.length {
        let what =
            "the file has not the length that it was made with: it was cut, or later segments are missing";
        see(damage(&segment.path, segment.file_bytes.min(header.length), 0, what));
    }
    let used = content.chunks_exact(SECTOR).rposition(|sector| !sector::is_zero(sector));
    let content = &content[..used.map_or(0, |last| last + 1) * SECTOR];
    match examine(content, sector::sector_of(header.length), stamper, header.chain) {
        Ok(tail) => {
            if let Some((offset, bytes)) = tail.torn {
                let what = "a batch that was being written, and that no sync has acknowledged";
                see(Seen::Finding(Finding::note(&segment.path, offset, bytes, what)));
            }
            for sector in &tail.stray {
                let at = u64::from(*sector) * SECTOR as u64;
                let what = "a bit or two are set in space that was never used";
                see(Seen::Finding(Finding::note(&segment.path, at, SECTOR as u64, what)));
            }
            tail.end as usize
        }
        Err(found) => {
            if is_of_a_sector(content, found.offset) {
                see(damage(&segment.path, found.offset, SECTOR as u64, found.what));
            }
            let mut used = 1;
            for (number, bytes) in (0u32..).zip(content.chunks_exact(SECTOR)).skip(1) {
                let at = u64::from(number) * SECTOR as u64;
                match stamper.state(number, bytes) {
                    State::Written { .. } => used = number as usize + 1,
                    State::Damaged if at != found.offset => {
                        see(damage(&segment.path, at, SECTOR as u64, "a sector is damaged"));
                    }
                    State::Damaged | State::Untouched { .. } => {}
                }
            }
            used
        }
    }
}

/// Whether recovery blames a sector, and not a record, which the walk will come across.
fn is_of_a_sector(content: &[u8], offset: u64) -> bool {
    offset.is_multiple_of(SECTOR as u64) && offset < content.len() as u64
}

/// The records of a segment.
struct Records<'a> {
    segment: &'a Opened,
    id: u64,
    seal: &'a Seal,
    /// From the first sector behind the header on.
    stream: Bytes,
}

impl Records<'_> {
    /// Shows the records and returns the chain behind the last one, if nothing was missing on the way.
    fn walk(&self, chain: u32, see: &mut dyn FnMut(Seen<'_>)) -> Option<u32> {
        let mut chain = Some(chain);
        let (mut at, mut last) = (0, None);
        while at < self.stream.len() && !self.ends_before(at) {
            match find(&self.stream, at) {
                Found::Padding { next } => at = next,
                Found::Record { header, crc, payload } => {
                    if chain.is_some_and(|chain| chain != header.chain) {
                        self.damage(at, payload.end, "a record does not follow the one before it", see);
                        see(Seen::Gap);
                    }
                    chain = Some(crc);
                    last = Some(self.offset(at));
                    let position = Position { segment: self.id, offset: self.offset(at) };
                    let next = Position { segment: self.id, offset: self.offset(payload.end) };
                    at = payload.end;
                    let payload = self.stream.slice(payload);
                    see(Seen::Record(&Record { position, next, head: header.head, payload }));
                }
                Found::Damaged(what) => {
                    let (next, behind) = self.next_after(at);
                    self.damage(at, next, what, see);
                    see(Seen::Gap);
                    (at, chain) = (next, behind);
                }
                Found::Short { .. } => {
                    self.short(at, see);
                    return None;
                }
            }
        }
        self.check_end(last, chain, see);
        chain
    }

    /// Where to go on behind a damaged record, and the chain there: behind its payload if its header is intact.
    fn next_after(&self, at: usize) -> (usize, Option<u32>) {
        match header_at(&self.stream, at) {
            Some((header, crc)) => (at + crate::RECORD_HEADER_BYTES + header.length as usize, Some(crc)),
            None => (next_header(&self.stream, at + 1).unwrap_or(self.stream.len()), None),
        }
    }

    fn short(&self, at: usize, see: &mut dyn FnMut(Seen<'_>)) {
        // In the newest segment that is the torn batch, which has been said.
        if !matches!(self.seal, Seal::Open) {
            let what = "a record reaches beyond the end of its segment";
            self.damage(at, self.stream.len(), what, see);
            see(Seen::Gap);
        }
    }

    /// Holds the end of a sealed segment against what its successor says of it.
    fn check_end(&self, last: Option<u64>, chain: Option<u32>, see: &mut dyn FnMut(Seen<'_>)) {
        let Seal::At { last: expected, chain: next_chain, successor, .. } = self.seal else { return };
        if chain.is_some_and(|chain| chain != *next_chain) {
            let what = "the segment does not follow the one before it";
            see(damage(successor, 0, SECTOR as u64, what));
        } else if chain.is_some() && expected.is_some() && *expected != last {
            let what = "the segment before it does not end with the record that it names";
            see(damage(successor, 0, SECTOR as u64, what));
        }
    }

    fn ends_before(&self, at: usize) -> bool {
        matches!(self.seal, Seal::At { end, .. } if self.offset(at) >= (*end).max(FIRST))
    }

    fn damage(&self, from: usize, to: usize, what: &str, see: &mut dyn FnMut(Seen<'_>)) {
        let (from, to) = (self.offset(from), self.offset(to.min(self.stream.len())));
        see(damage(&self.segment.path, from, to.saturating_sub(from), what));
    }

    /// Offset in the file of a place in the stream.
    fn offset(&self, at: usize) -> u64 {
        sector::to_file((BODY + at) as u64)
    }
}
