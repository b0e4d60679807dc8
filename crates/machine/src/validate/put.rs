//! The shape of a put.

use proto::etcdserverpb::PutRequest;

use crate::Rejection;

/// Checks a put: has a key; keeping the old value or lease excludes giving one.
///
/// # Errors
/// `EmptyKey`, `ValueProvided`, `LeaseProvided`, in this order.
pub fn put(request: &PutRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(())
}
