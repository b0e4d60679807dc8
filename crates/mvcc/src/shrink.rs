//! Giving back what the database does not use, while nobody has the store open.

use std::path::Path;
use std::sync::Arc;

use wal::Disk;

use crate::Error;
use crate::open::DATABASE;
use crate::tables::Tables;

/// Length of a database's file before and after, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrunk {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Shortens the database of the store in `dir`, which nobody may have open. What it says stays what it is: redb moves pages
/// to the front, each move a transaction, so that a crash leaves the store as it was.
///
/// # Errors
/// [`Error::Corrupt`], and those of the disk; a store that is not there is one of them.
pub fn shrink(disk: Arc<dyn Disk>, dir: &Path) -> Result<Shrunk, Error> {
    let path = dir.join(DATABASE);
    let io = |source| Error::Io { path: path.clone(), op: "open", source };
    let before = disk.open(&path).and_then(|file| file.len()).map_err(io)?;
    let mut tables = Tables::open(disk.clone(), &path, &[])?;
    tables.mark()?;
    tables.shrink()?;
    tables.close();
    let after = disk.open(&path).and_then(|file| file.len()).map_err(io)?;
    Ok(Shrunk { before, after })
}
