//! Snapshots at the state machine: one is made for a follower, or one takes the place of everything that is here.

use std::sync::atomic::Ordering;

use raft::{EntryId, Index, SnapshotMeta, SnapshotWanted, Term};
use tokio::sync::oneshot;

use super::{ApplyThread, peers_of};
use crate::event::ConsensusEvent;
use crate::fatal::stop_process;
use crate::mailbox::Delivery;
use crate::snapshots::made::Made;
use crate::snapshots::place::ReceivedStore;
use crate::{messages, spawn};

impl ApplyThread {
    /// A follower needs a snapshot. It gets the last checkpoint; if that is older than what the log can go on from, one is
    /// made for it.
    pub(super) fn snapshot_wanted(&mut self, wanted: SnapshotWanted) {
        self.snapshots_wanted.push(wanted);
        self.make_snapshots();
        if !self.snapshots_wanted.is_empty() {
            // Whoever waits for a checkpoint makes it due; nobody needs to be told.
            let (answer, _) = oneshot::channel();
            self.checkpointer.await_through(self.applied(), answer);
        }
    }

    /// Makes the snapshots that the last checkpoint is recent enough for.
    pub(super) fn make_snapshots(&mut self) {
        for wanted in std::mem::take(&mut self.snapshots_wanted) {
            match self.machine.store().snapshot() {
                Ok(export) => {
                    let made = Made::new(export);
                    if made.last().index.next() >= wanted.first {
                        let event = ConsensusEvent::SnapshotMade(wanted, Box::new(made));
                        let _ = self.handles.consensus.send(event);
                    } else {
                        self.snapshots_wanted.push(wanted);
                    }
                }
                // Another one can be asked for: there is no descriptor left for a file, or the database was opened anew.
                Err(error) if error.is_retryable() || matches!(error, mvcc::Error::Outdated) => {
                    tracing::warn!(to = %wanted.to, error = %error, "a snapshot cannot be made now");
                    let _ = self.handles.consensus.send(ConsensusEvent::SnapshotSent(wanted, None));
                }
                Err(error) => stop_process("a checkpoint cannot be read", &error),
            }
        }
    }

    /// Puts a received store in the place of this one, while everybody goes on: readers find the new one, watchers are
    /// caught up from where they were.
    pub(super) fn install(&mut self, snapshot: SnapshotMeta, received: ReceivedStore) {
        self.handles.metrics.server.snapshot_apply_in_progress.set(1);
        self.checkpointer.start_over();
        // What it would rename belongs to the store that comes.
        self.defragmenter.stop();
        // The snapshot has them.
        self.held.clear();
        let before = self.applied();
        tracing::info!(
            "current-applied-index" = before.0,
            "incoming-leader-snapshot-index" = snapshot.last.index.0,
            "incoming-leader-snapshot-term" = snapshot.last.term.0,
            "{}",
            messages::SNAPSHOT_BEGINS
        );
        self.views.begin_to_replace();
        if let Err(error) = self.place.replace_by(received.dir()) {
            stop_process("a snapshot cannot be put in place", &error);
        }
        drop(received);
        let machine = match self.place.open() {
            Ok(machine) => machine,
            Err(error) => stop_process("a snapshot cannot be opened", &error),
        };
        tracing::info!("{}", messages::SNAPSHOT_OPENED);
        // Who is in the middle of reading the old one gets to the end of it.
        self.retired = Some(std::mem::replace(&mut self.machine, machine));
        let applied = self.machine.store().applied();
        let applied = EntryId::new(Index(applied.index), Term(applied.term));
        assert_eq!(applied, snapshot.last, "the store is the one that the snapshot announced");
        self.comparison.forget();
        self.compactions.start_over(self.machine.store().compact_revision());
        self.announce();
        self.handles.metrics.server.snapshot_apply_in_progress.set(0);
        tracing::info!(
            "current-applied-index" = before.0,
            "incoming-leader-snapshot-index" = snapshot.last.index.0,
            "incoming-leader-snapshot-term" = snapshot.last.term.0,
            revision = self.machine.store().revision(),
            "{}",
            messages::SNAPSHOT_APPLIED
        );
        let _ = self.handles.consensus.send(ConsensusEvent::SnapshotInstalled(snapshot));
    }

    /// Closes the store that was replaced a while ago: nobody reads it any more. Freeing what it kept in memory may take
    /// longer than a write may wait.
    pub(super) fn close_retired(&mut self) {
        let Some(retired) = self.retired.take() else { return };
        let close = spawn::thread("close", move || drop(retired));
        // Without a thread it was closed here.
        drop(close);
    }

    /// Shows the new state to everybody who keeps something of the old one.
    fn announce(&mut self) {
        let store = self.machine.store();
        let (revision, compact_revision) = (store.revision(), store.compact_revision());
        // First: who reads the new keys then finds the users and permissions that go with them.
        self.auth.replace(&self.machine);
        // Half of another cluster's keys is no state that anybody is shown: readers keep what there was.
        let is_readable = self.machine.follow().is_none_or(|follow| follow.is_readable());
        if is_readable {
            self.views.replace(self.machine.view());
        }
        self.handles.lessor.load(&self.machine);
        self.handles.status.refresh(&self.machine);
        self.cluster_log.follow(&self.machine, self.handles.status.own_id());
        self.handles.peers.set_peers(peers_of(&self.machine));
        self.handles.peers.set_removed(self.removed());
        // Its removal may be among what the snapshot stands for, and is not applied then.
        if self.machine.removed_members().any(|id| self.handles.status.is_own(id)) {
            self.handles.shared.ending.removal_applied();
        }
        for mailbox in self.handles.mailboxes.iter().filter(|_| is_readable) {
            mailbox.put(&mut vec![Delivery::Restored { revision, compact_revision }]);
        }
        self.handles.shared.applied.store(self.applied().0, Ordering::Release);
        self.serve_early();
    }
}
