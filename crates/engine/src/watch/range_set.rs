//! Which ranges contain a key.
//!
//! Ranges are kept sorted by their start (and then by their item, so that one of thousands with the same start is found
//! as fast as any), in blocks that know the largest end within. A look-up walks the blocks whose first start is not beyond
//! the key and skips each whose largest end is not beyond it. Watchers are thousands, not millions, and most ranges
//! are disjoint prefixes or a few wide ones: skipping a block is one comparison.

use bytes::Bytes;

/// Entries in a block before it is split.
const BLOCK_MAX: usize = 64;

#[derive(Debug)]
struct Entry<T> {
    start: Bytes,
    /// `None`: no upper bound.
    end: Option<Bytes>,
    item: T,
}

#[derive(Debug)]
struct Block<T> {
    entries: Vec<Entry<T>>,
    /// Largest end of the entries; `None`: no upper bound.
    max_end: Option<Bytes>,
}

/// A multiset of half-open key ranges, each with an item.
#[derive(Debug)]
pub(crate) struct RangeSet<T> {
    blocks: Vec<Block<T>>,
}

impl<T> Default for RangeSet<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

fn before_end(key: &[u8], end: &Option<Bytes>) -> bool {
    end.as_ref().is_none_or(|end| key < &end[..])
}

impl<T> Entry<T> {
    /// What entries are sorted by.
    fn place(&self) -> (&Bytes, &T) {
        (&self.start, &self.item)
    }
}

impl<T> Block<T> {
    fn first_start(&self) -> &Bytes {
        &self.entries[0].start
    }

    fn refresh(&mut self) {
        let mut max = Some(Bytes::new());
        for entry in &self.entries {
            let larger = match (&max, &entry.end) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(max), Some(end)) => end > max,
            };
            if larger {
                max = entry.end.clone();
            }
        }
        self.max_end = max;
    }
}

impl<T: Ord + Copy> RangeSet<T> {
    /// Adds `[start, end)`.
    pub(crate) fn insert(&mut self, start: Bytes, end: Option<Bytes>, item: T) {
        let entry = Entry { start, end, item };
        let Some(at) = self.block_of(entry.place()).or((!self.blocks.is_empty()).then_some(0)) else {
            self.blocks.push(Block { max_end: entry.end.clone(), entries: vec![entry] });
            return;
        };
        let block = &mut self.blocks[at];
        let place = block.entries.partition_point(|other| other.place() <= entry.place());
        block.entries.insert(place, entry);
        if block.entries.len() > BLOCK_MAX {
            let upper = block.entries.split_off(BLOCK_MAX / 2);
            let mut upper = Block { entries: upper, max_end: None };
            upper.refresh();
            block.refresh();
            self.blocks.insert(at + 1, upper);
        } else {
            block.refresh();
        }
    }

    /// Removes the range that was added with these very arguments; nothing happens if there is none.
    pub(crate) fn remove(&mut self, start: &Bytes, item: T) {
        let Some(at) = self.block_of((start, &item)) else { return };
        let block = &mut self.blocks[at];
        let Ok(found) = block.entries.binary_search_by(|entry| entry.place().cmp(&(start, &item))) else {
            return;
        };
        block.entries.remove(found);
        if block.entries.is_empty() {
            self.blocks.remove(at);
        } else {
            block.refresh();
        }
    }

    /// The last block that begins at or before a place.
    fn block_of(&self, place: (&Bytes, &T)) -> Option<usize> {
        self.blocks.partition_point(|block| block.entries[0].place() <= place).checked_sub(1)
    }

    /// Calls `found` with the item of each range that contains `key`.
    pub(crate) fn containing(&self, key: &[u8], mut found: impl FnMut(T)) {
        for block in &self.blocks {
            if &block.first_start()[..] > key {
                return;
            }
            if !before_end(key, &block.max_end) {
                continue;
            }
            for entry in &block.entries {
                if &entry.start[..] > key {
                    break;
                }
                if before_end(key, &entry.end) {
                    found(entry.item);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Ranges = Vec<(Bytes, Option<Bytes>, u32)>;

    fn key() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(0u8..4, 0..3).prop_map(Bytes::from)
    }

    fn naive(ranges: &Ranges, key: &[u8]) -> Vec<u32> {
        let mut items: Vec<u32> = ranges
            .iter()
            .filter(|(start, end, _)| &start[..] <= key && before_end(key, end))
            .map(|(_, _, item)| *item)
            .collect();
        items.sort_unstable();
        items
    }

    thread_local! {
        static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// An item that counts how often it is compared.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            COMPARISONS.set(COMPARISONS.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn one_of_many_with_the_same_start_goes_without_looking_at_the_others() {
        let (prefix, end) = (Bytes::from_static(b"registry/"), Some(Bytes::from_static(b"registry0")));
        let mut set = RangeSet::default();
        let many = 20_000;
        (0..many).for_each(|item| set.insert(prefix.clone(), end.clone(), Counted(item)));
        COMPARISONS.set(0);
        // In an order that jumps about.
        (0..many).for_each(|number| set.remove(&prefix, Counted(number * 7919 % many)));
        assert!(set.blocks.is_empty());
        let each = COMPARISONS.get() / many as usize;
        assert!(each <= 32, "{each} comparisons each");
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_list_finds(
            ranges in proptest::collection::vec((key(), proptest::option::of(key())), 0..400),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
            probes in proptest::collection::vec(key(), 1..20),
        ) {
            let mut set = RangeSet::default();
            let mut list: Ranges = Vec::new();
            for (item, (start, end)) in ranges.into_iter().enumerate() {
                set.insert(start.clone(), end.clone(), item as u32);
                list.push((start, end, item as u32));
            }
            for index in removed {
                if !list.is_empty() {
                    let (start, _, item) = list.swap_remove(index.index(list.len()));
                    set.remove(&start, item);
                }
            }
            for probe in probes {
                let mut found = Vec::new();
                set.containing(&probe, |item| found.push(item));
                found.sort_unstable();
                prop_assert_eq!(found, naive(&list, &probe));
            }
        }
    }
}
