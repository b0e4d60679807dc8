//! Opening a log that exists: where does it end, and is what is missing there torn or damaged?
//!
//! A batch of records that was synced ends with a mark, and the next batch is begun only after that sync. So whatever
//! does not check out belongs to a known batch *D*, and
//!
//! * if anything of a later batch is found behind it, *D* was durable: the damage is **corruption**, refused;
//! * else *D* is the last batch, and if its sync never returned, some of its sectors may not have been written. Sectors
//!   that were never written are told from others with certainty (see [`crate::sector`]): when the record that fails
//!   reaches into one, the batch is **torn** and its rest is dropped, as nobody was ever told that it is durable;
//! * and if every sector of the record was written, no torn write explains it: **corruption** again.
//!
//! The end of the log is zeros up to the end of the segment. A length of zero, or a sector of zeros with something
//! behind it, is never taken for the end (W1).

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::Context;
use crate::record::{HEADER_BYTES, Header, PERSISTED, may_start_header};
use crate::sector::{self, ROOM, SECTOR};
use crate::segment::{Segment, segment_id, segment_path};
use crate::{Error, Position};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// There was no log.
    pub created: bool,
    /// A batch that was being written when the process or the machine stopped, and that nobody was told is durable.
    pub torn: Option<TornTail>,
}

/// Where a torn batch was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// First byte in the file that does not count.
    pub offset: u64,
}

/// The log as found.
pub(crate) struct Found {
    pub(crate) segments: VecDeque<Arc<Segment>>,
    pub(crate) end: u64,
    pub(crate) last: u64,
    pub(crate) chain: u32,
    /// Batch that goes on, or begins, at the end.
    pub(crate) batch: u64,
    /// Whether there are records behind the last mark.
    pub(crate) unsynced: bool,
    pub(crate) recovery: Recovery,
}

/// Fewer bytes than this that are not zero cannot be what is left of a record: it has a magic byte and three CRCs.
const RECORD_TRACE_BYTES_MIN: usize = 4;

pub(crate) fn recover(disk: &dyn Disk, dir: &Path, identity: [u64; 2]) -> Result<Found, Error> {
    let all = open_segments(disk, dir, identity)?;
    let Some(newest) = all.last().cloned() else {
        let recovery = Recovery { created: true, torn: None };
        let segments = VecDeque::new();
        return Ok(Found { segments, end: 0, last: 0, chain: 0, batch: 1, unsynced: false, recovery });
    };
    let segments = follow_chain(&all, dir)?;
    // A process that was killed may have left names that are not durable yet; what is written from now on hangs on
    // them.
    disk.sync_dir(dir).context("sync", dir)?;
    for void in all.iter().filter(|segment| !segments.iter().any(|live| live.id() == segment.id())) {
        disk.remove(&void.path).context("remove", &void.path)?;
        disk.sync_dir(dir).context("sync", dir)?;
    }
    let tail = scan(&newest)?;
    let torn = tail
        .damage(&newest)?
        .map(|()| TornTail { path: newest.path.clone(), offset: sector::file_offset(tail.at) });
    newest.set_end(tail.last, tail.at);
    if torn.is_none() {
        rewrite_last_batch(&newest, &tail)?;
    }
    Ok(Found {
        segments,
        end: tail.at,
        last: tail.last,
        chain: tail.chain,
        batch: tail.batch,
        unsynced: !tail.closed,
        recovery: Recovery { created: false, torn },
    })
}

fn open_segments(disk: &dyn Disk, dir: &Path, identity: [u64; 2]) -> Result<Vec<Arc<Segment>>, Error> {
    let mut paths = disk.list(dir).context("list", dir)?;
    paths.retain(|path| segment_id(path).is_some());
    paths.sort();
    paths.into_iter().map(|path| Segment::open(disk, path, identity).map(Arc::new)).collect()
}

/// The segments that count, oldest first: the newest, the one that it names as its predecessor, and so on.
fn follow_chain(all: &[Arc<Segment>], dir: &Path) -> Result<VecDeque<Arc<Segment>>, Error> {
    let mut live = VecDeque::from_iter(all.last().cloned());
    while let Some(previous) = live.front().and_then(|segment| segment.header.previous) {
        let Some(segment) = all.iter().find(|segment| segment.id() == previous.segment) else {
            if all.iter().any(|segment| segment.id() < previous.segment) {
                let path = segment_path(dir, previous.segment);
                return Err(Error::Corrupt { path, offset: 0, what: "the segment is missing" });
            }
            // Released.
            break;
        };
        if previous.end > segment.capacity {
            return Err(segment.corrupt(segment.capacity, "the segment is shorter than its successor says"));
        }
        segment.set_end(previous.last, previous.end);
        live.push_front(segment.clone());
    }
    Ok(live)
}

/// How far the newest segment checks out.
struct Tail {
    at: u64,
    last: u64,
    chain: u32,
    batch: u64,
    /// The last record is the mark that ends a batch.
    closed: bool,
    /// Where the last batch starts.
    batch_start: u64,
    /// The header at `at`, if there is a sound one.
    header: Option<Header>,
}

fn scan(segment: &Segment) -> Result<Tail, Error> {
    let header = &segment.header;
    let mut tail = Tail {
        at: 0,
        last: 0,
        chain: header.chain,
        batch: header.batch,
        closed: true,
        batch_start: 0,
        header: None,
    };
    loop {
        let at = Position { segment: segment.id(), offset: tail.at };
        tail.header = segment.header_at(tail.at)?;
        let Some(header) = tail.header else { return Ok(tail) };
        let next = header.next(at).offset;
        if header.chain != tail.chain || header.batch != tail.batch || next > segment.capacity {
            return Ok(tail);
        }
        let mut payload = vec![0; header.len as usize];
        let stamped = segment.read(tail.at + HEADER_BYTES as u64, &mut payload)?;
        if !stamped || !header.matches(&payload) {
            return Ok(tail);
        }
        tail.advance(&header, next);
    }
}

impl Tail {
    fn advance(&mut self, header: &Header, next: u64) {
        if self.closed {
            self.batch_start = self.at;
        }
        self.closed = header.head.kind == PERSISTED;
        if self.closed {
            self.batch += 1;
        } else {
            self.last = self.at;
        }
        self.chain = header.check;
        self.at = next;
    }

    /// What follows the sound part: nothing, or the rest of a torn batch (`Some`), or corruption (`Err`).
    fn damage(&self, segment: &Segment) -> Result<Option<()>, Error> {
        let rest = Rest::load(segment, self.at)?;
        let trace = rest.bytes_not_zero();
        if trace == 0 {
            return Ok(None);
        }
        if let Some(later) = rest.find_header(segment, |header| header.batch > self.batch) {
            let what = if self.header.is_some() {
                "a record that was durable does not match its checksum"
            } else {
                "there is no record, but later ones behind"
            };
            debug_assert!(later > self.at);
            return Err(segment.corrupt(self.at, what));
        }
        if trace < RECORD_TRACE_BYTES_MIN || rest.is_torn(self.header.as_ref(), segment) {
            return Ok(Some(()));
        }
        Err(segment.corrupt(self.at, "a record was written in full and does not match its checksum"))
    }
}

/// Everything in a segment behind its sound part.
struct Rest {
    /// First byte of the stream that is not sound.
    at: u64,
    /// The sectors from the one that holds `at` up to the last that is not zero.
    sectors: Vec<u8>,
}

impl Rest {
    fn load(segment: &Segment, at: u64) -> Result<Self, Error> {
        const CHUNK: u64 = 1 << 20;
        let start = sector::sector_start(at);
        let len = segment.file.len().context("look at", &segment.path)?;
        let len = len / SECTOR as u64 * SECTOR as u64;
        let mut sectors = Vec::new();
        let mut used = 0;
        let mut offset = start;
        while offset < len {
            let mut chunk = vec![0; (len - offset).min(CHUNK) as usize];
            segment.file.read_at(offset, &mut chunk).context("read", &segment.path)?;
            offset += chunk.len() as u64;
            if sector::is_untouched(&chunk) {
                // Zeros are only kept when something comes behind them.
                continue;
            }
            sectors.resize((offset - start) as usize - chunk.len(), 0);
            sectors.extend_from_slice(&chunk);
            used = sectors.len();
        }
        while used > 0 && sector::is_untouched(&sectors[used - SECTOR..used]) {
            used -= SECTOR;
        }
        sectors.truncate(used);
        Ok(Self { at, sectors })
    }

    fn skip(&self) -> usize {
        (self.at % ROOM as u64) as usize
    }

    fn bytes_not_zero(&self) -> usize {
        let behind = self.sectors.iter().skip(1 + self.skip());
        behind.filter(|byte| **byte != 0).count()
    }

    /// Where in the stream a sound header starts that `wanted` accepts.
    fn find_header(&self, segment: &Segment, wanted: impl Fn(&Header) -> bool) -> Option<u64> {
        let len = (self.sectors.len() / SECTOR * ROOM).checked_sub(self.skip())?;
        let mut stream = vec![0; len];
        sector::lift(&self.sectors, self.skip(), &mut stream);
        let candidates = stream.windows(HEADER_BYTES).enumerate().skip(1);
        candidates.filter(|(_, window)| may_start_header(window[0])).find_map(|(place, window)| {
            let offset = self.at + place as u64;
            let bytes = window.try_into().expect("a window has the header's length");
            let header = Header::decode(bytes, Position { segment: segment.id(), offset })?;
            wanted(&header).then_some(offset)
        })
    }

    /// Whether sectors that were never written explain why the record at `at` does not check out.
    fn is_torn(&self, header: Option<&Header>, segment: &Segment) -> bool {
        let first = &self.sectors[..SECTOR];
        if sector::is_untouched(&first[1 + self.skip()..]) {
            // The sector is as it was before this batch.
            return true;
        }
        let position = Position { segment: segment.id(), offset: self.at };
        let len = header.map_or(HEADER_BYTES, |header| (header.next(position).offset - self.at) as usize);
        let covered = sector::span(self.at, len) / SECTOR;
        let written = self.sectors.len() / SECTOR;
        // What is behind the last sector that is not zero was not written either.
        covered > written || self.sectors.chunks(SECTOR).take(covered).any(sector::is_untouched)
    }
}

/// Writes the last batch once more and syncs it. What was read may be in the page cache only: if its sync failed and
/// the process was restarted, the kernel may take the pages for clean and never write them (W5).
fn rewrite_last_batch(segment: &Segment, tail: &Tail) -> Result<(), Error> {
    let start = tail.batch_start / ROOM as u64 * ROOM as u64;
    let mut content = vec![0; (tail.at - start) as usize];
    if content.is_empty() {
        return Ok(());
    }
    segment.read(start, &mut content)?;
    let mut sectors = Vec::new();
    sector::lay(&mut sectors, &content);
    sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
    segment.file.write_at(sector::sector_start(start), &sectors).context("write", &segment.path)?;
    segment.file.sync_data().context("sync", &segment.path)
}
