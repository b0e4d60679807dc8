//! One revision of the source.

use std::collections::BTreeMap;

use bytes::Bytes;
use mvcc::{Changes, Item, LeaseId, Meta, Revision};
use proto::quoratepb::FollowChange;

use crate::{Applied, Effect, Machine};

/// What became of a revision.
pub(super) enum Taken {
    /// It is here with what it says of itself; nobody watches what is compacted.
    Adopted,
    /// It was applied as if a client had written it.
    Applied(Changes),
    /// It cannot be: nothing of it is here.
    Not(String),
}

/// A change of the source, understood.
struct Understood {
    revision: Revision,
    key: Bytes,
    /// `None`: the key was deleted.
    after: Option<Item>,
}

impl Understood {
    /// Reads a change. `None`: no etcd makes such a one.
    fn of(change: &FollowChange) -> Option<Self> {
        let revision = Revision { main: change.main, sub: change.sub };
        if change.put.is_empty() {
            // A copy: a slice of what was replicated would keep all of it in memory.
            let key = Bytes::copy_from_slice(&change.deleted);
            return (!key.is_empty()).then_some(Self { revision, key, after: None });
        }
        let item = Item::of_record(revision, Bytes::copy_from_slice(&change.put))?;
        Some(Self { revision, key: item.key(), after: Some(item) })
    }

    fn meta(&self) -> Option<Meta> {
        self.after.as_ref().map(|item| item.meta)
    }

    fn says(&self, what: &str) -> String {
        format!("{} of the source {what} {:?}", self.revision, self.key)
    }
}

impl Machine {
    /// Takes over one revision, or nothing of it.
    pub(super) fn follow_revision(
        &mut self,
        applied: Applied,
        base: i64,
        changes: &[FollowChange],
        effects: &mut Vec<Effect>,
    ) -> Result<Taken, mvcc::Error> {
        let (main, newest) = (changes[0].main, self.store.revision());
        if main <= newest {
            return Ok(Taken::Not(format!("revision {main} of the source comes after {newest}")));
        }
        let Some(changes) = changes.iter().map(Understood::of).collect::<Option<Vec<_>>>() else {
            return Ok(Taken::Not(format!("a change of revision {main} of the source is malformed")));
        };
        if main <= base {
            return Ok(self.adopt(applied, changes, effects));
        }
        if main != newest + 1 {
            return Ok(Taken::Not(format!("revision {} of the source is missing", newest + 1)));
        }
        self.repeat(applied, changes, effects)
    }

    /// Takes versions over that are compacted at the source.
    fn adopt(&mut self, applied: Applied, changes: Vec<Understood>, effects: &mut Vec<Effect>) -> Taken {
        let mut known: BTreeMap<Bytes, Option<Meta>> = BTreeMap::new();
        let mut moves = Vec::with_capacity(changes.len());
        let mut last = None;
        for change in &changes {
            if last.replace(change.revision).is_some_and(|last| last >= change.revision) {
                return Taken::Not(change.says("comes too late, for"));
            }
            let before = known.get(&change.key).copied().unwrap_or_else(|| self.store.meta(&change.key));
            let after = change.meta();
            if let Some(after) = after
                && !may_follow(before, after)
            {
                return Taken::Not(change.says("is no next version of"));
            }
            let lease = |meta: Option<Meta>| meta.map_or(LeaseId(0), |meta| meta.lease);
            moves.push((change.key.clone(), lease(before), lease(after)));
            known.insert(change.key.clone(), after);
        }
        let main = changes[0].revision.main;
        let versions = changes.into_iter().map(|change| (change.revision.sub, change.key, change.after));
        self.store.adopt(main, versions);
        for (key, from, to) in moves {
            self.provide_lease(applied, to, effects);
            self.leases.move_key(&key, from, to);
        }
        Taken::Adopted
    }

    /// Does what the source did, and looks whether it comes to the same.
    fn repeat(
        &mut self,
        applied: Applied,
        changes: Vec<Understood>,
        effects: &mut Vec<Effect>,
    ) -> Result<Taken, mvcc::Error> {
        let mut leases = Vec::new();
        let mut txn = self.store.txn();
        for (sub, change) in changes.iter().enumerate() {
            if change.revision.sub as usize != sub {
                return Ok(Taken::Not(change.says("is not the next change of its revision, of")));
            }
            let Some(item) = &change.after else {
                if txn.delete_keys([change.key.clone()]) == 0 {
                    return Ok(Taken::Not(change.says("deletes what is not here,")));
                }
                continue;
            };
            txn.put(change.key.clone(), item.value(), item.meta.lease);
            if txn.meta(&change.key) != Some(item.meta) {
                return Ok(Taken::Not(change.says("is another version than is here, of")));
            }
            leases.push(item.meta.lease);
        }
        let changes = txn.commit().expect("a revision has changes");
        for lease in leases {
            self.provide_lease(applied, lease, effects);
        }
        self.leases.follow(&changes);
        Ok(Taken::Applied(changes))
    }
}

/// Whether a compacted version may come next of its key.
fn may_follow(before: Option<Meta>, after: Meta) -> bool {
    match before {
        Some(before) => {
            (after.create_revision, after.version) == (before.create_revision, before.version + 1)
        }
        // What was before it is compacted away.
        None => (after.version == 1) == (after.create_revision == after.mod_revision.main),
    }
}
