//! range
use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};

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
