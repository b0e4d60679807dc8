//! Random keys, ranges and operations: few keys, so that they meet.

use mvcc::KeyRange;
use proptest::prelude::*;

use super::Op;

pub fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec!["a", "a/1", "a/2", "a/22", "b", "b\0", "b/1", "c", "c/1", "c/2", "d", "zzz"])
        .prop_map(|key| key.as_bytes().to_vec())
}

pub fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        4 => key().prop_map(KeyRange::single),
        2 => (key(), key()).prop_map(|(start, end)| KeyRange::between(start, end)),
        1 => key().prop_map(KeyRange::prefix),
        1 => key().prop_map(KeyRange::from),
    ]
}

pub fn op() -> impl Strategy<Value = Op> {
    let value = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        3 => (key(), value, 0..3i64).prop_map(|(key, value, lease)| Op::Put { key, value, lease }),
        1 => range().prop_map(Op::Delete),
    ]
}
