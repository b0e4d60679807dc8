//! What the generated types promise beyond their fields: no copies, no lost numbers, commands of a bearable size.

use bytes::Bytes;
use prost::Message;
use proto::etcdserverpb::{InternalRaftRequest, PutRequest, RangeRequest, range_request::SortOrder};

/// A value must not be copied between the socket, the raft log, the store and the reply.
#[test]
fn a_decoded_value_is_a_slice_of_the_received_buffer() {
    let put = PutRequest {
        key: Bytes::from_static(b"key"),
        value: Bytes::from(vec![7; 1000]),
        ..Default::default()
    };
    let received = Bytes::from(put.encode_to_vec());
    let decoded = PutRequest::decode(received.clone()).unwrap();
    let buffer = received.as_ptr_range();
    assert!(buffer.contains(&decoded.value.as_ptr()));
    assert!(buffer.contains(&decoded.key.as_ptr()));
    assert_eq!(decoded, put);
}

/// The bytes of a known request, so that encoder and decoder cannot be wrong together.
#[test]
fn a_put_has_the_bytes_that_protobuf_prescribes() {
    let put = PutRequest {
        key: Bytes::from_static(b"foo"),
        value: Bytes::from_static(b"bar"),
        lease: -1,
        prev_kv: true,
        ..Default::default()
    };
    let wire = b"\x0a\x03foo\x12\x03bar\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x20\x01";
    assert_eq!(put.encode_to_vec(), wire);
    assert_eq!(PutRequest::decode(&wire[..]).unwrap(), put);
}

#[test]
fn a_field_with_its_default_takes_no_bytes() {
    assert_eq!(RangeRequest::default().encode_to_vec(), b"");
}

/// A newer client may send an enum value that this version does not know; the per-call check must see the number.
#[test]
fn an_unknown_enum_number_survives() {
    let request = RangeRequest { sort_order: 17, ..Default::default() };
    let decoded = RangeRequest::decode(request.encode_to_vec().as_slice()).unwrap();
    assert_eq!(decoded.sort_order, 17);
    assert!(SortOrder::try_from(decoded.sort_order).is_err());
}

#[test]
fn unknown_fields_are_ignored() {
    let mut wire = PutRequest { key: Bytes::from_static(b"k"), ..Default::default() }.encode_to_vec();
    wire.extend_from_slice(b"\xfa\x3f\x01x"); // field 1023, one byte
    assert_eq!(PutRequest::decode(wire.as_slice()).unwrap().key, "k");
}

/// A command has a field for each request there is; the rare ones are boxed, and each of them adds a pointer: 48 bytes are the six
/// of a cluster that follows another one.
#[test]
fn a_command_stays_small() {
    let of_follows = 6 * size_of::<usize>();
    assert!(
        size_of::<InternalRaftRequest>() <= 600 + of_follows,
        "{} bytes",
        size_of::<InternalRaftRequest>()
    );
}
