//! Buckets: the tables of a database.

use super::elements::{Level, first_row_from};
use super::page_set::PageSet;
use super::run::Run;
use super::walk::{Aim, Walk};
use super::{Db, Rows};
use crate::format::{BUCKET_VALUE_BYTES, HEADER_BYTES, Header, LeafElement, PageId, PageKind, u64_at};
use crate::{Error, ReadAt, Reason};

/// A table of a database.
#[derive(Debug)]
pub struct Bucket<'d, S> {
    db: &'d Db<S>,
    name: Vec<u8>,
    root: Root,
}

/// Where a bucket's rows are.
#[derive(Debug, Clone)]
enum Root {
    /// In a tree with this page on top.
    Tree(PageId),
    /// In the bucket's value.
    Inline {
        /// The page that the value is in.
        page: PageId,
        /// Where the image begins in the file.
        offset: u64,
        /// Elements of it.
        count: usize,
        /// What a page of its own would have, without unused space.
        image: Vec<u8>,
    },
}

impl<'d, S: ReadAt> Bucket<'d, S> {
    /// Returns the name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns all rows, in the order of their keys.
    ///
    /// # Errors
    /// When the way to the first row is damaged or cannot be read.
    pub fn rows(&self) -> Result<Rows<'d, S>, Error> {
        Ok(Rows::new(self.walk(Aim::First, None)?, 0))
    }

    /// Returns the rows from `key` on, in the order of their keys.
    ///
    /// # Errors
    /// When the way to the first of them is damaged or cannot be read.
    pub fn rows_from(&self, key: &[u8]) -> Result<Rows<'d, S>, Error> {
        let walk = self.walk(Aim::Key(key), None)?;
        let first = first_row_from(&walk.leaf, key);
        Ok(Rows::new(walk, first))
    }

    /// Returns the value of the row with just this key.
    ///
    /// # Errors
    /// When the way to it is damaged or cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut rows = self.rows_from(key)?;
        Ok(rows.next_row()?.filter(|row| row.key == key).map(|row| row.value.to_vec()))
    }

    /// Returns the last key; `None` if there are no rows.
    ///
    /// # Errors
    /// When the way to it is damaged or cannot be read.
    pub fn last_key(&self) -> Result<Option<Vec<u8>>, Error> {
        let leaf = self.walk(Aim::Last, None)?.leaf;
        let last = leaf.count.checked_sub(1).map(|last| LeafElement::read(&leaf.bytes, last).key);
        Ok(last.map(|key| leaf.bytes[key].to_vec()))
    }

    /// Begins a walk; pages are entered into `reached`.
    pub(super) fn walk(&self, aim: Aim<'_>, reached: Option<PageSet>) -> Result<Walk<'d, S>, Error> {
        let mut walk = Walk::new(self.db, Level::Bucket);
        walk.reached = reached;
        match &self.root {
            Root::Tree(page) => walk.enter(*page, aim)?,
            Root::Inline { page, offset, count, image } => {
                let run = Run { page: *page, offset: *offset, count: *count, bytes: image.clone() };
                walk.enter_inline(run)?;
            }
        }
        Ok(walk)
    }
}

/// The buckets of a database, in the order of their names.
#[derive(Debug)]
pub struct Buckets<'d, S> {
    db: &'d Db<S>,
    pub(super) walk: Walk<'d, S>,
    next: usize,
}

impl<S: ReadAt> Db<S> {
    /// Returns the buckets, in the order of their names.
    ///
    /// # Errors
    /// When the way to the first is damaged or cannot be read.
    pub fn buckets(&self) -> Result<Buckets<'_, S>, Error> {
        self.buckets_reaching(None)
    }

    /// Returns the buckets; the pages of the tree that they are in are entered into `reached`.
    pub(super) fn buckets_reaching(&self, reached: Option<PageSet>) -> Result<Buckets<'_, S>, Error> {
        let mut walk = Walk::new(self, Level::Root);
        walk.reached = reached;
        walk.enter(self.meta().root, Aim::First)?;
        Ok(Buckets { db: self, walk, next: 0 })
    }

    /// Returns the bucket of this name.
    ///
    /// # Errors
    /// When the way to it is damaged or cannot be read.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'_, S>>, Error> {
        let mut walk = Walk::new(self, Level::Root);
        walk.enter(self.meta().root, Aim::Key(name))?;
        let next = first_row_from(&walk.leaf, name);
        let first = Buckets { db: self, walk, next }.next().transpose()?;
        Ok(first.filter(|bucket| bucket.name == name))
    }
}

impl<'d, S: ReadAt> Buckets<'d, S> {
    fn step(&mut self) -> Result<Option<Bucket<'d, S>>, Error> {
        while self.next == self.walk.leaf.count {
            if !self.walk.next_leaf()? {
                return Ok(None);
            }
            self.next = 0;
        }
        let leaf = &self.walk.leaf;
        let element = LeafElement::read(&leaf.bytes, self.next);
        let name = leaf.bytes[element.key].to_vec();
        let root = root(self.db, leaf, element.value.clone())
            .map_err(|fault| leaf.fault(element.value.start, fault.at(self.next)))?;
        self.next += 1;
        Ok(Some(Bucket { db: self.db, name, root }))
    }
}

impl<'d, S: ReadAt> Iterator for Buckets<'d, S> {
    type Item = Result<Bucket<'d, S>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if let Some(Err(_)) = step {
            self.walk.end();
            self.next = 0;
        }
        step
    }
}

/// What is wrong with the value of a bucket.
enum Fault {
    Value,
    Target { target: PageId, pages: u64 },
}

impl Fault {
    fn at(self, index: usize) -> Reason {
        match self {
            Self::Value => Reason::BucketValue { index },
            Self::Target { target, pages } => Reason::TargetOutside { target, pages },
        }
    }
}

/// Reads the value of a bucket.
fn root<S: ReadAt>(db: &Db<S>, leaf: &Run, value: std::ops::Range<usize>) -> Result<Root, Fault> {
    let bytes = &leaf.bytes[value.clone()];
    if bytes.len() < BUCKET_VALUE_BYTES {
        return Err(Fault::Value);
    }
    let target = PageId(u64_at(bytes, 0));
    if target.0 != 0 {
        return match bytes.len() {
            BUCKET_VALUE_BYTES if db.meta().has(target) => Ok(Root::Tree(target)),
            BUCKET_VALUE_BYTES => Err(Fault::Target { target, pages: db.meta().pages }),
            _ => Err(Fault::Value),
        };
    }
    let image = &bytes[BUCKET_VALUE_BYTES..];
    if image.len() < HEADER_BYTES {
        return Err(Fault::Value);
    }
    let header = Header::read(image);
    if header.id.0 != 0 || !header.is(PageKind::Leaf) || header.overflow != 0 {
        return Err(Fault::Value);
    }
    Ok(Root::Inline {
        page: leaf.page,
        offset: leaf.offset + (value.start + BUCKET_VALUE_BYTES) as u64,
        count: header.count.into(),
        image: image.to_vec(),
    })
}
