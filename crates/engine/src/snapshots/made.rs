//! The end of a transfer that sends a snapshot.

use bytes::Bytes;
use mvcc::snapshot::{SnapshotExport, SnapshotId};
use raft::{EntryId, Index, Message, Term};

use crate::peers::{SnapshotFault, SnapshotOffer, SnapshotSource};

/// A snapshot that was made for a follower, without the configuration that belongs to it.
pub struct Made {
    export: SnapshotExport,
}

/// Length of a chunk: messages to the same peer wait while one is checksummed.
const CHUNK_BYTES: usize = 256 << 10;

impl Made {
    /// The export of a checkpoint.
    pub fn new(export: SnapshotExport) -> Self {
        Self { export: export.with_chunk_bytes(CHUNK_BYTES) }
    }

    /// The last entry in it.
    pub fn last(&self) -> EntryId {
        last_of(self.export.id())
    }

    /// What is sent, with the message that announces it.
    pub fn offer(&self, message: Message) -> SnapshotOffer {
        SnapshotOffer { message, content: content_name(self.export.id()) }
    }
}

/// Returns the last entry in a snapshot.
pub(super) fn last_of(id: SnapshotId) -> EntryId {
    EntryId::new(Index(id.applied.index), Term(id.applied.term))
}

/// Returns the name of a snapshot's content.
pub(super) fn content_name(id: SnapshotId) -> Bytes {
    id.to_string().into()
}

impl SnapshotSource for Made {
    fn skip_to(&mut self, chunk: u64) -> Result<(), SnapshotFault> {
        Ok(self.export.skip_to(u32::try_from(chunk)?)?)
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotFault> {
        Ok(self.export.next().transpose()?)
    }
}
