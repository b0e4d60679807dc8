//! A branch: children, the keys that separate them, and the number of live keys below each.

use super::keys::Keys;
use super::{Entry, NODE_LOW, NODE_MAX, Node, Split};

/// Children 0..n, with separator `i` the first key that belongs to child `i + 1`.
#[derive(Debug)]
pub(super) struct Branch {
    separators: Keys,
    live: Vec<u64>,
    children: Vec<Node>,
}

impl Branch {
    pub(super) fn of_two(left: Node, split: Split) -> Self {
        let mut separators = Keys::default();
        separators.push(&split.separator);
        let live = vec![left.live(), split.right.live()];
        Self { separators, live, children: vec![left, split.right] }
    }

    /// A branch of at least one child, each with the first key below it; that of the first child is returned.
    pub(super) fn of_children(children: Vec<(Vec<u8>, Node)>) -> (Vec<u8>, Self) {
        let mut branch = Self { separators: Keys::default(), live: Vec::new(), children: Vec::new() };
        let mut first = None;
        for (key, child) in children {
            match first {
                None => first = Some(key),
                Some(_) => branch.separators.push(&key),
            }
            branch.live.push(child.live());
            branch.children.push(child);
        }
        branch.separators.shrink();
        (first.expect("a branch has a child"), branch)
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    pub(super) fn live(&self) -> u64 {
        self.live.iter().sum()
    }

    /// The child that a key belongs to.
    pub(super) fn position(&self, key: &[u8]) -> usize {
        match self.separators.search(key) {
            Ok(position) => position + 1,
            Err(position) => position,
        }
    }

    pub(super) fn child(&self, position: usize) -> &Node {
        &self.children[position]
    }

    pub(super) fn child_mut(&mut self, position: usize) -> &mut Node {
        &mut self.children[position]
    }

    pub(super) fn live_before(&self, position: usize) -> u64 {
        self.live[..position].iter().sum()
    }

    pub(super) fn insert(&mut self, key: &[u8], entry: Entry) -> (Option<Entry>, Option<Split>) {
        let mut position = self.position(key);
        if self.children[position].is_full_leaf() && self.level(position) {
            position = self.position(key);
        }
        let (old, split) = self.children[position].insert(key, entry);
        self.live[position] = match split {
            None => {
                self.live[position] + u64::from(entry.is_live())
                    - u64::from(old.is_some_and(|old| old.is_live()))
            }
            Some(_) => self.children[position].live(),
        };
        let split = split.and_then(|split| self.insert_child(position + 1, split));
        (old, split)
    }

    /// Shares the entries of a full leaf with a neighbour that has room. Without, keys that come *nearly* in order, as
    /// from many clients at once, would leave half-full leaves behind: each key that is late falls into the middle of
    /// the last leaf and splits it there.
    fn level(&mut self, position: usize) -> bool {
        let has_room = |neighbour: &Node| neighbour.len() <= NODE_MAX - NODE_MAX / 4;
        let left = if position > 0 && has_room(&self.children[position - 1]) {
            position - 1
        } else if self.children.get(position + 1).is_some_and(has_room) {
            position
        } else {
            return false;
        };
        let Ok([Node::Leaf(one), Node::Leaf(other)]) = self.children.get_disjoint_mut([left, left + 1])
        else {
            unreachable!("all leaves are at the same depth");
        };
        let separator = one.level_with(other);
        (self.live[left], self.live[left + 1]) = (one.live(), other.live());
        self.separators.remove(left);
        self.separators.insert(left, &separator);
        true
    }

    fn insert_child(&mut self, position: usize, split: Split) -> Option<Split> {
        self.separators.insert(position - 1, &split.separator);
        self.live.insert(position, split.right.live());
        self.children.insert(position, split.right);
        if self.len() <= NODE_MAX {
            return None;
        }
        // Keys that come in order leave full branches behind, as with leaves.
        let middle = if position + 1 == self.len() { self.len() - 2 } else { self.len() / 2 };
        Some(self.split(middle))
    }

    /// Cuts off the children from `position` on.
    fn split(&mut self, position: usize) -> Split {
        let separators = self.separators.split_off(position);
        let separator = self.separators.get(position - 1).to_vec();
        self.separators.remove(position - 1);
        let right = Self {
            separators,
            live: self.live.split_off(position),
            children: self.children.split_off(position),
        };
        Split { separator, right: Node::Branch(right) }
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let position = self.position(key);
        let old = self.children[position].remove(key)?;
        self.live[position] -= u64::from(old.is_live());
        if self.children[position].len() < NODE_LOW {
            self.join(position);
        }
        Some(old)
    }

    /// Joins a small child with a neighbour that has room for it.
    fn join(&mut self, position: usize) {
        let fits = |left: usize| {
            left + 1 < self.len() && self.children[left].len() + self.children[left + 1].len() <= NODE_MAX
        };
        let left = if fits(position) {
            position
        } else if position > 0 && fits(position - 1) {
            position - 1
        } else {
            return;
        };
        let right = self.children.remove(left + 1);
        let separator = self.separators.get(left).to_vec();
        self.separators.remove(left);
        self.children[left].absorb(&separator, right);
        self.live[left] += self.live.remove(left + 1);
    }

    pub(super) fn absorb(&mut self, separator: &[u8], right: Self) {
        self.separators.push(separator);
        self.separators.append(&right.separators);
        self.live.extend(right.live);
        self.children.extend(right.children);
    }

    /// The child, if there is but one; this branch is then of no use.
    pub(super) fn take_only_child(&mut self) -> Option<Node> {
        if self.len() == 1 { self.children.pop() } else { None }
    }

    #[cfg(test)]
    pub(super) fn check(&self, from: Option<&[u8]>, before: Option<&[u8]>) -> (u64, usize) {
        assert_eq!((self.separators.len() + 1, self.live.len()), (self.len(), self.len()));
        let mut depths = Vec::new();
        for (position, child) in self.children.iter().enumerate() {
            let from = if position == 0 { from } else { Some(self.separators.get(position - 1)) };
            let before =
                if position + 1 == self.len() { before } else { Some(self.separators.get(position)) };
            let (live, depth) = child.check(from, before, false);
            assert_eq!(live, self.live[position]);
            depths.push(depth);
        }
        assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
        (self.live(), depths[0] + 1)
    }
}
