//! A full backup and what came after it, as one file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use backup::Row;
use dbfile::etcd::{MetaRows, bucket};
use dbfile::{Db, PageSize, Plan, WriteError};

use super::rows::RowsFile;
use crate::name::FullName;
use crate::piece::{Header, Part, Sample};
use crate::{ArchiveError, Manifest};

/// Bytes of the file written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// The buckets but that of the keys, by name.
type Tables = BTreeMap<Vec<u8>, Vec<Row>>;

/// What there is besides the keys of the full backup.
pub(super) struct Merge {
    tables: Tables,
    meta: MetaRows,
    /// The changes after the full backup.
    rows: RowsFile,
    revision: i64,
    compact_revision: i64,
    /// Tables and samples of the piece that is being read.
    coming: Tables,
    samples: Vec<Sample>,
}

impl Merge {
    /// Begins with the tables of a full backup.
    pub(super) fn begin(
        db: &Db<File>,
        name: &FullName,
        manifest: &Manifest,
        rows: RowsFile,
    ) -> Result<Self, ArchiveError> {
        let wrong = |error: dbfile::Error| ArchiveError::full(name, error.to_string());
        let mut tables = Tables::new();
        for found in db.buckets().map_err(wrong)? {
            let found = found.map_err(wrong)?;
            let table = found.name().to_vec();
            if table == bucket::KEY || table == bucket::META {
                continue;
            }
            let mut of_table = Vec::new();
            let mut rows = found.rows().map_err(wrong)?;
            while let Some(row) = rows.next_row().map_err(wrong)? {
                of_table.push((row.key.to_vec(), row.value.to_vec()));
            }
            tables.insert(table, of_table);
        }
        let meta = MetaRows::read(db).map_err(|error| ArchiveError::full(name, error.to_string()))?;
        Ok(Self {
            tables,
            meta,
            rows,
            revision: manifest.revision,
            compact_revision: manifest.compact_revision,
            coming: Tables::new(),
            samples: Vec::new(),
        })
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    pub(super) fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// Takes a part of a piece, of which revisions beyond a limit are not wanted.
    pub(super) fn take(&mut self, part: Part<'_>, limit: i64) -> Result<(), ArchiveError> {
        match part {
            Part::Row(revision, key, value) if revision.main <= limit => {
                self.revision = self.revision.max(revision.main);
                self.rows.push(key, value).map_err(ArchiveError::local("keeping changes"))
            }
            Part::Row(..) => Ok(()),
            Part::Table(name, mut rows) => {
                self.coming.entry(name.to_vec()).or_default().append(&mut rows);
                Ok(())
            }
            Part::Sample(sample) => {
                self.samples.push(sample);
                Ok(())
            }
        }
    }

    /// Ends a piece, which is what it should be.
    ///
    /// Its tables are as of its end, or of that of a later piece that was made with it. If its end is beyond the
    /// limit, those of the piece before count, but for leases: keys at the limit may be attached to
    /// one that was granted in this piece.
    pub(super) fn end_piece(&mut self, header: &Header, limit: i64) {
        for sample in std::mem::take(&mut self.samples) {
            if sample.revision <= limit {
                self.compact_revision = self.compact_revision.max(sample.compact_revision);
            }
        }
        let coming = std::mem::take(&mut self.coming);
        if header.to <= limit {
            self.tables.extend(coming);
            (self.meta.consistent_index, self.meta.term) = (Some(header.raft_index), Some(header.raft_term));
        } else if let Some(granted) = coming.get(bucket::LEASE) {
            let leases = self.tables.entry(bucket::LEASE.to_vec()).or_default();
            let known: BTreeMap<Vec<u8>, Vec<u8>> = granted.iter().chain(&*leases).cloned().collect();
            *leases = known.into_iter().collect();
        }
    }

    /// Writes the file.
    pub(super) fn write(
        &mut self,
        db: &Db<File>,
        name: &FullName,
        out: &mut File,
    ) -> Result<(), ArchiveError> {
        // A compaction that was begun later is finished by whoever starts from the file.
        self.meta.scheduled_compact = Some(self.compact_revision).filter(|revision| *revision >= 0);
        let owned = |(name, value): (&[u8], Vec<u8>)| (name.to_vec(), value);
        let meta = self.meta.rows().into_iter().map(owned).collect();
        self.tables.insert(bucket::META.to_vec(), meta);
        self.tables.insert(bucket::KEY.to_vec(), Vec::new());
        let mut plan = Plan::new(PageSize::default());
        self.for_each_row(db, name, &mut |step| match step {
            Step::Bucket(name) => Ok(plan.bucket(name)?),
            Step::Row(key, value) => Ok(plan.row(key.len(), value.len())?),
        })?;
        let mut bytes = Vec::new();
        let mut writer = plan.finish().begin(&mut bytes);
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        self.for_each_row(db, name, &mut |step| {
            match step {
                Step::Bucket(name) => writer.bucket(name, &mut bytes)?,
                Step::Row(key, value) => writer.row(key, value, &mut bytes)?,
            }
            Ok(drain(&mut bytes, &mut out)?)
        })?;
        writer.finish(&mut bytes)?;
        let written = drain(&mut bytes, &mut out).and_then(|()| out.flush());
        written.map_err(ArchiveError::local("writing the file"))
    }

    /// Goes through all buckets and rows of the file.
    fn for_each_row(
        &mut self,
        db: &Db<File>,
        name: &FullName,
        take: &mut dyn FnMut(Step<'_>) -> Result<(), Failed>,
    ) -> Result<(), ArchiveError> {
        let wrong = |error: dbfile::Error| ArchiveError::full(name, error.to_string());
        for (table, rows) in &self.tables {
            take(Step::Bucket(table))?;
            rows.iter().try_for_each(|(key, value)| take(Step::Row(key, value)))?;
            if table != bucket::KEY {
                continue;
            }
            if let Some(keys) = db.bucket(bucket::KEY).map_err(wrong)? {
                let mut rows = keys.rows().map_err(wrong)?;
                while let Some(row) = rows.next_row().map_err(wrong)? {
                    take(Step::Row(row.key, row.value))?;
                }
            }
            self.rows.for_each(|key, value| take(Step::Row(key, value)))?;
        }
        Ok(())
    }
}

/// What comes next in a file.
enum Step<'s> {
    Bucket(&'s [u8]),
    Row(&'s [u8], &'s [u8]),
}

/// Why a file cannot be written.
enum Failed {
    Local(io::Error),
    File(WriteError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Local(error)
    }
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        Self::File(error)
    }
}

impl From<Failed> for ArchiveError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Local(source) => Self::Local { what: "writing the file", source },
            Failed::File(error) => error.into(),
        }
    }
}

/// Writes what is ready.
fn drain(bytes: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(bytes)?;
    bytes.clear();
    Ok(())
}
