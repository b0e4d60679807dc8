//! Sets of keys as disjoint intervals: what a user may read, and what a user may write.
//!
//! The permissions of all roles of a user are united, and intervals that overlap *or touch* become
//! one: a request is allowed if one interval holds all of it, wherever the parts of that interval
//! come from.
//!
//! ```text
//!  role "dev"      [a ─────────── f)                [p]
//!  role "ops"                     [f ──── k)        [p\0 ─────────► no end
//!  union           [a ─────────────────── k)        [p ───────────► no end
//! ```
//!
//! A single key `p` is the interval from `p` to `p\0`, the next possible key. Finding a key takes
//! O(log n).

use std::ops::Bound;

use super::span::{Span, SpanEnd};
use crate::lease::Lease;

/// Disjoint intervals by their start. Invariant: each ends before the next one starts, and only the
/// last may have no end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Intervals(Vec<Interval>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Interval {
    start: Vec<u8>,
    /// The first key behind it; `None`: it has no end.
    end: Option<Vec<u8>>,
}

impl Interval {
    fn of(span: Span<'_>) -> Self {
        let end = match span.end {
            SpanEnd::Single => Some([span.start, &[0]].concat()),
            SpanEnd::Before(end) => Some(end.to_vec()),
            SpanEnd::Open => None,
        };
        Self { start: span.start.to_vec(), end }
    }

    /// Whether a key that does not lie before its start lies before its end.
    fn ends_behind(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether another one, which does not start before it, overlaps or touches it.
    fn reaches(&self, next: &Self) -> bool {
        self.end.as_deref().is_none_or(|end| &next.start[..] <= end)
    }

    fn extend(&mut self, other: Self) {
        let is_later = |end: &Vec<u8>| other.end.as_ref().is_none_or(|other| other > end);
        if self.end.as_ref().is_some_and(is_later) {
            self.end = other.end;
        }
    }
}

impl<'a> FromIterator<Span<'a>> for Intervals {
    /// Unites the spans. One that no permission may have (see [`Span::is_permissible`]) adds
    /// nothing.
    fn from_iter<I: IntoIterator<Item = Span<'a>>>(spans: I) -> Self {
        let spans = spans.into_iter().filter(|span| span.is_permissible());
        let mut sorted: Vec<Interval> = spans.map(Interval::of).collect();
        sorted.sort_by(|one, other| one.start.cmp(&other.start));
        let mut united: Vec<Interval> = Vec::new();
        for interval in sorted {
            match united.last_mut() {
                Some(last) if last.reaches(&interval) => last.extend(interval),
                _ => united.push(interval),
            }
        }
        Self(united)
    }
}

impl Intervals {
    /// Returns whether one interval holds all of the span. A span that ends before it starts holds
    /// no key; its start is looked at alone, as in etcd.
    pub(crate) fn contain(&self, span: Span<'_>) -> bool {
        let behind = self.0.partition_point(|interval| &interval.start[..] <= span.start);
        let Some(interval) = behind.checked_sub(1).map(|place| &self.0[place]) else { return false };
        interval.ends_behind(span.start)
            && match (span.end, interval.end.as_deref()) {
                (SpanEnd::Single, _) | (_, None) => true,
                (SpanEnd::Before(end), Some(interval_end)) => end <= interval_end,
                (SpanEnd::Open, Some(_)) => false,
            }
    }

    /// Returns whether all keys of the lease are in the set. Looks each key up, or looks for a key
    /// between two intervals, whichever is less: a lease may have a million keys, and every put
    /// with it asks this.
    pub(crate) fn contain_keys(&self, lease: &Lease) -> bool {
        if lease.keys().len() <= self.0.len() {
            return lease.keys().all(|key| self.contain(Span::single(key)));
        }
        let mut from = Some(Bound::Unbounded);
        for interval in &self.0 {
            let Some(start) = from else { return true };
            if lease.has_key_within(start, &interval.start) {
                return false;
            }
            from = interval.end.as_deref().map(Bound::Included);
        }
        from.is_none_or(|start| !lease.has_key_from(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RenewEpoch;

    fn set(spans: &[(&str, &str)]) -> Intervals {
        spans.iter().map(|(key, end)| Span::of(key.as_bytes(), end.as_bytes())).collect()
    }

    fn holds(set: &Intervals, key: &str, end: &str) -> bool {
        set.contain(Span::of(key.as_bytes(), end.as_bytes()))
    }

    #[test]
    fn overlapping_and_touching_intervals_are_one() {
        let united =
            set(&[("d", "g"), ("a", "d"), ("f", "h"), ("h", ""), ("h\0", "i"), ("x", "y"), ("x", "")]);
        assert_eq!(united, set(&[("a", "i"), ("x", "y")]));
        assert!(holds(&united, "a", "i") && holds(&united, "c", "e") && holds(&united, "h", ""));
        for (key, end) in [("a", "i\0"), ("a", "y"), ("i", ""), ("", ""), ("y", ""), ("x", "\0"), ("w", "y")]
        {
            assert!(!holds(&united, key, end), "{key:?} {end:?}");
        }
    }

    #[test]
    fn only_an_interval_without_end_holds_a_range_without_end() {
        assert!(!holds(&set(&[("a", "b"), ("\0", "\u{7f}")]), "a", "\0"));
        let open = set(&[("c", "\0"), ("d", "e"), ("b", "c")]);
        assert_eq!(open, set(&[("b", "\0")]));
        assert!(holds(&open, "b", "\0") && holds(&open, "z", "\0") && holds(&open, "b", "zz"));
        assert!(!holds(&open, "a", "\0"));
    }

    #[test]
    fn a_single_key_is_no_more_than_that() {
        let single = set(&[("a", "")]);
        assert!(holds(&single, "a", "") && holds(&single, "a", "a\0"));
        assert!(!holds(&single, "a\0", "") && !holds(&single, "a", "b") && !holds(&single, "a", "\0"));
    }

    #[test]
    fn of_a_range_that_ends_before_it_starts_the_start_counts() {
        let set = set(&[("b", "d")]);
        assert!(holds(&set, "c", "a") && holds(&set, "c", "c") && holds(&set, "b", "b"));
        assert!(!holds(&set, "d", "a") && !holds(&set, "a", "a"));
    }

    #[test]
    fn an_interval_that_is_none_adds_nothing() {
        assert_eq!(set(&[("b", "a"), ("b", "b"), ("", "z"), ("", "")]), Intervals::default());
        assert!(!holds(&Intervals::default(), "a", ""));
    }

    #[test]
    fn the_keys_of_a_lease_are_found_one_by_one_and_by_the_gaps() {
        let lease = |keys: &[&'static str]| {
            let mut lease = Lease::new(1, None, RenewEpoch(1));
            keys.iter().for_each(|key| lease.add_key(key.as_bytes()));
            lease
        };
        let set = set(&[("b", "d"), ("f", ""), ("x", "\0")]);
        for inside in
            [&["b"][..], &[], &["b", "c", "f", "x", "y", "zz"], &["f", "x\0"], &["b", "b1", "b2", "c9"]]
        {
            assert!(set.contain_keys(&lease(inside)), "{inside:?}");
        }
        for outside in [&["a"][..], &["d"], &["b", "b1", "b2", "b3", "d"], &["f", "f\0", "x", "y", "z"]] {
            assert!(!set.contain_keys(&lease(outside)), "{outside:?}");
        }
        for many in [&["a", "b", "c", "x", "y"][..], &["b", "c", "e", "x", "y"], &["b", "c", "g", "x", "y"]] {
            assert!(!set.contain_keys(&lease(many)), "{many:?}");
        }
        assert!(Intervals::default().contain_keys(&lease(&[])));
        assert!(!Intervals::default().contain_keys(&lease(&["a"])));
        let bounded = self::set(&[("b", "d")]);
        assert!(bounded.contain_keys(&lease(&["b", "c"])) && !bounded.contain_keys(&lease(&["b", "c", "d"])));
    }
}
