//! The protobuf wire form of `mvccpb.KeyValue` and `mvccpb.Event`, written by hand.
//!
//! A version of a key is encoded once, when it is written, and the bytes are then shared by the cache, replies and
//! events. The fields stand in the order of their numbers and fields that are zero are left out, as every protobuf
//! library writes them: HashKV (etcd's content hash) is taken over these very bytes.
//!
//! ```text
//! KeyValue: 0A key | 10 create_revision | 18 mod_revision | 20 version | 2A value | 30 lease
//! Event:    08 type (1 = DELETE, absent = PUT) | 12 kv | 1A prev_kv
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::{LeaseId, Meta, Revision};

const KEY: u8 = 0x0a;
const CREATE_REVISION: u8 = 0x10;
const MOD_REVISION: u8 = 0x18;
const VERSION: u8 = 0x20;
const VALUE: u8 = 0x2a;
const LEASE: u8 = 0x30;

const EVENT_TYPE: u8 = 0x08;
const EVENT_KV: u8 = 0x12;
const EVENT_PREV_KV: u8 = 0x1a;

/// Bytes that a number takes as a varint.
pub(crate) fn varint_len(number: u64) -> usize {
    // 7 bits a byte; zero takes one.
    ((64 - (number | 1).leading_zeros() as usize) * 9 + 64) / 64
}

pub(crate) fn put_varint(buffer: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        buffer.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.put_u8(number as u8);
}

/// Takes a varint off the front. `None` if there is none.
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

fn number_len(number: i64) -> usize {
    if number == 0 { 0 } else { 1 + varint_len(number as u64) }
}

fn bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { 1 + varint_len(bytes.len() as u64) + bytes.len() }
}

fn put_number(buffer: &mut impl BufMut, tag: u8, number: i64) {
    if number != 0 {
        buffer.put_u8(tag);
        put_varint(buffer, number as u64);
    }
}

fn put_bytes(buffer: &mut impl BufMut, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        buffer.put_u8(tag);
        put_varint(buffer, bytes.len() as u64);
        buffer.put_slice(bytes);
    }
}

/// A version of a key as `mvccpb.KeyValue`.
pub(crate) fn key_value(key: &[u8], meta: &Meta, value: &[u8]) -> Bytes {
    let numbers = [meta.create_revision, meta.mod_revision.main, meta.version, meta.lease.0];
    let len = bytes_len(key) + numbers.into_iter().map(number_len).sum::<usize>() + bytes_len(value);
    let mut buffer = Vec::with_capacity(len);
    put_bytes(&mut buffer, KEY, key);
    put_number(&mut buffer, CREATE_REVISION, meta.create_revision);
    put_number(&mut buffer, MOD_REVISION, meta.mod_revision.main);
    put_number(&mut buffer, VERSION, meta.version);
    put_bytes(&mut buffer, VALUE, value);
    put_number(&mut buffer, LEASE, meta.lease.0);
    debug_assert_eq!(buffer.len(), len, "the length is computed by the same rules");
    buffer.into()
}

/// A tombstone in the form that etcd stores, and that HashKV therefore covers: the key alone.
pub(crate) fn tombstone(key: &[u8]) -> Bytes {
    key_value(key, &Meta::default(), b"")
}

/// The fields of an encoded `KeyValue`, borrowed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    lease: i64,
}

impl Fields<'_> {
    /// The meta data; `sub` is not part of the wire form.
    pub(crate) fn meta(&self, sub: u32) -> Meta {
        Meta {
            create_revision: self.create_revision,
            mod_revision: Revision { main: self.mod_revision, sub },
            version: self.version,
            lease: LeaseId(self.lease),
        }
    }
}

/// Reads what [`key_value`] wrote; `None` if it is not that.
pub(crate) fn parse(mut input: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields::default();
    while let Some((&tag, rest)) = input.split_first() {
        input = rest;
        match tag {
            KEY => fields.key = take_bytes(&mut input)?,
            VALUE => fields.value = take_bytes(&mut input)?,
            CREATE_REVISION => fields.create_revision = take_varint(&mut input)? as i64,
            MOD_REVISION => fields.mod_revision = take_varint(&mut input)? as i64,
            VERSION => fields.version = take_varint(&mut input)? as i64,
            LEASE => fields.lease = take_varint(&mut input)? as i64,
            _ => return None,
        }
    }
    Some(fields)
}

/// Whether these are the very bytes that [`key_value`] writes for what they say.
pub(crate) fn is_canonical(encoded: &[u8]) -> bool {
    parse(encoded).is_some_and(|fields| key_value(fields.key, &fields.meta(0), fields.value) == encoded)
}

/// Only the key, which stands first.
pub(crate) fn parse_key(mut input: &[u8]) -> &[u8] {
    match input.split_first() {
        Some((&KEY, rest)) => {
            input = rest;
            take_bytes(&mut input).unwrap_or_default()
        }
        _ => &[],
    }
}

/// An `mvccpb.Event`. `kv` and `prev_kv` are encoded already.
pub(crate) fn event(is_delete: bool, kv: &[u8], prev_kv: Option<&[u8]>) -> Bytes {
    let nested = |bytes: &[u8]| 1 + varint_len(bytes.len() as u64) + bytes.len();
    let len = if is_delete { 2 } else { 0 } + nested(kv) + prev_kv.map_or(0, nested);
    let mut buffer = BytesMut::with_capacity(len);
    if is_delete {
        put_number(&mut buffer, EVENT_TYPE, 1);
    }
    for (tag, bytes) in [(EVENT_KV, Some(kv)), (EVENT_PREV_KV, prev_kv)] {
        if let Some(bytes) = bytes {
            buffer.put_u8(tag);
            put_varint(&mut buffer, bytes.len() as u64);
            buffer.put_slice(bytes);
        }
    }
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let mod_revision = Revision { main: 300, sub: 4 };
        Meta { create_revision: 2, mod_revision, version: 7, lease: LeaseId(-1) }
    }

    #[test]
    fn a_key_value_has_its_fields_in_order_and_no_zeros() {
        let encoded = key_value(b"k", &meta(), b"value");
        let lease = [0xff; 9].iter().chain(&[0x01]).copied();
        let expected: Vec<u8> =
            b"\x0a\x01k\x10\x02\x18\xac\x02\x20\x07\x2a\x05value\x30".iter().copied().chain(lease).collect();
        assert_eq!(encoded, expected);
        assert_eq!(tombstone(b"k"), &b"\x0a\x01k"[..]);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let encoded = key_value(b"key", &meta(), b"value");
        let fields = parse(&encoded).unwrap();
        assert_eq!((fields.key, fields.value, fields.meta(4)), (&b"key"[..], &b"value"[..], meta()));
        assert_eq!(parse_key(&encoded), b"key");
        assert_eq!(parse(&encoded[..encoded.len() - 1]), None);
    }

    #[test]
    fn varints_have_the_length_that_is_said() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut buffer = Vec::new();
                put_varint(&mut buffer, number);
                assert_eq!(buffer.len(), varint_len(number), "{number}");
                assert_eq!(take_varint(&mut &buffer[..]), Some(number));
            }
        }
    }

    #[test]
    fn events_nest_the_encoded_key_values() {
        assert_eq!(event(false, b"kv", None), &b"\x12\x02kv"[..]);
        assert_eq!(event(true, b"kv", Some(b"old")), &b"\x08\x01\x12\x02kv\x1a\x03old"[..]);
    }
}
