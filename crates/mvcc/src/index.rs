//! The ordered index: every live key with its meta data, and how many there are between any two of them.
//!
//! A B+ tree of our own, because none to be had counts. Each branch knows for each child how many live keys are below
//! it, so the count of a range is two descents, whatever its size. Keys lie packed in one block a leaf (no heap block a
//! key), and there are no pointers between nodes, so there is no unsafe code and bulk building fills leaves to the brim.
//!
//! Besides live keys it holds *dead* entries: keys deleted within the unsealed tail of the history, whose older versions
//! are found through them. They are not counted, and go when the tail is sealed (see [`crate::reap`]).
//!
//! Invariants (`check_invariants`, in tests): keys ascend strictly, within nodes and across separators; all leaves are at
//! the same depth; a child's count is the number of live entries below it; no node but the root is empty or over-full.

mod branch;
mod keys;
mod leaf;

use std::ops::ControlFlow;

use self::branch::Branch;
pub(crate) use self::keys::Keys;
use self::leaf::Leaf;
use crate::versions::version_bytes;
use crate::{Change, KeyRange, LeaseId, Meta, RangeEnd, Revision, state_hash};

/// What the index knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) create_revision: i64,
    /// Of the newest change, a deletion included.
    pub(crate) mod_revision: i64,
    /// 0: the key is dead.
    pub(crate) version: i64,
    pub(crate) lease: i64,
    /// Digest of the value: what the state hash knows of it.
    pub(crate) digest: u64,
    pub(crate) mod_sub: u32,
    pub(crate) value_len: u32,
    /// Where the cache might have it; the cache knows whether.
    pub(crate) slot: u32,
    /// The newest change in the tail, if `mod_revision` is in the tail.
    pub(crate) link: u32,
}

/// What an entry has of the value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ValueMark {
    digest: u64,
    len: u32,
}

impl ValueMark {
    /// That of a value. It takes time: not for where others wait.
    pub(crate) fn of(value: &[u8]) -> Self {
        let len = u32::try_from(value.len()).expect("requests are far smaller than 4 GiB");
        Self { digest: state_hash::digest(value), len }
    }
}

impl Entry {
    /// The entry of a live key, without its places in memory.
    pub(crate) fn of(meta: &Meta, value: &[u8]) -> Self {
        Self::with(meta, ValueMark::of(value))
    }

    fn with(meta: &Meta, value: ValueMark) -> Self {
        Self { digest: value.digest, value_len: value.len, ..Self::of_meta(meta) }
    }

    /// The entry that a change leaves, with the mark of its value if it is a put.
    pub(crate) fn after(change: &Change, value: ValueMark) -> Self {
        let Revision { main, sub } = change.revision;
        match &change.after {
            Some(item) => Self::with(&item.meta, value),
            None => Self { mod_revision: main, mod_sub: sub, ..Self::default() },
        }
    }

    /// The same without what depends on the value.
    pub(crate) fn of_meta(meta: &Meta) -> Self {
        Self {
            create_revision: meta.create_revision,
            mod_revision: meta.mod_revision.main,
            version: meta.version,
            lease: meta.lease.0,
            digest: 0,
            mod_sub: meta.mod_revision.sub,
            value_len: 0,
            slot: u32::MAX,
            link: 0,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.version != 0
    }

    /// Bytes that the version counts.
    pub(crate) fn version_bytes(&self, key_len: usize) -> u64 {
        version_bytes(key_len, self.value_len as usize)
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision { main: self.mod_revision, sub: self.mod_sub }
    }

    pub(crate) fn meta(&self) -> Meta {
        Meta {
            create_revision: self.create_revision,
            mod_revision: self.revision(),
            version: self.version,
            lease: LeaseId(self.lease),
        }
    }
}

/// Most entries of a leaf, most children of a branch. At 64 a leaf with keys of 40 bytes is 6 KB: three cache misses to
/// search, a copy of 3 KB on average to insert into.
const NODE_MAX: usize = 64;
/// A node that shrinks below this is joined with a neighbour if the two fit into one.
const NODE_LOW: usize = 16;

#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    Branch(Branch),
}

/// A node that was cut off to the right of another, with the first key that belongs to it.
struct Split {
    separator: Vec<u8>,
    right: Node,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Index {
    root: Node,
    live: u64,
}

impl Default for Index {
    fn default() -> Self {
        Self { root: Node::Leaf(Leaf::default()), live: 0 }
    }
}

impl Index {
    /// Number of live keys.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(branch) => node = branch.child(branch.position(key)),
                Node::Leaf(leaf) => return leaf.get(key),
            }
        }
    }

    /// For changes that do not bring to life or kill.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(branch) => node = branch.child_mut(branch.position(key)),
                Node::Leaf(leaf) => return leaf.get_mut(key),
            }
        }
    }

    /// Puts an entry, new or in place of the old one, which is returned.
    pub(crate) fn insert(&mut self, key: &[u8], entry: Entry) -> Option<Entry> {
        let (old, split) = self.root.insert(key, entry);
        if let Some(split) = split {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Leaf::default()));
            self.root = Node::Branch(Branch::of_two(left, split));
        }
        self.live = self.live + u64::from(entry.is_live()) - u64::from(old.is_some_and(|old| old.is_live()));
        old
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let old = self.root.remove(key)?;
        self.live -= u64::from(old.is_live());
        if let Node::Branch(branch) = &mut self.root
            && let Some(only) = branch.take_only_child()
        {
            self.root = only;
        }
        Some(old)
    }

    /// Number of live keys in a range.
    pub(crate) fn count(&self, range: &KeyRange) -> u64 {
        match &range.end {
            RangeEnd::Single => u64::from(self.get(&range.start).is_some_and(Entry::is_live)),
            RangeEnd::Open if range.start.is_empty() => self.live,
            RangeEnd::Open => self.live - self.rank(&range.start),
            RangeEnd::Before(end) => self.rank(end).saturating_sub(self.rank(&range.start)),
        }
    }

    /// Number of live keys before a key.
    fn rank(&self, key: &[u8]) -> u64 {
        let mut before = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(branch) => {
                    let position = branch.position(key);
                    before += branch.live_before(position);
                    node = branch.child(position);
                }
                Node::Leaf(leaf) => return before + leaf.rank(key),
            }
        }
    }

    /// Visits the entries from `start` on (dead ones too), in order, until told to stop or `range` ends.
    pub(crate) fn scan<'a>(
        &'a self,
        start: &[u8],
        range: &KeyRange,
        visit: &mut impl FnMut(&'a [u8], &'a Entry) -> ControlFlow<()>,
    ) {
        let start = start.max(&range.start[..]);
        let _ = self.root.scan(start, &mut |key, entry| {
            if range.ends_before(key) { ControlFlow::Break(()) } else { visit(key, entry) }
        });
    }

    /// Visits the entries of a range from `start` on, at most so many: what one hold of a lock is to take. Returns the key to
    /// go on with, or `None` at the end of the range or where a visit breaks off.
    pub(crate) fn scan_piece<'a>(
        &'a self,
        start: &[u8],
        range: &KeyRange,
        entries_max: usize,
        visit: &mut impl FnMut(&'a [u8], &'a Entry) -> ControlFlow<()>,
    ) -> Option<Vec<u8>> {
        let mut visited = 0;
        let mut next = None;
        self.scan(start, range, &mut |key, entry| {
            if visited == entries_max {
                next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            visited += 1;
            visit(key, entry)
        });
        next
    }

    /// Panics if an invariant of the tree does not hold.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        let (live, _depth) = self.root.check(None, None, true);
        assert_eq!(live, self.live);
    }
}

impl Node {
    fn live(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.live(),
            Self::Branch(branch) => branch.live(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Branch(branch) => branch.len(),
        }
    }

    fn is_full_leaf(&self) -> bool {
        matches!(self, Self::Leaf(leaf) if leaf.len() == NODE_MAX)
    }

    fn insert(&mut self, key: &[u8], entry: Entry) -> (Option<Entry>, Option<Split>) {
        match self {
            Self::Leaf(leaf) => leaf.insert(key, entry),
            Self::Branch(branch) => branch.insert(key, entry),
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        match self {
            Self::Leaf(leaf) => leaf.remove(key),
            Self::Branch(branch) => branch.remove(key),
        }
    }

    /// Takes in the right neighbour.
    fn absorb(&mut self, separator: &[u8], right: Node) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.absorb(right),
            (Self::Branch(left), Self::Branch(right)) => left.absorb(separator, right),
            _ => unreachable!("all leaves are at the same depth"),
        }
    }

    fn scan<'a>(
        &'a self,
        start: &[u8],
        visit: &mut impl FnMut(&'a [u8], &'a Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Self::Leaf(leaf) => leaf.scan(start, visit),
            Self::Branch(branch) => {
                let first = branch.position(start);
                branch.child(first).scan(start, visit)?;
                (first + 1..branch.len()).try_for_each(|position| branch.child(position).scan(&[], visit))
            }
        }
    }

    #[cfg(test)]
    fn check(&self, from: Option<&[u8]>, before: Option<&[u8]>, is_root: bool) -> (u64, usize) {
        assert!(self.len() <= NODE_MAX && (is_root || self.len() > 0));
        match self {
            Self::Leaf(leaf) => (leaf.check(from, before), 0),
            Self::Branch(branch) => branch.check(from, before),
        }
    }
}

/// Builds an index from keys that come in order: several times faster than inserting them, and full nodes.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    leaf: Leaf,
    /// Finished nodes of each level with the first key below each, lowest level first.
    levels: Vec<Vec<(Vec<u8>, Node)>>,
    first: Vec<u8>,
    live: u64,
}

/// Filled so far when building: room for some inserts before the first split.
const NODE_BUILT: usize = NODE_MAX - 4;

impl Builder {
    /// Adds a key, which is after all those before.
    pub(crate) fn push(&mut self, key: &[u8], entry: Entry) {
        if self.leaf.len() == NODE_BUILT {
            self.finish_leaf();
        }
        if self.leaf.len() == 0 {
            self.first = key.to_vec();
        }
        self.live += u64::from(entry.is_live());
        self.leaf.push(key, entry);
    }

    fn finish_leaf(&mut self) {
        let mut leaf = std::mem::take(&mut self.leaf);
        leaf.shrink();
        let first = std::mem::take(&mut self.first);
        self.add(0, first, Node::Leaf(leaf));
    }

    fn add(&mut self, level: usize, first: Vec<u8>, node: Node) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == NODE_BUILT {
            self.finish_level(level);
        }
        self.levels[level].push((first, node));
    }

    fn finish_level(&mut self, level: usize) {
        let children = std::mem::take(&mut self.levels[level]);
        let (first, branch) = Branch::of_children(children);
        self.add(level + 1, first, Node::Branch(branch));
    }

    pub(crate) fn finish(mut self) -> Index {
        if self.leaf.len() > 0 || self.levels.is_empty() {
            self.finish_leaf();
        }
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels[level].len() > 1 {
            self.finish_level(level);
            level += 1;
        }
        let (_, root) = self.levels[level].pop().expect("each level has a node");
        Index { root, live: self.live }
    }
}

#[cfg(test)]
mod tests;
