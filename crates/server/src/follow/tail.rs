//! The watch: the changes of the source as they happen, by whole revisions.
//!
//! Two halves with a short queue between them. One reads: it cuts what comes into batches, and makes them larger while the
//! other is busy. The other proposes one batch after the other: what a command is applied to is what the one before it left.

use std::convert::Infallible;

use proto::mvccpb::event::EventType;
use proto::quoratepb::FollowChange;
use tokio::sync::mpsc;

use super::Fault;
use super::batch::{Batch, of_event};
use super::session::Session;
use super::source::{Told, Watching};
use crate::limits::ENTRY_BYTES_MAX;

impl Session {
    /// Follows the changes after a revision.
    pub(super) async fn tail(&self, after: i64) -> Result<Infallible, Fault> {
        let watching = self.source.watch(after + 1).await?;
        let (batches, ready) = mpsc::channel(1);
        let reader = Reader { watching, batches, batch: Batch::default(), rest: Vec::new(), rest_bytes: 0 };
        tokio::select! {
            ended = reader.run() => ended,
            ended = self.propose_all(after, ready) => ended,
        }
    }

    async fn propose_all(
        &self,
        mut after: i64,
        mut ready: mpsc::Receiver<Batch>,
    ) -> Result<Infallible, Fault> {
        while let Some(batch) = ready.recv().await {
            after = self.take_over(after, batch).await?;
        }
        Err(Fault::Source("the watch: it ended".to_owned()))
    }
}

fn too_long(revision: i64) -> Fault {
    Fault::Source(format!(
        "its revision {revision} is longer than an entry of the log, {ENTRY_BYTES_MAX} bytes"
    ))
}

/// The half that reads.
struct Reader {
    watching: Watching,
    batches: mpsc::Sender<Batch>,
    /// Whole revisions.
    batch: Batch,
    /// Changes of the revision that may go on.
    rest: Vec<FollowChange>,
    /// Their bytes.
    rest_bytes: usize,
}

impl Reader {
    async fn run(mut self) -> Result<Infallible, Fault> {
        loop {
            let is_waiting = !self.batch.changes.is_empty();
            let told = tokio::select! {
                told = self.watching.next() => told?,
                // The other half is free, and takes what there is.
                room = self.batches.reserve(), if is_waiting => {
                    if let (Ok(room), Some(batch)) = (room, self.batch.take()) {
                        room.send(batch);
                    }
                    continue;
                }
            };
            match told {
                Told::Compacted(_) => return Err(Fault::Compacted),
                Told::Events { events, is_fragment } => self.take(events, is_fragment).await?,
            }
        }
    }

    async fn take(&mut self, events: Vec<proto::mvccpb::Event>, is_fragment: bool) -> Result<(), Fault> {
        for event in events {
            let is_delete = event.r#type() == EventType::Delete;
            let Some(kv) = event.kv else {
                return Err(Fault::Source("the watch: an event has no key".to_owned()));
            };
            if self.rest.first().is_some_and(|first| first.main != kv.mod_revision) {
                self.complete().await?;
            }
            let sub = self.rest.len() as u32;
            let change = of_event(kv, is_delete, sub);
            self.rest_bytes += change.put.len() + change.deleted.len();
            // What is longer is refused by the log, and need not be in memory before.
            if self.rest_bytes > ENTRY_BYTES_MAX {
                return Err(too_long(change.main));
            }
            self.rest.push(change);
        }
        if is_fragment { Ok(()) } else { self.complete().await }
    }

    /// The revision that was begun is whole.
    async fn complete(&mut self) -> Result<(), Fault> {
        self.rest.drain(..).for_each(|change| self.batch.push(change));
        self.rest_bytes = 0;
        if self.batch.is_full()
            && let Some(batch) = self.batch.take()
        {
            let sent = self.batches.send(batch).await;
            sent.map_err(|_| Fault::NotLeading)?;
        }
        Ok(())
    }
}
