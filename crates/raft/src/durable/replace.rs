//! Starting over: behind a snapshot, with nothing, or alone.
//!
//! Each of these replaces what the log said. They are rare and offline (the node is dropped before, and made anew from
//! [`Log::restore_at`] after), except for the first, which happens while the node waits for
//! [`Node::installed`](crate::Node::installed). Each is whole or not at all after a crash: first the hard state's files say
//! what is to be, then the entries follow, and the next opening finishes what was begun.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::log::Log;
use super::places::Places;
use crate::core::entry::{Entry, MembershipEntry, Payload};
use crate::core::id::{Boot, EntryId, Incarnation, NodeId};
use crate::core::loss::Loss;
use crate::core::membership::{History, Membership};
use crate::core::message::SnapshotMeta;
use crate::core::ready::HardState;
use crate::core::state::Restored;
use crate::core::terms::TermRuns;

impl Log {
    /// What [`Node::new`](crate::Node::new) needs, given the last entry that the state machine's checkpoint contains: the one
    /// call for a shell that starts. If a crash came after a snapshot had replaced the state and before it replaced the log,
    /// the log is replaced now.
    ///
    /// `applied` must be durable, or the log may be replaced for a state that is gone after the next crash: a process that was
    /// killed leaves files and names that the next one sees although they are not on the disk yet. Whoever opens the state
    /// syncs what it finds.
    ///
    /// To be called once after opening, and again after [`Log::forget_entries`] or [`Log::force_new_cluster`].
    ///
    /// # Errors
    /// [`Error::StateForgotten`]: the state is to be thrown away, as the log was. [`Error::StateBehind`],
    /// [`Error::StateAhead`], [`Error::StateContradicts`]: log and state do not meet, and no snapshot that was announced
    /// explains it.
    pub fn restore_at(&mut self, applied: EntryId) -> Result<Restored, Error> {
        let found = self.terms.at(applied.index);
        if found == Some(applied.term) {
            return self.restore(applied.index);
        }
        let commit = self.commit.index;
        let expected = self.facts.expected.clone();
        // A snapshot at or before what the log has as committed was installed by nobody.
        if let Some(snapshot) = expected.filter(|one| one.last == applied && applied.index > commit) {
            self.reset_to(&snapshot)?;
        } else if let Some(term) = found {
            let found = EntryId::new(applied.index, term);
            return Err(Error::StateContradicts { applied, found });
        } else if self.was_thrown_away() && applied.index > self.last().index {
            return Err(Error::StateForgotten { applied });
        }
        self.restore(applied.index)
    }

    /// Returns whether the log was thrown away and nothing has come since. A loss alone does not say so: it may have been
    /// found by a heartbeat.
    fn was_thrown_away(&self) -> bool {
        self.facts.loss.is_some() && self.base() == EntryId::ZERO
    }

    /// Notes, durably, that this snapshot is about to replace the state: to be called before the state is replaced, and
    /// [`Log::reset_to`] after. A crash between the two is made good by [`Log::restore_at`].
    ///
    /// # Errors
    /// On a full disk ([`Error::is_no_space`]) it may be called again; all others are final.
    ///
    /// # Panics
    /// If the snapshot is of a later term than the disk knows of: the piece of work that says so is to be written first.
    pub fn expect_snapshot(&mut self, snapshot: &SnapshotMeta) -> Result<(), Error> {
        let (last, known) = (snapshot.last, self.facts.hard_state.term);
        assert!(last.term <= known, "a snapshot of {last}, and the disk would know of term {known} only");
        self.write_facts(|facts| facts.expected = Some(snapshot.clone()))
    }

    /// Starts over behind a snapshot that the state machine has durably taken.
    ///
    /// # Errors
    /// On a full disk ([`Error::is_no_space`]) it may be called again; all others are final. A crash on the way is made good by
    /// the next opening.
    ///
    /// # Panics
    /// If the snapshot is not ahead of what is committed. Nothing is written then.
    pub fn reset_to(&mut self, snapshot: &SnapshotMeta) -> Result<(), Error> {
        let (last, commit) = (snapshot.last, self.commit);
        assert!(last.index > commit.index, "snapshot {last} is not ahead of the committed {commit}");
        self.write_facts(|facts| {
            facts.commit = last;
            facts.base = snapshot.last;
            facts.membership = snapshot.membership.clone();
            facts.expected = None;
            facts.loss = facts.loss.filter(|loss| !loss.is_made_good(snapshot.last.index, snapshot.last));
        })?;
        self.empty()?;
        self.commit = last;
        Ok(())
    }

    /// Drops all entries and begins at the base that the facts name.
    pub(super) fn empty(&mut self) -> Result<(), Error> {
        self.wal.flush()?;
        let start = self.wal.reader().start();
        self.wal.truncate_to(start)?;
        self.terms = TermRuns::new(self.facts.base);
        self.memberships = History::new(self.facts.base.index, self.facts.membership.clone());
        self.places = Places::default();
        self.tail.clear();
        self.void_from = None;
        self.synced = self.facts.base.index;
        Ok(())
    }

    /// Throws the entries away and keeps term and vote: for a member whose state has diverged from the others' (rule A6), so
    /// that neither its state nor the log that it came from can be believed. After this the state is thrown away too, and the
    /// node starts again from [`EntryId::ZERO`].
    ///
    /// It comes back as a new incarnation (rule M2): its leader counts nothing that it acknowledged before, and sends it the
    /// log from the first entry on, or a snapshot. It knows no configuration until then. It promises nothing that it cannot
    /// keep: until what it threw away is back, it gives no vote and does not campaign (rule M5), over restarts too. A leader
    /// must resign before it does this to itself.
    ///
    /// # Errors
    /// [`Error::NobodyElse`] if this member is the only voter: there is nobody to get the log from. On a full disk
    /// ([`Error::is_no_space`]) it must be called again before anything else. All others are final; a crash on the way is made
    /// good by the next opening.
    pub fn forget_entries(&mut self) -> Result<(), Error> {
        self.check_alive()?;
        let own = NodeId(self.facts.identity[1]);
        if self.memberships.current().is_lone_voter(own) {
            return Err(Error::NobodyElse);
        }
        let lost = Loss { until: self.last().index, term: self.facts.hard_state.term };
        self.write_facts(|facts| {
            facts.loss = Some(lost.and(facts.loss));
            facts.incarnation = Incarnation(facts.incarnation.0 + 1);
            facts.boot = Boot(facts.boot.0 + 1);
            facts.base = EntryId::ZERO;
            facts.membership = Membership::default();
            facts.commit = EntryId::ZERO;
            facts.expected = None;
            facts.is_void = true;
        })?;
        self.empty()?;
        self.commit = EntryId::ZERO;
        self.write_facts(|facts| facts.is_void = false)
    }

    /// Makes this member the only one of the cluster, whoever else was in it: for an operator who has lost a majority for
    /// good. Everything in the log counts as committed; the entry that removes the others follows it, in a new term, and
    /// carries `context` for the state machine, which must drop them from its own books. The others must never run again:
    /// they would be another cluster of the same name.
    ///
    /// Nothing happens if this member is alone already. Whether something did.
    ///
    /// # Errors
    /// [`Error::LogIncomplete`] if this member has thrown its entries away and not got them back, or has joined and not got
    /// anything yet: there is nothing to go on with. All others as for [`Log::append`] and [`Log::sync`]. After a crash it can be called again; what it had done by
    /// then was done as a whole.
    pub fn force_new_cluster(&mut self, context: Bytes) -> Result<bool, Error> {
        self.check_alive()?;
        if self.facts.loss.is_some() || *self.memberships.current().as_ref() == Membership::default() {
            return Err(Error::LogIncomplete);
        }
        let own = NodeId(self.facts.identity[1]);
        let alone = Membership::new([own], []);
        if *self.memberships.current().as_ref() == alone {
            return Ok(false);
        }
        // As if elected by all: what comes now is in a term that no other leader had.
        let term = self.facts.hard_state.term.next();
        self.write_facts(|facts| {
            facts.hard_state = HardState { term, vote: Some(own) };
            facts.incarnation = Incarnation(facts.incarnation.0 + 1);
            facts.boot = Boot(facts.boot.0 + 1);
        })?;
        let change = Arc::new(MembershipEntry { membership: alone, context });
        let entry = Entry { term, index: self.last().index.next(), payload: Payload::Membership(change) };
        self.append_entry(&entry)?;
        self.sync()?;
        self.commit = entry.id();
        self.tail.push(entry);
        self.write_facts(|_| {})?;
        Ok(true)
    }
}
