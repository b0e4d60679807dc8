//! Any revision of an archive as one file, such as etcd has it.
//!
//! ```text
//!  full backup ─► local file ─► its rows ─────────────┐
//!  pieces ─► rows up to the revision ─► local file ───┼─► dbfile ─► the file
//!         └► tables, compact revision ────────────────┘
//! ```
//!
//! The local files have no names. Together they are as long as the full backup and the pieces.

mod merge;
mod rows;

use std::fs::File;
use std::path::Path;

use dbfile::Db;

use self::merge::Merge;
use self::rows::RowsFile;
use crate::download::Shelf;
use crate::name::{Millis, PieceName, directory_of};
use crate::piece::Part;
use crate::{ArchiveError, Catalogue, Plan, Store, Wanted};

/// What was extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The revision: the newest one in the file.
    pub revision: i64,
    /// Its compact revision; -1: never compacted.
    pub compact_revision: i64,
    /// The objects it is made of.
    pub plan: Plan,
    /// Objects that are damaged, and what is wrong; others took their places.
    pub damaged: Vec<(String, String)>,
}

/// Writes what a cluster had at a revision, or at a time, into an empty file: a backup of its own.
/// Blocks, and takes local room in `spool_dir`.
///
/// # Errors
/// See [`ArchiveError`]. What is then in the file is nothing.
pub fn extract(
    store: &dyn Store,
    cluster: u64,
    wanted: Wanted,
    spool_dir: &Path,
    out: &mut File,
) -> Result<Extracted, ArchiveError> {
    let directory = directory_of(cluster);
    let shelf = Shelf { store, directory: &directory };
    let mut catalogue = Catalogue::of(&store.list(&directory)?);
    let mut damaged: Vec<(String, String)> = Vec::new();
    let mut goal = None;
    loop {
        let chosen = catalogue.choose(wanted).and_then(|plan| plan.reaching(&mut goal, wanted));
        let plan = match chosen {
            Ok(plan) => plan,
            Err(error) => return Err(blame(&catalogue, damaged, error)),
        };
        match Extraction::read(shelf, plan, wanted, spool_dir) {
            Ok(extraction) => return extraction.write(out, damaged),
            Err(ArchiveError::Damaged { name, why, .. }) => {
                catalogue = catalogue.without(&name);
                damaged.push((name, why));
            }
            Err(error) => return Err(error),
        }
    }
}

impl Plan {
    /// Checks that a plan goes as far as the first one, from whose objects some were taken away
    /// since. What is newest must not become something older because it is damaged.
    fn reaching(self, goal: &mut Option<i64>, wanted: Wanted) -> Result<Self, ArchiveError> {
        let newest = self.pieces.last().map_or(self.full.revision, |piece| piece.to);
        let is_enough = newest >= *goal.get_or_insert(newest);
        let is_past = |time| self.pieces.last().is_some_and(|piece| piece.time > time);
        match wanted {
            Wanted::Revision(_) => Ok(self),
            Wanted::Time(time) if is_past(time) => Ok(self),
            _ if is_enough => Ok(self),
            _ => Err(ArchiveError::TooNew { wanted: wanted.to_string(), newest }),
        }
    }
}

/// The error of an archive from which damaged objects were taken away: the first of them is named.
fn blame(catalogue: &Catalogue, damaged: Vec<(String, String)>, error: ArchiveError) -> ArchiveError {
    let Some((name, why)) = damaged.into_iter().next() else { return error };
    let newest = match error {
        ArchiveError::Gap { newest, .. } | ArchiveError::TooNew { newest, .. } => Some(newest),
        _ => catalogue.fulls.iter().map(|(full, _)| catalogue.newest_after(full)).max(),
    };
    ArchiveError::Damaged { name, why, newest }
}

/// Everything that a file is made of.
struct Extraction {
    plan: Plan,
    db: Db<File>,
    merge: Merge,
}

impl Extraction {
    fn read(shelf: Shelf<'_>, plan: Plan, wanted: Wanted, spool_dir: &Path) -> Result<Self, ArchiveError> {
        let temporary = || tempfile::tempfile_in(spool_dir).map_err(ArchiveError::local("making a file"));
        let mut file = temporary()?;
        let manifest = shelf.full(&plan.full, &mut file)?;
        let db = Db::open(file).map_err(|error| ArchiveError::full(&plan.full, error.to_string()))?;
        let rows = RowsFile::new(temporary()?);
        let mut merge = Merge::begin(&db, &plan.full, &manifest, rows)?;
        let mut chain = manifest.chain;
        for piece in &plan.pieces {
            let limit = limit_in(shelf, piece, wanted)?;
            let header = shelf.piece(piece, |part| merge.take(part, limit))?;
            if header.before != chain || header.cluster != manifest.cluster {
                return Err(ArchiveError::piece(piece, "it does not follow what comes before it"));
            }
            chain = header.after;
            merge.end_piece(&header, limit);
        }
        Ok(Self { plan, db, merge })
    }

    fn write(self, out: &mut File, damaged: Vec<(String, String)>) -> Result<Extracted, ArchiveError> {
        let Self { plan, db, mut merge } = self;
        merge.write(&db, &plan.full, out)?;
        let (revision, compact_revision) = (merge.revision(), merge.compact_revision());
        Ok(Extracted { revision, compact_revision, plan, damaged })
    }
}

/// The last revision that is wanted of a piece.
fn limit_in(shelf: Shelf<'_>, piece: &PieceName, wanted: Wanted) -> Result<i64, ArchiveError> {
    match wanted {
        Wanted::Newest => Ok(piece.to),
        Wanted::Revision(revision) => Ok(revision.min(piece.to)),
        Wanted::Time(time) if piece.time <= time => Ok(piece.to),
        Wanted::Time(time) => newest_at(shelf, piece, time),
    }
}

/// What the newest revision was at a time, as far as a piece knows: at least the one before it.
fn newest_at(shelf: Shelf<'_>, piece: &PieceName, time: Millis) -> Result<i64, ArchiveError> {
    let mut newest = piece.from - 1;
    shelf.piece(piece, |part| {
        if let Part::Sample(sample) = part
            && sample.time <= time
        {
            newest = newest.max(sample.revision.min(piece.to));
        }
        Ok(())
    })?;
    Ok(newest)
}
