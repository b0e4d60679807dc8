//! A set of pages: a bit for each, in blocks that are made when they are needed.

use std::collections::BTreeMap;

use crate::Reason;
use crate::format::PageId;
use crate::limits::PAGE_SET_BLOCKS_MAX;

const WORDS: usize = 512;
const BLOCK_PAGES: u64 = 64 * WORDS as u64;

/// Pages of a file.
///
/// Takes 4 KiB for 32,768 pages in a row: a 32,768th of a file with pages of 4 KiB that are in use. A file that scatters
/// its pages over more blocks than real ones need is refused.
#[derive(Debug, Default)]
pub(super) struct PageSet {
    blocks: BTreeMap<u64, Box<[u64; WORDS]>>,
    len: u64,
}

impl PageSet {
    /// Adds a run of pages, of which none may be in the set.
    pub(super) fn insert(&mut self, first: PageId, pages: u64) -> Result<(), Reason> {
        for page in first.0..first.0 + pages {
            let (block, word, bit) = place(PageId(page));
            if !self.blocks.contains_key(&block) && self.blocks.len() == PAGE_SET_BLOCKS_MAX {
                return Err(Reason::TooScattered);
            }
            let words = self.blocks.entry(block).or_insert_with(|| Box::new([0; WORDS]));
            if words[word] & bit != 0 {
                return Err(Reason::ReachedTwice { target: PageId(page) });
            }
            words[word] |= bit;
            self.len += 1;
        }
        Ok(())
    }

    pub(super) fn contains(&self, page: PageId) -> bool {
        let (block, word, bit) = place(page);
        self.blocks.get(&block).is_some_and(|words| words[word] & bit != 0)
    }

    /// Returns how many pages are in the set.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }
}

fn place(page: PageId) -> (u64, usize, u64) {
    let within = page.0 % BLOCK_PAGES;
    (page.0 / BLOCK_PAGES, (within / 64) as usize, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_once() {
        let mut set = PageSet::default();
        set.insert(PageId(BLOCK_PAGES - 1), 3).unwrap();
        assert!(set.contains(PageId(BLOCK_PAGES + 1)) && !set.contains(PageId(BLOCK_PAGES + 2)));
        let again = set.insert(PageId(BLOCK_PAGES - 2), 2);
        assert_eq!(again, Err(Reason::ReachedTwice { target: PageId(BLOCK_PAGES - 1) }));
    }

    #[test]
    fn pages_all_over_the_place_are_refused_before_memory_ends() {
        let mut set = PageSet::default();
        let mut blocks = 0..=PAGE_SET_BLOCKS_MAX as u64;
        assert!(blocks.any(|block| set.insert(PageId(block * BLOCK_PAGES), 1) == Err(Reason::TooScattered)));
        assert_eq!(set.len(), PAGE_SET_BLOCKS_MAX as u64);
    }
}
