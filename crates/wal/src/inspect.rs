//! Looking at a log that nobody has open: everything that is wrong with it, not only the first thing.
//!
//! [`Wal::open`](crate::Wal::open) stops at the first damage, reads sealed segments only when somebody asks for them, and
//! puts right what a crash left. [`inspect`] writes nothing, reads every segment from its first to its last sector, and
//! goes on behind damage: with the next record, if the damaged one says credibly how long it is, else at the next place
//! where a record's header is intact. What it says of the newest segment is what recovery would find there.
//!
//! It holds one segment in memory at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::Context;
use crate::limits::RECOVERY_BYTES;
use crate::record::{Found, Record, find, header_at, next_header};
use crate::sector::{self, BODY, SECTOR, Stamper, State};
use crate::segment::{FIRST, Predecessor, SegmentHeader, segment_id};
use crate::tail::examine;
use crate::{Error, Position};

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing: what a crash leaves, or bits that flipped where nothing is. The next opening puts it right.
    Note,
    /// Something that was durable is damaged, or does not belong where it is.
    Damage,
}

/// Something found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, or the directory in which something is missing.
    pub path: PathBuf,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// How many bytes from there on are in doubt; 0 if that cannot be said.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// Returns a damage of so many bytes.
    pub fn damage(path: &Path, offset: u64, bytes: u64, what: impl Into<String>) -> Self {
        Self { severity: Severity::Damage, path: path.to_owned(), offset, bytes, what: what.into() }
    }

    /// Returns a note about so many bytes.
    pub fn note(path: &Path, offset: u64, bytes: u64, what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::damage(path, offset, bytes, what) }
    }
}

/// What an inspection comes across, in the order of the log.
#[derive(Debug)]
pub enum Seen<'a> {
    /// So many bytes more have been read.
    Read(u64),
    /// A segment begins.
    Segment(SegmentSeen<'a>),
    /// An intact record.
    Record(&'a Record),
    /// Records are missing here: the next one need not follow the one before.
    Gap,
    /// Something is wrong, or worth knowing.
    Finding(Finding),
}

/// A segment of the log under inspection.
#[derive(Debug, Clone, Copy)]
pub struct SegmentSeen<'a> {
    /// Its number.
    pub id: u64,
    /// Its file.
    pub path: &'a Path,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Whose log its header says it is.
    pub identity: [u64; 2],
    /// Whether a later segment exists.
    pub is_sealed: bool,
}

/// Goes through the log in `dir`, which nobody may be writing to, and shows everything to `see`. With an `identity`, the
/// segments of another are damage. Returns how many segments the log has.
///
/// # Errors
/// Only if the directory cannot be listed; a file that cannot be read is a finding (W9).
pub fn inspect(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<[u64; 2]>,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<usize, Error> {
    let files = list(disk, dir, see)?;
    let mut found = BTreeMap::new();
    for (id, path) in files {
        found.insert(id, open(disk, path, identity, see));
    }
    let live = live(found, see);
    let mut state = Walk { chain: None };
    for (place, segment) in live.iter().enumerate() {
        let seal = Seal::of(live.get(place + 1), segment);
        walk_segment(segment, &seal, &mut state, see);
    }
    Ok(live.len())
}

fn list(disk: &dyn Disk, dir: &Path, see: &mut dyn FnMut(Seen<'_>)) -> Result<BTreeMap<u64, PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for path in disk.list(dir).context("list", dir)? {
        if let Some(id) = segment_id(&path) {
            files.insert(id, path);
        } else if path.extension().is_none_or(|extension| extension != "tmp") {
            // One of these is a segment that has no name yet, made ahead: it means nothing.
            see(note(&path, 0, "not a file of the log"));
        }
    }
    Ok(files)
}

fn note(path: &Path, offset: u64, what: &str) -> Seen<'static> {
    Seen::Finding(Finding::note(path, offset, 0, what))
}

fn damage(path: &Path, offset: u64, bytes: u64, what: impl Into<String>) -> Seen<'static> {
    Seen::Finding(Finding::damage(path, offset, bytes, what))
}

/// A segment's file.
struct Opened {
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    file_bytes: u64,
    /// `None` if it is damaged.
    header: Option<SegmentHeader>,
}

fn open(disk: &dyn Disk, path: PathBuf, identity: Option<[u64; 2]>, see: &mut dyn FnMut(Seen<'_>)) -> Opened {
    let mut opened = Opened { path, file: None, file_bytes: 0, header: None };
    match read_header(disk, &mut opened) {
        Ok(header) => {
            if let Some(expected) = identity.filter(|identity| *identity != header.identity) {
                let foreign =
                    Error::ForeignLog { path: opened.path.clone(), found: header.identity, expected };
                see(damage(&opened.path, 16, 16, foreign.to_string()));
            }
            opened.header = Some(header);
        }
        Err(Error::Corrupt { offset, what, .. }) => {
            see(damage(&opened.path, offset, SECTOR as u64, what));
        }
        Err(error) => see(damage(&opened.path, 0, SECTOR as u64, error.to_string())),
    }
    opened
}

fn read_header(disk: &dyn Disk, opened: &mut Opened) -> Result<SegmentHeader, Error> {
    let file = disk.open(&opened.path).context("open", &opened.path)?;
    opened.file_bytes = file.len().context("look at", &opened.path)?;
    let file = opened.file.insert(file);
    if opened.file_bytes < SECTOR as u64 {
        return Err(Error::corrupt(&opened.path, 0, "the segment is shorter than its header"));
    }
    let mut bytes = [0; SECTOR];
    file.read_at(0, &mut bytes).context("read", &opened.path)?;
    SegmentHeader::decode(&bytes, &opened.path)
}

/// Takes the segments that count, oldest first, and says which are void or missing. Behind a header that cannot be read
/// the segment before is taken for its predecessor.
fn live(mut found: BTreeMap<u64, Opened>, see: &mut dyn FnMut(Seen<'_>)) -> Vec<Opened> {
    let mut live: Vec<Opened> = Vec::new();
    let mut next = found.keys().next_back().copied();
    while let Some(id) = next {
        let Some(segment) = found.remove(&id) else {
            if found.range(..id).next().is_some()
                && let Some(later) = live.last()
            {
                see(damage(&later.path, 0, 0, format!("the segment before it, {id:016x}, is missing")));
                next = found.range(..id).next_back().map(|(id, _)| *id);
                continue;
            }
            break;
        };
        next = match &segment.header {
            Some(header) => header.predecessor.map(|predecessor| predecessor.segment),
            None => found.range(..id).next_back().map(|(id, _)| *id),
        };
        live.push(segment);
    }
    for void in found.values() {
        see(note(&void.path, 0, "a segment that a later one has cut off"));
    }
    live.reverse();
    live
}

/// What is known of the end of a segment.
enum Seal {
    /// It is the newest.
    Open,
    /// Its successor says where it ends.
    At { end: u64, last: Option<u64>, chain: u32, successor: PathBuf },
    /// Its successor's header is damaged, or names another.
    Unknown,
}

impl Seal {
    fn of(successor: Option<&Opened>, segment: &Opened) -> Self {
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

/// What goes on from one segment to the next.
struct Walk {
    /// Header CRC of the last record; `None` behind a gap.
    chain: Option<u32>,
}

fn walk_segment(segment: &Opened, seal: &Seal, state: &mut Walk, see: &mut dyn FnMut(Seen<'_>)) {
    let Some(header) = &segment.header else {
        // Without it stamps cannot be checked, nor can the records be believed to belong here.
        see(Seen::Gap);
        state.chain = None;
        return;
    };
    see(Seen::Segment(SegmentSeen {
        id: header.id,
        path: &segment.path,
        file_bytes: segment.file_bytes,
        identity: header.identity,
        is_sealed: !matches!(seal, Seal::Open),
    }));
    if state.chain.is_some_and(|chain| chain != header.chain) && header.predecessor.is_some() {
        see(damage(&segment.path, 0, SECTOR as u64, "the segment does not follow the one before it"));
    }
    let stamper = Stamper::new(header.identity, header.id);
    let content = read(segment, see);
    let sectors = check_sectors(segment, header, seal, &content, &stamper, see);
    let used = (sectors * SECTOR).min(content.len());
    let mut stream = Vec::new();
    sector::strip_stamps(&content[SECTOR.min(used)..used], &mut stream);
    drop(content);
    let records = Records { segment, id: header.id, seal, stream: stream.into() };
    state.chain = records.walk(header.chain, see);
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
