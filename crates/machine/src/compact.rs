//! Compaction: history before a revision is released.
//!
//! Logical at once and the same everywhere; the files are removed later, by each store for itself (C2). Whoever asked
//! for a physical compaction waits for the store of the member that answers, not for apply.

use mvcc::CompactError;
use proto::etcdserverpb::CompactionRequest;

use crate::source::Failure;
use crate::{Body, Effect, Machine, Outcome, Rejection, Reply};

impl Machine {
    /// Applies a compaction. Revision 0 succeeds once, as a store that was never compacted is at -1.
    pub(crate) fn compact(&mut self, request: &CompactionRequest) -> Result<Outcome, Failure> {
        match self.store.compact(request.revision) {
            Ok(()) => {}
            Err(CompactError::Compacted) => return Err(Rejection::Compacted.into()),
            Err(CompactError::Future) => return Err(Rejection::FutureRevision.into()),
        }
        let reply = Reply { revision: self.store.revision(), body: Body::empty() };
        Ok(Outcome::replied(reply).with_effect(Effect::Compacted { revision: request.revision }))
    }
}
