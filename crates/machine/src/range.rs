//! Ranges: which keys of an interval, in which order, how many of them, and how much of each.
//!
//! The steps of etcd, in its order, as clients can tell them apart: read (at most the limit and one more, if the
//! order is the keys' own and nothing is filtered), filter by revision, sort, cut to the limit, drop values. `count`
//! is what the interval holds at that revision, before any of it.

use std::cmp::Ordering;

use bytes::Bytes;
use mvcc::{Item, KeyRange, RangeEnd, RangeQuery};
use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};

use crate::Body;
use crate::source::{Failure, Source};

/// The interval that a request means: an empty end is the key alone, a single zero byte is no end.
pub(crate) fn key_range(key: &Bytes, range_end: &Bytes) -> KeyRange {
    let end = match &range_end[..] {
        [] => RangeEnd::Single,
        [0] => RangeEnd::Open,
        _ => RangeEnd::Before(range_end.clone()),
    };
    KeyRange { start: key.clone(), end }
}

/// The next possible key in byte order.
pub(crate) fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// Whether the reply is in key order without sorting: no order asked for, *whatever* the target, or ascending by key.
///
/// Then the store may stop at the limit. With no order but a target other than the key, etcd still sorts what it
/// found so far; so does this.
pub(crate) fn has_default_order(request: &RangeRequest) -> bool {
    request.sort_order == SortOrder::None as i32
        || (request.sort_target == SortTarget::Key as i32 && request.sort_order == SortOrder::Ascend as i32)
}

/// Whether a filter by revision is set. A negative bound is set, too.
pub(crate) fn has_filters(request: &RangeRequest) -> bool {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    bounds.iter().any(|&bound| bound != 0)
}

/// The result of a range.
#[derive(Debug)]
pub(crate) struct Found {
    items: Vec<Item>,
    parts: Parts,
    pub(crate) more: bool,
    pub(crate) count: i64,
    /// Newest revision of the store at the time of the read; not the one asked for.
    pub(crate) revision: i64,
}

/// How much of a key-value goes into the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    All,
    /// Everything but the value.
    NoValue,
    /// Neither value nor lease: what etcd since 3.7 answers from its index alone.
    KeysOnly,
}

impl Parts {
    fn of(request: &RangeRequest) -> Self {
        match (request.keys_only, request.sort_target == SortTarget::Value as i32) {
            (false, _) => Self::All,
            (true, true) => Self::NoValue,
            (true, false) => Self::KeysOnly,
        }
    }
}

/// Runs a range against a state.
pub(crate) fn range(source: &impl Source, request: &RangeRequest) -> Result<Found, Failure> {
    let mut found = Found::in_key_order(source, request, read_limit(request))?;
    filter(&mut found.items, request);
    let mut found = found.sorted(request);
    if let Some(limit) = limit(request) {
        found.cut(limit);
    }
    Ok(found)
}

/// The limit of the reply; `None` is no limit.
pub(crate) fn limit(request: &RangeRequest) -> Option<usize> {
    (request.limit > 0).then(|| usize::try_from(request.limit).unwrap_or(usize::MAX))
}

/// At how many keys the store may stop; 0: at none.
fn read_limit(request: &RangeRequest) -> usize {
    match limit(request) {
        Some(limit) if has_default_order(request) && !has_filters(request) => {
            // Where the keys are sorted by something else afterwards, one more than asked for takes part in that: it
            // is what etcd reads to know whether there are more.
            let is_sorted = request.sort_target != SortTarget::Key as i32;
            limit.saturating_add(usize::from(is_sorted))
        }
        _ => 0,
    }
}

fn query(request: &RangeRequest, limit: usize) -> RangeQuery {
    RangeQuery {
        range: key_range(&request.key, &request.range_end),
        at: (request.revision > 0).then_some(request.revision),
        limit,
        // Sorting by value needs the values, even if the reply does not have them.
        keys_only: Parts::of(request) == Parts::KeysOnly,
        count_only: request.count_only,
        without_count: false,
    }
}

fn filter(items: &mut Vec<Item>, request: &RangeRequest) {
    let at_most = |bound: i64, value: i64| bound == 0 || value <= bound;
    let at_least = |bound: i64, value: i64| bound == 0 || value >= bound;
    if has_filters(request) {
        items.retain(|Item { meta, .. }| {
            at_most(request.max_mod_revision, meta.mod_revision.main)
                && at_least(request.min_mod_revision, meta.mod_revision.main)
                && at_most(request.max_create_revision, meta.create_revision)
                && at_least(request.min_create_revision, meta.create_revision)
        });
    }
}

/// Sorts what is in key order. Keys that are equal in what they are sorted by stay in key order, also in descending order.
fn sort(items: &mut [Item], request: &RangeRequest) {
    let descends = request.sort_order == SortOrder::Descend as i32;
    let directed = |order: Ordering| if descends { order.reverse() } else { order };
    let mut by = |compare: fn(&Item, &Item) -> Ordering| {
        items.sort_by(|one, other| directed(compare(one, other)));
    };
    match SortTarget::try_from(request.sort_target) {
        // A target of a later version is refused before it is proposed.
        Ok(SortTarget::Key) | Err(_) if descends => items.reverse(),
        Ok(SortTarget::Key) | Err(_) => {}
        Ok(SortTarget::Version) => by(|one, other| one.meta.version.cmp(&other.meta.version)),
        Ok(SortTarget::Create) => by(|one, other| one.meta.create_revision.cmp(&other.meta.create_revision)),
        Ok(SortTarget::Mod) => by(|one, other| one.meta.mod_revision.main.cmp(&other.meta.mod_revision.main)),
        Ok(SortTarget::Value) => by(|one, other| one.value_bytes().cmp(other.value_bytes())),
    }
}

impl Found {
    /// The first `limit` keys of a range (0: all), unfiltered and in key order.
    fn in_key_order(source: &impl Source, request: &RangeRequest, limit: usize) -> Result<Self, Failure> {
        Self::read(source, request, &query(request, limit))
    }

    /// The same without a count, which nobody wants of each chunk of a stream.
    pub(crate) fn uncounted(
        source: &impl Source,
        request: &RangeRequest,
        limit: usize,
    ) -> Result<Self, Failure> {
        Self::read(source, request, &RangeQuery { without_count: true, ..query(request, limit) })
    }

    fn read(source: &impl Source, request: &RangeRequest, query: &RangeQuery) -> Result<Self, Failure> {
        let result = source.range(query)?;
        let count = i64::try_from(result.count).expect("fewer keys than 2^63");
        let parts = Parts::of(request);
        Ok(Self { items: result.items, parts, more: result.more, count, revision: result.revision })
    }

    fn cut(&mut self, limit: usize) {
        if self.items.len() > limit {
            self.items.truncate(limit);
            self.more = true;
        }
    }

    fn sorted(mut self, request: &RangeRequest) -> Self {
        sort(&mut self.items, request);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        self.items.last().map(Item::key_bytes)
    }

    /// Leaves everything but the key-values, for whoever writes those one by one.
    pub(crate) fn take_keys(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }

    /// Appends one of the key-values as field `kvs`.
    pub(crate) fn write_key(&self, item: Item, body: &mut Body) {
        match self.parts {
            // Asked for keys only, the store's items have neither value nor lease.
            Parts::All | Parts::KeysOnly => body.field(2, item.encoded),
            Parts::NoValue => write_without_value(&item, body),
        }
    }

    /// Appends field `kvs`.
    pub(crate) fn write_keys(mut self, body: &mut Body) {
        self.take_keys().into_iter().for_each(|item| self.write_key(item, body));
    }

    /// Appends the fields of a `RangeResponse` but its header.
    pub(crate) fn write(self, body: &mut Body) {
        let (more, count) = (self.more, self.count);
        self.write_keys(body);
        body.bool(3, more);
        body.int64(4, count);
    }

    /// The body of a `RangeResponse`.
    pub(crate) fn into_body(self) -> Body {
        let mut body = Body::with_segments(self.items.len() + 1);
        self.write(&mut body);
        body
    }
}

/// Appends an item as field `kvs`, all of it but the value.
fn write_without_value(item: &Item, body: &mut Body) {
    let open = body.open(2);
    if !item.key_bytes().is_empty() {
        body.field(1, item.key());
    }
    body.int64(2, item.meta.create_revision);
    body.int64(3, item.meta.mod_revision.main);
    body.int64(4, item.meta.version);
    body.int64(6, item.meta.lease.0);
    body.close(open);
}
