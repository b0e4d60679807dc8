//! One request of the test, and what a server says to it.

use proto::etcdserverpb as pb;

/// A request. Watches are numbered by the stream they are on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Range(pb::RangeRequest),
    RangeStream(pb::RangeRequest),
    Put(pb::PutRequest),
    DeleteRange(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compact(pb::CompactionRequest),
    LeaseGrant(pb::LeaseGrantRequest),
    LeaseRevoke(pb::LeaseRevokeRequest),
    LeaseTimeToLive(pb::LeaseTimeToLiveRequest),
    LeaseKeepAlive(pb::LeaseKeepAliveRequest),
    LeaseLeases,
    HashKv(pb::HashKvRequest),
    Alarm(pb::AlarmRequest),
    WatchCreate { stream: usize, request: pb::WatchCreateRequest },
    WatchCancel { stream: usize, watch_id: i64 },
    WatchProgress { stream: usize },
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Range(pb::RangeResponse),
    Put(pb::PutResponse),
    DeleteRange(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Compact(pb::CompactionResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke(pb::LeaseRevokeResponse),
    LeaseTimeToLive(pb::LeaseTimeToLiveResponse),
    LeaseKeepAlive(pb::LeaseKeepAliveResponse),
    LeaseLeases(pb::LeaseLeasesResponse),
    HashKv(pb::HashKvResponse),
    Alarm(pb::AlarmResponse),
    /// The answer to a watch's creation or cancellation, or a progress notification.
    Watch(pb::WatchResponse),
    /// A gRPC status: code and text.
    Refused(tonic::Code, String),
}

impl Reply {
    pub(crate) fn header(&mut self) -> Option<&mut pb::ResponseHeader> {
        let header = match self {
            Reply::Range(reply) => &mut reply.header,
            Reply::Put(reply) => &mut reply.header,
            Reply::DeleteRange(reply) => &mut reply.header,
            Reply::Txn(reply) => &mut reply.header,
            Reply::Compact(reply) => &mut reply.header,
            Reply::LeaseGrant(reply) => &mut reply.header,
            Reply::LeaseRevoke(reply) => &mut reply.header,
            Reply::LeaseTimeToLive(reply) => &mut reply.header,
            Reply::LeaseKeepAlive(reply) => &mut reply.header,
            Reply::LeaseLeases(reply) => &mut reply.header,
            Reply::HashKv(reply) => &mut reply.header,
            Reply::Alarm(reply) => &mut reply.header,
            Reply::Watch(reply) => &mut reply.header,
            Reply::Refused(..) => return None,
        };
        header.as_mut()
    }
}
