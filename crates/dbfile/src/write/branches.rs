//! Branches: which children go into one.
//!
//! Children are added while they fit into a page. Two are added even if they do not fit: bbolt needs that many in every
//! branch (an etcd dies in a compaction that meets one with a single child). So that the last branch of a level has two,
//! a branch that is full is not closed before two further children are there. If it stays at one, the full branch gives
//! up its last child, or, if it has but two itself, takes the third.

use crate::format::{ELEMENT_BYTES, HEADER_BYTES, PageId, PageSize};
use crate::limits::ELEMENTS_MAX;

/// Children that every branch has.
const CHILDREN_MIN: usize = 2;

/// What is known of a key: all of it in the writer, in the plan its length.
pub(super) trait Key {
    fn bytes(&self) -> usize;
}

impl Key for usize {
    fn bytes(&self) -> usize {
        *self
    }
}

impl Key for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

/// A page below a branch, with the first key below it.
#[derive(Debug)]
pub(super) struct Child<K> {
    pub(super) key: K,
    pub(super) page: PageId,
}

/// What becomes of a branch that is complete.
pub(super) trait Pages<K> {
    /// Writes or counts the branch, and returns its page.
    fn branch(&mut self, children: &[Child<K>]) -> PageId;
}

/// The branches of a tree that are not complete yet.
///
/// A level has at most a full branch's children and two.
#[derive(Debug)]
pub(super) struct Branches<K> {
    page_size: PageSize,
    /// From the one above the leaves up.
    levels: Vec<Level<K>>,
}

#[derive(Debug)]
struct Level<K> {
    children: Vec<Child<K>>,
    /// How many of them make a full branch, once that is known.
    full: Option<usize>,
    /// Bytes of a branch with all children.
    bytes: usize,
}

impl<K: Key> Branches<K> {
    pub(super) const fn new(page_size: PageSize) -> Self {
        Self { page_size, levels: Vec::new() }
    }

    /// Adds the next leaf of the tree.
    pub(super) fn push(&mut self, leaf: Child<K>, pages: &mut impl Pages<K>) {
        self.push_at(0, leaf, pages);
    }

    /// Completes all branches and returns the root of the tree: the last of them, or the only leaf. There is a leaf.
    pub(super) fn finish(mut self, pages: &mut impl Pages<K>) -> PageId {
        for level in 0.. {
            let is_top = level + 1 == self.levels.len();
            // Below the top there are two children at least: those that made the level complete a branch.
            if let ([only], true) = (&self.levels[level].children[..], is_top) {
                return only.page;
            }
            for branch in self.levels[level].finish(pages) {
                self.push_at(level + 1, branch, pages);
            }
        }
        unreachable!("the levels have an end");
    }

    /// Adds a child to a level, and to the levels above the branches that this completes.
    fn push_at(&mut self, mut level: usize, child: Child<K>, pages: &mut impl Pages<K>) {
        let mut next = Some(child);
        while let Some(child) = next {
            if level == self.levels.len() {
                self.levels.push(Level::new());
            }
            next = self.levels[level].push(child, self.page_size, pages);
            level += 1;
        }
    }
}

impl<K: Key> Level<K> {
    const fn new() -> Self {
        Self { children: Vec::new(), full: None, bytes: HEADER_BYTES }
    }

    /// Adds a child; returns the branch that this completes.
    fn push(&mut self, child: Child<K>, page_size: PageSize, pages: &mut impl Pages<K>) -> Option<Child<K>> {
        self.bytes += ELEMENT_BYTES + child.key.bytes();
        let before = self.children.len();
        let is_too_long = self.bytes > page_size.bytes() as usize || before == ELEMENTS_MAX;
        if self.full.is_none() && before >= CHILDREN_MIN && is_too_long {
            self.full = Some(before);
        }
        self.children.push(child);
        let full = self.full.filter(|full| self.children.len() - full == CHILDREN_MIN)?;
        let branch = self.complete(full, pages);
        self.full = None;
        self.bytes = branch_bytes(&self.children);
        Some(branch)
    }

    /// Completes what is left: one branch or two.
    fn finish(&mut self, pages: &mut impl Pages<K>) -> Vec<Child<K>> {
        let first = match self.full {
            Some(full) if full > CHILDREN_MIN => full - 1,
            _ => self.children.len(),
        };
        let mut branches = vec![self.complete(first, pages)];
        if !self.children.is_empty() {
            branches.push(self.complete(self.children.len(), pages));
        }
        branches
    }

    /// Makes a branch of the first children.
    fn complete(&mut self, count: usize, pages: &mut impl Pages<K>) -> Child<K> {
        assert!(count >= CHILDREN_MIN, "a branch with {count} children");
        let page = pages.branch(&self.children[..count]);
        let mut children = self.children.drain(..count);
        let first = children.next().expect("there are two at least");
        Child { key: first.key, page }
    }
}

/// Returns the bytes of a branch with these children.
pub(super) fn branch_bytes<K: Key>(children: &[Child<K>]) -> usize {
    HEADER_BYTES + children.iter().map(|child| ELEMENT_BYTES + child.key.bytes()).sum::<usize>()
}
