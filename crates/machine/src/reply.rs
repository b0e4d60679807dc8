//! Response bodies in protobuf wire form, without their header, and without copies of what is already encoded.
//!
//! A response of the API is `header` (field 1) followed by everything else. The header says which member answered and
//! which term it knows: that is not for the state machine to say, so it produces the rest, the *body*, and the shell
//! writes its header in front. Concatenation is how protobuf messages are merged, so the two make one message.
//!
//! A body is a rope of segments: small pieces inline, key-values by reference to the bytes that were encoded when
//! they were written. Nothing is copied until [`Body::write`] puts it into the buffer of the connection.
//!
//! ```text
//!  RangeResponse      header │ 12 ‹len› KeyValue … │ 18 01      │ 20 ‹count›
//!  (shell, then body) field 1│ field 2: kvs        │ field 3:   │ field 4: count
//!                            │ shared bytes        │ more       │
//! ```
//!
//! Responses inside a transaction do have headers, made here: only `revision` is set, and a nested transaction's is
//! empty (api contract, section 4).

mod pieces;

use bytes::{BufMut, Bytes, BytesMut};

pub use self::pieces::Pieces;
use crate::limits::REPLY_COPY_BYTES_MAX;

/// What a command or a read is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// For the header: what `revision` means for this response is the state machine's business.
    pub revision: i64,
    /// All other fields.
    pub body: Body,
}

/// All fields of a response but its header, in wire form.
#[derive(Debug, Clone, Default)]
pub struct Body {
    segments: Vec<Segment>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Segment {
    Inline(Inline),
    /// Tag and length of a nested message. Nothing may be appended to it.
    Prefix(Inline),
    /// A length-delimited field: tag and length are written in front of the bytes.
    Field(u8, Bytes),
    /// Wire bytes as they are.
    Raw(Bytes),
}

const INLINE_BYTES_MAX: usize = 30;
const _: () =
    assert!(REPLY_COPY_BYTES_MAX + 2 <= INLINE_BYTES_MAX, "a short field fits into an empty inline segment");

#[derive(Debug, Clone, Copy)]
struct Inline {
    len: u8,
    bytes: [u8; INLINE_BYTES_MAX],
}

impl Inline {
    const EMPTY: Self = Self { len: 0, bytes: [0; INLINE_BYTES_MAX] };

    fn room(&self) -> usize {
        INLINE_BYTES_MAX - usize::from(self.len)
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.push(&[value as u8]);
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A nested message that is being written.
#[must_use = "a message that was opened must be closed"]
pub(crate) struct Open {
    prefix: usize,
    len_before: usize,
    number: u8,
}

impl Body {
    /// A body without fields. Allocates nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    /// A body that is encoded already.
    #[must_use]
    pub fn encoded(bytes: Bytes) -> Self {
        let len = bytes.len();
        Self { segments: if len == 0 { Vec::new() } else { vec![Segment::Raw(bytes)] }, len }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not one field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes exactly [`len`](Self::len) bytes.
    pub fn write(&self, buffer: &mut impl BufMut) {
        for segment in &self.segments {
            match segment {
                Segment::Inline(inline) | Segment::Prefix(inline) => buffer.put_slice(inline.as_slice()),
                Segment::Raw(bytes) => buffer.put_slice(bytes),
                Segment::Field(number, bytes) => {
                    buffer.put_slice(field_prefix(*number, bytes.len()).as_slice());
                    buffer.put_slice(bytes);
                }
            }
        }
    }

    /// The body in one piece: a copy, unless it is one piece already.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if let [Segment::Raw(bytes)] = &self.segments[..] {
            return bytes.clone();
        }
        let mut buffer = BytesMut::with_capacity(self.len);
        self.write(&mut buffer);
        buffer.freeze()
    }

    pub(crate) fn with_segments(segments: usize) -> Self {
        Self { segments: Vec::with_capacity(segments), len: 0 }
    }

    /// A varint field; absent when zero, as proto3 has it.
    pub(crate) fn varint(&mut self, number: u8, value: u64) {
        if value != 0 {
            let mut field = Inline::EMPTY;
            field.push(&[number << 3]);
            field.push_varint(value);
            self.inline(field);
        }
    }

    pub(crate) fn int64(&mut self, number: u8, value: i64) {
        // Negative numbers are ten bytes long in protobuf's int64.
        self.varint(number, value as u64);
    }

    pub(crate) fn bool(&mut self, number: u8, value: bool) {
        self.varint(number, u64::from(value));
    }

    /// Appends a length-delimited field; present also when empty.
    pub fn field(&mut self, number: u8, bytes: Bytes) {
        let prefix = field_prefix(number, bytes.len());
        if bytes.len() <= REPLY_COPY_BYTES_MAX {
            let mut field = prefix;
            field.push(&bytes);
            self.inline(field);
        } else {
            self.len += usize::from(prefix.len) + bytes.len();
            self.segments.push(Segment::Field(number, bytes));
        }
    }

    /// Starts a nested message: everything until [`close`](Self::close) is inside it.
    pub(crate) fn open(&mut self, number: u8) -> Open {
        let open = Open { prefix: self.segments.len(), len_before: self.len, number };
        self.segments.push(Segment::Prefix(Inline::EMPTY));
        open
    }

    pub(crate) fn close(&mut self, open: Open) {
        let prefix = field_prefix(open.number, self.len - open.len_before);
        self.len += usize::from(prefix.len);
        self.segments[open.prefix] = Segment::Prefix(prefix);
    }

    /// The header of a response inside a transaction: only the revision.
    pub(crate) fn inner_header(&mut self, revision: i64) {
        let mut fields = Inline::EMPTY;
        fields.push(&[3 << 3]);
        fields.push_varint(revision as u64);
        let mut header = field_prefix(1, usize::from(fields.len));
        header.push(fields.as_slice());
        self.inline(header);
    }

    /// The header of a transaction inside a transaction: present, and empty.
    pub(crate) fn empty_header(&mut self) {
        self.inline(field_prefix(1, 0));
    }

    fn inline(&mut self, piece: Inline) {
        self.len += usize::from(piece.len);
        match self.segments.last_mut() {
            Some(Segment::Inline(last)) if last.room() >= usize::from(piece.len) => {
                last.push(piece.as_slice())
            }
            _ => self.segments.push(Segment::Inline(piece)),
        }
    }
}

impl PartialEq for Body {
    /// The same bytes, however they are cut.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Body {}

fn field_prefix(number: u8, len: usize) -> Inline {
    let mut prefix = Inline::EMPTY;
    prefix.push(&[number << 3 | 2]);
    prefix.push_varint(len as u64);
    prefix
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::etcdserverpb::response_op::Response;
    use proto::etcdserverpb::{PutResponse, RangeResponse, ResponseHeader, ResponseOp, TxnResponse};
    use proto::mvccpb::KeyValue;

    use super::*;

    fn pair(value_len: usize) -> KeyValue {
        KeyValue { key: "k".into(), value: vec![b'v'; value_len].into(), version: 300, ..KeyValue::default() }
    }

    fn encoded(message: &impl Message) -> Bytes {
        message.encode_to_vec().into()
    }

    #[test]
    fn a_body_is_what_prost_encodes_around_values_of_every_length() {
        for value_len in (0..40).chain([127, 128, 5000, 70_000]) {
            let kv = pair(value_len);
            let mut body = Body::empty();
            body.field(2, encoded(&kv));
            body.field(2, encoded(&kv));
            body.bool(3, true);
            body.int64(4, -1);
            let expected = RangeResponse { header: None, kvs: vec![kv.clone(), kv], more: true, count: -1 }
                .encode_to_vec();
            assert_eq!(body.to_bytes(), expected);
            assert_eq!(body.len(), expected.len());
        }
    }

    #[test]
    fn nested_messages_are_what_prost_encodes() {
        let revision = |revision| Some(ResponseHeader { revision, ..ResponseHeader::default() });
        let put = PutResponse { header: revision(1 << 40), prev_kv: Some(pair(200)) };
        let nested = TxnResponse {
            header: Some(ResponseHeader::default()),
            succeeded: false,
            responses: vec![ResponseOp { response: Some(Response::ResponsePut(put.clone())) }],
        };
        let expected = TxnResponse {
            header: None,
            succeeded: true,
            responses: vec![
                ResponseOp { response: Some(Response::ResponseTxn(nested)) },
                ResponseOp {
                    response: Some(Response::ResponsePut(PutResponse { header: revision(3), prev_kv: None })),
                },
            ],
        };
        let mut body = Body::empty();
        body.bool(2, true);
        let operation = body.open(3);
        let transaction = body.open(4);
        body.empty_header();
        body.bool(2, false);
        let inner_operation = body.open(3);
        let inner_put = body.open(2);
        body.inner_header(1 << 40);
        body.field(2, encoded(&pair(200)));
        body.close(inner_put);
        body.close(inner_operation);
        body.close(transaction);
        body.close(operation);
        let operation = body.open(3);
        let put = body.open(2);
        body.inner_header(3);
        body.close(put);
        body.close(operation);
        assert_eq!(body.to_bytes(), expected.encode_to_vec());
        assert_eq!(body.len(), expected.encoded_len());
    }

    #[test]
    fn an_encoded_body_is_passed_on_without_a_copy() {
        let bytes = encoded(&pair(3));
        let body = Body::encoded(bytes.clone());
        assert_eq!(body.to_bytes().as_ptr(), bytes.as_ptr());
        assert!(Body::encoded(Bytes::new()).is_empty());
    }
}
