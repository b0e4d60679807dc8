//! The history of a store from the versions of a file: each change after the compaction, with what was before it.

use dbfile::{Db, ReadAt};
use mvcc::{ChangesBuilder, Extent, Item, Revision};

use super::RestoreError;
use super::form::Form;
use super::keys::for_each_version;
use crate::sorter::{Merge, Record, Sorted};
use crate::versions::put;

/// Writes the changes, and returns how many there are.
pub(super) fn write<S: ReadAt>(
    db: &Db<S>,
    extent: Extent,
    befores: &Sorted,
    store: &mut ChangesBuilder,
) -> Result<u64, RestoreError> {
    let mut befores = Befores::begin(befores)?;
    let mut changes = 0;
    for_each_version(db, extent.first_change(), |version| {
        if version.is_raise() {
            return Ok(());
        }
        let (key, after) = version.change()?;
        let before = befores.take(db, version.revision)?;
        if before.as_ref().is_some_and(|before| before.key_bytes() != key) {
            return Err(RestoreError::changes_meanwhile());
        }
        changes += 1;
        Ok(store.append(version.revision, key, after, before)?)
    })?;
    match befores.next {
        None => Ok(changes),
        Some(_) => Err(RestoreError::changes_meanwhile()),
    }
}

/// What was before changes, in the order of the changes.
struct Befores<'s> {
    merge: Merge<'s>,
    next: Option<Record>,
}

impl<'s> Befores<'s> {
    fn begin(sorted: &'s Sorted) -> Result<Self, RestoreError> {
        let mut merge = sorted.merge().map_err(RestoreError::Sort)?;
        let next = merge.next().map_err(RestoreError::Sort)?;
        Ok(Self { merge, next })
    }

    /// Takes what was before a change.
    fn take<S: ReadAt>(&mut self, db: &Db<S>, change: Revision) -> Result<Option<Item>, RestoreError> {
        let Some(record) = self.next.take_if(|next| *next.key() == *put(change).bytes()) else {
            return Ok(None);
        };
        self.next = self.merge.next().map_err(RestoreError::Sort)?;
        let content = record.into_content();
        let main = i64::from_le_bytes(content[..8].try_into().expect("eight bytes"));
        let sub = u32::from_le_bytes(content[8..12].try_into().expect("four bytes"));
        Form::decode(content.slice(12..)).item(db, Revision { main, sub }).map(Some)
    }
}
