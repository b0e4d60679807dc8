//! What a method answers with: protobuf bytes, not structs.
//!
//! The key-value pairs of a reply were encoded when they were written and are only spliced here. A response message
//! is `header` (field 1 of every etcd response) followed by the body that the state machine or a read produced
//! without a header: in protobuf, concatenation is how messages are merged.

use bytes::{BufMut, BytesMut};
use machine::Pieces;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::limits::REPLY_PIECE_BYTES;

/// Something that writes itself as one protobuf message.
pub(crate) trait WireReply: Send + 'static {
    /// Length of the encoded message in bytes.
    fn wire_len(&self) -> usize;
    /// Writes exactly [`Self::wire_len`] bytes.
    fn write(&self, buf: &mut impl BufMut);

    /// Returns the message in pieces, behind the `front`: one, unless it can be made in more.
    fn into_pieces(self, mut front: BytesMut) -> Pieces
    where
        Self: Sized,
    {
        front.reserve(self.wire_len());
        self.write(&mut front);
        Pieces::of(front, machine::Body::empty(), REPLY_PIECE_BYTES)
    }
}

/// Any prost message: for replies off the hot path.
#[derive(Debug)]
pub(crate) struct Plain<M>(pub(crate) M);

impl<M: Message + 'static> WireReply for Plain<M> {
    fn wire_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn write(&self, buf: &mut impl BufMut) {
        // `encode` fails only when the buffer is too small, and ours grow.
        self.0.encode_raw(buf);
    }
}

/// `etcdserverpb.ResponseHeader`. Zero fields are absent on the wire, as in any proto3 message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Cluster that answers.
    pub(crate) cluster_id: u64,
    /// Member that answers.
    pub(crate) member_id: u64,
    /// Revision of the store; which one is the method's business (contract: api, section 4).
    pub(crate) revision: i64,
    /// Term known to the member.
    pub(crate) raft_term: u64,
}

impl Header {
    /// Length of the message itself, in bytes.
    fn message_len(&self) -> usize {
        self.fields()
            .into_iter()
            .filter(|(_, value)| *value != 0)
            .map(|(_, v)| 1 + encoded_len_varint(v))
            .sum()
    }

    fn fields(&self) -> [(u8, u64); 4] {
        [
            (0x08, self.cluster_id),
            (0x10, self.member_id),
            (0x18, self.revision as u64),
            (0x20, self.raft_term),
        ]
    }

    /// Length as field 1 of a response, in bytes.
    pub(crate) fn field_len(&self) -> usize {
        // 44 bytes at most: the length is one byte.
        2 + self.message_len()
    }

    /// Writes the header as field 1 of a response.
    pub(crate) fn write_field(&self, buf: &mut impl BufMut) {
        buf.put_u8(0x0a);
        buf.put_u8(self.message_len() as u8);
        for (key, value) in self.fields() {
            if value != 0 {
                buf.put_u8(key);
                encode_varint(value, buf);
            }
        }
    }

    /// The generated message, for replies that are built as structs.
    pub(crate) fn to_message(self) -> proto::etcdserverpb::ResponseHeader {
        proto::etcdserverpb::ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: self.revision,
            raft_term: self.raft_term,
        }
    }
}

/// A response whose body was encoded elsewhere.
#[derive(Debug)]
pub(crate) struct Spliced {
    /// Field 1.
    pub(crate) header: Header,
    /// All other fields, in wire form.
    pub(crate) body: machine::Body,
}

impl WireReply for Spliced {
    fn wire_len(&self) -> usize {
        self.header.field_len() + self.body.len()
    }

    fn write(&self, buf: &mut impl BufMut) {
        self.header.write_field(buf);
        self.body.write(buf);
    }

    fn into_pieces(self, mut front: BytesMut) -> Pieces {
        self.header.write_field(&mut front);
        Pieces::of(front, self.body, REPLY_PIECE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::{PutResponse, ResponseHeader};

    #[test]
    fn a_spliced_reply_is_the_message_that_prost_would_encode() {
        for header in [
            Header::default(),
            Header { cluster_id: u64::MAX, member_id: u64::MAX, revision: i64::MAX, raft_term: u64::MAX },
            Header { cluster_id: 1, member_id: 300, revision: 0, raft_term: 7 },
            Header { cluster_id: 0, member_id: 0, revision: -1, raft_term: 0 },
        ] {
            let kv = proto::mvccpb::KeyValue { key: "k".into(), ..Default::default() };
            let body = PutResponse { header: None, prev_kv: Some(kv.clone()) }.encode_to_vec();
            let reply = Spliced { header, body: machine::Body::encoded(body.into()) };
            let mut wire = Vec::new();
            reply.write(&mut wire);
            let message = PutResponse {
                header: Some(ResponseHeader {
                    cluster_id: header.cluster_id,
                    member_id: header.member_id,
                    revision: header.revision,
                    raft_term: header.raft_term,
                }),
                prev_kv: Some(kv),
            };
            assert_eq!(wire, message.encode_to_vec());
            assert_eq!(reply.wire_len(), wire.len());
        }
    }
}
