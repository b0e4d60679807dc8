//! Revisions that are proposed together.

use bytes::Bytes;
use prost::Message;
use proto::mvccpb::KeyValue;
use proto::quoratepb::FollowChange;

/// Bytes of changes in one command, about: an entry of this size costs a sync little more than a small one.
const BATCH_BYTES: usize = 512 << 10;

/// Changes in one command, about: some milliseconds of the thread that applies it.
const BATCH_CHANGES: usize = 1024;

/// What a change takes besides key and value, about.
const CHANGE_BYTES: usize = 48;

/// Changes in the order of their revisions, whole revisions only.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changes: Vec<FollowChange>,
    bytes: usize,
}

impl Batch {
    /// Adds a change.
    pub(super) fn push(&mut self, change: FollowChange) {
        self.bytes += change.put.len() + change.deleted.len() + CHANGE_BYTES;
        self.changes.push(change);
    }

    /// The revision that it ends with; 0: there is none.
    pub(super) fn through(&self) -> i64 {
        self.changes.last().map_or(0, |change| change.main)
    }

    /// Whether no other revision is to be added.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.changes.len() >= BATCH_CHANGES
    }

    /// Takes it out, if there is anything in it.
    pub(super) fn take(&mut self) -> Option<Self> {
        (!self.changes.is_empty()).then(|| std::mem::take(self))
    }
}

/// A change as a watch tells it.
pub(super) fn of_event(kv: KeyValue, is_delete: bool, sub: u32) -> FollowChange {
    let main = kv.mod_revision;
    match is_delete {
        true => FollowChange { main, sub, put: Bytes::new(), deleted: kv.key },
        false => FollowChange { main, sub, put: kv.encode_to_vec().into(), deleted: Bytes::new() },
    }
}
