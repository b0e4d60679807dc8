//! `Maintenance.Snapshot`: the member's state as etcd's database file, piece by piece.
//!
//! A thread of its own makes the file, and sleeps while the client has some pieces that it has not taken. It gives up when
//! the client takes none for a while: as long as it lives, history that was compacted since stays on the disk.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use backup::{Export, ExportError, Frozen, STORAGE_VERSION};
use bytes::Bytes;
use engine::{priority, spawn};
use machine::Machine;
use proto::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_stream::Stream;
use tonic::Status;

use super::Api;
use crate::auth::Caller;
use crate::backup_pace::BackupPace;
use crate::grpc::reply::Plain;
use crate::limits::SNAPSHOT_STALL_MAX;
use crate::metrics::Metrics;

/// Longest piece in bytes, as in etcd.
const BLOB_BYTES: usize = 32 * 1024;

/// Pieces that wait for the client: 2 MiB.
const BLOBS_AHEAD: usize = 64;

impl Api {
    /// Sends the state of this member, as of now, as etcd's database file.
    pub(crate) async fn snapshot(
        self: &Arc<Self>,
        _caller: &Caller,
        _request: SnapshotRequest,
    ) -> Result<Blobs, Status> {
        let permit = self.snapshots.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Status::unknown("etcdserver: too many requests"))?;
        let frozen = self.ask(self.freezer()).await?;
        let (send, receive) = mpsc::channel(BLOBS_AHEAD);
        let dir = self.settings.spool_dir.clone();
        let metrics = self.metrics.clone();
        let producer = spawn::thread("snapshot", move || produce(frozen, dir, &send, &metrics, permit))
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Blobs { receive, producer: producer.thread().clone(), is_complete: false })
    }
}

impl Api {
    /// Returns what freezes the state of this member, to be done between two entries.
    pub(crate) fn freezer(&self) -> impl FnOnce(&Machine) -> Frozen + Send + use<> {
        let lessor = self.lessor.clone();
        let leads = self.leads();
        move |machine| {
            // Who does not lead knows of a lease what the state says.
            let known = |id| lessor.time_to_live(id).filter(|_| leads);
            let frozen = Frozen::of(machine, |id| Some(known(id)?.remaining_seconds? + 1));
            let pace = BackupPace::new(machine.view());
            frozen.with_rests(move || pace.rest())
        }
    }
}

/// A message, and whether it is the last.
struct Blob {
    message: SnapshotResponse,
    is_last: bool,
}

/// The messages of a snapshot.
pub(crate) struct Blobs {
    receive: Receiver<Result<Blob, Status>>,
    producer: Thread,
    is_complete: bool,
}

impl Stream for Blobs {
    type Item = Result<Plain<SnapshotResponse>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.receive.poll_recv(cx));
        self.producer.unpark();
        Poll::Ready(match received {
            Some(Ok(blob)) => {
                self.is_complete = blob.is_last;
                Some(Ok(Plain(blob.message)))
            }
            Some(Err(status)) => {
                self.is_complete = true;
                Some(Err(status))
            }
            None if self.is_complete => None,
            None => {
                self.is_complete = true;
                Some(Err(Status::unavailable("etcdserver: the snapshot was not read in time")))
            }
        })
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        // It finds that nobody listens.
        self.receive.close();
        self.producer.unpark();
    }
}

/// Why a snapshot ends early.
enum Ending {
    /// The client has gone, or takes nothing.
    NobodyListens,
    Failed(ExportError),
}

impl From<ExportError> for Ending {
    fn from(error: ExportError) -> Self {
        Ending::Failed(error)
    }
}

fn produce(
    frozen: Frozen,
    dir: PathBuf,
    send: &Sender<Result<Blob, Status>>,
    metrics: &Metrics,
    permit: OwnedSemaphorePermit,
) {
    priority::yield_often();
    let started = Instant::now();
    let version = STORAGE_VERSION.to_string();
    let written = Export::plan(frozen, dir).map_err(Ending::from).and_then(|export| {
        let bytes = export.db_bytes();
        tracing::info!(
            "total-bytes" = bytes,
            "storage-version" = version,
            "sending database snapshot to client"
        );
        let mut cutter = Cutter::new(bytes, &version);
        export.write(|piece| cutter.cut(piece, |blob| deliver(send, Ok(blob))))?;
        deliver(send, Ok(cutter.digest()))?;
        Ok(bytes)
    });
    match written {
        Ok(bytes) => {
            metrics.disk.backend_snapshot.observe(started.elapsed());
            tracing::info!(
                "total-bytes" = bytes,
                took = ?started.elapsed(),
                "storage-version" = version,
                "successfully sent database snapshot to client"
            );
        }
        Err(Ending::NobodyListens) => {
            tracing::warn!("the client of a database snapshot is gone or reads nothing")
        }
        Err(Ending::Failed(error)) => {
            tracing::warn!(error = %error, "failed to send database snapshot to client");
            let _ = deliver(send, Err(Status::unknown(error.to_string())));
        }
    }
    drop(permit);
}

/// Hands a message to the client's stream; waits while it is full of others.
fn deliver(send: &Sender<Result<Blob, Status>>, message: Result<Blob, Status>) -> Result<(), Ending> {
    deliver_within(SNAPSHOT_STALL_MAX, send, message)
}

/// The same with another limit on how long the client may take nothing.
fn deliver_within(
    stall_max: Duration,
    send: &Sender<Result<Blob, Status>>,
    message: Result<Blob, Status>,
) -> Result<(), Ending> {
    let mut message = message;
    let deadline = Instant::now() + stall_max;
    loop {
        message = match send.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Ending::NobodyListens),
            Err(TrySendError::Full(message)) => message,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(Ending::NobodyListens);
        }
        // A message that is taken meanwhile ends the sleep at once.
        thread::park_timeout(left);
    }
}

/// Cuts the bytes of a file into messages: the database in pieces, and its digest by itself.
struct Cutter<'v> {
    version: &'v str,
    piece: Vec<u8>,
    /// Bytes of the database that are in no message yet.
    left: u64,
}

impl<'v> Cutter<'v> {
    fn new(db_bytes: u64, version: &'v str) -> Self {
        Self { version, piece: Vec::with_capacity(BLOB_BYTES), left: db_bytes }
    }

    /// Takes the next bytes, and sends the messages that they fill.
    fn cut<E>(&mut self, mut bytes: &[u8], mut send: impl FnMut(Blob) -> Result<(), E>) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = BLOB_BYTES.min(usize::try_from(self.left).unwrap_or(BLOB_BYTES));
            if room == 0 {
                // The digest follows the database.
                self.piece.extend_from_slice(bytes);
                return Ok(());
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(room - self.piece.len()));
            self.piece.extend_from_slice(taken);
            bytes = rest;
            if self.piece.len() == room {
                self.left -= room as u64;
                send(self.message(false))?;
            }
        }
        Ok(())
    }

    /// Returns the last message.
    fn digest(&mut self) -> Blob {
        self.message(true)
    }

    fn message(&mut self, is_last: bool) -> Blob {
        let blob = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(BLOB_BYTES)));
        let version = self.version.to_owned();
        Blob {
            message: SnapshotResponse { header: None, remaining_bytes: self.left, blob, version },
            is_last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remaining bytes and lengths of the messages of a file.
    fn messages(db_bytes: usize, step: usize) -> Vec<(u64, usize)> {
        let file: Vec<u8> = (0..db_bytes + 32).map(|byte| byte as u8).collect();
        let mut cutter = Cutter::new(db_bytes as u64, "3.6.0");
        let mut blobs = Vec::new();
        for piece in file.chunks(step) {
            let taken: Result<(), ()> = cutter.cut(piece, |blob| {
                blobs.push(blob);
                Ok(())
            });
            taken.unwrap();
        }
        blobs.push(cutter.digest());
        let joined: Vec<u8> = blobs.iter().flat_map(|blob| blob.message.blob.to_vec()).collect();
        assert_eq!(joined, file);
        assert!(blobs.iter().rev().skip(1).all(|blob| !blob.is_last) && blobs.last().unwrap().is_last);
        blobs.iter().map(|blob| (blob.message.remaining_bytes, blob.message.blob.len())).collect()
    }

    #[test]
    fn messages_are_those_of_etcd() {
        // Contract: dbfile, section 6.
        let expected = [(81_920, 32_768), (49_152, 32_768), (16_384, 32_768), (0, 16_384), (0, 32)];
        for step in [1_000, 4_096, 32_768, 1 << 20] {
            assert_eq!(messages(114_688, step), expected);
        }
        assert_eq!(messages(32_768, 4_096), [(0, 32_768), (0, 32)]);
        assert_eq!(messages(0, 4_096), [(0, 32)]);
    }

    fn blob() -> Result<Blob, Status> {
        Ok(Cutter::new(0, "").digest())
    }

    #[test]
    fn who_takes_nothing_is_given_up_and_who_goes_away_at_once() {
        let (send, receive) = mpsc::channel(1);
        assert!(deliver(&send, blob()).is_ok());
        // It is full, and nobody reads it.
        assert!(matches!(deliver_within(Duration::ZERO, &send, blob()), Err(Ending::NobodyListens)));
        drop(receive);
        assert!(matches!(deliver(&send, blob()), Err(Ending::NobodyListens)));
    }

    #[tokio::test]
    async fn who_was_given_up_learns_it_behind_what_had_been_sent() {
        let (send, receive) = mpsc::channel(1);
        let first = Cutter::new(1, "").message(false);
        assert!(send.try_send(Ok(first)).is_ok());
        assert!(matches!(deliver_within(Duration::ZERO, &send, blob()), Err(Ending::NobodyListens)));
        drop(send);
        let mut blobs = Blobs { receive, producer: thread::current(), is_complete: false };
        let mut next = async || std::future::poll_fn(|cx| Pin::new(&mut blobs).poll_next(cx)).await;
        assert!(next().await.is_some_and(|message| message.is_ok()));
        let why = next().await.and_then(Result::err).expect("it was given up");
        assert_eq!(why.message(), "etcdserver: the snapshot was not read in time");
        assert!(next().await.is_none());
    }
}
