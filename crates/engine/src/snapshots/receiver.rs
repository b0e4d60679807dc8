//! The end of a transfer that takes a snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use metrics::Metrics;
use mvcc::snapshot::{SnapshotImport, incoming_dir};
use raft::{Body, Message};

use super::made::{content_name, last_of};
use super::place::{ReceivedStore, Slot, StorePlace};
use crate::event::ConsensusEvent;
use crate::inbox::Sender;
use crate::peers::{SnapshotFault, SnapshotOffer, SnapshotSink};

/// Takes snapshots, one at a time.
pub struct Receiver {
    place: StorePlace,
    consensus: Sender<ConsensusEvent>,
    is_busy: Arc<AtomicBool>,
    number: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Receiver {
    /// Returns a receiver for the store in `place`.
    pub fn new(place: StorePlace, consensus: Sender<ConsensusEvent>, metrics: Arc<Metrics>) -> Self {
        Self { place, consensus, metrics, is_busy: Arc::default(), number: AtomicU64::new(0) }
    }

    /// Begins to take a snapshot.
    pub fn begin(&self, offer: &SnapshotOffer) -> Result<Box<dyn SnapshotSink>, SnapshotFault> {
        let slot = Slot::take(&self.is_busy).ok_or("another snapshot is being received or installed")?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let dir = incoming_dir(self.place.parent(), number);
        let import = SnapshotImport::begin(self.place.disk.clone(), &dir, self.place.options)?;
        Ok(Box::new(Sink {
            import: Some(import),
            store: ReceivedStore::new(self.place.clone(), dir, slot),
            content: offer.content.clone(),
            consensus: self.consensus.clone(),
            metrics: self.metrics.clone(),
            began: Instant::now(),
        }))
    }
}

struct Sink {
    import: Option<SnapshotImport>,
    store: ReceivedStore,
    content: Bytes,
    consensus: Sender<ConsensusEvent>,
    metrics: Arc<Metrics>,
    /// When the first part could come.
    began: Instant,
}

impl SnapshotSink for Sink {
    fn push(&mut self, chunk: Bytes) -> Result<(), SnapshotFault> {
        let import = self.import.as_mut().ok_or("it is finished")?;
        Ok(import.push(chunk)?)
    }

    fn finish(mut self: Box<Self>, message: Message) -> Result<(), SnapshotFault> {
        let import = self.import.take().ok_or("it is finished")?;
        let ends = Instant::now();
        let id = import.finish()?;
        self.metrics.disk.snap_db_fsync.observe(ends.elapsed());
        self.metrics.disk.snap_db_save.observe(self.began.elapsed());
        let Body::InstallSnapshot { snapshot, .. } = &message.body else {
            return Err("the message of a snapshot is about something else".into());
        };
        if last_of(id) != snapshot.last || content_name(id) != self.content {
            return Err(format!("it is {id}, and was announced as of {}", snapshot.last).into());
        }
        let Self { store, consensus, .. } = *self;
        let event = ConsensusEvent::SnapshotReceived(Box::new(message), store);
        consensus.send(event).map_err(|_| "the member stops")?;
        Ok(())
    }
}
