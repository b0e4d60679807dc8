//! Scanning the history: what happened from some revision on, change by change.
//!
//! A watcher that is behind reads here, off the apply thread and at its own pace. What is not in the history yet (changes
//! since the last checkpoint) comes from memory, the rest from the log, and a scan goes over from one to the other without
//! a gap: revisions count up without one, so "the next" is always well defined. A revision is never split (V5).

use std::sync::Arc;

use wal::Position;

use crate::history::{self, SealedRun};
use crate::shared::{FIRST_CHANGE, Hold, Inner, Shared};
use crate::{Before, Change, Error, ReadError, Revision, View};

/// Changes in one batch at most, about.
const BATCH_CHANGES: usize = 1000;
/// Bytes in one batch, about.
const BATCH_BYTES: usize = 4 << 20;

/// The changes from a revision on. Made by [`View::history`].
pub struct History {
    view: View,
    scanner: Scanner,
}

impl History {
    pub(crate) fn new(view: View, from: i64) -> Self {
        let next = from.max(FIRST_CHANGE);
        Self { view, scanner: Scanner { next, end: i64::MAX, place: None, hold: None, batch: BATCH_CHANGES } }
    }

    /// Makes batches of about so many changes instead of a thousand, for a caller whose steps must be short.
    #[must_use]
    pub fn with_batches_of(mut self, changes: usize) -> Self {
        self.scanner.batch = changes.clamp(1, BATCH_CHANGES);
        self
    }

    /// The revision of which the next batch will bring the first changes that there are.
    #[must_use]
    pub fn next_revision(&self) -> i64 {
        self.scanner.next
    }

    /// The next changes, in order, by whole revisions: about a thousand, unless the caller wants fewer. `None`: nothing newer happened so far; asked
    /// again later, it goes on. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] if the next revision was compacted meanwhile: there may be changes that are gone.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Change>>, ReadError> {
        self.scanner.next_batch(&self.view.inner)
    }
}

/// The state of a scan.
pub(crate) struct Scanner {
    /// The next main revision.
    next: i64,
    /// The last one.
    end: i64,
    /// Where the log goes on with it, as far as known.
    place: Option<Position>,
    /// What the caller holds on to, so that compaction does not matter.
    hold: Option<Hold>,
    /// Changes in one batch, about: it ends with the revision that reaches this many.
    batch: usize,
}

/// Where the next changes are.
enum Source {
    /// Here they are.
    Memory(Vec<Change>),
    /// In the log, from a place at or before them, up to this main revision.
    Log(Position, i64),
    /// The same, but only the run's index knows the place.
    Run(Arc<SealedRun>, i64),
}

impl Scanner {
    /// A scan of what the caller holds on to.
    pub(crate) fn held(from: i64, end: i64, hold: &Hold) -> Self {
        Self {
            next: from.max(FIRST_CHANGE),
            end,
            place: None,
            hold: Some(hold.clone()),
            batch: BATCH_CHANGES,
        }
    }

    pub(crate) fn next_batch(&mut self, inner: &Inner) -> Result<Option<Vec<Change>>, ReadError> {
        let shared = inner.shared.read();
        if self.next > shared.revision.min(self.end) {
            return Ok(None);
        }
        let compact_revision = shared.compact_revision;
        if self.next < compact_revision && self.hold.is_none() {
            return Err(ReadError::Compacted(compact_revision));
        }
        if self.next == compact_revision && !has_changes_from(&shared, self.next) {
            // A store that was made from a backup may have nothing of its compact revision.
            self.next += 1;
            if self.next > shared.revision.min(self.end) {
                return Ok(None);
            }
        }
        let source = self.locate(inner, &shared);
        // For this batch only: a watcher that is slow does not keep the history from being released.
        let _hold = shared.hold(inner, self.next - 1);
        drop(shared);
        let mut changes = match source? {
            Source::Memory(changes) => changes,
            Source::Log(position, last) => self.read_log(inner, position, last, compact_revision)?,
            Source::Run(run, last) => {
                let position = run.position_before(inner.files(), self.next)?;
                self.read_log(inner, position, last, compact_revision)?
            }
        };
        if self.hold.is_none() {
            // What a key was before a change is not to be had if that revision is compacted.
            let is_gone = |change: &&mut Change| change.revision.main - 1 < compact_revision;
            changes.iter_mut().filter(is_gone).for_each(|change| change.before = Before::Nothing);
        }
        Ok(Some(changes))
    }

    fn locate(&mut self, inner: &Inner, shared: &Shared) -> Result<Source, Error> {
        let pending = shared.tail.pending();
        if let Some(front) = pending.front()
            && front[0].revision.main <= self.next
        {
            let skip = pending.partition_point(|changes| changes[0].revision.main < self.next);
            let mut taken = Vec::new();
            let mut bytes = 0;
            for changes in pending.range(skip..) {
                if changes[0].revision.main > self.end {
                    break;
                }
                taken.extend(changes.iter().cloned());
                bytes += changes.iter().map(Change::bytes).sum::<usize>();
                self.next = changes[0].revision.main + 1;
                // Cloning is done with the lock held: a small part of a batch at a time.
                if taken.len() >= self.batch.div_ceil(8) || bytes >= BATCH_BYTES {
                    break;
                }
            }
            self.place = None;
            return Ok(Source::Memory(taken));
        }
        let last = pending.front().map_or(shared.revision, |front| front[0].revision.main - 1).min(self.end);
        if let Some(position) = self.place {
            return Ok(Source::Log(position, last));
        }
        // A revision may begin in a run and end in the tail; then the run knows where it begins.
        let source = match shared.runs_after(self.next - 1).first() {
            Some(run) => Some(Source::Run(run.clone(), last)),
            None => shared.tail.position_of(self.next).map(|position| Source::Log(position, last)),
        };
        source.ok_or_else(|| gap(inner, self.next))
    }

    fn read_log(
        &mut self,
        inner: &Inner,
        position: Position,
        last: i64,
        compact_revision: i64,
    ) -> Result<Vec<Change>, Error> {
        let mut taken: Vec<Change> = Vec::new();
        let mut bytes = 0;
        self.place = None;
        for record in inner.reader.scan(position) {
            let record = record?;
            if inner.history_end.get().is_some_and(|end| record.position >= *end) {
                break;
            }
            if record.head.kind != history::CHANGE || (record.head.number as i64) < self.next {
                continue;
            }
            let main = record.head.number as i64;
            let is_new_revision = taken.last().is_none_or(|change| change.revision.main != main);
            if main > last {
                // Of a past life, and to be cut off: no place to go on from.
                break;
            }
            if is_new_revision && (taken.len() >= self.batch || bytes >= BATCH_BYTES) {
                self.place = Some(record.position);
                break;
            }
            let change = history::decode(&inner.history_dir, &record)?;
            let start = Revision { main: self.next - 1, sub: u32::MAX };
            let before = taken.last().map_or(start, |before| before.revision);
            if !before.precedes_beyond(change.revision, compact_revision) {
                return Err(gap(inner, self.next));
            }
            bytes += change.bytes();
            taken.push(change);
        }
        match taken.last() {
            Some(change) => self.next = change.revision.main + 1,
            None => return Err(gap(inner, self.next)),
        }
        Ok(taken)
    }
}

/// Whether there is any change at this main revision or after it.
fn has_changes_from(shared: &Shared, main: i64) -> bool {
    let is_pending = || shared.tail.pending().front().is_some_and(|front| front[0].revision.main <= main);
    is_pending() || shared.tail.position_of(main).is_some() || !shared.runs_after(main - 1).is_empty()
}

fn gap(inner: &Inner, main: i64) -> Error {
    let what = format!("the changes from revision {main} on are missing");
    Error::Corrupt { path: inner.history_dir.clone(), what }
}
