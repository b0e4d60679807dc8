//! A frozen state as the bytes of a file.

use std::path::PathBuf;

use dbfile::etcd::{Version, bucket};
use dbfile::{Layout, PageSize, Plan};

use crate::frozen::Row;
use crate::versions::Versions;
use crate::{ExportError, Frozen};

/// The version of the rows. Every etcd from 3.4 on takes a file with it; with 3.7.0, which etcd 3.7 writes, a server of 3.6
/// refuses to start.
pub const STORAGE_VERSION: Version = Version { major: 3, minor: 6, patch: 0 };

/// A file that is about to be written.
pub struct Export {
    versions: Versions,
    buckets: Vec<(&'static [u8], Vec<Row>)>,
    layout: Layout,
}

impl Export {
    /// Goes through everything once and finds out how long the file will be. What has to be sorted and does not fit into
    /// memory goes into a file without a name in `spool_dir`. Blocks on the disk.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn plan(frozen: Frozen, spool_dir: PathBuf) -> Result<Self, ExportError> {
        let Frozen { records, buckets, rest, .. } = frozen;
        let versions = Versions::sort(records, spool_dir, rest)?;
        let mut plan = Plan::new(PageSize::default());
        for (name, rows) in &buckets {
            plan.bucket(name)?;
            for (key, value) in rows {
                plan.row(key.len(), value.len())?;
            }
            if *name == bucket::KEY {
                versions
                    .for_each(|key, value| plan.row(key.len(), value.len()).map_err(ExportError::from))?;
            }
        }
        Ok(Self { versions, buckets, layout: plan.finish() })
    }

    /// Length of the file in bytes, the digest at its end included.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.layout.file_bytes()
    }

    /// Length of the file in bytes, without the digest.
    #[must_use]
    pub fn db_bytes(&self) -> u64 {
        self.layout.db_bytes()
    }

    /// Writes the file: `send` gets its bytes in order, in pieces of a page or more. Blocks on the disk, and as long as
    /// `send` does.
    ///
    /// # Errors
    /// Those of `send`, and see [`ExportError`].
    pub fn write<E: From<ExportError>>(self, mut send: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self { versions, buckets, layout } = self;
        let mut out = Vec::new();
        let file = |error| E::from(ExportError::File(error));
        let mut writer = layout.begin(&mut out);
        for (name, rows) in &buckets {
            writer.bucket(name, &mut out).map_err(file)?;
            for (key, value) in rows {
                writer.row(key, value, &mut out).map_err(file)?;
                drain(&mut out, &mut send)?;
            }
            if *name == bucket::KEY {
                versions.for_each(|key, value| {
                    writer.row(key, value, &mut out).map_err(file)?;
                    drain(&mut out, &mut send)
                })?;
            }
        }
        writer.finish(&mut out).map_err(file)?;
        drain(&mut out, &mut send)
    }
}

/// Sends what is ready.
fn drain<E>(out: &mut Vec<u8>, send: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    if !out.is_empty() {
        send(out)?;
        out.clear();
    }
    Ok(())
}
