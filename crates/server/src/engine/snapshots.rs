//! Snapshots between the store and the transport: where received ones are built, and the two ends of a transfer.
//!
//! ```text
//!  leader    raft wants one ─► apply: last checkpoint, or a new one ─► consensus: its configuration ─► transport
//!  follower  transport ─► a directory beside the store ─► consensus: raft decides ─► log: noted that it comes
//!            ─► apply: the store is replaced ─► log: begins behind it ─► raft goes on
//! ```
//!
//! A crash leaves the old store with the old log, or the new store with the note in the log that says so (rule W8).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use machine::{Machine, OpenError};
use mvcc::snapshot::{
    SnapshotExport, SnapshotId, SnapshotImport, discard_incoming, incoming_dir, replace_store,
};
use mvcc::{Options, Store};
use raft::{Body, EntryId, Index, Message, Term};
use wal::Disk;

use super::consensus::ConsensusEvent;
use super::inbox::Sender;
use crate::transport::{SnapshotFault, SnapshotOffer, SnapshotSink, SnapshotSource};

/// Where a member's store is, and how it is opened.
#[derive(Clone)]
pub(crate) struct StorePlace {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
}

impl StorePlace {
    /// Opens the store: at the start, and when a snapshot has replaced it (rule A3).
    pub(crate) fn open(&self) -> Result<Machine, OpenError> {
        Machine::open(Store::open(self.disk.clone(), &self.dir, self.options)?)
    }

    /// Removes what transfers of an earlier life have left.
    pub(crate) fn discard_incoming(&self) -> Result<(), mvcc::Error> {
        discard_incoming(&*self.disk, self.parent())
    }

    /// Puts a received store in the place of the one there was.
    pub(super) fn replace_by(&self, incoming: &Path) -> Result<(), mvcc::Error> {
        replace_store(&*self.disk, &self.dir, incoming)
    }

    fn parent(&self) -> &Path {
        self.dir.parent().expect("the store is within the data directory")
    }
}

/// A received store that waits to be used. Dropped unused, it is removed.
pub(crate) struct ReceivedStore {
    place: StorePlace,
    dir: PathBuf,
    _slot: Slot,
}

impl ReceivedStore {
    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for ReceivedStore {
    fn drop(&mut self) {
        remove(&self.place, &self.dir);
    }
}

#[cfg(test)]
impl ReceivedStore {
    /// One without files.
    pub(super) fn without_files() -> Self {
        let disk = Arc::new(wal::SimDisk::new(1));
        let place = StorePlace { disk, dir: "/kv".into(), options: Options::default() };
        Self { place, dir: "/incoming".into(), _slot: Slot(Arc::default()) }
    }
}

/// Nothing is there if it was used.
fn remove(place: &StorePlace, dir: &Path) {
    if place.disk.exists(dir).unwrap_or(false)
        && let Err(error) = place.disk.remove_dir_all(dir)
    {
        tracing::warn!(dir = %dir.display(), error = %error, "a snapshot that is not needed could not be removed");
    }
}

/// Takes snapshots, one at a time.
pub(crate) struct Receiver {
    place: StorePlace,
    consensus: Sender<ConsensusEvent>,
    is_busy: Arc<AtomicBool>,
    number: AtomicU64,
}

/// The one place for a snapshot that is received or installed; free again when dropped.
struct Slot(Arc<AtomicBool>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Receiver {
    /// For the store in `place`.
    pub(crate) fn new(place: StorePlace, consensus: Sender<ConsensusEvent>) -> Self {
        Self { place, consensus, is_busy: Arc::default(), number: AtomicU64::new(0) }
    }

    /// Begins to take a snapshot.
    pub(crate) fn begin(&self, offer: &SnapshotOffer) -> Result<Box<dyn SnapshotSink>, SnapshotFault> {
        if self.is_busy.swap(true, Ordering::Acquire) {
            return Err("another snapshot is being received or installed".into());
        }
        let slot = Slot(self.is_busy.clone());
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let dir = incoming_dir(self.place.parent(), number);
        let import = SnapshotImport::begin(self.place.disk.clone(), &dir, self.place.options)?;
        Ok(Box::new(Sink {
            import: Some(import),
            store: ReceivedStore { place: self.place.clone(), dir, _slot: slot },
            content: offer.content.clone(),
            consensus: self.consensus.clone(),
        }))
    }
}

struct Sink {
    import: Option<SnapshotImport>,
    store: ReceivedStore,
    content: Bytes,
    consensus: Sender<ConsensusEvent>,
}

impl SnapshotSink for Sink {
    fn push(&mut self, chunk: Bytes) -> Result<(), SnapshotFault> {
        let import = self.import.as_mut().ok_or("it is finished")?;
        Ok(import.push(chunk)?)
    }

    fn finish(mut self: Box<Self>, message: Message) -> Result<(), SnapshotFault> {
        let import = self.import.take().ok_or("it is finished")?;
        let id = import.finish()?;
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

/// A snapshot that was made for a follower, without the configuration that belongs to it.
pub(crate) struct Made {
    export: SnapshotExport,
}

/// Length of a chunk: messages to the same peer wait while one is checksummed.
const CHUNK_BYTES: usize = 256 << 10;

impl Made {
    /// The export of a checkpoint.
    pub(super) fn new(export: SnapshotExport) -> Self {
        Self { export: export.with_chunk_bytes(CHUNK_BYTES) }
    }

    /// The last entry in it.
    pub(crate) fn last(&self) -> EntryId {
        last_of(self.export.id())
    }

    /// What is sent, with the message that announces it.
    pub(crate) fn offer(&self, message: Message) -> SnapshotOffer {
        SnapshotOffer { message, content: content_name(self.export.id()) }
    }
}

fn last_of(id: SnapshotId) -> EntryId {
    EntryId::new(Index(id.applied.index), Term(id.applied.term))
}

fn content_name(id: SnapshotId) -> Bytes {
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

#[cfg(test)]
mod tests;
