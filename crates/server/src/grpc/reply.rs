//! What a method answers with: protobuf bytes, not structs.
//!
//! The key-value pairs of a reply were encoded when they were written and are only spliced here. A response message
//! is `header` (field 1 of every etcd response) followed by the body that the state machine or a read produced
//! without a header: in protobuf, concatenation is how messages are merged.

use bytes::{BufMut, BytesMut};
use engine::limits::REPLY_PIECE_BYTES;
use engine::wire::{Header, WireReply};
use machine::Pieces;
use prost::Message;

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
