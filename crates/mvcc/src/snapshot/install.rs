//! Putting an imported store in the place of another, so that a crash leaves one of them, whole.
//!
//! ```text
//!  incoming-7 ──1──► kv.next        kv ──2──► kv.old        kv.next ──3──► kv        kv.old ──4──► (removed)
//! ```
//!
//! Each step is one rename and a sync of the directory above. What counts is step 2: as long as `kv` has its name the old
//! store is the one; without it, `kv.next` and `kv.old` beside each other say that the new one is. Opening a store settles
//! that first ([`settle`]), so a caller has nothing to do after a crash.

use std::io;
use std::path::{Path, PathBuf};

use wal::Disk;

use crate::Error;
use crate::open::DATABASE;

/// How the names of directories begin that an import may use, beside the store's.
const INCOMING: &str = "incoming-";

/// A directory to import a snapshot into, beside the store's. Numbers tell imports apart that follow each other: one may
/// begin while the one before it waits to be installed.
#[must_use]
pub fn incoming_dir(parent: &Path, number: u64) -> PathBuf {
    parent.join(format!("{INCOMING}{number}"))
}

/// Removes what imports have left that no one goes on with: for the start of a process.
///
/// # Errors
/// Those of the disk.
pub fn discard_incoming(disk: &dyn Disk, parent: &Path) -> Result<(), Error> {
    let is_incoming = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(INCOMING))
    };
    let found = match disk.list(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(io_error("list", parent))?,
    };
    for path in found.iter().filter(|path| is_incoming(path)) {
        remove(disk, path)?;
    }
    Ok(())
}

/// Replaces the store in `dir` by the one that was imported into `incoming`, atomically: see the module's text. No store may
/// be open in `dir` (readers that are left over read on in the old one's files).
///
/// # Errors
/// [`Error::Corrupt`] if there is no complete store in `incoming`, and those of the disk. After an error nothing can be said of
/// `dir` before a store is opened there.
///
/// # Panics
/// If the two are not in the same directory.
pub fn replace_store(disk: &dyn Disk, dir: &Path, incoming: &Path) -> Result<(), Error> {
    assert_eq!(dir.parent(), incoming.parent(), "a rename within one directory is atomic");
    if !exists(disk, &incoming.join(DATABASE))? {
        let what = "there is no complete store in it".to_owned();
        return Err(Error::Corrupt { path: incoming.to_owned(), what });
    }
    settle(disk, dir)?;
    let Names { next, old } = Names::beside(dir);
    rename(disk, incoming, &next)?;
    if exists(disk, dir)? {
        rename(disk, dir, &old)?;
    }
    rename(disk, &next, dir)?;
    if exists(disk, &old)? { remove(disk, &old) } else { Ok(()) }
}

/// Finishes or undoes what a crash interrupted.
pub(crate) fn settle(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let Names { next, old } = Names::beside(dir);
    let (has_next, has_old) = (exists(disk, &next)?, exists(disk, &old)?);
    if !(has_next || has_old) {
        return Ok(());
    }
    // The last rename may be known to the page cache alone.
    sync_above(disk, dir)?;
    if exists(disk, dir)? {
        remove_if(disk, &next, has_next)?;
        return remove_if(disk, &old, has_old);
    }
    match (has_next, has_old) {
        (true, true) => rename(disk, &next, dir).and_then(|()| remove(disk, &old)),
        // There was no store before: there is none still.
        (true, false) => remove(disk, &next),
        // Only if somebody took the new one away.
        (false, _) => rename(disk, &old, dir),
    }
}

/// Names that belong to a store besides its own.
struct Names {
    next: PathBuf,
    old: PathBuf,
}

impl Names {
    fn beside(dir: &Path) -> Self {
        let with = |suffix: &str| {
            let mut name = dir.file_name().unwrap_or_default().to_owned();
            name.push(suffix);
            dir.with_file_name(name)
        };
        Self { next: with(".next"), old: with(".old") }
    }
}

fn io_error(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, op, source }
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, Error> {
    disk.exists(path).map_err(io_error("look for", path))
}

fn sync_above(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_dir(parent).map_err(io_error("sync", parent))
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    disk.rename(from, to).map_err(io_error("rename", from))?;
    sync_above(disk, to)
}

fn remove(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    disk.remove_dir_all(dir).map_err(io_error("remove", dir))?;
    sync_above(disk, dir)
}

fn remove_if(disk: &dyn Disk, dir: &Path, is_there: bool) -> Result<(), Error> {
    if is_there { remove(disk, dir) } else { Ok(()) }
}
