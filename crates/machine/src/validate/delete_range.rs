//! The shape of a delete.

use proto::etcdserverpb::DeleteRangeRequest;

use crate::Rejection;

/// Checks a delete: has a key. A `range_end` at or below the key is an empty range, not an error.
///
/// # Errors
/// `EmptyKey`.
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), Rejection> {
    if request.key.is_empty() { Err(Rejection::EmptyKey) } else { Ok(()) }
}
