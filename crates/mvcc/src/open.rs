//! Opening a store: from what is on the disk to what is in memory.
//!
//! One way in, for every start (C1: nothing is derived that can be stored). The mark of the last checkpoint says what
//! there is; the keys are read in order into the index and the rows into the side tables, and their hashes and counts must
//! be what the mark says, so that nothing can be missing or too much; the history counts up to the mark, and its part
//! that has no index on the disk is read to index it in memory. What it has beyond the mark is cut off by the next checkpoint.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use wal::Position;

use crate::cache::Cache;
use crate::checkpoint::{Background, FORMAT, Mark, RunMark};
use crate::hash_kv::CompactionHashes;
use crate::history::{self, Files, History, Roots, SealedRun};
use crate::index::{Builder, Entry, Index};
use crate::options::Options;
use crate::shared::{Damage, Inner, Shared};
use crate::side::{Side, TableId};
use crate::state_hash::{self, StateHash};
use crate::store::Opened;
use crate::tables::Tables;
use crate::tail::Tail;
use crate::versions::{Superseded, superseded_bytes};
use crate::{Change, Error, Revision, snapshot};

/// The database of the current state.
pub(crate) const DATABASE: &str = "current.redb";
/// The directory of the history.
pub(crate) const HISTORY: &str = "history";
/// Of a key that has no change in the tail (so far).
const NO_LINK: u32 = u32::MAX;

pub(crate) fn open(disk: Arc<dyn wal::Disk>, dir: &Path, options: &Options) -> Result<Opened, Error> {
    let history_dir = dir.join(HISTORY);
    let database = dir.join(DATABASE);
    let io = |op| move |source| Error::Io { path: dir.to_owned(), op, source };
    // A store that was being replaced is the old one or the new one, whole.
    snapshot::settle(&*disk, dir)?;
    disk.create_dir_all(dir).map_err(io("create"))?;
    let wal_options =
        wal::Options { segment_bytes: options.history_segment_bytes, identity: options.identity };
    let is_new = !disk.exists(&database).map_err(io("look into"))?;
    let mut history = None;
    let mut initial = Vec::new();
    if is_new {
        // The history exists before the first mark that speaks of it. (What an interrupted first start left is empty.)
        let created = History::open(disk.clone(), &history_dir, wal_options, None)?;
        if let Some(record) = created.reader().scan_all().next() {
            let what =
                format!("it has records (the first is {}), but there is no {DATABASE}", record?.head.number);
            return Err(Error::Corrupt { path: history_dir, what });
        }
        initial = Mark::empty(options.identity, created.end()).encode();
        history = Some(created);
    }
    let tables = Tables::open(disk.clone(), &database, &initial)?;
    let mark = read_mark(&tables, &database, options)?;
    let mut history = match history {
        Some(history) => history,
        None => History::open(disk, &history_dir, wal_options, Some(mark.history_end))?,
    };
    let (mut index, live_bytes) = load_index(&tables, &mark)?;
    let side = load_side(&tables, &mark)?;
    let runs: Vec<_> = mark.runs.iter().copied().map(RunMark::open).collect();
    let roots = Roots::default();
    let files = Files { reader: &history.reader(), dir: &history_dir, roots: &roots };
    let mut superseded = superseded_of(&runs, mark.compact_revision, files);
    let tail = load_tail(&mut history, &history_dir, &mark, &mut index, &mut superseded)?;
    superseded.compact(mark.compact_revision);
    let shared = Shared {
        revision: mark.revision,
        compact_revision: mark.compact_revision,
        index,
        cache: Cache::new(options.cache_bytes),
        tail,
        runs: runs.clone().into(),
        stored: mark.revision,
        snapshot: Arc::new(tables.snapshot()?),
        hashes: CompactionHashes::default(),
    };
    let inner = Inner {
        shared: RwLock::new(shared),
        reader: history.reader(),
        history_dir,
        history_end: OnceLock::new(),
        damage: Damage::default(),
        roots: roots.into(),
    };
    let background = Background {
        history,
        tables,
        runs,
        tail_start: mark.tail_start,
        floor: mark.floor,
        places: Vec::new(),
        deleted: Vec::new(),
        is_closed: false,
    };
    Ok(Opened { inner, background, side, mark, live_bytes, superseded })
}

fn read_mark(tables: &Tables, path: &Path, options: &Options) -> Result<Mark, Error> {
    let mark = match Mark::decode(&tables.mark()?) {
        Ok(Some(mark)) => mark,
        Ok(None) => return Err(tables.corrupt("its mark does not match its checksum")),
        Err(found) => return Err(Error::NewerFormat { path: path.to_owned(), found, known: FORMAT }),
    };
    if mark.identity != options.identity {
        let what = format!("it belongs to {:x?}, not to {:x?}", mark.identity, options.identity);
        return Err(tables.corrupt(what));
    }
    Ok(mark)
}

/// The index, and the bytes of its keys' versions.
fn load_index(tables: &Tables, mark: &Mark) -> Result<(Index, u64), Error> {
    let mut builder = Builder::default();
    let mut hash = StateHash::default();
    let mut live_bytes = 0;
    tables.load_keys(|key, entry| {
        live_bytes += entry.version_bytes(key.len());
        hash += state_hash::of_key(state_hash::digest(key), &entry);
        builder.push(key, Entry { slot: u32::MAX, link: NO_LINK, ..entry });
    })?;
    let index = builder.finish();
    if (index.live(), hash) != (mark.keys, mark.key_hash) {
        return Err(tables.corrupt(format!(
            "it has {} keys that are not the {} of its mark",
            index.live(),
            mark.keys
        )));
    }
    Ok((index, live_bytes))
}

fn load_side(tables: &Tables, mark: &Mark) -> Result<Side, Error> {
    let mut side = Side::default();
    tables.load_rows(|table, key, value| side.load(TableId(table), key, value))?;
    if (side.rows(), side.hash()) != (mark.rows, mark.row_hash) {
        return Err(tables.corrupt(format!(
            "it has {} rows that are not the {} of its mark",
            side.rows(),
            mark.rows
        )));
    }
    Ok(side)
}

/// Adds what a run's changes have replaced. Of the run in which compaction has stopped, what it has passed is added by itself,
/// so that it does not count.
fn add_superseded(superseded: &mut Superseded, run: &SealedRun, compact_revision: i64, files: Files<'_>) {
    let mut left = run.superseded_bytes;
    let is_in_it = run.first.main <= compact_revision && compact_revision < run.last.main;
    // It is a number for a quota. What cannot be read is whoever's business who reads it; then all of it counts.
    if is_in_it && let Ok(passed) = superseded_through(run, compact_revision, files) {
        let passed = passed.min(left);
        superseded.add(compact_revision, passed);
        left -= passed;
    }
    superseded.add(run.last.main, left);
}

/// What the changes of the runs have replaced.
fn superseded_of(runs: &[Arc<SealedRun>], compact_revision: i64, files: Files<'_>) -> Superseded {
    let mut superseded = Superseded::default();
    runs.iter().for_each(|run| add_superseded(&mut superseded, run, compact_revision, files));
    superseded
}

/// Bytes of what a run's changes up to a revision have replaced. Reads the run up to there.
fn superseded_through(run: &SealedRun, through: i64, files: Files<'_>) -> Result<u64, Error> {
    let mut bytes = 0;
    for record in files.reader.scan(run.position_before(files, run.first.main)?) {
        let record = record?;
        if record.head.kind != history::CHANGE {
            continue;
        }
        let change = history::decode(files.dir, &record)?;
        if change.revision.main > through || change.revision > run.last {
            break;
        }
        bytes += superseded_bytes(&change);
    }
    Ok(bytes)
}

/// Reads the part of the history that is in no run.
fn load_tail(
    history: &mut History,
    dir: &Path,
    mark: &Mark,
    index: &mut Index,
    superseded: &mut Superseded,
) -> Result<Tail, Error> {
    let corrupt = |what| Error::Corrupt { path: dir.to_owned(), what };
    let mut tail = Tail::after(mark.floor);
    let mut last = mark.floor;
    for record in history.reader().scan(mark.tail_start) {
        let record = record?;
        if record.position >= mark.history_end {
            break;
        }
        if record.head.kind != history::CHANGE {
            continue;
        }
        let change = history::decode(dir, &record)?;
        if !last.precedes_beyond(change.revision, mark.compact_revision) {
            return Err(corrupt(format!("{} comes after {last}", change.revision)));
        }
        last = change.revision;
        let position = record.position;
        history.note(&change, position);
        superseded.add(last.main, superseded_bytes(&change));
        link(index, &mut tail, &change, position);
    }
    if !mark.ends_with(last) {
        return Err(corrupt(format!(
            "it ends with {last}, and the checkpoint is of revision {}",
            mark.revision
        )));
    }
    Ok(tail)
}

/// Links a change to the one before it of the same key. A key that is dead in the end is not in the database, and gets a
/// dead entry.
fn link(index: &mut Index, tail: &mut Tail, change: &Change, position: Position) {
    match index.get_mut(&change.key) {
        Some(entry) => {
            let previous = (entry.link != NO_LINK).then_some((change.revision, entry.link));
            entry.link = tail.push_flushed(change, position, previous);
            if !entry.is_live() {
                (entry.mod_revision, entry.mod_sub) = (change.revision.main, change.revision.sub);
            }
        }
        None => {
            let link = tail.push_flushed(change, position, None);
            let Revision { main, sub } = change.revision;
            let entry = Entry { mod_revision: main, mod_sub: sub, slot: u32::MAX, link, ..Entry::default() };
            index.insert(&change.key, entry);
        }
    }
}
