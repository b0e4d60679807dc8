//! Checkpoints: the changes since the last one go to the disk, behind everybody's back.
//!
//! ```text
//!  freeze (writer's thread)     run (any thread)                                   complete (writer's thread)
//!  overlay ── set aside ──►  history: append, sync ─► database: one transaction ─► publish ─► release
//! ```
//!
//! The log that the caller replicates is the truth; a checkpoint only bounds how much of it a start replays. It holds
//! everything at once: keys, side tables, revision, compact revision, where the history ends, what is applied, and the
//! state hash (A2). The history is synced first, so what the mark says of it is there. After a crash in the middle the old
//! mark still holds: the history counts up to it, the changes come again from the caller's log, and the next checkpoint cuts
//! off what is beyond it. So a start writes nothing, and is possible on a full disk.
//!
//! Running out of space anywhere in it loses nothing: the frozen changes stay in memory, and the same job runs again.

mod replaced;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use wal::Position;

use crate::history::{History, Sealed, SealedRun};
use crate::reap::Deleted;
use crate::record::{Fields, crc};
use crate::shared::Inner;
use crate::state_hash::StateHash;
use crate::tables::{Batch, Tables};
use crate::{Applied, Change, Error, Revision};

/// The newest format known.
pub(crate) const FORMAT: u32 = 1;
/// Changes whose places are noted under one hold of the lock.
const PLACES_PER_HOLD: usize = 512;
/// Slots of the cache that are looked at under one hold of the lock.
const EVICTIONS_PER_HOLD: usize = 256;

/// What a checkpoint says about itself and the rest: the record that makes it one.
///
/// ```text
/// format 4 | identity 16 | revision 8 | compact revision 8 | applied index 8 | applied term 8 | keys 8 | key hash 16
/// rows 8 | row hash 16 | history end 16 | tail start 16 | floor 12 | runs 4 | run … | superseded 8 … | crc 4
/// superseded: one for each run
/// run: first segment 8 | root 16 | first 12 | last 12        position: segment 8, offset 8; revision: main 8, sub 4
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) identity: [u64; 2],
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) applied: Applied,
    pub(crate) keys: u64,
    pub(crate) key_hash: StateHash,
    pub(crate) rows: u64,
    pub(crate) row_hash: StateHash,
    /// Where the history ends.
    pub(crate) history_end: Position,
    /// Where the part of the history begins that is in no run.
    pub(crate) tail_start: Position,
    /// The last change before that part.
    pub(crate) floor: Revision,
    pub(crate) runs: Vec<RunMark>,
}

/// A run as the mark has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunMark {
    pub(crate) first_segment: u64,
    pub(crate) root: Position,
    pub(crate) first: Revision,
    pub(crate) last: Revision,
    pub(crate) superseded_bytes: u64,
}

impl RunMark {
    pub(crate) fn of(run: &SealedRun) -> Self {
        let &SealedRun { first_segment, root, first, last, superseded_bytes, .. } = run;
        Self { first_segment, root, first, last, superseded_bytes }
    }

    pub(crate) fn open(self) -> Arc<SealedRun> {
        let Self { first_segment, root, first, last, superseded_bytes } = self;
        Arc::new(SealedRun::new(first_segment, root, first, last, superseded_bytes))
    }
}

impl Mark {
    /// What comes before the first change of a store that was empty.
    pub(crate) const FIRST_FLOOR: Revision = Revision { main: 1, sub: 0 };

    /// The mark of an empty store whose history begins at a position.
    pub(crate) fn empty(identity: [u64; 2], history_end: Position) -> Self {
        Self {
            identity,
            revision: 1,
            compact_revision: -1,
            applied: Applied::default(),
            keys: 0,
            key_hash: StateHash::default(),
            rows: 0,
            row_hash: StateHash::default(),
            history_end,
            tail_start: history_end,
            floor: Self::FIRST_FLOOR,
            runs: Vec::new(),
        }
    }

    /// Whether the history may end with this change: it is of the newest revision, or that is compacted and nothing of it
    /// was kept.
    pub(crate) fn ends_with(&self, last: Revision) -> bool {
        ends_with(last, self.revision, self.compact_revision)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut record = Vec::with_capacity(160 + 56 * self.runs.len());
        record.extend(FORMAT.to_le_bytes());
        self.identity.iter().for_each(|number| record.extend(number.to_le_bytes()));
        record.extend(self.revision.to_le_bytes());
        record.extend(self.compact_revision.to_le_bytes());
        record.extend(self.applied.index.to_le_bytes());
        record.extend(self.applied.term.to_le_bytes());
        record.extend(self.keys.to_le_bytes());
        record.extend(self.key_hash.0.to_le_bytes());
        record.extend(self.rows.to_le_bytes());
        record.extend(self.row_hash.0.to_le_bytes());
        put_position(&mut record, self.history_end);
        put_position(&mut record, self.tail_start);
        put_revision(&mut record, self.floor);
        record.extend((self.runs.len() as u32).to_le_bytes());
        for run in &self.runs {
            record.extend(run.first_segment.to_le_bytes());
            put_position(&mut record, run.root);
            put_revision(&mut record, run.first);
            put_revision(&mut record, run.last);
        }
        self.runs.iter().for_each(|run| record.extend(run.superseded_bytes.to_le_bytes()));
        let check = crc(&[&record]);
        record.extend(check.to_le_bytes());
        record
    }

    /// `Err` is the format of a newer version; `Ok(None)`: it is damaged.
    pub(crate) fn decode(record: &[u8]) -> Result<Option<Self>, u32> {
        let Some((content, check)) = record.split_at_checked(record.len().saturating_sub(4)) else {
            return Ok(None);
        };
        if check != crc(&[content]).to_le_bytes() {
            return Ok(None);
        }
        match Fields(content).u32() {
            Some(format) if format > FORMAT => Err(format),
            _ => Ok(Self::decode_content(content)),
        }
    }

    fn decode_content(content: &[u8]) -> Option<Self> {
        let fields = &mut Fields(content);
        fields.u32()?;
        let mut mark = Self {
            identity: [fields.u64()?, fields.u64()?],
            revision: fields.i64()?,
            compact_revision: fields.i64()?,
            applied: Applied { index: fields.u64()?, term: fields.u64()? },
            keys: fields.u64()?,
            key_hash: StateHash(fields.u128()?),
            rows: fields.u64()?,
            row_hash: StateHash(fields.u128()?),
            history_end: position(fields)?,
            tail_start: position(fields)?,
            floor: revision(fields)?,
            runs: Vec::new(),
        };
        for _ in 0..fields.u32()? {
            mark.runs.push(RunMark {
                first_segment: fields.u64()?,
                root: position(fields)?,
                first: revision(fields)?,
                last: revision(fields)?,
                superseded_bytes: 0,
            });
        }
        // The first stores were written without.
        if !fields.0.is_empty() {
            for run in &mut mark.runs {
                run.superseded_bytes = fields.u64()?;
            }
        }
        fields.0.is_empty().then_some(mark)
    }
}

/// Whether a history of these revisions may end with this change.
pub(crate) fn ends_with(last: Revision, revision: i64, compact_revision: i64) -> bool {
    last.main == revision || (revision == compact_revision && last.main < revision)
}

fn put_position(record: &mut Vec<u8>, position: Position) {
    record.extend(position.segment.to_le_bytes());
    record.extend(position.offset.to_le_bytes());
}

fn put_revision(record: &mut Vec<u8>, revision: Revision) {
    record.extend(revision.main.to_le_bytes());
    record.extend(revision.sub.to_le_bytes());
}

fn position(fields: &mut Fields<'_>) -> Option<Position> {
    Some(Position { segment: fields.u64()?, offset: fields.u64()? })
}

fn revision(fields: &mut Fields<'_>) -> Option<Revision> {
    Some(Revision { main: fields.i64()?, sub: fields.u32()? })
}

/// What the writer set aside for a checkpoint.
pub(crate) struct Frozen {
    /// Whose state it is.
    pub(crate) inner: Arc<Inner>,
    /// States that the store was emptied of since the checkpoint before: nothing that is stored belongs to it then.
    pub(crate) left: Vec<Arc<Inner>>,
    /// Whether the history is still that of the store before it was emptied.
    pub(crate) history_is_old: AtomicBool,
    /// All transactions since the last one, in order. Taken out (and dropped, on this job's thread) when they are stored.
    pub(crate) transactions: Mutex<Vec<Arc<[Change]>>>,
    /// The last state of each row that changed: `table 1 | row key`.
    pub(crate) rows: Vec<(Vec<u8>, Option<Bytes>)>,
    /// Complete but for what is known of the history only when it is written.
    pub(crate) mark: Mark,
    /// Bytes that it keeps in memory.
    pub(crate) bytes: usize,
}

/// What belongs to the checkpoint's thread: the ways to write.
pub(crate) struct Background {
    pub(crate) history: History,
    pub(crate) tables: Tables,
    /// All runs, oldest first.
    pub(crate) runs: Vec<Arc<SealedRun>>,
    /// Where the unsealed part of the history begins, and the last change before it.
    pub(crate) tail_start: Position,
    pub(crate) floor: Revision,
    /// How far an interrupted job got: places of the frozen changes, in order.
    pub(crate) places: Vec<Position>,
    /// What was deleted in the runs that are not published yet.
    pub(crate) deleted: Vec<Deleted>,
    /// Whether a job failed for good.
    pub(crate) is_closed: bool,
}

/// Sizes on the disk, for status and quota.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) database: AtomicI64,
    pub(crate) history: AtomicI64,
    /// Everything below this revision is physically gone.
    pub(crate) released: AtomicI64,
}

/// A checkpoint to be made: [`run`](Self::run) it on any thread.
#[must_use = "a checkpoint is made by running it"]
pub struct CheckpointJob {
    pub(crate) inner: Arc<Inner>,
    pub(crate) background: Arc<Mutex<Background>>,
    pub(crate) frozen: Arc<Frozen>,
    pub(crate) sizes: Arc<Sizes>,
}

/// A checkpoint that is on the disk: to be handed to [`Store::complete`](crate::Store::complete).
#[must_use = "the store has to know that the checkpoint is made"]
#[derive(Debug)]
pub struct Done {
    pub(crate) revision: i64,
    pub(crate) applied: Applied,
}

impl Done {
    /// What the checkpoint covers: the caller's log is not needed up to here.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// The revision that it holds.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }
}

impl CheckpointJob {
    /// Makes the checkpoint. Blocks on the disk for as long as that takes.
    ///
    /// # Errors
    /// If [`Error::is_retryable`], nothing is lost and the job can be run again, now or later. Otherwise the caller stops
    /// the process.
    pub fn run(&self) -> Result<Done, Error> {
        let background = &mut *self.background.lock();
        if background.is_closed {
            return Err(Error::Closed);
        }
        let result = self.run_with(background);
        background.is_closed = result.as_ref().is_err_and(|error| !error.is_retryable());
        result
    }

    fn run_with(&self, background: &mut Background) -> Result<Done, Error> {
        let transactions = self.frozen.transactions.lock();
        if self.frozen.history_is_old.load(Ordering::Relaxed) {
            background.begin_anew()?;
            for left in &self.frozen.left {
                // Once only: a state is left once.
                let _ = left.history_end.set(background.tail_start);
            }
            self.frozen.history_is_old.store(false, Ordering::Relaxed);
        }
        background.write_history(&transactions, self.frozen.mark.compact_revision, &self.inner)?;
        let mark = background.write_tables(&self.frozen, &transactions, &self.inner)?;
        drop(transactions);
        self.publish(background)?;
        self.release(background, &mark)?;
        self.sizes.database.store(background.tables.file_bytes() as i64, Ordering::Relaxed);
        self.sizes.history.store(background.history.used_bytes() as i64, Ordering::Relaxed);
        // This may free many small pieces of memory: here and not where somebody waits.
        drop(std::mem::take(&mut *self.frozen.transactions.lock()));
        Ok(Done { revision: mark.revision, applied: mark.applied })
    }

    /// Shows readers what is on the disk now.
    fn publish(&self, background: &mut Background) -> Result<(), Error> {
        let snapshot = Arc::new(background.tables.snapshot()?);
        let mut places = &background.places[..];
        while !places.is_empty() {
            let mut shared = self.inner.shared.write();
            let noted = shared.tail.flushed(places, PLACES_PER_HOLD);
            places = &places[noted..];
        }
        background.places = Vec::new();
        let runs: Arc<[Arc<SealedRun>]> = background.runs.clone().into();
        let old = {
            let mut shared = self.inner.shared.write();
            shared.stored = self.frozen.mark.revision;
            if background.floor > shared.tail.floor() {
                shared.tail.drop_through(background.floor);
            }
            let runs = std::mem::replace(&mut shared.runs, runs);
            (runs, std::mem::replace(&mut shared.snapshot, snapshot))
        };
        drop(old);
        background.deleted.drain(..).for_each(|deleted| deleted.reap(&self.inner));
        self.shrink_cache();
        Ok(())
    }

    /// What is stored now can leave the cache. The writer evicts when it brings something; it may have nothing to bring for
    /// a long time.
    fn shrink_cache(&self) {
        let mut steps = self.inner.shared.read().cache.two_rounds();
        while steps > 0
            && self.inner.shared.write().cache.evict(self.frozen.mark.revision, EVICTIONS_PER_HOLD)
        {
            steps = steps.saturating_sub(EVICTIONS_PER_HOLD);
        }
    }

    /// Unlinks what compaction freed. Only now: the mark that says so is durable (C2). What a reader holds on to stays until
    /// a later checkpoint, and its runs stay known.
    fn release(&self, background: &mut Background, mark: &Mark) -> Result<(), Error> {
        let is_needed = |run: &Arc<SealedRun>| run.last.main >= mark.compact_revision;
        let first_needed = background.runs.iter().find(|run| is_needed(run));
        background
            .history
            .release_before(first_needed.map_or(background.tail_start.segment, |run| run.first_segment))?;
        let first_kept = background.history.reader().start().segment;
        self.inner.roots.release_before(first_kept);
        background.runs.retain(|run| is_needed(run) || run.root.segment >= first_kept);
        let runs: Arc<[Arc<SealedRun>]> = background.runs.clone().into();
        let old = std::mem::replace(&mut self.inner.shared.write().runs, runs);
        drop(old);
        if background.runs.iter().all(is_needed) {
            self.sizes.released.store(mark.compact_revision, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Background {
    /// Leaves the history of an emptied store behind: it goes when a mark says that it is not needed.
    fn begin_anew(&mut self) -> Result<(), Error> {
        self.history.begin_anew()?;
        self.tail_start = self.history.end();
        self.floor = Mark::FIRST_FLOOR;
        self.runs.clear();
        self.deleted.clear();
        Ok(())
    }

    /// Appends the frozen changes that are not in the history yet, with what they have replaced, and syncs.
    fn write_history(
        &mut self,
        transactions: &[Arc<[Change]>],
        compact_revision: i64,
        inner: &Inner,
    ) -> Result<(), Error> {
        // As of the checkpoint before: nothing is written to the tables before all changes are in the history.
        let snapshot = inner.shared.read().snapshot.clone();
        let done = self.places.len();
        let mut changes = transactions.iter().flat_map(|changes| changes.iter()).skip(done);
        loop {
            let together = replaced::take_together(&mut changes);
            if together.is_empty() {
                break;
            }
            let mut read = replaced::read(&together, &snapshot, &inner.damage)?.into_iter();
            for change in together {
                let read = if change.before.is_stored() { read.next() } else { None };
                let (place, sealed) = self.history.append(change, read.as_ref().unwrap_or(&change.before))?;
                if let Some(sealed) = sealed {
                    self.add_run(sealed, place);
                }
                self.places.push(place);
            }
        }
        self.seal_what_was_compacted(compact_revision)?;
        self.history.sync()?;
        Ok(())
    }

    fn add_run(&mut self, Sealed { run, deleted }: Sealed, tail_start: Position) {
        self.floor = run.last;
        self.tail_start = tail_start;
        self.runs.push(Arc::new(run));
        self.deleted.push(deleted);
    }

    /// Seals the tail if it holds deletions that compaction has passed, so that their entries leave the index.
    fn seal_what_was_compacted(&mut self, compact_revision: i64) -> Result<(), Error> {
        if !self.history.has_unsealed_deletion(compact_revision) {
            return Ok(());
        }
        match self.history.seal() {
            Ok(sealed) => self.add_run(sealed, self.history.end()),
            // It may be this checkpoint that makes space. The next one tries again.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write_tables(
        &mut self,
        frozen: &Frozen,
        transactions: &[Arc<[Change]>],
        inner: &Inner,
    ) -> Result<Mark, Error> {
        let mark = Mark {
            history_end: self.history.end(),
            tail_start: self.tail_start,
            floor: self.floor,
            runs: self.runs.iter().map(|run| RunMark::of(run)).collect(),
            ..frozen.mark.clone()
        };
        let batch = Batch {
            empties_keys: !frozen.left.is_empty(),
            changes: last_changes(transactions),
            rows: frozen.rows.iter().map(|(key, value)| (key.clone(), value.as_deref())).collect(),
            mark: mark.encode(),
        };
        if !self.tables.is_open() && self.reopen_tables(inner, &batch.mark)? == Opened::WithThis {
            return Ok(mark);
        }
        let Err(error) = self.tables.commit(&batch) else { return Ok(mark) };
        if !error.is_retryable() {
            return Err(error);
        }
        match self.reopen_tables(inner, &batch.mark)? {
            Opened::WithThis => Ok(mark),
            Opened::WithTheLast => Err(error),
        }
    }

    /// Opens the database anew and shows it to readers: redb refuses everything after an IO error, and a new handle starts
    /// from the last commit. If this fails too, the database is closed, and the next attempt begins with this.
    fn reopen_tables(&mut self, inner: &Inner, mark: &[u8]) -> Result<Opened, Error> {
        self.tables.reopen()?;
        match self.tables.snapshot() {
            // Readers are shown it when they know that these changes are in it: what they replaced is not.
            Ok(snapshot) if snapshot.mark() == mark => Ok(Opened::WithThis),
            Ok(snapshot) => {
                inner.shared.write().snapshot = Arc::new(snapshot);
                Ok(Opened::WithTheLast)
            }
            Err(error) => {
                self.tables.close();
                Err(error)
            }
        }
    }
}

/// Which checkpoint the database has that was opened anew.
#[derive(PartialEq, Eq)]
enum Opened {
    /// The one being made: it was written although the call failed.
    WithThis,
    /// The one before.
    WithTheLast,
}

/// The last change of each key that changed, in key order.
fn last_changes(transactions: &[Arc<[Change]>]) -> Vec<&Change> {
    let mut changes: Vec<&Change> = transactions.iter().flat_map(|changes| changes.iter()).collect();
    // Stable, and from the last to the first: of the changes of one key, the last one stays.
    changes.reverse();
    changes.sort_by(|one, other| one.key.cmp(&other.key));
    changes.dedup_by(|next, kept| next.key == kept.key);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let at = |main, sub| Revision { main, sub };
        let place = |segment, offset| Position { segment, offset };
        let run = RunMark {
            first_segment: 1,
            root: place(2, 3),
            first: at(2, 0),
            last: at(9, 1),
            superseded_bytes: 11,
        };
        Mark {
            revision: 77,
            compact_revision: 5,
            applied: Applied { index: 90, term: 3 },
            keys: 4,
            key_hash: StateHash(6),
            rows: 7,
            row_hash: StateHash(8),
            tail_start: place(3, 0),
            floor: at(9, 1),
            runs: vec![run, run],
            ..Mark::empty([1, 2], place(3, 40))
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_every_damage_is_noticed() {
        let record = mark().encode();
        assert_eq!(Mark::decode(&record), Ok(Some(mark())));
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&damaged), Ok(None), "bit {bit}");
        }
        assert_eq!(Mark::decode(&[]), Ok(None));
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut record = mark().encode();
        record.truncate(record.len() - 4);
        record[0] = 2;
        record.extend(crc(&[&record]).to_le_bytes());
        assert_eq!(Mark::decode(&record), Err(2));
    }
}
