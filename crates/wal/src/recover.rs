//! Opening a log: which segments count, what the newest one holds, and what is put right before anybody writes.
//!
//! Every step leaves a log that the same steps read the same way, so a crash in the middle of recovery is a crash like
//! any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::disk::DiskFile;
use crate::error::Context;
use crate::limits::{READ_BYTES, RECOVERY_BYTES};
use crate::open_files::OpenFiles;
use crate::record::{Found, Head, find};
use crate::sector::{self, SECTOR};
use crate::segment::{FIRST, Segment, segment_id};
use crate::tail::{Damage, Tail, examine};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// There was no log.
    pub created: bool,
    /// A batch that was being written when the process or the machine stopped, and that no sync had acknowledged.
    pub torn: Option<TornTail>,
    /// Sectors in never used space that were not zero, and are again: bits flipped where nothing was.
    pub stray_sectors: usize,
}

/// Where a torn batch was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub path: PathBuf,
    /// First byte in the file that does not count.
    pub offset: u64,
    /// Bytes from there to the last sector that was written.
    pub bytes: u64,
}

/// The log as found, with nothing left in doubt.
pub(crate) struct Recovered {
    /// Oldest first, never empty.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// First free sector of the newest segment.
    pub(crate) end: u32,
    pub(crate) chain: u32,
    pub(crate) recovery: Recovery,
}

/// Reads the log in `dir`; `None` if there is none.
pub(crate) fn recover(
    open_files: &Arc<OpenFiles>,
    dir: &Path,
    identity: [u64; 2],
) -> Result<Option<Recovered>, Error> {
    let disk = open_files.disk();
    let mut files = BTreeMap::new();
    for path in disk.list(dir).context("list", dir)? {
        if path.extension().is_some_and(|extension| extension == "tmp") {
            // A segment that never got its name; nothing in it was acknowledged.
            disk.remove(&path).context("remove", &path)?;
        } else if let Some(id) = segment_id(&path) {
            files.insert(id, path);
        }
    }
    // The last rename may be known to the page cache alone.
    disk.sync_dir(dir).context("sync", dir)?;
    let segments = live_segments(open_files, &mut files, identity)?;
    for path in files.into_values() {
        disk.remove(&path).context("remove", &path)?;
        disk.sync_dir(dir).context("sync", dir)?;
    }
    let Some(newest) = segments.last().cloned() else { return Ok(None) };
    let (tail, stray_sectors) = settle(&newest)?;
    let torn = tail.torn.map(|(offset, bytes)| TornTail { path: newest.path.clone(), offset, bytes });
    let recovery = Recovery { created: false, torn, stray_sectors };
    Ok(Some(Recovered { segments, end: tail.end, chain: tail.chain, recovery }))
}

/// Takes the segments that count out of `files`, and leaves those that are void: cut off by a later one.
fn live_segments(
    open_files: &Arc<OpenFiles>,
    files: &mut BTreeMap<u64, PathBuf>,
    identity: [u64; 2],
) -> Result<Vec<Arc<Segment>>, Error> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut next = files.keys().next_back().copied();
    while let Some(id) = next {
        let Some(path) = files.remove(&id) else {
            return missing(&segments, files, id).map_or(Ok(()), Err).map(|()| oldest_first(segments));
        };
        let segment = Segment::open(open_files, path, identity)?;
        if let Some(predecessor) = segments.last().and_then(|later| later.header.predecessor) {
            seal(&segment, predecessor.end, predecessor.last)?;
        }
        next = segment.header.predecessor.map(|predecessor| predecessor.segment);
        segments.push(Arc::new(segment));
    }
    // The first segment of all: nothing is older than that.
    Ok(oldest_first(segments))
}

fn oldest_first(mut segments: Vec<Arc<Segment>>) -> Vec<Arc<Segment>> {
    segments.reverse();
    segments
}

/// A predecessor that is not there was released, unless something older is: segments are released oldest first.
fn missing(segments: &[Arc<Segment>], files: &BTreeMap<u64, PathBuf>, id: u64) -> Option<Error> {
    let older = files.range(..id).next()?;
    let _ = older;
    let successor = segments.last()?;
    Some(successor.corrupt(0, "the segment before this one is missing"))
}

/// Checks what can be checked of a sealed segment without reading all of it, and publishes its end.
fn seal(segment: &Segment, end: u64, last: Option<u64>) -> Result<(), Error> {
    let length = segment.file_bytes();
    if length < end.next_multiple_of(SECTOR as u64) {
        return Err(segment.corrupt(length, "the file ends before the segment does"));
    }
    segment.set_end(end, last);
    if length == segment.header.length {
        segment.mark_sealed();
    }
    if end > FIRST {
        segment.set_first(Some(first_head(segment)?));
    }
    Ok(())
}

/// Reads the head of the first record, and checks that it follows the segment before.
fn first_head(segment: &Segment) -> Result<Head, Error> {
    let mut bytes = READ_BYTES;
    loop {
        let window = segment.load(FIRST, FIRST + bytes, 0, segment.end())?;
        match find(&window.stream, 0) {
            Found::Record { header, .. } if header.chain == segment.header.chain => return Ok(header.head),
            Found::Record { .. } => {
                return Err(segment.corrupt(FIRST, "a record does not follow the one before it"));
            }
            Found::Short { needs } if FIRST + bytes < segment.end() => {
                bytes = sector::to_file(needs as u64) + SECTOR as u64;
            }
            Found::Damaged(what) => return Err(segment.corrupt(FIRST, what)),
            Found::Short { .. } | Found::Padding { .. } => {
                return Err(segment.corrupt(FIRST, "a sealed segment does not begin with a record"));
            }
        }
    }
}

/// Finds the end of the newest segment and writes everything again that the last sync may not have reached.
fn settle(segment: &Segment) -> Result<(Tail, usize), Error> {
    let length = segment.header.length;
    let actual = segment.file_bytes();
    if actual != length {
        let what =
            "the file has not the length that it was made with: it was cut, or later segments are missing";
        return Err(segment.corrupt(actual.min(length), what));
    }
    segment.keep_open()?;
    let file = segment.file().context("open", &segment.path)?;
    let content = read_used(&*file, &segment.path, length)?;
    let sectors = sector::sector_of(length);
    let examined = examine(&content, sectors, &segment.stamper, segment.header.chain);
    let tail = examined.map_err(|Damage { offset, what }| segment.corrupt(offset, what))?;
    for writes in [tail.erasures(), tail.rewrites(&content)] {
        for (offset, bytes) in &writes {
            file.write_at(*offset, bytes).context("write", &segment.path)?;
        }
        if !writes.is_empty() {
            file.sync_data().context("sync", &segment.path)?;
        }
    }
    segment.set_end(u64::from(tail.end) * SECTOR as u64, tail.last);
    segment.set_first(tail.first);
    let stray = tail.stray.len();
    Ok((tail, stray))
}

/// The bytes of a segment up to the last one that is not zero, in whole sectors.
fn read_used(file: &dyn DiskFile, path: &Path, length: u64) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let mut zeros = 0;
    let mut offset = 0;
    while offset < length {
        let mut chunk = vec![0; (length - offset).min(RECOVERY_BYTES) as usize];
        file.read_at(offset, &mut chunk).context("read", path)?;
        offset += chunk.len() as u64;
        let used = chunk.chunks_exact(SECTOR).rposition(|sector| !sector::is_zero(sector));
        let used = used.map_or(0, |last| (last + 1) * SECTOR);
        if used > 0 {
            content.resize(content.len() + zeros, 0);
            content.extend_from_slice(&chunk[..used]);
            zeros = 0;
        }
        zeros += chunk.len() - used;
    }
    Ok(content)
}
