//! Going through the leaves of a tree, from left to right.

use super::Db;
use super::ahead::Ahead;
use super::elements::{KeyRange, Level, check_branch, check_leaf, child_for};
use super::page_set::PageSet;
use super::run::Run;
use crate::format::{BranchElement, PageId, PageKind};
use crate::limits::DEPTH_MAX;
use crate::{Error, ReadAt, Reason};

/// Which leaf a walk goes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim<'k> {
    First,
    Last,
    /// The leaf where this key is, if it is anywhere.
    Key(&'k [u8]),
}

/// A way through a tree: the branches from the root down, and the leaf that it has come to.
#[derive(Debug)]
pub(super) struct Walk<'d, S> {
    db: &'d Db<S>,
    level: Level,
    path: Vec<Branch>,
    /// The leaf. Its elements are checked.
    pub(super) leaf: Run,
    /// Pages of all runs so far.
    pages: u64,
    ahead: Ahead,
    /// Every page that was reached, if that is wanted.
    pub(super) reached: Option<PageSet>,
}

/// A branch, and which of its children the way goes through. Its elements are checked.
#[derive(Debug)]
struct Branch {
    run: Run,
    child: usize,
}

impl<'d, S: ReadAt> Walk<'d, S> {
    /// Returns a walk that has not begun.
    pub(super) fn new(db: &'d Db<S>, level: Level) -> Self {
        Self {
            db,
            level,
            path: Vec::new(),
            leaf: Run::empty(),
            pages: 0,
            ahead: Ahead::default(),
            reached: None,
        }
    }

    /// Takes an inline page as the only leaf.
    pub(super) fn enter_inline(&mut self, image: Run) -> Result<(), Error> {
        self.leaf = image;
        check_leaf(&self.leaf, KeyRange { low: None, high: None }, self.level)
    }

    /// Goes down from `page` to a leaf.
    pub(super) fn enter(&mut self, mut page: PageId, aim: Aim<'_>) -> Result<(), Error> {
        loop {
            let kind = self.load(page)?;
            let range = range(&self.path);
            if kind == PageKind::Leaf {
                if self.leaf.count == 0 && !self.path.is_empty() {
                    return Err(self.leaf.fault(0, Reason::Empty));
                }
                return check_leaf(&self.leaf, range, self.level);
            }
            check_branch(&self.leaf, range, self.db.meta())?;
            if self.path.len() + 1 == DEPTH_MAX {
                return Err(self.leaf.fault(0, Reason::Depth { max: DEPTH_MAX }));
            }
            let run = std::mem::replace(&mut self.leaf, Run::empty());
            let child = match aim {
                Aim::First => 0,
                Aim::Last => run.count - 1,
                Aim::Key(key) => child_for(&run, key),
            };
            page = BranchElement::read(&run.bytes, child).child;
            self.path.push(Branch { run, child });
        }
    }

    /// Goes to the next leaf; returns false at the end.
    pub(super) fn next_leaf(&mut self) -> Result<bool, Error> {
        while let Some(branch) = self.path.last_mut() {
            branch.child += 1;
            if branch.child < branch.run.count {
                let page = BranchElement::read(&branch.run.bytes, branch.child).child;
                return self.enter(page, Aim::First).map(|()| true);
            }
            self.path.pop();
        }
        Ok(false)
    }

    /// Ends the walk where it is: there is no further leaf.
    pub(super) fn end(&mut self) {
        self.path.clear();
        self.leaf.count = 0;
    }

    /// Reads the run at `page` into the place of the leaf, whatever its kind, and counts its pages.
    fn load(&mut self, page: PageId) -> Result<PageKind, Error> {
        let max = self.db.options.run_bytes_max;
        let path_bytes: usize = self.path.iter().map(|branch| branch.run.bytes.len()).sum();
        let header = self.db.load(page, max, &mut self.ahead, &mut self.leaf)?;
        let run_pages = u64::from(header.overflow) + 1;
        self.pages += run_pages;
        if self.pages > self.db.meta().pages {
            return Err(self.leaf.fault(0, Reason::ReachedTwice { target: page }));
        }
        if let Some(reached) = &mut self.reached {
            reached.insert(page, run_pages).map_err(|reason| self.leaf.fault(0, reason))?;
        }
        if header.is(PageKind::Leaf) {
            return Ok(PageKind::Leaf);
        }
        let bytes = (path_bytes + self.leaf.bytes.len()) as u64;
        if bytes > max {
            return Err(self.leaf.fault(0, Reason::RunTooLong { bytes, max }));
        }
        Ok(PageKind::Branch)
    }
}

/// Returns the keys that may be below a path. A branch says what its children's keys are at least, but for the first
/// child, and that is also what they are below for the child before; the rest is for the branches above.
fn range(path: &[Branch]) -> KeyRange<'_> {
    let mut range = KeyRange { low: None, high: None };
    for Branch { run, child } in path.iter().rev() {
        let key = |child| Some(&run.bytes[BranchElement::read(&run.bytes, child).key]);
        if range.low.is_none() && *child > 0 {
            range.low = key(*child);
        }
        if range.high.is_none() && child + 1 < run.count {
            range.high = key(child + 1);
        }
    }
    range
}
