//! The bytes of a command: `etcdserverpb.InternalRaftRequest`, encoded once, on the member that proposes it.
//!
//! The message has a field for each kind of request and exactly one of them is set, so a command is written as that
//! one field behind the header, straight from the request that the client sent.

use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encoded_len_varint, key_len, message};
use proto::etcdserverpb::RequestHeader;

use super::waiters::RequestId;

/// Field numbers of `InternalRaftRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, dead_code)]
pub(crate) enum Field {
    Put = 4,
    DeleteRange = 5,
    Txn = 6,
    Compaction = 7,
    LeaseGrant = 8,
    LeaseRevoke = 9,
    Alarm = 10,
    LeaseCheckpoint = 11,
    ClusterVersionSet = 1300,
    ClusterMemberAttrSet = 1301,
    ClusterBootstrap = 20_001,
    LeaseExpire = 20_000,
    MemberAdd = 20_002,
    MemberRemove = 20_003,
    MemberPromote = 20_004,
    MemberUpdate = 20_005,
    MembersReset = 20_006,
    StateHashMark = 20_007,
    StateHashClaim = 20_008,
}

const HEADER_FIELD: u32 = 100;

fn header(id: RequestId) -> RequestHeader {
    RequestHeader { id: id.0, ..Default::default() }
}

fn field_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

/// Length of the command in bytes, at most: an id takes as many bytes as the largest one.
pub(crate) fn command_len<M: Message>(field: Field, request: &M) -> usize {
    let header = header(RequestId(u64::MAX)).encoded_len();
    field_len(HEADER_FIELD, header) + field_len(field as u32, request.encoded_len())
}

/// The command's bytes.
pub(crate) fn encode_command<M: Message>(id: RequestId, field: Field, request: &M) -> Bytes {
    let mut buf = BytesMut::with_capacity(command_len(field, request));
    message::encode(HEADER_FIELD, &header(id), &mut buf);
    message::encode(field as u32, request, &mut buf);
    buf.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::{InternalRaftRequest, PutRequest};
    use proto::quoratepb::LeaseExpire;

    #[test]
    fn a_command_decodes_as_the_message_with_that_field() {
        let put = PutRequest { key: "k".into(), value: vec![7; 300].into(), lease: 5, ..Default::default() };
        let bytes = encode_command(RequestId(9), Field::Put, &put);
        assert!(bytes.len() <= command_len(Field::Put, &put));
        let command = InternalRaftRequest::decode(bytes).unwrap();
        assert_eq!(command.header.unwrap().id, 9);
        assert_eq!(command.put.unwrap(), put);

        let expire = LeaseExpire { id: 1, term: 2, renew_epoch: 3 };
        let command = InternalRaftRequest::decode(encode_command(RequestId(1), Field::LeaseExpire, &expire));
        assert_eq!(command.unwrap().lease_expire.as_deref().copied(), Some(expire));
    }
}
