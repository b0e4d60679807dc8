//! The database of the current state under inspection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wal::{Disk, Finding};

use super::recording::{LastRead, RecordingDisk};
use super::{CheckpointMark, Seen};
use crate::checkpoint::{FORMAT, Mark};
use crate::open::DATABASE;
use crate::state_hash::{self, StateHash};
use crate::tables::Tables;
use crate::{Error, TableId, snapshot};

/// Read at once while the file is gone through from its beginning to its end.
const READ_BYTES: usize = 1 << 20;
/// Records of a table that are reported; more say nothing new.
const FINDINGS_MAX: usize = 16;

/// The checkpoint of a store that nobody has open.
pub struct Checkpoint {
    pub(super) mark: Mark,
    shown: CheckpointMark,
    tables: Tables,
    path: PathBuf,
    last_read: LastRead,
}

impl Checkpoint {
    /// Opens the database of the store in `dir` and has every page of it checked. `None` if it cannot be opened: then `see`
    /// has been shown why. With an `identity`, the store of another is damage. See the [module](super) about the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: Option<[u64; 2]>,
        see: &mut dyn FnMut(Seen<'_>),
    ) -> Option<Self> {
        let path = dir.join(DATABASE);
        if let Err(error) = snapshot::settle(&*disk, dir) {
            see(Seen::Finding(Finding::damage(dir, 0, 0, error.to_string())));
        }
        if !disk.exists(&path).unwrap_or(true) {
            see(Seen::Finding(Finding::damage(&path, 0, 0, "the database is missing")));
            return None;
        }
        read_through(&*disk, &path, see);
        let last_read = LastRead::default();
        let recording: Arc<dyn Disk> = Arc::new(RecordingDisk { disk, last_read: last_read.clone() });
        let report = |error: Error, see: &mut dyn FnMut(Seen<'_>)| {
            let (offset, bytes) = last_read.get();
            see(Seen::Finding(Finding::damage(&path, offset, bytes, what(&error))));
        };
        let open = || Tables::open(recording.clone(), &path, &[]);
        let mut tables = open().map_err(|error| report(error, see)).ok()?;
        match tables.check_integrity() {
            Ok(true) => {}
            Ok(false) => {
                let what = "redb put its lists of free pages, or the counts of its tables, right";
                see(Seen::Finding(Finding::damage(&path, 0, 0, what)));
            }
            Err(error) => {
                report(error, see);
                tables.close();
                tables = open().map_err(|error| report(error, see)).ok()?;
            }
        }
        let mark = read_mark(&tables).map_err(|error| report(error, see)).ok()?;
        if let Some(identity) = identity.filter(|identity| *identity != mark.identity) {
            let what = format!("it belongs to {:x?}, not to {identity:x?}", mark.identity);
            see(Seen::Finding(Finding::damage(&path, 0, 0, what)));
        }
        let shown = CheckpointMark::of(&mark);
        Some(Self { mark, shown, tables, path, last_read })
    }

    /// What it says of itself.
    #[must_use]
    pub fn mark(&self) -> &CheckpointMark {
        &self.shown
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shows every row and every key with its value, and says what is wrong with them.
    pub fn inspect(&self, see: &mut dyn FnMut(Seen<'_>)) {
        for what in self.contradictions() {
            see(self.damage(what.to_owned()));
        }
        self.inspect_rows(see);
        self.inspect_keys(see);
    }

    /// What the mark says that cannot be.
    fn contradictions(&self) -> impl Iterator<Item = &'static str> {
        let mark = &self.mark;
        let is_ordered = mark.runs.is_sorted_by(|one, next| one.last < next.first && one.root < next.root);
        let runs_end = mark.runs.last().is_none_or(|run| run.last == mark.floor);
        [
            (mark.revision >= mark.compact_revision, "its mark has compacted more than there is"),
            (mark.floor.main <= mark.revision, "its mark has history from the future"),
            (mark.tail_start <= mark.history_end, "its mark has a history that ends before it begins"),
            (is_ordered && runs_end, "its mark has runs that do not follow each other"),
        ]
        .into_iter()
        .filter_map(|(holds, what)| (!holds).then_some(what))
    }

    fn inspect_rows(&self, see: &mut dyn FnMut(Seen<'_>)) {
        let rows = match self.tables.snapshot().and_then(|snapshot| snapshot.rows()) {
            Ok(rows) => rows,
            Err(error) => return see(self.damage(what(&error))),
        };
        let (mut rows, mut sum, mut count, mut wrong) = (rows, StateHash::default(), 0, 0);
        while wrong < FINDINGS_MAX {
            let shown = rows.next_row(|key, value| {
                if let Some((table, row)) = key.split_first() {
                    see(Seen::Row(TableId(*table), row, &Bytes::copy_from_slice(value)));
                    sum += state_hash::of_row(*table, row, value);
                }
            });
            match shown {
                Ok(Some(())) => count += 1,
                Ok(None) => break,
                Err(error) => {
                    wrong += 1;
                    see(self.damage(what(&error)));
                }
            }
        }
        if wrong == 0 && (count, sum) != (self.mark.rows, self.mark.row_hash) {
            see(self.damage(format!("it has {count} rows that are not the {} of its mark", self.mark.rows)));
        }
    }

    fn inspect_keys(&self, see: &mut dyn FnMut(Seen<'_>)) {
        let pairs = match self.tables.snapshot().and_then(|snapshot| snapshot.pairs()) {
            Ok(pairs) => pairs,
            Err(error) => return see(self.damage(what(&error))),
        };
        let (mut pairs, mut sum, mut count, mut wrong) = (pairs, StateHash::default(), 0, 0);
        while wrong < FINDINGS_MAX {
            let shown = pairs.next_pair(|pair| {
                sum += state_hash::of_key(state_hash::digest(pair.key), &pair.entry);
                see(Seen::Key(pair.key, &pair.entry.meta(), &pair.value_record[4..]));
                let meta = pair.entry.meta();
                let is_sound = meta.create_revision <= meta.mod_revision.main
                    && meta.mod_revision.main <= self.mark.revision
                    && meta.version > 0;
                (!is_sound).then(|| format!("key \"{}\" has impossible revisions", pair.key.escape_ascii()))
            });
            match shown {
                Ok(Some(impossible)) => {
                    count += 1;
                    if let Some(what) = impossible {
                        wrong += 1;
                        see(self.damage(what));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    wrong += 1;
                    see(self.damage(what(&error)));
                }
            }
        }
        if wrong == 0 && (count, sum) != (self.mark.keys, self.mark.key_hash) {
            see(self.damage(format!("it has {count} keys that are not the {} of its mark", self.mark.keys)));
        }
    }

    /// A damage near what was read last.
    fn damage(&self, what: String) -> Seen<'static> {
        let (offset, bytes) = self.last_read.get();
        Seen::Finding(Finding::damage(&self.path, offset, bytes, what))
    }
}

/// Reads the file from its beginning to its end: fast, and what redb reads here and there afterwards is in the page cache.
fn read_through(disk: &dyn Disk, path: &Path, see: &mut dyn FnMut(Seen<'_>)) {
    let opened = disk.open(path).and_then(|file| Ok((file.len()?, file)));
    let (len, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return see(Seen::Finding(Finding::damage(path, 0, 0, format!("cannot be opened: {error}"))));
        }
    };
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    while offset < len {
        let bytes = (len - offset).min(READ_BYTES as u64);
        if let Err(error) = file.read_at(offset, &mut buffer[..bytes as usize]) {
            see(Seen::Finding(Finding::damage(path, offset, bytes, format!("cannot be read: {error}"))));
        }
        see(Seen::Read(bytes));
        offset += bytes;
    }
}

fn read_mark(tables: &Tables) -> Result<Mark, Error> {
    match Mark::decode(&tables.mark()?) {
        Ok(Some(mark)) => Ok(mark),
        Ok(None) => Err(tables.corrupt("its mark does not match its checksum")),
        Err(found) => {
            Err(tables
                .corrupt(format!("it has format {found}, and this version reads formats up to {FORMAT}")))
        }
    }
}

/// The error without the file's name, which a finding has.
fn what(error: &Error) -> String {
    match error {
        Error::Corrupt { what, .. } => what.clone(),
        Error::DamagedValue { key, what, .. } => format!("key \"{}\": {what}", key.escape_ascii()),
        Error::Database { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
