//! Replies as they are written: protobuf bytes, not structs. A response message is `header`, field 1 of every response of
//! etcd, followed by a body without one: in protobuf, concatenation is how messages are merged.

use bytes::{BufMut, BytesMut};
use machine::Pieces;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::limits::REPLY_PIECE_BYTES;

/// Something that writes itself as one protobuf message.
pub trait WireReply: Send + 'static {
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

/// `etcdserverpb.ResponseHeader`. Zero fields are absent on the wire, as in any proto3 message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// Cluster that answers.
    pub cluster_id: u64,
    /// Member that answers.
    pub member_id: u64,
    /// Revision of the store; which one is the method's business (contract: api, section 4).
    pub revision: i64,
    /// Term known to the member.
    pub raft_term: u64,
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
    pub fn field_len(&self) -> usize {
        // 44 bytes at most: the length is one byte.
        2 + self.message_len()
    }

    /// Writes the header as field 1 of a response.
    pub fn write_field(&self, buf: &mut impl BufMut) {
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
    pub fn to_message(self) -> proto::etcdserverpb::ResponseHeader {
        proto::etcdserverpb::ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: self.revision,
            raft_term: self.raft_term,
        }
    }
}
