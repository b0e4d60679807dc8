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
            snapshots: Receiver::new(place, handles.consensus.clone(), handles.metrics.clone()),
        }
    }
}

impl Inbound for EngineInbound {
    fn received(&self, mut batch: Incoming) {
        let mut notes = Vec::new();
        for note in batch.notes.drain(..) {
            match note {
                PeerNote::Consensus(note) => notes.push(note),
                PeerNote::Ask { nonce, question } => self.questions.asked(batch.from, nonce, question),
                PeerNote::Answer { nonce, answer } => self.questions.answered(nonce, answer),
            }
        }
        let heard = batch.for_consensus(notes);
        if !heard.messages.is_empty() || !heard.notes.is_empty() {
            // A member that stops has no use for it.
            let _ = self.consensus.send(ConsensusEvent::Received(heard));
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
