//! What a fuzzer does with permissions. Its inputs are kept, and run as a test as well.
//!
//! An input is read as a list of ranges that are permitted and of ranges that are asked for. Whether the first hold one of
//! the others is decided a second time, without uniting and without sorting: from the start of the range, along any
//! permission that holds the place, until the end is reached or no permission goes on.

use super::intervals::Intervals;
use super::span::{Span, SpanEnd};

/// More spans than that find nothing new.
const SPANS_MAX: usize = 64;

/// A range of an input, and whether it is permitted or asked for.
struct Given<'a> {
    is_permission: bool,
    span: Span<'a>,
}

/// Decides about every range that the input asks for, in both ways.
///
/// # Panics
/// When the two ways differ: a bug.
pub fn permissions(input: &[u8]) {
    let given: Vec<Given<'_>> = Spans { rest: input }.take(SPANS_MAX).collect();
    let (permitted, asked): (Vec<_>, Vec<_>) = given.iter().partition(|given| given.is_permission);
    let permitted: Vec<Span<'_>> = permitted.iter().map(|given| given.span).collect();
    let united: Intervals = permitted.iter().copied().collect();
    for Given { span, .. } in asked {
        assert_eq!(united.contain(*span), is_covered(&permitted, *span), "{span:?} by {permitted:?}");
    }
}

/// Reads spans: a byte with both lengths and what it is, the start, the end.
struct Spans<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Spans<'a> {
    type Item = Given<'a>;

    fn next(&mut self) -> Option<Given<'a>> {
        let (head, rest) = self.rest.split_first()?;
        let (start, rest) = rest.split_at_checked(usize::from(head & 7))?;
        let (end, rest) = rest.split_at_checked(usize::from(head >> 3 & 7))?;
        self.rest = rest;
        Some(Given { is_permission: head & 0x40 != 0, span: Span::of(start, end) })
    }
}

/// Returns whether permissions hold all of a span. As in etcd, of a span that holds no key the start counts.
fn is_covered(permitted: &[Span<'_>], asked: Span<'_>) -> bool {
    let mut place = asked.start.to_vec();
    loop {
        let at_place = permitted.iter().filter(|span| span.is_permissible() && holds(**span, &place));
        let ends: Vec<Option<Vec<u8>>> = at_place.map(|span| end_of(*span)).collect();
        if ends.is_empty() {
            return false;
        }
        // Without an end: it goes on for as long as anybody may ask.
        let Some(ends) = ends.into_iter().collect::<Option<Vec<_>>>() else { return true };
        let end = ends.into_iter().max().unwrap_or_default();
        let is_reached = match asked.end {
            SpanEnd::Single => true,
            SpanEnd::Before(wanted) => end[..] >= *wanted,
            SpanEnd::Open => false,
        };
        if is_reached {
            return true;
        }
        place = end;
    }
}

fn holds(span: Span<'_>, key: &[u8]) -> bool {
    span.start <= key && end_of(span).is_none_or(|end| *key < end[..])
}

/// Returns the first key behind a span; `None` if it has no end.
fn end_of(span: Span<'_>) -> Option<Vec<u8>> {
    match span.end {
        SpanEnd::Single => Some([span.start, &[0]].concat()),
        SpanEnd::Before(end) => Some(end.to_vec()),
        SpanEnd::Open => None,
    }
}
