//! What changes have replaced, read for the history.
//!
//! Changes come in the order of revisions, and the tables are in the order of keys. So some changes are looked at together:
//! what they have replaced is read in the order of the keys, many neighbours at a time, and handed out in the order of the
//! changes. Memory is bounded by how much is read together, whatever was deleted.
//!
//! It is read as of the last checkpoint. A change that a checkpoint has replaces what the one before had, so an attempt that
//! failed, or a process that ended, leaves the same to be read by the next.
//!
//! A value that is damaged there is lost, and the history says so: the key's new version is not kept from the disk for it.

use crate::before::Stored;
use crate::shared::Damage;
use crate::tables::Snapshot;
use crate::{Before, Change, Error};

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

/// Reads what changes have replaced, as far as they do not know it themselves: one for each that is stored, in order. Those whose
/// value is damaged are lost.
pub(super) fn read(changes: &[&Change], snapshot: &Snapshot, damage: &Damage) -> Result<Vec<Before>, Error> {
    let stored: Vec<(&Change, &Stored)> = changes.iter().filter_map(|change| stored(change)).collect();
    let entries: Vec<_> = stored.iter().map(|(_, stored)| stored.entry()).collect();
    let mut order: Vec<usize> = (0..stored.len()).collect();
    // A key that a transaction has changed twice was the same before.
    order.sort_by_key(|&place| &stored[place].0.key[..]);
    let keys: Vec<_> = order.iter().map(|&place| (&stored[place].0.key[..], &entries[place])).collect();
    let mut befores = Vec::with_capacity(stored.len());
    for (place, item) in order.iter().zip(snapshot.items_or_damage(&keys)?) {
        let (change, stored) = stored[*place];
        let before = match item.map_err(|what| snapshot.damaged(&change.key, what)) {
            Ok(item) => Before::Item(item),
            Err(error) if error.is_of_one_value() => {
                damage.note(&error);
                Before::Lost(stored.lost())
            }
            Err(error) => return Err(error),
        };
        befores.push((*place, before));
    }
    befores.sort_unstable_by_key(|(place, _)| *place);
    Ok(befores.into_iter().map(|(_, before)| before).collect())
}

fn stored<'c>(change: &&'c Change) -> Option<(&'c Change, &'c Stored)> {
    match &change.before {
        Before::Stored(stored) => Some((change, stored)),
        Before::Nothing | Before::Item(_) | Before::Lost(_) => None,
    }
}
