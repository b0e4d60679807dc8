//! The bytes of a command: `etcdserverpb.InternalRaftRequest`, encoded once, on the member that proposes it.
//!
//! The message has a field for each kind of request and exactly one of them is set, so a command is written as that
//! one field behind the header, straight from the request that the client sent.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint, key_len, message};

use crate::author::Author;
use crate::request::RequestId;

/// Field numbers of `InternalRaftRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, dead_code)]
pub enum Field {
    Put = 4,
    DeleteRange = 5,
    Txn = 6,
    Compaction = 7,
    LeaseGrant = 8,
    LeaseRevoke = 9,
    Alarm = 10,
    LeaseCheckpoint = 11,
    AuthEnable = 1000,
    AuthDisable = 1011,
    Authenticate = 1012,
    AuthStatus = 1013,
    AuthUserAdd = 1100,
    AuthUserDelete = 1101,
    AuthUserGet = 1102,
    AuthUserChangePassword = 1103,
    AuthUserGrantRole = 1104,
    AuthUserRevokeRole = 1105,
    AuthUserList = 1106,
    AuthRoleList = 1107,
    AuthRoleAdd = 1200,
    AuthRoleDelete = 1201,
    AuthRoleGet = 1202,
    AuthRoleGrantPermission = 1203,
    AuthRoleRevokePermission = 1204,
    ClusterVersionSet = 1300,
    ClusterMemberAttrSet = 1301,
    DowngradeInfoSet = 1302,
    ClusterBootstrap = 20_001,
    LeaseExpire = 20_000,
    MemberAdd = 20_002,
    MemberRemove = 20_003,
    MemberPromote = 20_004,
    MemberUpdate = 20_005,
    MembersReset = 20_006,
    StateHashMark = 20_007,
    StateHashClaim = 20_008,
    FollowBegin = 20_009,
    FollowRevisions = 20_010,
    FollowLeases = 20_011,
    FollowAuth = 20_012,
    FollowCompaction = 20_013,
    FollowTurn = 20_014,
}

const HEADER_FIELD: u32 = 100;

/// The header as it is written: `etcdserverpb.RequestHeader`, from borrowed parts.
struct Header<'a> {
    id: RequestId,
    username: &'a str,
    auth_revision: u64,
}

impl<'a> Header<'a> {
    fn new(id: RequestId, author: &'a Author) -> Self {
        let identity = author.identity();
        Self { id, username: identity.username, auth_revision: identity.auth_revision }
    }

    fn len(&self) -> usize {
        let number = |number: u64| if number == 0 { 0 } else { 1 + encoded_len_varint(number) };
        let name = match self.username.len() {
            0 => 0,
            length => field_len(2, length),
        };
        number(self.id.0) + name + number(self.auth_revision)
    }

    fn write(&self, buf: &mut BytesMut) {
        if self.id.0 != 0 {
            buf.put_u8(0x08);
            encode_varint(self.id.0, buf);
        }
        if !self.username.is_empty() {
            buf.put_u8(0x12);
            encode_varint(self.username.len() as u64, buf);
            buf.put_slice(self.username.as_bytes());
        }
        if self.auth_revision != 0 {
            buf.put_u8(0x18);
            encode_varint(self.auth_revision, buf);
        }
    }
}

fn field_len(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

/// Returns the length of the command in bytes, at most: an id takes as many bytes as the largest one.
pub fn command_len<M: Message>(author: &Author, field: Field, request: &M) -> usize {
    let header = Header::new(RequestId(u64::MAX), author).len();
    field_len(HEADER_FIELD, header) + field_len(field as u32, request.encoded_len())
}

/// Returns the command's bytes.
pub fn encode_command<M: Message>(id: RequestId, author: &Author, field: Field, request: &M) -> Bytes {
    let mut buf = BytesMut::with_capacity(command_len(author, field, request));
    let header = Header::new(id, author);
    prost::encoding::encode_key(HEADER_FIELD, prost::encoding::WireType::LengthDelimited, &mut buf);
    encode_varint(header.len() as u64, &mut buf);
    header.write(&mut buf);
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
        let bytes = encode_command(RequestId(9), &Author::Nobody, Field::Put, &put);
        assert!(bytes.len() <= command_len(&Author::Nobody, Field::Put, &put));
        let command = InternalRaftRequest::decode(bytes).unwrap();
        assert_eq!(command.header.unwrap().id, 9);
        assert_eq!(command.put.unwrap(), put);

        let expire = LeaseExpire { id: 1, term: 2, renew_epoch: 3 };
        let command = InternalRaftRequest::decode(encode_command(
            RequestId(1),
            &Author::Nobody,
            Field::LeaseExpire,
            &expire,
        ));
        assert_eq!(command.unwrap().lease_expire.as_deref().copied(), Some(expire));
    }

    #[test]
    fn the_author_is_in_the_header() {
        let put = PutRequest { key: "k".into(), ..Default::default() };
        let author = Author::User { name: "\u{fc}ser".into(), auth_revision: 300 };
        let bytes = encode_command(RequestId(u64::MAX), &author, Field::Put, &put);
        assert_eq!(bytes.len(), command_len(&author, Field::Put, &put));
        let header = InternalRaftRequest::decode(bytes).unwrap().header.unwrap();
        assert_eq!((header.id, &header.username[..], header.auth_revision), (u64::MAX, "\u{fc}ser", 300));
    }
}
