//! The rows of the bucket of keys, in order.

use std::path::PathBuf;

use dbfile::etcd::{KeyValue, RevisionKey};
use mvcc::{Change, Records, Revision};

use crate::ExportError;
use crate::frozen::Rest;
use crate::sorter::{Sorted, Sorter};

/// Memory for versions that are sorted, in bytes.
const KEPT_BYTES: usize = 32 << 20;

/// Bytes of rows from one rest to the next, about. What is read of the history at once is some times as long.
const STRETCH_BYTES: usize = 256 << 10;

/// All versions that are not compacted, in the order of their revisions.
pub(crate) struct Versions {
    records: Records,
    kept: Sorted,
    rest: Rest,
}

impl Versions {
    /// Sorts what is not in order, with a file in `spool_dir` if there is much of it. Blocks on the disk. Here and in
    /// [`for_each`](Self::for_each), `rest` is called between two stretches.
    pub(crate) fn sort(records: Records, spool_dir: PathBuf, rest: Rest) -> Result<Self, ExportError> {
        let mut sorter = Sorter::new(spool_dir, KEPT_BYTES);
        let compact_revision = records.compact_revision();
        records.for_each_kept(|items| -> Result<(), ExportError> {
            // What is newer comes as a change.
            for item in items.iter().filter(|item| item.meta.mod_revision.main <= compact_revision) {
                // A row's key sorts as its revision does.
                sorter.push(&put(item.meta.mod_revision).bytes(), &[&item.encoded])?;
            }
            rest();
            Ok(())
        })?;
        Ok(Self { records, kept: sorter.finish()?, rest })
    }

    /// Goes through all rows, key and value. Can be called again, and then goes through the same.
    pub(crate) fn for_each<E: From<ExportError>>(
        &self,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stretch = 0;
        let mut take = |key: &[u8], value: &[u8]| {
            stretch += key.len() + value.len();
            if stretch >= STRETCH_BYTES {
                stretch = 0;
                (self.rest)();
            }
            take(key, value)
        };
        let mut kept = self.kept.merge().map_err(ExportError::from)?;
        while let Some(row) = kept.next().map_err(ExportError::from)? {
            take(row.key(), row.content())?;
        }
        let mut changes = self.records.changes();
        while let Some(batch) = changes.next_batch().map_err(ExportError::from)? {
            batch.iter().try_for_each(|change| row_of(change, &mut take))?;
        }
        Ok(())
    }
}

/// Returns the key of the row of a version, which sorts as its revision does.
pub(crate) fn put(revision: Revision) -> RevisionKey {
    RevisionKey::put(revision.main, i64::from(revision.sub))
}

/// Gives the row that etcd has of a change, key and value, to `take`, and returns what that returns.
pub fn row_of<T>(change: &Change, take: impl FnOnce(&[u8], &[u8]) -> T) -> T {
    let Revision { main, sub } = change.revision;
    match &change.after {
        Some(item) => take(&put(change.revision).bytes(), &item.encoded),
        None => {
            let tombstone = KeyValue { key: &change.key, ..KeyValue::default() };
            take(&RevisionKey::delete(main, i64::from(sub)).bytes(), &tombstone.encoded())
        }
    }
}
