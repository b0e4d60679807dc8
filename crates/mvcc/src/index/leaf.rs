//! A leaf: keys and their entries, side by side.

use std::ops::ControlFlow;

use super::keys::Keys;
use super::{Entry, NODE_MAX, Node, Split};

/// Sorted keys with an entry for each.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    keys: Keys,
    entries: Vec<Entry>,
    live: u64,
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.keys.search(key).ok().map(|position| &self.entries[position])
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.keys.search(key).ok().map(|position| &mut self.entries[position])
    }

    pub(super) fn rank(&self, key: &[u8]) -> u64 {
        let (Ok(position) | Err(position)) = self.keys.search(key);
        if self.live as usize == self.len() {
            return position as u64;
        }
        self.entries[..position].iter().filter(|entry| entry.is_live()).count() as u64
    }

    pub(super) fn insert(&mut self, key: &[u8], entry: Entry) -> (Option<Entry>, Option<Split>) {
        match self.keys.search(key) {
            Ok(position) => {
                let old = std::mem::replace(&mut self.entries[position], entry);
                self.live = self.live + u64::from(entry.is_live()) - u64::from(old.is_live());
                (Some(old), None)
            }
            Err(position) if self.len() < NODE_MAX => {
                self.insert_at(position, key, entry);
                (None, None)
            }
            Err(position) => (None, Some(self.insert_into_full(position, key, entry))),
        }
    }

    fn insert_at(&mut self, position: usize, key: &[u8], entry: Entry) {
        self.keys.insert(position, key);
        if self.len() == self.entries.capacity() {
            // Not to twice what it is: a leaf never has more.
            self.entries.reserve_exact(self.len().clamp(1, NODE_MAX - self.len()));
        }
        self.entries.insert(position, entry);
        self.live += u64::from(entry.is_live());
    }

    /// A key after all others starts a leaf of its own: keys that come in order fill their leaves.
    fn insert_into_full(&mut self, position: usize, key: &[u8], entry: Entry) -> Split {
        let middle = if position == self.len() { self.len() } else { self.len() / 2 };
        let mut right = self.split_off(middle);
        if position > middle || middle == NODE_MAX {
            right.insert_at(position - middle, key, entry);
        } else {
            self.insert_at(position, key, entry);
        }
        Split { separator: right.keys.get(0).to_vec(), right: Node::Leaf(right) }
    }

    fn split_off(&mut self, position: usize) -> Self {
        let entries = self.entries.split_off(position);
        let live = entries.iter().filter(|entry| entry.is_live()).count() as u64;
        self.live -= live;
        Self { keys: self.keys.split_off(position), entries, live }
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let position = self.keys.search(key).ok()?;
        self.keys.remove(position);
        let entry = self.entries.remove(position);
        self.live -= u64::from(entry.is_live());
        Some(entry)
    }

    pub(super) fn absorb(&mut self, right: Self) {
        self.keys.append(&right.keys);
        self.entries.reserve_exact(right.len());
        self.entries.extend_from_slice(&right.entries);
        self.live += right.live;
    }

    /// Shares the entries of both evenly with the right neighbour; returns the first key that is the neighbour's then.
    pub(super) fn level_with(&mut self, right: &mut Self) -> Vec<u8> {
        let half = (self.len() + right.len()) / 2;
        if self.len() > half {
            let mut moved = self.split_off(half);
            moved.absorb(std::mem::take(right));
            *right = moved;
        } else {
            let rest = right.split_off(half - self.len());
            self.absorb(std::mem::replace(right, rest));
        }
        right.keys.get(0).to_vec()
    }

    pub(super) fn scan<'a>(
        &'a self,
        start: &[u8],
        visit: &mut impl FnMut(&'a [u8], &'a Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (Ok(first) | Err(first)) = if start.is_empty() { Ok(0) } else { self.keys.search(start) };
        (first..self.len()).try_for_each(|position| visit(self.keys.get(position), &self.entries[position]))
    }

    pub(super) fn push(&mut self, key: &[u8], entry: Entry) {
        debug_assert!(self.len() == 0 || self.keys.get(self.len() - 1) < key, "keys come in order");
        self.keys.push(key);
        self.entries.push(entry);
        self.live += u64::from(entry.is_live());
    }

    pub(super) fn shrink(&mut self) {
        self.keys.shrink();
        self.entries.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn check(&self, from: Option<&[u8]>, before: Option<&[u8]>) -> u64 {
        assert_eq!(self.keys.len(), self.entries.len());
        let keys: Vec<_> = (0..self.len()).map(|position| self.keys.get(position)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            keys.iter()
                .all(|&key| from.is_none_or(|from| key >= from) && before.is_none_or(|before| key < before))
        );
        let live = self.entries.iter().filter(|entry| entry.is_live()).count() as u64;
        assert_eq!(live, self.live);
        live
    }
}
