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
    /// Adds a run of pages, of which none may be in the set. Costs a step for each 64 pages: a run may be said to be long.
    pub(super) fn insert(&mut self, first: PageId, pages: u64) -> Result<(), Reason> {
        let end = first.0 + pages;
        let mut page = first.0;
        while page < end {
            let (block, word) = (page / BLOCK_PAGES, (page % BLOCK_PAGES / 64) as usize);
            let word_end = end.min((page / 64 + 1) * 64);
            let bits = u64::MAX >> (64 - (word_end - page)) << (page % 64);
            if !self.blocks.contains_key(&block) && self.blocks.len() == PAGE_SET_BLOCKS_MAX {
                return Err(Reason::TooScattered);
            }
            let words = self.blocks.entry(block).or_insert_with(|| Box::new([0; WORDS]));
            let again = words[word] & bits;
            if again != 0 {
                let target = PageId(page / 64 * 64 + u64::from(again.trailing_zeros()));
                return Err(Reason::ReachedTwice { target });
            }
            words[word] |= bits;
            self.len += word_end - page;
            page = word_end;
        }
        Ok(())
    }

    pub(super) fn contains(&self, page: PageId) -> bool {
        let word = (page.0 % BLOCK_PAGES / 64) as usize;
        self.blocks.get(&(page.0 / BLOCK_PAGES)).is_some_and(|words| words[word] & 1 << (page.0 % 64) != 0)
    }

    /// Returns how many pages are in the set.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }
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
    fn runs_of_every_length_are_taken_whole() {
        for first in [0, 1, 63, 64, BLOCK_PAGES - 1] {
            for pages in [1, 2, 63, 64, 65, 128, 200] {
                let mut set = PageSet::default();
                set.insert(PageId(first), pages).unwrap();
                let found = (0..first + 300).filter(|page| set.contains(PageId(*page)));
                assert!(found.eq(first..first + pages), "{pages} from {first} on");
                assert_eq!(set.len(), pages);
                let last = PageId(first + pages - 1);
                assert_eq!(set.insert(last, 1), Err(Reason::ReachedTwice { target: last }));
            }
        }
    }

    #[test]
    fn pages_all_over_the_place_are_refused_before_memory_ends() {
        let mut set = PageSet::default();
        let mut blocks = 0..=PAGE_SET_BLOCKS_MAX as u64;
        assert!(blocks.any(|block| set.insert(PageId(block * BLOCK_PAGES), 1) == Err(Reason::TooScattered)));
        assert_eq!(set.len(), PAGE_SET_BLOCKS_MAX as u64);
    }
}
