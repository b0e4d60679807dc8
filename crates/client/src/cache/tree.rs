//! The records of a cache, in the order of their keys.
//!
//! Two levels above the blocks are enough for any number of keys that a member can hold. Nodes and blocks are shared
//! between trees: a view is a clone, and what is edited afterwards is copied first, one block and one node at a time. While
//! nobody has a view, nodes are edited in place.

use std::sync::Arc;

use super::block::{Block, Cursor, Record, Writer, first_key, weight};
use crate::kv::{KeyRange, KeyValue};

/// Blocks of a node.
const NODE_BLOCKS_MAX: usize = 256;

/// Bytes below which a block is joined with the next one, if there is room.
const BLOCK_BYTES_MIN: usize = super::block::BLOCK_BYTES_MAX / 4;

/// Records in the order of their keys.
///
/// Invariants: no node and no block is empty; keys ascend from record to record, block to block and node to node.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Arc<Node>>,
    size: Size,
}

/// Some blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) blocks: Vec<Block>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Records.
    pub(super) keys: usize,
    /// Bytes of keys and values.
    pub(super) bytes: usize,
}

/// Keys from one on, up to another or to the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) from: &'a [u8],
    pub(super) until: Option<&'a [u8]>,
}

impl<'a> Span<'a> {
    /// Returns the span of a range; `after` is the key that follows a single one.
    pub(super) fn of(keys: &'a KeyRange, after: &'a [u8]) -> Span<'a> {
        let until = match &keys.end()[..] {
            b"" => Some(after),
            b"\0" => None,
            end => Some(end),
        };
        Span { from: keys.start(), until }
    }

    fn is_before_end(&self, key: &[u8]) -> bool {
        self.until.is_none_or(|until| key < until)
    }

    fn contains(&self, key: &[u8]) -> bool {
        key >= self.from && self.is_before_end(key)
    }
}

/// Returns the key that follows a key.
pub(super) fn after(key: &[u8]) -> Vec<u8> {
    [key, b"\0"].concat()
}

impl Node {
    fn first_key(&self) -> &[u8] {
        first_key(&self.blocks[0])
    }

    /// Returns the block that a key is in, if it is in the node.
    fn place(&self, key: &[u8]) -> usize {
        self.blocks.partition_point(|block| first_key(block) <= key).saturating_sub(1)
    }
}

impl Tree {
    /// Returns how much there is.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Returns about how many bytes of memory it occupies.
    pub(super) fn memory(&self) -> usize {
        // Each block has two counters, a pointer with a length, and the header of the allocator.
        let block = |block: &Block| block.len() + 16 + size_of::<Block>() + 16;
        self.nodes.iter().flat_map(|node| &node.blocks).map(block).sum()
    }

    /// Returns a key with its value.
    pub(super) fn get(&self, key: &[u8]) -> Option<KeyValue> {
        let (node, block) = self.place(key);
        let mut cursor = Cursor::new(self.nodes.get(node)?.blocks.get(block)?);
        while let Some(record) = cursor.next() {
            if cursor.key.as_slice() >= key {
                return (cursor.key == key).then(|| record.to_kv(key));
            }
        }
        None
    }

    /// Returns the records of a span.
    pub(super) fn range(&self, span: Span<'_>) -> Range<'_> {
        let place = self.place(span.from);
        let cursor = Cursor::new(self.block(place).map_or(&[], |block| &block[..]));
        Range { tree: self, place, cursor, from: span.from.to_vec(), until: span.until.map(<[u8]>::to_vec) }
    }

    /// Makes `rows`, in the order of their keys, the records of a span. What is the same already is left as it is.
    pub(super) fn replace(&mut self, span: Span<'_>, mut rows: &[KeyValue]) {
        let (mut node, mut block) = self.place(span.from);
        if self.nodes.is_empty() {
            self.nodes.push(Arc::default());
        }
        let mut is_tidy = true;
        loop {
            let next = self.next_key(node, block);
            let own = next.map_or(rows.len(), |next| rows.partition_point(|row| &row.key[..] < next));
            let is_last = next.is_none_or(|next| !span.is_before_end(next));
            let (own, rest) = rows.split_at(own);
            rows = rest;
            let old = self.nodes[node].blocks.get(block);
            let fresh = rebuild(old.map_or(&[], |old| old), span, own, &mut self.size);
            let mut advance = 1;
            if let Some(fresh) = fresh {
                advance = fresh.len();
                let blocks = &mut Arc::make_mut(&mut self.nodes[node]).blocks;
                blocks.splice(block..(block + 1).min(blocks.len()), fresh);
                if is_last && advance == 1 {
                    join_if_small(blocks, block);
                }
                is_tidy &= (1..=NODE_BLOCKS_MAX).contains(&blocks.len());
            }
            if is_last {
                break;
            }
            block += advance;
            if block >= self.nodes[node].blocks.len() {
                // A node that became empty stays until the end, so that the others keep their places.
                (node, block) = (node + 1, 0);
            }
        }
        if !is_tidy || self.nodes[0].blocks.is_empty() {
            self.tidy();
        }
    }

    /// Removes empty nodes, and splits large ones.
    fn tidy(&mut self) {
        let mut nodes = Vec::with_capacity(self.nodes.len() + 1);
        for node in std::mem::take(&mut self.nodes) {
            let (count, parts) = (node.blocks.len(), node.blocks.len().div_ceil(NODE_BLOCKS_MAX));
            match parts {
                0 => {}
                1 => nodes.push(node),
                _ => {
                    let chunks = node.blocks.chunks(count.div_ceil(parts));
                    nodes.extend(chunks.map(|blocks| Arc::new(Node { blocks: blocks.to_vec() })));
                }
            }
        }
        self.nodes = nodes;
    }

    /// Returns where the block is that a key belongs to.
    fn place(&self, key: &[u8]) -> (usize, usize) {
        let node = self.nodes.partition_point(|node| node.first_key() <= key).saturating_sub(1);
        (node, self.nodes.get(node).map_or(0, |node| node.place(key)))
    }

    fn block(&self, (node, block): (usize, usize)) -> Option<&Block> {
        self.nodes.get(node)?.blocks.get(block)
    }

    /// Returns the first key of the block after this one.
    fn next_key(&self, node: usize, block: usize) -> Option<&[u8]> {
        let following = self.nodes[node].blocks.get(block + 1).map(|block| first_key(block));
        following.or_else(|| self.nodes.get(node + 1).map(|node| node.first_key()))
    }
}

/// Joins a small block with the one after it.
fn join_if_small(blocks: &mut Vec<Block>, at: usize) {
    let [small, next] = [at, at + 1].map(|at| blocks.get(at));
    let (Some(small), Some(next)) = (small, next) else { return };
    let total = small.len() + next.len();
    if small.len() >= BLOCK_BYTES_MIN || total > super::block::BLOCK_BYTES_MAX {
        return;
    }
    let mut writer = Writer::new(total);
    for block in [small, next] {
        let mut cursor = Cursor::new(block);
        while let Some(record) = cursor.next() {
            writer.push(&cursor.key, record);
        }
    }
    let joined = writer.finish();
    blocks.splice(at..=at + 1, joined);
}

/// Makes the blocks that result if `rows` become what a block has of a span; `None` if it is so already.
fn rebuild(block: &[u8], span: Span<'_>, rows: &[KeyValue], size: &mut Size) -> Option<Vec<Block>> {
    let mut writer = Writer::new(block.len() + rows.iter().map(weight).sum::<usize>());
    let (mut old, mut new, mut rows) = (Size::default(), Size::default(), rows.iter().peekable());
    let mut is_same = true;
    let mut push = |key: &[u8], record: Record<'_>, size: &mut Size| {
        size.add(key, record);
        writer.push(key, record);
    };
    let mut cursor = Cursor::new(block);
    while let Some(record) = cursor.next() {
        old.add(&cursor.key, record);
        while let Some(row) = rows.next_if(|row| row.key < cursor.key) {
            push(&row.key, Record::of(row), &mut new);
            is_same = false;
        }
        if !span.contains(&cursor.key) {
            push(&cursor.key, record, &mut new);
            continue;
        }
        match rows.next_if(|row| row.key == cursor.key) {
            Some(row) => {
                is_same &= Record::of(row) == record;
                push(&row.key, Record::of(row), &mut new);
            }
            None => is_same = false,
        }
    }
    for row in rows {
        push(&row.key, Record::of(row), &mut new);
        is_same = false;
    }
    if is_same {
        return None;
    }
    size.keys = size.keys + new.keys - old.keys;
    size.bytes = size.bytes + new.bytes - old.bytes;
    Some(writer.finish())
}

impl Size {
    fn add(&mut self, key: &[u8], record: Record<'_>) {
        self.keys += 1;
        self.bytes += key.len() + record.value.len();
    }
}

/// The records of a span.
#[derive(Debug)]
pub(super) struct Range<'a> {
    tree: &'a Tree,
    /// The block after which the next one is read.
    place: (usize, usize),
    cursor: Cursor<'a>,
    from: Vec<u8>,
    until: Option<Vec<u8>>,
}

impl Iterator for Range<'_> {
    type Item = KeyValue;

    fn next(&mut self) -> Option<KeyValue> {
        loop {
            let Some(record) = self.cursor.next() else {
                let (node, block) = self.place;
                let count = self.tree.nodes.get(node)?.blocks.len();
                self.place = if block + 1 < count { (node, block + 1) } else { (node + 1, 0) };
                self.cursor = Cursor::new(self.tree.block(self.place)?);
                continue;
            };
            if self.cursor.key < self.from {
                continue;
            }
            if self.until.as_ref().is_some_and(|until| self.cursor.key >= *until) {
                // All that follow are greater.
                self.place = (usize::MAX, 0);
                self.cursor = Cursor::new(&[]);
                return None;
            }
            return Some(record.to_kv(&self.cursor.key));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::number::Revision;

    /// Numbers that look random, and are the same in every run.
    pub(in crate::cache) struct Numbers(pub(in crate::cache) u64);

    impl Numbers {
        pub(in crate::cache) fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    pub(in crate::cache) fn row(key: u64, value: usize, revision: i64) -> KeyValue {
        KeyValue {
            key: format!("/registry/things/{key:06}").into(),
            value: vec![b'v'; value].into(),
            create_revision: Revision(1),
            mod_revision: Revision(revision),
            version: revision,
            lease: None,
        }
    }

    pub(in crate::cache) fn all(tree: &Tree) -> Vec<KeyValue> {
        tree.range(Span { from: b"", until: None }).collect()
    }

    fn check_invariants(tree: &Tree) {
        let rows = all(tree);
        assert!(rows.is_sorted_by(|a, b| a.key < b.key));
        let bytes = rows.iter().map(|row| row.key.len() + row.value.len()).sum();
        assert_eq!(tree.size(), Size { keys: rows.len(), bytes });
        for node in &tree.nodes {
            assert!((1..=NODE_BLOCKS_MAX).contains(&node.blocks.len()));
            assert!(node.blocks.iter().all(|block| !block.is_empty()));
        }
    }

    /// Edits a tree and a map alike, with views that must stay as they are.
    #[test]
    fn a_tree_is_a_map() {
        let mut numbers = Numbers(1);
        let (mut tree, mut model) = (Tree::default(), BTreeMap::<bytes::Bytes, KeyValue>::new());
        let mut views = Vec::new();
        for round in 1..4000 {
            let key = numbers.below(1500);
            let large = if numbers.below(200) == 0 { 9000 } else { 60 };
            let row = row(key, numbers.below(large) as usize, round);
            match numbers.below(3) {
                0 => {
                    tree.replace(Span { from: &row.key, until: Some(&after(&row.key)) }, &[]);
                    model.remove(&row.key);
                }
                _ => {
                    let until = after(&row.key);
                    tree.replace(Span { from: &row.key, until: Some(&until) }, std::slice::from_ref(&row));
                    model.insert(row.key.clone(), row);
                }
            }
            if round % 500 == 0 {
                check_invariants(&tree);
                assert_eq!(all(&tree), model.values().cloned().collect::<Vec<_>>());
                views.push((tree.clone(), all(&tree)));
            }
        }
        for (view, rows) in views {
            assert_eq!(all(&view), rows);
        }
        for key in 0..1500 {
            let key = row(key, 0, 0).key;
            assert_eq!(tree.get(&key), model.get(&key).cloned());
        }
        assert_eq!(tree.get(b""), None);
        assert_eq!(tree.get(b"~"), None);
    }

    #[test]
    fn spans_are_replaced() {
        let mut numbers = Numbers(7);
        let (mut tree, mut model) = (Tree::default(), BTreeMap::<bytes::Bytes, KeyValue>::new());
        for round in 1..300 {
            let mut bounds = [numbers.below(20_000), numbers.below(20_000)];
            bounds.sort_unstable();
            let density = numbers.below(40) + 1;
            let rows: Vec<KeyValue> = (bounds[0]..bounds[1])
                .filter(|key| key % density == 0)
                .map(|key| row(key, 30, round))
                .collect();
            let [from, until] = bounds.map(|key| row(key, 0, 0).key);
            let is_open = numbers.below(10) == 0;
            let span = Span { from: &from, until: (!is_open).then_some(&until[..]) };
            tree.replace(span, &rows);
            model.retain(|key, _| !span.contains(key));
            model.extend(rows.into_iter().map(|row| (row.key.clone(), row)));
            check_invariants(&tree);
            assert_eq!(all(&tree), model.values().cloned().collect::<Vec<_>>(), "round {round}");
            let [from, until] = [numbers.below(20_000), numbers.below(20_000)].map(|key| row(key, 0, 0).key);
            if from < until {
                let some: Vec<_> = tree.range(Span { from: &from, until: Some(&until) }).collect();
                let expected: Vec<_> = model.range(from..until).map(|(_, row)| row.clone()).collect();
                assert_eq!(some, expected);
            }
        }
    }

    #[test]
    fn what_is_the_same_is_left_as_it_is() {
        let rows: Vec<KeyValue> = (0..5000).map(|key| row(key, 100, 3)).collect();
        let mut tree = Tree::default();
        let everything = Span { from: b"", until: None };
        tree.replace(everything, &rows);
        let before = tree.clone();
        tree.replace(everything, &rows);
        let pairs = before.nodes.iter().zip(&tree.nodes);
        assert!(before.nodes.len() == tree.nodes.len() && pairs.clone().all(|(a, b)| Arc::ptr_eq(a, b)));
        tree.replace(everything, &[]);
        assert_eq!((tree.nodes.len(), tree.size()), (0, Size::default()));
    }

    #[test]
    fn small_blocks_are_joined() {
        let rows: Vec<KeyValue> = (0..20_000).map(|key| row(key, 100, 3)).collect();
        let mut tree = Tree::default();
        tree.replace(Span { from: b"", until: None }, &rows);
        let blocks = |tree: &Tree| tree.nodes.iter().map(|node| node.blocks.len()).sum::<usize>();
        let full = blocks(&tree);
        for row in rows.iter().filter(|row| !row.key.ends_with(b"7")).rev() {
            tree.replace(Span { from: &row.key, until: Some(&after(&row.key)) }, &[]);
        }
        check_invariants(&tree);
        assert!(blocks(&tree) < full / 2, "{} of {full}", blocks(&tree));
    }
}
