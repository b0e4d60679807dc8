//! What comes from the other members, to whom it may concern.

use std::sync::Arc;

use raft::NodeId;

use super::consensus::ConsensusEvent;
use super::ending::Ending;
use super::inbox::Sender;
use super::questions::Questions;
use super::shared::Shared;
use super::snapshots::Receiver;
use crate::transport::{Inbound, Incoming, PeerNote, SnapshotFault, SnapshotOffer, SnapshotSink};

/// The engine, as the transport sees it.
pub(crate) struct EngineInbound {
    pub(crate) consensus: Sender<ConsensusEvent>,
    pub(crate) questions: Arc<Questions>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) snapshots: Receiver,
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
