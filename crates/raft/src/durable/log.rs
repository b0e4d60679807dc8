//! The durable log at work: append, sync, read back, release, start over.

use std::path::PathBuf;

use wal::{Pin, Position, Reader, Wal};

use super::codec::{decode_entry, encode_entry};
use super::error::Error;
use super::hard_state::{Facts, HardStateFiles};
use super::places::Places;
use crate::core::entry::{Entry, Payload};
use crate::core::id::{EntryId, Index};
use crate::core::membership::History;
use crate::core::ready::{Fetch, HardState, Persist};
use crate::core::state::Restored;
use crate::core::terms::TermRuns;

/// A node's log, term and vote on a disk.
///
/// The log writer calls [`Log::append`] for each [`Persist`] in order, [`Log::sync`] once for as many as there are,
/// and then acknowledges them to the node and sends what waited for them.
///
/// Invariants: the hard state never forgets a vote; the entries of the wal after the base are consecutive; the base on
/// disk is never ahead of what is released; what is noted as committed is an entry of this very log, and durable in it.
/// The assertions that keep them stand before the write that they guard: after it, a bug would be on the disk.
pub struct Log {
    pub(super) wal: Wal,
    pub(super) files: HardStateFiles,
    /// What the hard state's files say.
    pub(super) facts: Facts,
    pub(super) dir: PathBuf,
    pub(super) terms: TermRuns,
    pub(super) memberships: History,
    pub(super) places: Places,
    /// Durable up to here.
    pub(super) synced: Index,
    /// The last entry of this log that is known to be committed. Raised only when the log holds what it is about.
    pub(super) commit: EntryId,
    /// The entries from here on are about to be cut off, by a piece of work that is not done: nothing may be noted of
    /// them, however long the cut has to wait for space.
    pub(super) void_from: Option<Index>,
    /// The last entries, as recovered; for [`Log::restore`].
    pub(super) tail: Vec<Entry>,
    pub(super) scratch: Vec<u8>,
    pub(super) poisoned: bool,
}

impl Log {
    /// What [`Node::new`](crate::Node::new) needs, given what the state machine's checkpoint contains. To be called
    /// once, before anything is appended.
    ///
    /// # Errors
    /// [`Error::StateBehind`], [`Error::StateAhead`]: log and state do not meet.
    pub fn restore(&mut self, applied: Index) -> Result<Restored, Error> {
        if applied < self.base().index {
            return Err(Error::StateBehind { applied, base: self.base() });
        }
        if applied > self.last().index {
            return Err(Error::StateAhead { applied, last: self.last() });
        }
        if applied > self.commit.index {
            let term = self.terms.at(applied).expect("an entry within the log");
            self.commit = EntryId::new(applied, term);
        }
        Ok(Restored {
            hard_state: self.facts.hard_state,
            incarnation: self.facts.incarnation,
            boot: self.facts.boot,
            terms: self.terms.clone(),
            tail: std::mem::take(&mut self.tail),
            memberships: self.memberships.clone(),
            commit: self.commit.index,
            applied,
            loss: self.facts.loss,
        })
    }

    /// The place before the first entry.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.terms.base()
    }

    /// The last entry, durable or not.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.terms.last()
    }

    /// Returns up to where the entries are durable: all that were found when the log was opened, or as of the last sync.
    #[must_use]
    pub fn synced(&self) -> Index {
        self.synced
    }

    /// The term and vote, durable.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.facts.hard_state
    }

    /// The configurations along the log.
    #[must_use]
    pub fn memberships(&self) -> &History {
        &self.memberships
    }

    /// Returns the length of the longest payload of an entry that the log takes, in bytes: for
    /// [`Limits::entry_bytes_max`](crate::Limits::entry_bytes_max).
    #[must_use]
    pub fn entry_bytes_max(&self) -> usize {
        self.wal.payload_max() as usize
    }

    /// Bytes that the entries' files take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.wal.bytes()
    }

    /// The number of the file that entries are appended to.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.wal.end().segment
    }

    /// Makes the next file of entries ahead of need, so that starting it is cheap and a full disk shows early.
    ///
    /// # Errors
    /// None that is final.
    pub fn prepare_next(&mut self) -> Result<(), Error> {
        Ok(self.wal.prepare_next()?)
    }

    /// Does the same on another thread.
    #[must_use]
    pub fn preparer(&self) -> wal::Preparer {
        self.wal.preparer()
    }

    /// Leaves proof that everything was synced; worth calling when the log falls idle and before it is closed.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn witness(&mut self) -> Result<(), Error> {
        self.sync()?;
        Ok(self.wal.witness()?)
    }

    pub(super) fn check_alive(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Writes a piece of work. Term, vote, loss and truncation are durable when it returns, entries after [`Log::sync`].
    ///
    /// # Errors
    /// A full disk ([`Error::is_no_space`]) leaves the log as it was or with some of the work done; the same piece may
    /// be appended again when there is space. Every other error is final.
    ///
    /// # Panics
    /// If the piece does not follow the one before it, would forget a vote, cuts off what is committed, or calls
    /// committed what the log does not have. Nothing is written then.
    pub fn append(&mut self, persist: &Persist) -> Result<(), Error> {
        self.check_alive()?;
        self.check_piece(persist);
        self.void_from = persist.truncate_from;
        self.write_promises(persist)?;
        if let Some(first) = persist.truncate_from {
            self.truncate_from(self.first_to_cut(first, persist))?;
        }
        self.void_from = None;
        for entry in &persist.entries {
            // Already there if the piece is tried again after a full disk.
            if !self.terms.holds(entry.id()) {
                self.append_entry(entry)?;
            }
        }
        // Not before: until now the log had other entries there, and whatever was written would have been about those.
        self.raise_commit(persist.commit);
        Ok(())
    }

    /// Returns where to cut: behind the entries of the piece that the log holds already, if the piece is tried again after a
    /// full disk. Each cut leaves a file, so a disk that stays full would get fuller with each attempt.
    fn first_to_cut(&self, first: Index, persist: &Persist) -> Index {
        let held = persist.entries.iter().take_while(|entry| self.terms.holds(entry.id()));
        held.last().map_or(first, |entry| first.max(entry.index.next()))
    }

    /// Takes note, in memory, that an entry is committed.
    fn raise_commit(&mut self, commit: EntryId) {
        if commit.index <= self.commit.index {
            return;
        }
        assert!(
            self.terms.holds(commit),
            "{commit} is committed and not in the log, which ends at {}",
            self.last()
        );
        self.commit = commit;
    }

    pub(super) fn append_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let last = self.last();
        assert!(
            entry.index == last.index.next() && entry.term >= last.term,
            "entry {} cannot follow {last}",
            entry.id()
        );
        let (head, payload) = encode_entry(entry, &mut self.scratch);
        let position = self.wal.append(head, &payload)?;
        self.note(entry, position);
        Ok(())
    }

    /// Takes an entry that is in the wal into the directories in memory.
    pub(super) fn note(&mut self, entry: &Entry, position: Position) {
        self.terms.append(entry.id());
        self.places.add(entry.index, position);
        if let Payload::Membership(change) = &entry.payload {
            self.memberships.append(entry.index, change.membership.clone());
        }
    }

    /// Writes term, vote and a loss, if they are not on the disk yet.
    fn write_promises(&mut self, persist: &Persist) -> Result<(), Error> {
        let hard_state = persist.hard_state.unwrap_or(self.facts.hard_state);
        let loss = persist.loss.map_or(self.facts.loss, |loss| Some(loss.and(self.facts.loss)));
        if (hard_state, loss) == (self.facts.hard_state, self.facts.loss) {
            return Ok(());
        }
        self.write_facts(|facts| {
            facts.hard_state = hard_state;
            facts.loss = loss;
        })
    }

    /// Changes the facts on the disk, with what is known to be committed as of now. On a full disk nothing has changed.
    ///
    /// # Panics
    /// If the new facts would not be true, see [`Log::check_facts`]. Nothing is written then.
    pub(super) fn write_facts(&mut self, change: impl FnOnce(&mut Facts)) -> Result<(), Error> {
        self.check_alive()?;
        let mut facts = self.facts.clone();
        facts.commit = self.commit_to_note();
        change(&mut facts);
        self.check_facts(&facts);
        let written = self.files.write(&facts);
        match &written {
            Ok(()) => self.facts = facts,
            Err(error) => self.poisoned |= !error.is_no_space(),
        }
        written
    }

    /// Makes everything appended durable, and says up to where the log is.
    ///
    /// # Errors
    /// A failed sync is final: the process must end (rule W5).
    pub fn sync(&mut self) -> Result<Index, Error> {
        self.check_alive()?;
        self.wal.sync()?;
        self.synced = self.last().index;
        let (commit, last) = (self.commit.index, self.last());
        if self.facts.loss.is_some_and(|loss| loss.is_made_good(commit, last)) {
            match self.write_facts(|facts| facts.loss = None) {
                // Every entry is durable. The next sync tries again; a start before that gives no vote until it catches up.
                Err(error) if error.is_no_space() => {}
                written => written?,
            }
        }
        Ok(self.synced)
    }

    fn truncate_from(&mut self, first: Index) -> Result<(), Error> {
        if first > self.last().index {
            return Ok(());
        }
        let position = self.find(first)?;
        self.wal.truncate_to(position)?;
        self.terms.truncate_from(first);
        self.memberships.truncate_from(first);
        self.places.truncate_from(first);
        // What remains was synced by the truncation.
        self.synced = self.last().index;
        Ok(())
    }

    /// Where an entry's record is.
    fn find(&mut self, index: Index) -> Result<Position, Error> {
        self.wal.flush()?;
        let lost =
            || Error::EntriesLost { dir: self.dir.clone(), last: self.terms.last().index, needed: index };
        let near = self.places.near(index).ok_or_else(lost)?;
        for record in self.wal.reader().scan(near) {
            let record = record?;
            if record.head.number == index.0 {
                return Ok(record.position);
            }
        }
        Err(lost())
    }

    /// Gives up the entries up to `through`, which a durable checkpoint of the state contains; as far as they are
    /// durable here. Files go as a whole, so some entries before it may stay on the disk for a while.
    ///
    /// # Errors
    /// An error of the hard state's files is final, a full disk ([`Error::is_no_space`]) apart; one of the wal's is not:
    /// it may be tried again.
    pub fn release(&mut self, through: Index) -> Result<(), Error> {
        if self.is_being_replaced() {
            // All of it goes.
            return Ok(());
        }
        let through = through.min(self.synced).max(self.base().index);
        if through > self.base().index {
            let term = self.terms.at(through).expect("an entry within the log");
            let base = EntryId::new(through, term);
            let void = self.void_from;
            assert!(void.is_none_or(|first| through < first), "release of {base}, which is being cut off");
            let membership = self.memberships.at(through).as_ref().clone();
            // First the note that they are gone, then their going.
            self.write_facts(|facts| {
                // What a checkpoint contains is committed, whether a piece of work has said so or not.
                if facts.commit.index < through {
                    facts.commit = base;
                }
                facts.base = base;
                facts.membership = membership;
            })?;
            self.raise_commit(base);
            self.terms.compact_to(through);
            self.memberships.compact_to(through);
        }
        let first_kept = if through < self.last().index {
            let kept = self.places.near(through.next());
            kept.expect("every entry after the base has a place").segment
        } else {
            self.wal.end().segment
        };
        self.places.release_before(through.next());
        Ok(self.wal.release_before(first_kept)?)
    }

    /// Returns whether the facts say already that the log begins elsewhere, while its entries wait for space to be dropped.
    fn is_being_replaced(&self) -> bool {
        self.facts.base != self.base()
    }

    /// Prepares to read entries, for a node's [`Fetch`]. The job can run on any thread, beside the writer; until it is
    /// dropped, its entries are not unlinked. `None` if the entries are not here (any more).
    #[must_use]
    pub fn fetch(&self, fetch: &Fetch) -> Option<FetchJob> {
        if fetch.first <= self.base().index || fetch.last > self.last().index {
            return None;
        }
        let near = self.places.near(fetch.first)?;
        let reader = self.wal.reader();
        let pin = reader.pin(near.segment);
        Some(FetchJob { fetch: *fetch, near, reader, _pin: pin })
    }
}

/// Entries to be read.
pub struct FetchJob {
    fetch: Fetch,
    near: Position,
    reader: Reader,
    _pin: Pin,
}

impl FetchJob {
    /// Reads the entries: at least one, then as many as fit into the bytes.
    ///
    /// # Errors
    /// Damage, or an error of the disk. It concerns these entries, not the log's ability to go on.
    pub fn run(&self) -> Result<Vec<Entry>, Error> {
        let Fetch { first, last, bytes_max, .. } = self.fetch;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for record in self.reader.scan(self.near) {
            let record = record?;
            let index = Index(record.head.number);
            if index < first {
                continue;
            }
            if index > last || bytes >= bytes_max {
                break;
            }
            let entry = decode_entry(record.head, record.payload).ok_or(Error::Undecodable { index })?;
            bytes += entry.weight();
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What was asked for, for [`Node::fetched`](crate::Node::fetched).
    #[must_use]
    pub fn fetch(&self) -> &Fetch {
        &self.fetch
    }
}
