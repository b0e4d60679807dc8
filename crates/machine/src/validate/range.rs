//! The shape of a range, unary and streamed.

use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};

use crate::Rejection;
use crate::range::{has_default_order, has_filters};

/// Checks a range: has a key; order and target of the sort are numbers that the API defines.
///
/// # Errors
/// `EmptyKey`, `InvalidSortOption`, in this order.
pub fn range(request: &RangeRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err()
    {
        return Err(Rejection::InvalidSortOption);
    }
    Ok(())
}

/// Checks a streamed range: as [`range`], and in key order and unfiltered, as chunks are sent before the end is
/// known.
///
/// # Errors
/// Those of [`range`], then `StreamSorted`, `StreamFiltered`.
pub fn range_stream(request: &RangeRequest) -> Result<(), Rejection> {
    range(request)?;
    if !has_default_order(request) {
        return Err(Rejection::StreamSorted);
    }
    if has_filters(request) {
        return Err(Rejection::StreamFiltered);
    }
    Ok(())
}
