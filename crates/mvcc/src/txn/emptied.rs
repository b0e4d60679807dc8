//! The parts of the key space that a transaction has emptied.
//!
//! A delete of a million keys stages a million changes. A range read behind it in the same transaction must not go
//! through them all, and there may be a hundred such reads. What was emptied is therefore kept as intervals: in one of
//! them nothing is left of what was committed, only what the transaction has put there since.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{KeyRange, RangeEnd};

/// Intervals of keys, none of which touch. The end is exclusive; `None`: there is no end.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    by_start: BTreeMap<Bytes, Option<Bytes>>,
}

/// A part of a range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The transaction has deleted single keys in it at most.
    Untouched(KeyRange),
    /// The transaction has deleted all that was committed.
    Emptied(KeyRange),
}

impl Emptied {
    /// Notes that everything in a range was deleted. A single key is not worth an interval.
    pub(super) fn add(&mut self, range: &KeyRange) {
        let Some(mut end) = end_of(range) else { return };
        let mut start = range.start.clone();
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        if let Some((before, before_end)) = self.by_start.range::<Bytes, _>(..=&start).next_back()
            && before_end.as_ref().is_none_or(|before_end| *before_end >= start)
        {
            start = before.clone();
            end = later(end, before_end.clone());
        }
        while let Some((next, next_end)) = self.by_start.range::<Bytes, _>(&start..).next()
            && end.as_ref().is_none_or(|end| next <= end)
        {
            end = later(end, next_end.clone());
            let next = next.clone();
            self.by_start.remove(&next);
        }
        self.by_start.insert(start, end);
    }

    /// The parts of a range of more than a key, in order.
    pub(super) fn split(&self, range: &KeyRange) -> impl Iterator<Item = Piece> {
        let whole_end = end_of(range).expect("a single key has no parts");
        let mut next = Some(range.start.clone());
        std::iter::from_fn(move || {
            let start = next.take()?;
            if whole_end.as_ref().is_some_and(|end| start >= *end) {
                return None;
            }
            let inside = self.by_start.range::<Bytes, _>(..=&start).next_back();
            let inside = inside.map(|(_, end)| end).filter(|end| end.as_ref().is_none_or(|end| *end > start));
            let (is_emptied, end) = match inside {
                Some(end) => (true, end.clone()),
                None => {
                    (false, self.by_start.range::<Bytes, _>(&start..).next().map(|(next, _)| next.clone()))
                }
            };
            let end = earlier(end, whole_end.clone());
            next.clone_from(&end);
            let piece = KeyRange { start, end: end.map_or(RangeEnd::Open, RangeEnd::Before) };
            Some(if is_emptied { Piece::Emptied(piece) } else { Piece::Untouched(piece) })
        })
    }
}

/// The end of a range of more than one key; `Some(None)`: there is no end.
fn end_of(range: &KeyRange) -> Option<Option<Bytes>> {
    match &range.end {
        RangeEnd::Single => None,
        RangeEnd::Before(end) => Some(Some(end.clone())),
        RangeEnd::Open => Some(None),
    }
}

fn later(one: Option<Bytes>, other: Option<Bytes>) -> Option<Bytes> {
    one.zip(other).map(|(one, other)| one.max(other))
}

fn earlier(one: Option<Bytes>, other: Option<Bytes>) -> Option<Bytes> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a-c` is a range, `a-` one without an end.
    fn range(text: &str) -> KeyRange {
        let (start, end) = text.split_once('-').unwrap();
        let end = if end.is_empty() { RangeEnd::Open } else { RangeEnd::Before(end.to_owned().into()) };
        KeyRange { start: start.to_owned().into(), end }
    }

    fn shown(piece: &Piece) -> String {
        let (mark, range) = match piece {
            Piece::Untouched(range) => ("", range),
            Piece::Emptied(range) => ("!", range),
        };
        let end = match &range.end {
            RangeEnd::Before(end) => end.clone(),
            _ => Bytes::new(),
        };
        format!("{mark}{}-{}", range.start.escape_ascii(), end.escape_ascii())
    }

    #[test]
    fn a_range_is_split_where_something_was_emptied() {
        let cases = [
            ("", "b-d", "b-d"),
            ("", "-", "-"),
            ("b-d", "-", "-b !b-d d-"),
            ("b-d", "b-d", "!b-d"),
            ("b-d", "c-e", "!c-d d-e"),
            ("b-d", "a-c", "a-b !b-c"),
            ("b-d", "d-e", "d-e"),
            ("b-d", "a-b", "a-b"),
            ("b-d f-h", "c-g", "!c-d d-f !f-g"),
            ("b-d d-f", "a-g", "a-b !b-f f-g"),
            ("d-f b-d", "a-g", "a-b !b-f f-g"),
            ("b-c e-f d-", "a-", "a-b !b-c c-d !d-"),
            ("b-c e-f a-g", "-h", "-a !a-g g-h"),
            ("a-g b-c", "-h", "-a !a-g g-h"),
            ("- b-c", "c-", "!c-"),
            ("d-b c-c", "a-e", "a-e"),
            ("b-d", "e-c", ""),
        ];
        for (emptied, asked, expected) in cases {
            let mut parts = Emptied::default();
            emptied.split_whitespace().for_each(|part| parts.add(&range(part)));
            let found: Vec<_> = parts.split(&range(asked)).map(|piece| shown(&piece)).collect();
            assert_eq!(found.join(" "), expected, "{asked} where {emptied} were emptied");
        }
    }
}
