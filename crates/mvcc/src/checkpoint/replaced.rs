//! What changes have replaced, read for the history.
//!
//! Changes come in the order of revisions, and the tables are in the order of keys. So some changes are looked at together:
//! what they have replaced is read in the order of the keys, many neighbours at a time, and handed out in the order of the
//! changes. Memory is bounded by how much is read together, whatever was deleted.
//!
//! It is read as of the last checkpoint. A change that a checkpoint has replaces what the one before had, so an attempt that
//! failed, or a process that ended, leaves the same to be read by the next.

use crate::tables::Snapshot;
use crate::{Before, Change, Error, Item};

/// Bytes of values that are read together.
const BYTES_MAX: usize = 16 << 20;
/// Changes that are looked at together.
const CHANGES_MAX: usize = 16 << 10;

/// Takes the changes that come next and are looked at together. None: that was all.
pub(super) fn take_together<'c>(changes: &mut impl Iterator<Item = &'c Change>) -> Vec<&'c Change> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    while taken.len() < CHANGES_MAX
        && bytes < BYTES_MAX
        && let Some(change) = changes.next()
    {
        if change.before.is_stored() {
            bytes += change.key.len() + change.before.value_len();
        }
        taken.push(change);
    }
    taken
}

/// Reads what changes have replaced, as far as they do not know it themselves: one for each that is stored, in order.
pub(super) fn read(changes: &[&Change], snapshot: &Snapshot) -> Result<Vec<Item>, Error> {
    let stored = |change: &&'_ Change| match &change.before {
        Before::Stored(stored) => Some(stored.entry()),
        Before::Nothing | Before::Item(_) => None,
    };
    let mut wanted: Vec<_> = changes
        .iter()
        .filter_map(|change| stored(change).map(|entry| (&change.key[..], entry)))
        .enumerate()
        .collect();
    // A key that a transaction has changed twice was the same before.
    wanted.sort_by_key(|(_, (key, _))| *key);
    let keys: Vec<_> = wanted.iter().map(|(_, (key, entry))| (*key, entry)).collect();
    let read = snapshot.items(&keys)?;
    let mut items: Vec<_> = wanted.iter().map(|(place, _)| *place).zip(read).collect();
    items.sort_unstable_by_key(|(place, _)| *place);
    Ok(items.into_iter().map(|(_, item)| item).collect())
}
