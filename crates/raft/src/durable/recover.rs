//! Opening: what does the disk say this node promised, and which entries does it hold?

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use wal::{Disk, Wal};

use super::codec::decode_entry;
use super::error::Error;
use super::hard_state::{Facts, Found, HardStateFiles};
use super::inspect::ENTRIES;
use super::log::Log;
use super::places::Places;
use crate::core::entry::Entry;
use crate::core::id::{Boot, EntryId, Incarnation, Index};
use crate::core::membership::{History, Membership};
use crate::core::ready::HardState;
use crate::core::terms::TermRuns;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cluster and member: a directory of others is refused.
    pub identity: [u64; 2],
    /// Length of a file of entries, in bytes.
    pub segment_bytes: u64,
    /// Bytes of the last entries that recovery keeps in memory for the node.
    pub tail_bytes_max: usize,
    /// For a new log: the configuration that the cluster starts with, the same on every founding member; an empty one for
    /// a member that joins a running cluster. That one knows nothing: it never campaigns, and takes entries from the first
    /// one on, or a snapshot; either tells it who the members are.
    pub membership: Membership,
    /// For a new log: which life of this member it is, higher than those before (rule M2).
    pub incarnation: Incarnation,
}

/// An opened log.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// Whether it was made just now.
    pub created: bool,
    /// What was found at the end of its entries.
    pub recovery: wal::Recovery,
}

impl Log {
    /// Returns whether there is a log in `dir`, whole or damaged. Other files that happen to be there are none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
        Ok(HardStateFiles::exist(disk, dir)? || has_entries(disk, &dir.join(ENTRIES))?)
    }

    /// Opens the log in `dir`, or makes one. Everything it then shows is durable.
    ///
    /// # Errors
    /// Anything but success means that the node must not start. See [`Error`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Opened, Error> {
        let io = |op, source| Error::Io { path: dir.to_owned(), op, source };
        disk.create_dir_all(dir).map_err(|source| io("create", source))?;
        let entries_dir = dir.join(ENTRIES);
        let (mut files, found) = HardStateFiles::open(disk.clone(), dir, options.identity)?;
        let created = found.is_none();
        let names_commit = found.as_ref().is_none_or(Found::names_commit);
        let facts = match found {
            Some(found) => found.facts,
            None => create(&*disk, dir, &entries_dir, &mut files, &options, Start::default())?,
        };
        let wal_options = wal::Options { segment_bytes: options.segment_bytes, identity: options.identity };
        let (wal, recovery) = Wal::open(disk, &entries_dir, wal_options)?;
        if recovery.created && facts.boot > Boot(0) {
            let needed = facts.commit.index.max(Index(1));
            return Err(Error::EntriesLost { dir: entries_dir, last: Index::ZERO, needed });
        }
        let mut log = Log {
            wal,
            files,
            dir: entries_dir,
            terms: TermRuns::new(facts.base),
            memberships: History::new(facts.base.index, facts.membership.clone()),
            places: Places::default(),
            synced: facts.base.index,
            commit: facts.base,
            void_from: None,
            tail: Vec::new(),
            scratch: Vec::new(),
            poisoned: false,
            facts,
        };
        if log.facts.is_void {
            log.empty()?;
            log.write_facts(|facts| facts.is_void = false)?;
        } else {
            log.read_entries(options.tail_bytes_max)?;
            log.check_commit(names_commit)?;
        }
        log.write_facts(|facts| facts.boot = Boot(facts.boot.0 + 1))?;
        Ok(Opened { log, created, recovery })
    }

    /// Makes a new log that begins behind an entry which nobody has, and which all the members of the options' configuration
    /// count as committed: for members whose state was restored from somewhere else. They all must begin behind the same one.
    /// It is durable, and opened as any other.
    ///
    /// # Errors
    /// [`Error::IdentityLost`] if there are entries already, and those of the disk.
    ///
    /// # Panics
    /// If there is a log already, or the configuration is empty.
    pub fn begin_behind(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        options: &Options,
        base: EntryId,
    ) -> Result<(), Error> {
        assert!(options.membership != Membership::default(), "nobody would vote");
        let io = |op, source| Error::Io { path: dir.to_owned(), op, source };
        disk.create_dir_all(dir).map_err(|source| io("create", source))?;
        let (mut files, found) = HardStateFiles::open(disk.clone(), dir, options.identity)?;
        assert!(found.is_none(), "there is a log in {} already", dir.display());
        let hard_state = HardState { term: base.term, vote: None };
        create(&**disk, dir, &dir.join(ENTRIES), &mut files, options, Start { hard_state, base })?;
        Ok(())
    }

    fn read_entries(&mut self, tail_bytes_max: usize) -> Result<(), Error> {
        let base = self.base();
        let mut tail = Tail { entries: VecDeque::new(), bytes: 0, bytes_max: tail_bytes_max };
        let mut last_seen = None;
        for record in self.wal.reader().scan_all() {
            let record = record?;
            let (index, position) = (Index(record.head.number), record.position);
            let entry = decode_entry(record.head, record.payload).ok_or(Error::Undecodable { index })?;
            last_seen = Some(entry.id());
            if index < base.index {
                continue;
            }
            if index == base.index {
                if entry.term != base.term {
                    break; // Replaced by a snapshot: see below.
                }
                continue;
            }
            let before = self.last();
            if index != before.index.next() || entry.term < before.term {
                return Err(Error::OutOfOrder { dir: self.dir.clone(), found: entry.id(), before });
            }
            self.note(&entry, position);
            tail.push(entry);
        }
        if last_seen.is_some_and(|seen| is_replaced(seen, base)) {
            // A crash came between noting a snapshot as the new base and dropping the log that it replaced.
            self.empty()?;
        } else {
            self.tail = tail.entries.into();
            self.synced = self.last().index;
        }
        Ok(())
    }

    /// Holds what the hard state notes as committed against the log (rule X1): the entry must be there, and it must be
    /// this one. What format 1 noted by an index alone is taken for the entry that the log has there.
    fn check_commit(&mut self, is_named: bool) -> Result<(), Error> {
        let noted = self.facts.commit;
        if noted.index < self.base().index {
            return Ok(());
        }
        let Some(term) = self.terms.at(noted.index) else {
            let (last, needed) = (self.synced, noted.index);
            return Err(Error::EntriesLost { dir: self.dir.clone(), last, needed });
        };
        let found = EntryId::new(noted.index, term);
        if is_named && found != noted {
            let (path, dir) = (self.files.path().to_owned(), self.dir.clone());
            return Err(Error::CommitContradicted { path, dir, committed: noted, found });
        }
        self.facts.commit = found;
        self.commit = found;
        Ok(())
    }
}

/// Whether a log that reached `seen` is one that a snapshot ending at `base` replaced: it ends before the snapshot, or
/// contradicts it. A log whose prefix was merely released reaches its base.
fn is_replaced(seen: EntryId, base: EntryId) -> bool {
    seen.index < base.index || (seen.index == base.index && seen.term != base.term)
}

fn has_entries(disk: &dyn Disk, entries_dir: &Path) -> Result<bool, Error> {
    let io = |source| Error::Io { path: entries_dir.to_owned(), op: "look for", source };
    Ok(disk.exists(entries_dir).map_err(io)? && !disk.list(entries_dir).map_err(io)?.is_empty())
}

/// What a new log begins with.
#[derive(Default)]
struct Start {
    hard_state: HardState,
    base: EntryId,
}

/// A new log: the hard state first, so that entries without one are always a loss.
fn create(
    disk: &dyn Disk,
    dir: &Path,
    entries_dir: &Path,
    files: &mut HardStateFiles,
    options: &Options,
    start: Start,
) -> Result<Facts, Error> {
    if has_entries(disk, entries_dir)? {
        return Err(Error::IdentityLost { dir: dir.to_owned() });
    }
    let facts = Facts {
        identity: options.identity,
        incarnation: options.incarnation,
        boot: Boot(0),
        hard_state: start.hard_state,
        commit: start.base,
        base: start.base,
        membership: options.membership.clone(),
        expected: None,
        loss: None,
        is_void: false,
    };
    files.create(&facts)?;
    Ok(facts)
}

/// The last entries, up to a budget.
struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    fn push(&mut self, entry: Entry) {
        self.bytes += entry.weight();
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.weight();
        }
    }
}
