//! The newest published batches, for watchers that join or fall a little behind.

use std::collections::VecDeque;

use super::bounds::Bounds;
use super::reply::Batch;

/// A bounded, gapless run of batches that ends at the newest published revision.
#[derive(Debug)]
pub(crate) struct Recent {
    batches: VecDeque<(Batch, usize)>,
    bytes: usize,
    bounds: Bounds,
    /// Every revision above this one up to the newest is here.
    floor: i64,
}

impl Recent {
    /// Nothing yet; what comes next is above `revision`.
    pub(crate) fn after(revision: i64, bounds: Bounds) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bounds, floor: revision }
    }

    /// Adds the batch that follows, dropping the oldest ones over the bounds.
    pub(crate) fn push(&mut self, batch: Batch) {
        let bytes = batch.iter().map(size_of_change).sum();
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
        while self.bytes > self.bounds.recent_bytes || self.batches.len() > self.bounds.recent_revisions {
            let Some((oldest, bytes)) = self.batches.pop_front() else { break };
            self.bytes -= bytes;
            if let Some(last) = oldest.last() {
                self.floor = last.revision.main;
            }
        }
    }

    /// The batches that hold everything from `revision` on, or `None` if some of that is no longer here.
    pub(crate) fn since(&self, revision: i64) -> Option<impl Iterator<Item = &Batch>> {
        if revision <= self.floor {
            return None;
        }
        let ends_before = |batch: &Batch| batch.last().is_none_or(|change| change.revision.main < revision);
        let first = self.batches.partition_point(|(batch, _)| ends_before(batch));
        Some(self.batches.range(first..).map(|(batch, _)| batch))
    }
}

fn size_of_change(change: &mvcc::Change) -> usize {
    let after = change.after.as_ref().map_or(0, |item| item.encoded.len());
    // It may yet be read, and is then kept with the event.
    let before = change.before.value_len();
    change.key.len() + after + before + size_of::<mvcc::Change>()
}
