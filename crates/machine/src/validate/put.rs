//! The shape of a put.

use proto::etcdserverpb::PutRequest;

use crate::Rejection;
use crate::limits::KEY_BYTES_MAX;

/// Checks a put: has a key; keeping the old value or lease excludes giving one.
///
/// # Errors
/// `EmptyKey`, `KeyTooLong`, `ValueProvided`, `LeaseProvided`, in this order.
pub fn put(request: &PutRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    if request.key.len() > KEY_BYTES_MAX {
        return Err(Rejection::KeyTooLong);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_the_index_can_have() {
        let of = |len| put(&PutRequest { key: vec![b'k'; len].into(), ..PutRequest::default() });
        assert_eq!(of(KEY_BYTES_MAX), Ok(()));
        assert_eq!(of(KEY_BYTES_MAX + 1), Err(Rejection::KeyTooLong));
    }
}
