//! Looking at a log that nobody has open: everything that is wrong with it, not only the first thing.
//!
//! [`Wal::open`](crate::Wal::open) stops at the first damage, reads sealed segments only when somebody asks for them, and
//! puts right what a crash left. [`inspect`] writes nothing, reads every segment from its first to its last sector, and
//! goes on behind damage: with the next record, if the damaged one says credibly how long it is, else at the next place
//! where a record's header is intact. What it says of the newest segment is what recovery would find there.
//!
//! Each reader holds one segment in memory at a time.

mod part;
mod segment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::part::Joint;
pub use self::part::{Batch, InTurn, Part, Readers};
use self::segment::Opened;
use crate::Error;
use crate::disk::Disk;
use crate::error::Context;
use crate::record::Record;
use crate::sector::SECTOR;
use crate::segment::{SegmentHeader, segment_id};

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
/// segments of another are damage. What is shown does not depend on the `readers`. Returns how many segments the log has.
///
/// # Errors
/// Only if the directory cannot be listed; a file that cannot be read is a finding (W9).
pub fn inspect(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<[u64; 2]>,
    readers: &dyn Readers,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<usize, Error> {
    let files = list(disk, dir, see)?;
    let mut found = BTreeMap::new();
    for (id, path) in files {
        found.insert(id, open(disk, path, identity, see));
    }
    let live = live(found, see);
    let mut joint = Joint::default();
    readers.read(&Part::of(&live), &mut |batch| joint.show(batch, see));
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
