//! Keys as an interval: the one place where authorisation reads a `range_end`.
//!
//! CVE-2026-73499 was a range end that was rewritten before it was checked: "no end" (one zero
//! byte) had become the empty end of a single key. Here a request comes as it was sent, and this is
//! what it means.

/// The keys that a request or a permission names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<'a> {
    pub(crate) start: &'a [u8],
    pub(crate) end: SpanEnd<'a>,
}

/// Where a span ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanEnd<'a> {
    /// The span is its start alone.
    Single,
    /// Up to this key, which is not in it.
    Before(&'a [u8]),
    /// There is no end.
    Open,
}

impl<'a> Span<'a> {
    /// The keys that `key` and `range_end` mean together, everywhere in the API.
    pub(crate) fn of(key: &'a [u8], range_end: &'a [u8]) -> Self {
        let end = match range_end {
            [] => SpanEnd::Single,
            [0] => SpanEnd::Open,
            _ => SpanEnd::Before(range_end),
        };
        Self { start: key, end }
    }

    /// One key.
    pub(crate) fn single(key: &'a [u8]) -> Self {
        Self { start: key, end: SpanEnd::Single }
    }

    /// What a watch names: without a key it starts at the smallest there is.
    pub(crate) fn of_watch(key: &'a [u8], range_end: &'a [u8]) -> Self {
        Self::of(if key.is_empty() { &[0] } else { key }, range_end)
    }

    /// Whether a permission may have it: it has a key, and its end lies behind its start.
    pub(crate) fn is_permissible(self) -> bool {
        match self.end {
            _ if self.start.is_empty() => false,
            SpanEnd::Single | SpanEnd::Open => true,
            SpanEnd::Before(end) => self.start < end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_end_means_what_it_means_in_a_range() {
        assert_eq!(Span::of(b"a", b""), Span::single(b"a"));
        assert_eq!(Span::of(b"a", b"\0").end, SpanEnd::Open);
        assert_eq!(Span::of(b"a", b"\0\0").end, SpanEnd::Before(b"\0\0"));
        assert_eq!(Span::of_watch(b"", b""), Span::single(b"\0"));
        assert_eq!(Span::of_watch(b"", b"\0"), Span { start: b"\0", end: SpanEnd::Open });
        assert_eq!(Span::of_watch(b"a", b"b"), Span::of(b"a", b"b"));
    }

    #[test]
    fn a_permission_has_a_key_and_an_end_behind_it() {
        for (key, range_end) in [("a", ""), ("a", "\0"), ("a", "b"), ("\0", "\0"), ("a", "a\0")] {
            assert!(Span::of(key.as_bytes(), range_end.as_bytes()).is_permissible(), "{key:?} {range_end:?}");
        }
        for (key, range_end) in [("", ""), ("", "b"), ("", "\0"), ("b", "a"), ("b", "b"), ("b", "\0\0")] {
            assert!(
                !Span::of(key.as_bytes(), range_end.as_bytes()).is_permissible(),
                "{key:?} {range_end:?}"
            );
        }
    }
}
