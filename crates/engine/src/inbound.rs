//! What comes from the other members, to whom it may concern.

use std::sync::Arc;

use raft::NodeId;

use crate::ending::Ending;
use crate::event::ConsensusEvent;
use crate::handles::Handles;
use crate::inbox::Sender;
use crate::note::PeerNote;
use crate::peers::{Inbound, Incoming, SnapshotFault, SnapshotOffer, SnapshotSink};
use crate::questions::Questions;
use crate::shared::Shared;
use crate::snapshots::place::StorePlace;
use crate::snapshots::receiver::Receiver;

/// The engine, as the transport sees it.
pub struct EngineInbound {
    consensus: Sender<ConsensusEvent>,
    questions: Arc<Questions>,
    shared: Arc<Shared>,
    snapshots: Receiver,
}

impl EngineInbound {
    /// Returns the way in to a member whose store is in `place`.
    pub fn new(handles: &Handles, questions: Arc<Questions>, place: StorePlace) -> Self {
        Self {
            consensus: handles.consensus.clone(),
            questions,
            shared: handles.shared.clone(),
            snapshots: Receiver::new(place, handles.consensus.clone()),
        }
    }
}

impl Inbound for EngineInbound {
    fn received(&self, mut batch: Incoming) {
        let from = batch.from;
        let is_question =
            |note: &mut PeerNote| matches!(note, PeerNote::Ask { .. } | PeerNote::Answer { .. });
        for note in batch.notes.extract_if(.., is_question) {
            match note {
                PeerNote::Ask { nonce, question } => self.questions.asked(from, nonce, question),
                PeerNote::Answer { nonce, answer } => self.questions.answered(nonce, answer),
                _ => {}
            }
        }
        if !batch.is_empty() {
            // A member that stops has no use for it.
            let _ = self.consensus.send(ConsensusEvent::Received(batch));
        }
    }

    fn removed_by(&self, peer: NodeId) {
        if self.shared.ending.known() == Some(Ending::Removed) {
            return;
        }
        self.shared.ending.removal_told();
        tracing::warn!(from = %peer, "a member says that this one was removed from the cluster");
    }

    fn snapshot_offered(&self, offer: &SnapshotOffer) -> Result<Box<dyn SnapshotSink>, SnapshotFault> {
        self.snapshots.begin(offer)
    }
}
