//! Looking at a node's log, term and vote while nobody has them open: everything that is wrong, not only the first thing.
//!
//! [`Log::open`](super::Log::open) stops at the first damage, mends what can be mended and counts the opening. [`inspect`]
//! writes nothing and goes on; what it holds the entries against are the same rules.

use std::path::{Path, PathBuf};

use wal::{Disk, Finding, Position, Readers, SegmentSeen};

use super::codec::decode_entry;
use super::error::Error;
use super::hard_state::{Copy, Facts, read_copies};
use crate::core::entry::{Entry, Payload};
use crate::core::id::{Boot, EntryId, Index};
use crate::core::terms::TermRuns;

/// The directory of the entries, in that of the log.
pub(super) const ENTRIES: &str = "entries";

/// What an inspection comes across, in order.
#[derive(Debug)]
pub enum Seen<'a> {
    /// So many bytes more have been read.
    Read(u64),
    /// An intact copy of the hard state.
    HardState {
        /// Its file.
        path: &'a Path,
        /// How many changes of the hard state came before.
        sequence: u64,
        /// What it says.
        facts: &'a Facts,
    },
    /// A file of entries begins.
    Segment(SegmentSeen<'a>),
    /// An intact entry; those at or before the base are remains that nobody needs.
    Entry(Position, &'a Entry),
    /// Something is wrong, or worth knowing.
    Finding(Finding),
}

/// What a log is, as far as it could be read.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What the newer copy of the hard state says; `None` if neither is intact.
    pub facts: Option<Facts>,
    /// The terms of the entries behind the base; it ends with the last entry, and where entries are missing.
    pub terms: TermRuns,
    /// How many files of entries there are.
    pub segments: usize,
}

/// Goes through the log in `dir`, which nobody may be writing to, and shows everything to `see`. With an `identity`, files of
/// another node are damage. What is shown does not depend on the `readers`.
///
/// # Errors
/// Only if a directory cannot be listed; a file that cannot be read is a finding (rule W9).
pub fn inspect(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<[u64; 2]>,
    readers: &dyn Readers,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<Inspected, Error> {
    let facts = inspect_hard_state(disk, dir, identity, see);
    let base = facts.as_ref().map_or(EntryId::ZERO, |facts| facts.base);
    let mut entries = Entries {
        facts: facts.as_ref(),
        base,
        terms: TermRuns::new(base),
        before: None,
        file: dir.join(ENTRIES),
        is_first: true,
        is_replaced: false,
    };
    let is_there = disk.exists(&dir.join(ENTRIES)).unwrap_or(true);
    let mut segments = 0;
    if is_there {
        let entries_dir = dir.join(ENTRIES);
        segments = wal::inspect(disk, &entries_dir, identity, readers, &mut |seen| entries.take(seen, see))?;
    }
    if segments == 0 {
        let is_new = facts.as_ref().is_some_and(is_unopened);
        see(missing(is_new, &entries.file, "there is no file of entries"));
    }
    entries.finish(dir, see);
    let terms = entries.terms;
    Ok(Inspected { facts, terms, segments })
}

fn inspect_hard_state(
    disk: &dyn Disk,
    dir: &Path,
    identity: Option<[u64; 2]>,
    see: &mut dyn FnMut(Seen<'_>),
) -> Option<Facts> {
    let copies = read_copies(disk, dir);
    // The first opening makes one copy after the other.
    let is_new =
        copies.iter().any(|(_, copy)| matches!(copy, Copy::Intact(found) if is_unopened(&found.facts)));
    let mut intact = Vec::new();
    for (path, copy) in copies {
        match copy {
            Copy::Missing => see(missing(is_new, &path, "a copy of the hard state is missing")),
            Copy::Damaged { bytes } => see(damage(
                &path,
                0,
                bytes,
                "a copy of the hard state does not match its checksum (a power cut while it was written leaves the \
                 same; with the other copy intact nothing is lost, and the next start mends this one)",
            )),
            Copy::Newer { found, known } => {
                let newer = Error::NewerFormat { path: path.clone(), found, known };
                see(damage(&path, 8, 4, newer.to_string()));
            }
            Copy::Intact(found) => {
                if let Some(expected) = identity.filter(|identity| *identity != found.facts.identity) {
                    let found = found.facts.identity;
                    let foreign = Error::Foreign { path: path.clone(), found, expected };
                    see(damage(&path, 28, 16, foreign.to_string()));
                }
                see(Seen::HardState { path: &path, sequence: found.sequence, facts: &found.facts });
                intact.push((path, found));
            }
        }
    }
    if intact.is_empty() {
        let lost = Error::IdentityLost { dir: dir.to_owned() };
        see(damage(dir, 0, 0, lost.to_string()));
    }
    let newest = intact.iter().map(|(_, found)| found.sequence).max()?;
    for (path, found) in intact.iter().filter(|(_, found)| found.sequence != newest) {
        let what = format!("it is of change {}, and the other copy of change {newest}", found.sequence);
        see(Seen::Finding(Finding::note(path, 0, 0, what)));
    }
    intact.into_iter().find(|(_, found)| found.sequence == newest).map(|(_, found)| found.facts)
}

/// Returns whether the first opening of a log was interrupted.
fn is_unopened(facts: &Facts) -> bool {
    facts.boot == Boot(0)
}

/// What is missing is a loss, unless it was never made.
fn missing(is_new: bool, path: &Path, what: &str) -> Seen<'static> {
    let finding = if is_new { Finding::note(path, 0, 0, what) } else { Finding::damage(path, 0, 0, what) };
    Seen::Finding(finding)
}

fn damage(path: &Path, offset: u64, bytes: u64, what: impl Into<String>) -> Seen<'static> {
    Seen::Finding(Finding::damage(path, offset, bytes, what))
}

/// The entries so far.
struct Entries<'a> {
    facts: Option<&'a Facts>,
    base: EntryId,
    terms: TermRuns,
    /// The entry before; `None` behind a gap and at the start.
    before: Option<EntryId>,
    /// The file that is being read.
    file: PathBuf,
    /// Whether no entry behind the base has come yet.
    is_first: bool,
    /// Whether a snapshot has replaced this log, and a crash came before its entries were dropped.
    is_replaced: bool,
}

impl Entries<'_> {
    fn take(&mut self, seen: wal::Seen<'_>, see: &mut dyn FnMut(Seen<'_>)) {
        match seen {
            wal::Seen::Read(bytes) => see(Seen::Read(bytes)),
            wal::Seen::Finding(finding) => see(Seen::Finding(finding)),
            wal::Seen::Gap => self.before = None,
            wal::Seen::Segment(segment) => {
                segment.path.clone_into(&mut self.file);
                see(Seen::Segment(segment));
            }
            wal::Seen::Record(record) => {
                let (position, bytes) = (record.position, record.next.offset - record.position.offset);
                match decode_entry(record.head, record.payload.clone()) {
                    Some(entry) => {
                        self.check(&entry, position, bytes, see);
                        see(Seen::Entry(position, &entry));
                    }
                    None => {
                        let what = Error::Undecodable { index: Index(record.head.number) };
                        see(damage(&self.file, position.offset, bytes, what.to_string()));
                        self.before = None;
                    }
                }
            }
        }
    }

    fn check(&mut self, entry: &Entry, position: Position, bytes: u64, see: &mut dyn FnMut(Seen<'_>)) {
        let id = entry.id();
        let mut wrong = |what: String| see(damage(&self.file, position.offset, bytes, what));
        if let Some(before) = self.before
            && (id.index != before.index.next() || id.term < before.term)
        {
            wrong(format!("entry {id} cannot follow {before}"));
        }
        if let Some(facts) = self.facts
            && id.term > facts.hard_state.term
        {
            wrong(format!(
                "entry {id} is of a later term than the {} of the hard state",
                facts.hard_state.term
            ));
        }
        if let Payload::Membership(change) = &entry.payload
            && change.membership.members().next().is_none()
        {
            wrong(format!("entry {id} leaves the cluster without members"));
        }
        self.before = Some(id);
        if id.index == self.base.index && id.term != self.base.term {
            self.is_replaced = true;
            let what = format!("a snapshot up to {} has replaced this log from here on", self.base);
            see(Seen::Finding(Finding::note(&self.file, position.offset, bytes, what)));
        }
        if id.index <= self.base.index || self.is_replaced {
            return;
        }
        let mut wrong = |what: String| see(damage(&self.file, position.offset, bytes, what));
        if self.is_first && id.index != self.base.index.next() && self.facts.is_some() {
            wrong(format!("the log begins with {id}, and should behind {}", self.base));
        }
        self.is_first = false;
        // Behind missing entries nothing is known by its name.
        let last = self.terms.last();
        if id.index == last.index.next() && id.term >= last.term {
            self.terms.append(id);
        }
    }

    /// Holds what the hard state notes as committed against the log (rule X1).
    fn finish(&self, dir: &Path, see: &mut dyn FnMut(Seen<'_>)) {
        let Some(facts) = self.facts else { return };
        if facts.is_void {
            let what = "the log was thrown away; what is left of its entries goes at the next start";
            see(Seen::Finding(Finding::note(dir, 0, 0, what)));
            return;
        }
        let (commit, last) = (facts.commit, self.terms.last());
        if commit.index < self.base.index {
            return;
        }
        match self.terms.at(commit.index) {
            None => {
                let lost =
                    Error::EntriesLost { dir: dir.join(ENTRIES), last: last.index, needed: commit.index };
                see(damage(&self.file, 0, 0, lost.to_string()));
            }
            Some(term) if term != commit.term && facts.names_commit() => {
                let found = EntryId::new(commit.index, term);
                let what = format!("it holds {found}, and the hard state notes {commit} as committed");
                see(damage(&self.file, 0, 0, what));
            }
            Some(_) => {}
        }
    }
}
