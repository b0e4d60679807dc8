//! Snapshots at consensus: who needs one, and the steps by which one replaces what this member has.

use raft::{Message, SnapshotMeta, SnapshotWanted};

use super::thread::ConsensusThread;
use crate::event::{ApplyEvent, ConsensusEvent, LogEvent};
use crate::peers::SnapshotJob;
use crate::snapshots::made::Made;
use crate::snapshots::place::ReceivedStore;

impl ConsensusThread {
    /// A checkpoint is there for a follower that needs it.
    pub(super) fn snapshot_made(&mut self, wanted: SnapshotWanted, made: Made) {
        let last = made.last();
        // The log has moved on: what came directly after this checkpoint is gone, and so is the configuration that was in
        // force there. The follower asks for a newer one.
        if last.index < self.node.base().index {
            tracing::info!(to = %wanted.to, "snapshot-index" = last.index.0, "a snapshot is too old to be sent");
            return self.node.snapshot_sent(&wanted, None);
        }
        let membership = self.node.membership_at(last.index).clone();
        let message = wanted.message(SnapshotMeta { last, membership });
        let consensus = self.handles.consensus.clone();
        let to = wanted.to;
        let done = Box::new(move |result: Result<(), _>| {
            if let Err(error) = &result {
                tracing::warn!(to = %to, error = %error, "a snapshot was not sent");
            }
            let reached = result.is_ok().then_some(last.index);
            let _ = consensus.send(ConsensusEvent::SnapshotSent(wanted, reached));
        });
        tracing::info!(to = %to, "snapshot-index" = last.index.0, "sending a snapshot");
        self.handles.peers.send_snapshot(SnapshotJob {
            offer: made.offer(message),
            source: Box::new(made),
            done,
        });
    }

    /// A snapshot has arrived: raft decides whether it is of use.
    pub(super) fn snapshot_received(&mut self, message: Message, received: ReceivedStore) {
        self.received = Some(received);
        self.step(message);
        // What raft wants of it is carried out now; else it is removed.
        self.carry_out();
        if let Some(unwanted) = self.received.take() {
            discard(unwanted);
        }
    }

    /// Raft wants it. Before it replaces the store, the log notes that it comes.
    pub(super) fn install(&mut self, snapshot: SnapshotMeta) {
        let received = self.received.take().expect("raft installs what was received in the same step");
        let _ = self.handles.log.send(LogEvent::Expect(snapshot, received));
    }

    /// The log has noted it.
    pub(super) fn snapshot_expected(&mut self, snapshot: SnapshotMeta, received: ReceivedStore) {
        let _ = self.handles.apply.send(ApplyEvent::Install(snapshot, received));
    }

    /// It is the store now. The log begins behind it.
    pub(super) fn snapshot_installed(&mut self, snapshot: SnapshotMeta) {
        let _ = self.handles.log.send(LogEvent::Reset(snapshot));
    }

    /// The log begins behind it.
    pub(super) fn log_reset(&mut self, snapshot: &SnapshotMeta) {
        self.node.installed(snapshot);
        self.forget_contradictions();
        self.publish_stable();
    }
}

/// Removes a received store. Unlinking gigabytes takes a disk a while, for which neither ticks nor syncs of the log may
/// wait. There is one received store at a time, so there is one such thread.
fn discard(unwanted: ReceivedStore) {
    let discard = std::thread::Builder::new().name("discard".to_owned()).spawn(move || drop(unwanted));
    // Without a thread it was removed here.
    drop(discard);
}
