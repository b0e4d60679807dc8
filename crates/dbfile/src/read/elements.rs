//! The elements of a run: are keys and values within it, in order, and what the place of the run allows?

use std::ops::Range;

use super::run::Run;
use crate::format::{BUCKET_FLAG, BranchElement, HEADER_BYTES, LeafElement, Meta, element_at};
use crate::limits::KEY_BYTES_MAX;
use crate::{Error, Reason};

/// Keys that a page may have: what the branches above it leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRange<'k> {
    /// The first key that may be.
    pub(super) low: Option<&'k [u8]>,
    /// The first key after those that may be.
    pub(super) high: Option<&'k [u8]>,
}

/// Where a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// In the tree of buckets: every row is a bucket.
    Root,
    /// In a bucket: no row is one.
    Bucket,
}

/// Checks the rows of a leaf.
pub(super) fn check_leaf(run: &Run, range: KeyRange<'_>, level: Level) -> Result<(), Error> {
    let rows = |index| {
        let element = LeafElement::read(&run.bytes, index);
        let reason = match (element.flags, level) {
            (0, Level::Bucket) | (BUCKET_FLAG, Level::Root) => None,
            (0, Level::Root) => Some(Reason::RowInRoot { index }),
            (BUCKET_FLAG, Level::Bucket) => Some(Reason::BucketInBucket { index }),
            (found, _) => Some(Reason::ElementFlags { index, found }),
        };
        match reason {
            Some(reason) => Err(reason),
            None => Ok(Place { key: element.key, end: element.value.end }),
        }
    };
    check(run, range, rows)
}

/// Checks the children of a branch. They are pages of the file then.
pub(super) fn check_branch(run: &Run, range: KeyRange<'_>, meta: &Meta) -> Result<(), Error> {
    if run.count == 0 {
        return Err(run.fault(0, Reason::Empty));
    }
    let children = |index| {
        let BranchElement { key, child } = BranchElement::read(&run.bytes, index);
        if !meta.has(child) {
            return Err(Reason::TargetOutside { target: child, pages: meta.pages });
        }
        Ok(Place { end: key.end, key })
    };
    check(run, range, children)
}

/// Where the bytes of an element are.
struct Place {
    key: Range<usize>,
    /// End of the value, or of the key where there is none.
    end: usize,
}

/// Checks the elements of a run: of each its place, length and order, and the sum of all.
fn check(
    run: &Run,
    range: KeyRange<'_>,
    place: impl Fn(usize) -> Result<Place, Reason>,
) -> Result<(), Error> {
    let table_end = element_at(run.count);
    if table_end > run.bytes.len() {
        let reason = Reason::Count { count: run.count as u16, bytes: run.bytes.len() };
        return Err(run.fault(HEADER_BYTES, reason));
    }
    let mut left = run.bytes.len() - table_end;
    let mut before: Option<&[u8]> = None;
    for index in 0..run.count {
        let fault = |reason| run.fault(element_at(index), reason);
        let Place { key, end } = place(index).map_err(fault)?;
        if key.start < table_end || end > run.bytes.len() {
            return Err(fault(Reason::ElementOutside { index }));
        }
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(fault(Reason::KeyLength { index, bytes: key.len() }));
        }
        left = left.checked_sub(end - key.start).ok_or_else(|| fault(Reason::ElementsOverlap { index }))?;
        let key = &run.bytes[key];
        if before.is_some_and(|before| before >= key) {
            return Err(fault(Reason::KeyOrder { index }));
        }
        before = Some(key);
        let is_first_inside = index > 0 || range.low.is_none_or(|low| low <= key);
        let is_last_inside = index + 1 < run.count || range.high.is_none_or(|high| key < high);
        if !(is_first_inside && is_last_inside) {
            return Err(fault(Reason::KeyOutsideRange { index }));
        }
    }
    Ok(())
}

/// Returns the first element of a checked leaf whose key is `key` or after it.
pub(super) fn first_row_from(run: &Run, key: &[u8]) -> usize {
    partition_point(run.count, |index| &run.bytes[LeafElement::read(&run.bytes, index).key] < key)
}

/// Returns the child of a checked branch under which `key` is, if it is anywhere.
pub(super) fn child_for(run: &Run, key: &[u8]) -> usize {
    let is_before = |index| &run.bytes[BranchElement::read(&run.bytes, index).key] <= key;
    partition_point(run.count, is_before).saturating_sub(1)
}

/// Returns the first of `count` indices for which `is_before` no longer holds.
fn partition_point(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from + (to - from) / 2;
        if is_before(middle) { from = middle + 1 } else { to = middle }
    }
    from
}
