//! What a watcher is, what it asks the catch-up thread for, and what it is answered.

use std::sync::Arc;

use mvcc::KeyRange;

use super::reply::{Batch, QueuedEvent};
use crate::memory::HeldBytes;

/// A stream of this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// A number below 256 that spreads streams evenly.
    pub fn spread(self) -> u32 {
        (self.0 as u32).wrapping_mul(0x9e37_79b1) >> 24
    }
}

/// A watcher of this hub; never reused, so that a late catch-up answer cannot meet another watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(pub(crate) u64);

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct CreateWatch {
    /// The keys.
    pub range: KeyRange,
    /// First revision wanted; `None`: from now on.
    pub start_revision: Option<i64>,
    /// `None`: the server picks.
    pub watch_id: Option<i64>,
    /// On whose behalf.
    pub user: Option<Arc<str>>,
    /// How events are delivered.
    pub options: Options,
}

/// How events are delivered to a watcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Without puts.
    pub no_put: bool,
    /// Without deletions.
    pub no_delete: bool,
    /// With what was there before.
    pub prev_kv: bool,
    /// In several messages, if a response is long.
    pub fragment: bool,
    /// With progress notifications while nothing happens.
    pub progress_notify: bool,
}

/// Where a watcher gets its events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// Published changes, as they come.
    Live,
    /// The catch-up thread is reading for it.
    Reading,
    /// It waits for its turn: its stream is full, or the catch-up thread reads for enough others of it.
    Stalled,
}

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) stream: StreamId,
    pub(super) watch_id: i64,
    pub(super) range: KeyRange,
    pub(super) user: Option<Arc<str>>,
    pub(super) options: Options,
    /// The first revision that its client asked for; 0: from now on.
    pub(super) start_revision: i64,
    /// Lowest revision that it may still be sent; never goes down (V3).
    pub(super) next_revision: i64,
    pub(super) feed: Feed,
    /// Whether an event was sent since the last progress tick.
    pub(super) active: bool,
}

/// A request to the catch-up thread: the changes of `range` from revision `from` on.
#[derive(Debug, Clone)]
pub struct CatchUpJob {
    /// The watcher's stream.
    pub stream: StreamId,
    /// The watcher.
    pub watcher: WatcherId,
    /// Its keys.
    pub range: KeyRange,
    /// The first revision that it lacks.
    pub from: i64,
    /// Whether it may get large events: nothing else is read for its stream.
    pub is_alone: bool,
    /// Whether it is shown what was replaced.
    pub prev_kv: bool,
}

/// What the catch-up thread found.
#[derive(Debug)]
pub enum CaughtUp {
    /// All changes of the range up to and including revision `through`.
    Changes {
        /// The changes, in their order.
        batch: Batch,
        /// The last revision that was looked at.
        through: i64,
        /// Its part of what waits in watch streams, until it is queued.
        held: Option<HeldBytes>,
    },
    /// The revisions asked for are gone.
    Compacted {
        /// The first revision that is not gone.
        compact_revision: i64,
    },
    /// The history cannot be read.
    Failed {
        /// Why, as the client is told.
        reason: String,
    },
}

impl Watcher {
    /// Returns whether everything up to `position` was sent to it, and the revision that it asked for has come: before
    /// that it is sent no progress (contract: semantics 7.3).
    pub(super) fn is_up_to_date(&self, position: i64) -> bool {
        self.feed == Feed::Live && self.due() <= position
    }

    /// Returns the position from which on there is nothing ahead of it, once it is live.
    pub(super) fn due(&self) -> i64 {
        self.start_revision.max(self.next_revision - 1)
    }
}

impl Options {
    /// Returns the events of those changes that are wanted. `None` if more previous pairs would have to be read from the disk than
    /// are left to be read, or one that cannot be read.
    pub(super) fn events(
        &self,
        batch: &Batch,
        indices: impl Iterator<Item = usize> + Clone,
        compacted: i64,
        reads_left: &mut usize,
    ) -> Option<Vec<QueuedEvent>> {
        let wanted = |index: &usize| match batch[*index].after {
            Some(_) => !self.no_put,
            None => !self.no_delete,
        };
        // etcd looks a previous value up one revision before; when that is compacted, there is none.
        let shows_previous = |index: usize| self.prev_kv && batch[index].revision.main > compacted;
        let is_read = |index: &usize| shows_previous(*index) && !batch[*index].is_previous_in_memory();
        let indices = indices.filter(wanted);
        if self.prev_kv {
            *reads_left = reads_left.checked_sub(indices.clone().filter(is_read).count())?;
        }
        indices.map(|index| QueuedEvent::of(&batch[index], shows_previous(index)).ok()).collect()
    }
}
