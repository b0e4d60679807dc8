//! Ranges of keys, and what one asks of them.
//!
//! On the wire a range is a key and a `range_end` with two special values. It is decoded once, at the door, into a
//! [`KeyRange`], and no code behind the door knows the special values.

use bytes::Bytes;

/// An interval of keys in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// First key.
    pub start: Bytes,
    /// Where it ends.
    pub end: RangeEnd,
}

/// The end of a [`KeyRange`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RangeEnd {
    /// The range is the start key alone.
    Single,
    /// Before this key. Not after the start: an empty range, not an error.
    Before(Bytes),
    /// There is no end.
    Open,
}

impl KeyRange {
    /// One key.
    #[must_use]
    pub fn single(key: impl Into<Bytes>) -> Self {
        Self { start: key.into(), end: RangeEnd::Single }
    }

    /// From a key to before another.
    #[must_use]
    pub fn between(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: RangeEnd::Before(end.into()) }
    }

    /// A key and all after it.
    #[must_use]
    pub fn from(start: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: RangeEnd::Open }
    }

    /// Every key there can be.
    #[must_use]
    pub fn all() -> Self {
        Self::from(Bytes::new())
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return Self { start, end: RangeEnd::Before(end.into()) };
            }
        }
        Self::from(start)
    }

    /// Whether the key is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && !self.ends_before(key)
    }

    /// Whether the range is over before this key, which is not before the start.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        match &self.end {
            RangeEnd::Single => key > &self.start[..],
            RangeEnd::Before(end) => key >= &end[..],
            RangeEnd::Open => false,
        }
    }
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// Of which keys.
    pub range: KeyRange,
    /// As of the end of which main revision; the newest if `None`.
    pub at: Option<i64>,
    /// Items to return at most, in key order; 0 is no limit.
    pub limit: usize,
    /// Items without value and lease, as etcd's index knows them: nothing is read from the disk.
    pub keys_only: bool,
    /// Only the count.
    pub count_only: bool,
    /// No count: 0 where the limit cuts something off, as at an old revision it takes time to know.
    pub without_count: bool,
}

impl RangeQuery {
    /// Everything of a range, newest state.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        Self { range, at: None, limit: 0, keys_only: false, count_only: false, without_count: false }
    }

    /// The same at an older revision.
    #[must_use]
    pub fn at(self, revision: i64) -> Self {
        Self { at: Some(revision), ..self }
    }

    /// The same with a limit on the number of items.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct RangeResult {
    /// The items, in key order.
    pub items: Vec<crate::Item>,
    /// How many keys the range has at that revision, whatever the limit.
    pub count: u64,
    /// Whether the limit cut something off.
    pub more: bool,
    /// The newest revision of the store when this was read (not the revision asked for).
    pub revision: i64,
}

/// The next possible key in byte order.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_byte_can_be_counted_up() {
        assert_eq!(KeyRange::prefix("ab"), KeyRange::between("ab", "ac"));
        assert_eq!(KeyRange::prefix(&b"a\xff"[..]), KeyRange::between(&b"a\xff"[..], "b"));
        assert_eq!(KeyRange::prefix(&b"\xff\xff"[..]), KeyRange::from(&b"\xff\xff"[..]));
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        let range = KeyRange::between("b", "a");
        assert!(["", "a", "ab", "b", "c"].iter().all(|key| !range.contains(key.as_bytes())));
    }

    #[test]
    fn a_single_key_contains_only_itself() {
        let range = KeyRange::single("b");
        assert!(range.contains(b"b"));
        assert!(["", "a", "b\0", "c"].iter().all(|key| !range.contains(key.as_bytes())));
    }
}
