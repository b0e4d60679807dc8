//! What the key space answers.

use std::borrow::Cow;

use bytes::Bytes;
use proto::etcdserverpb as pb;
use proto::mvccpb;

use crate::number::{ClusterId, LeaseId, MemberId, Revision};

/// What every answer says about the one who gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member.
    pub member: MemberId,
    /// The revision of the store when the call was served.
    pub revision: Revision,
    /// The term of raft that the member is in.
    pub raft_term: u64,
}

impl From<Option<pb::ResponseHeader>> for Header {
    fn from(header: Option<pb::ResponseHeader>) -> Header {
        let header = header.unwrap_or_default();
        Header {
            cluster: ClusterId(header.cluster_id),
            member: MemberId(header.member_id),
            revision: Revision(header.revision),
            raft_term: header.raft_term,
        }
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key, after its last deletion if there was one.
    pub create_revision: Revision,
    /// The revision that last changed the key.
    pub mod_revision: Revision,
    /// How many times it was put since it was created; 0 in a deletion.
    pub version: i64,
    /// The lease that it is attached to.
    pub lease: Option<LeaseId>,
}

impl KeyValue {
    /// Returns the key as text; bytes that are none are replaced.
    pub fn key_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }

    /// Returns the value as text; bytes that are none are replaced.
    pub fn value_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

impl From<mvccpb::KeyValue> for KeyValue {
    fn from(kv: mvccpb::KeyValue) -> KeyValue {
        KeyValue {
            key: kv.key,
            value: kv.value,
            create_revision: Revision(kv.create_revision),
            mod_revision: Revision(kv.mod_revision),
            version: kv.version,
            lease: (kv.lease != 0).then_some(LeaseId(kv.lease)),
        }
    }
}

/// The answer to a [`Get`](crate::Get).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetAnswer {
    /// Who answered, and when.
    pub header: Header,
    /// What was found, in the order that was asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether there is more than the limit.
    pub more: bool,
    /// How many keys there are in the range, whatever the limit.
    pub count: i64,
}

impl GetAnswer {
    /// Returns the first key with its value.
    pub fn first(&self) -> Option<&KeyValue> {
        self.kvs.first()
    }

    /// Returns the value of the first key.
    pub fn value(&self) -> Option<&Bytes> {
        self.first().map(|kv| &kv.value)
    }
}

impl IntoIterator for GetAnswer {
    type Item = KeyValue;
    type IntoIter = std::vec::IntoIter<KeyValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.kvs.into_iter()
    }
}

impl From<pb::RangeResponse> for GetAnswer {
    fn from(answer: pb::RangeResponse) -> GetAnswer {
        GetAnswer {
            header: answer.header.into(),
            kvs: answer.kvs.into_iter().map(KeyValue::from).collect(),
            more: answer.more,
            count: answer.count,
        }
    }
}

/// The answer to a [`Put`](crate::Put).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutAnswer {
    /// Who answered, and the revision of the put.
    pub header: Header,
    /// What was there before, if it was asked for and there was something.
    pub prev_kv: Option<KeyValue>,
}

impl From<pb::PutResponse> for PutAnswer {
    fn from(answer: pb::PutResponse) -> PutAnswer {
        PutAnswer { header: answer.header.into(), prev_kv: answer.prev_kv.map(KeyValue::from) }
    }
}

/// The answer to a [`Delete`](crate::Delete).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteAnswer {
    /// Who answered, and the revision of the deletion if there was something to delete.
    pub header: Header,
    /// How many keys were deleted.
    pub deleted: i64,
    /// What was there before, if it was asked for.
    pub prev_kvs: Vec<KeyValue>,
}

impl From<pb::DeleteRangeResponse> for DeleteAnswer {
    fn from(answer: pb::DeleteRangeResponse) -> DeleteAnswer {
        DeleteAnswer {
            header: answer.header.into(),
            deleted: answer.deleted,
            prev_kvs: answer.prev_kvs.into_iter().map(KeyValue::from).collect(),
        }
    }
}

/// The answer to a [`Compact`](crate::Compact).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactAnswer {
    /// Who answered, and when.
    pub header: Header,
}

impl From<pb::CompactionResponse> for CompactAnswer {
    fn from(answer: pb::CompactionResponse) -> CompactAnswer {
        CompactAnswer { header: answer.header.into() }
    }
}
