//! What a cache contained at one revision.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::block::{Block, Cursor, Record};
use super::tree::{Span, Tree, after};
use crate::kv::{KeyRange, KeyValue};
use crate::number::Revision;

/// What a cache contained at one revision: it does not change any more. Taking one costs nothing. While it is kept, what
/// changes in the cache is in memory twice, and only that.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub(super) revision: Revision,
    pub(super) tree: Arc<Tree>,
}

/// A key that differs between two views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key in the older view, if it was there.
    pub before: Option<KeyValue>,
    /// The key in the newer view, if it is there.
    pub after: Option<KeyValue>,
}

impl Change {
    /// Returns the key.
    pub fn key(&self) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.after.as_ref().or(self.before.as_ref()).map_or(&NONE, |kv| &kv.key)
    }

    /// Returns whether the key was deleted.
    pub fn is_deletion(&self) -> bool {
        self.after.is_none()
    }
}

impl View {
    /// Returns the revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns a key with its value.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<KeyValue> {
        self.tree.get(key.as_ref())
    }

    /// Returns the keys of a range, in their order. What is outside of the cache is not found.
    pub fn range(&self, keys: impl Into<KeyRange>) -> impl Iterator<Item = KeyValue> + '_ {
        let keys = keys.into();
        let after = after(keys.start());
        self.tree.range(Span::of(&keys, &after))
    }

    /// Returns all keys, in their order.
    pub fn iter(&self) -> impl Iterator<Item = KeyValue> + '_ {
        self.tree.range(Span { from: b"", until: None })
    }

    /// Returns how many keys there are.
    pub fn len(&self) -> usize {
        self.tree.size().keys
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes the keys and values have.
    pub fn bytes(&self) -> usize {
        self.tree.size().bytes
    }

    /// Returns about how many bytes of memory it occupies, which it shares with the cache and with other views.
    pub fn memory(&self) -> usize {
        self.tree.memory()
    }

    /// Returns what differs from an older view of the same cache, in the order of the keys: each key once, however often
    /// it was changed in between.
    ///
    /// What the two views share is skipped: it takes as long as there are changes.
    pub fn changes_since(&self, older: &View) -> Vec<Change> {
        let (before, after) = unshared(&older.tree, &self.tree);
        let (mut before, mut after) = (Rows::new(before), Rows::new(after));
        let mut changes = Vec::new();
        loop {
            let order = match (before.current(), after.current()) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            if order.is_eq() && before.record == after.record {
                before.advance();
                after.advance();
                continue;
            }
            let old = order.is_le().then(|| before.take()).flatten();
            let new = order.is_ge().then(|| after.take()).flatten();
            changes.push(Change { before: old, after: new });
        }
    }
}

/// Returns the blocks that only one of two trees has, of each.
///
/// A block that both have holds the same records in both, and no key is in two blocks of a tree. So what differs is in the
/// other blocks.
fn unshared<'a>(older: &'a Tree, newer: &'a Tree) -> (Vec<&'a Block>, Vec<&'a Block>) {
    let (old, new) = (only_in(&older.nodes, &newer.nodes), only_in(&newer.nodes, &older.nodes));
    let blocks = |nodes: Vec<&'a Arc<super::tree::Node>>| nodes.into_iter().flat_map(|node| &node.blocks);
    let (old, new): (Vec<_>, Vec<_>) = (blocks(old).collect(), blocks(new).collect());
    let address = |block: &&Block| block.as_ptr();
    let (in_old, in_new): (HashSet<_>, HashSet<_>) =
        (old.iter().map(address).collect(), new.iter().map(address).collect());
    let keep = |blocks: Vec<&'a Block>, other: &HashSet<*const u8>| {
        blocks.into_iter().filter(|block| !other.contains(&block.as_ptr())).collect()
    };
    (keep(old, &in_new), keep(new, &in_old))
}

/// Returns the items that are not among the others.
fn only_in<'a, T>(items: &'a [Arc<T>], others: &[Arc<T>]) -> Vec<&'a Arc<T>> {
    let others: HashSet<*const T> = others.iter().map(Arc::as_ptr).collect();
    items.iter().filter(|item| !others.contains(&Arc::as_ptr(item))).collect()
}

/// The records of some blocks.
struct Rows<'a> {
    blocks: std::vec::IntoIter<&'a Block>,
    cursor: Cursor<'a>,
    /// The record that the cursor is at; `None` at the end.
    record: Option<Record<'a>>,
}

impl<'a> Rows<'a> {
    fn new(blocks: Vec<&'a Block>) -> Rows<'a> {
        let mut rows = Rows { blocks: blocks.into_iter(), cursor: Cursor::new(&[]), record: None };
        rows.advance();
        rows
    }

    fn advance(&mut self) {
        self.record = self.cursor.next();
        while self.record.is_none() {
            let Some(block) = self.blocks.next() else { return };
            self.cursor = Cursor::new(block);
            self.record = self.cursor.next();
        }
    }

    fn current(&self) -> Option<(&[u8], Record<'a>)> {
        Some((&self.cursor.key, self.record?))
    }

    /// Returns a copy of the record, and goes on to the next one.
    fn take(&mut self) -> Option<KeyValue> {
        let kv = self.current().map(|(key, record)| record.to_kv(key));
        self.advance();
        kv
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::{Numbers, all, row};
    use super::*;

    #[test]
    fn the_changes_lead_from_one_view_to_the_other() {
        let mut numbers = Numbers(3);
        let rows: Vec<KeyValue> = (0..30_000).map(|key| row(key, 40, 1)).collect();
        let mut tree = Arc::new(Tree::default());
        Arc::make_mut(&mut tree).replace(Span { from: b"", until: None }, &rows);
        for (round, edits) in [0, 1, 10, 5000].into_iter().enumerate() {
            let older = View { revision: Revision(0), tree: tree.clone() };
            for _ in 0..edits {
                let row = row(numbers.below(40_000), 30, 2 + round as i64);
                let rows = if numbers.below(3) == 0 { &[][..] } else { std::slice::from_ref(&row) };
                Arc::make_mut(&mut tree)
                    .replace(Span { from: &row.key, until: Some(&after(&row.key)) }, rows);
            }
            let newer = View { revision: Revision(1), tree: tree.clone() };
            let changes = newer.changes_since(&older);
            assert!(changes.is_sorted_by(|a, b| a.key() < b.key()) && changes.len() <= edits);
            let mut replayed = (*older.tree).clone();
            for change in &changes {
                assert_eq!(change.before, older.get(change.key()));
                assert_ne!(change.before, change.after);
                let span = Span { from: change.key(), until: Some(&after(change.key())) };
                replayed.replace(span, change.after.as_slice());
            }
            assert_eq!(all(&replayed), all(&newer.tree));
        }
        assert_eq!(
            View { revision: Revision(0), tree }
                .changes_since(&View::default())
                .first()
                .map(|change| change.before.is_none()),
            Some(true)
        );
    }
}
