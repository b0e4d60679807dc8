//! What a request needs: the question that `authorise` answers.

use mvcc::LeaseId;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{
    AlarmRequest, DeleteRangeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, TxnRequest,
    WatchCreateRequest,
};

use super::Policy;

/// What a request wants to do, as it was sent: nothing in it has been rewritten yet (rule S2).
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// What everybody may, without credentials.
    Open,
    /// What needs credentials and no more: granting a lease, the list of members, a status.
    AnyUser,
    /// What needs the role `root`.
    Admin,
    /// A member's own command, which no client can send: see [`Policy::PeerOnly`].
    Member,
    /// To see a user: oneself, or anybody with the role `root`.
    User(&'a str),
    /// To see a role: one that one holds, or any with the role `root`.
    Role(&'a str),
    /// To read keys, unary or streamed.
    Range(&'a RangeRequest),
    /// To write a key, perhaps with a lease, perhaps reading what was there.
    Put(&'a PutRequest),
    /// To delete keys, perhaps reading what was there.
    DeleteRange(&'a DeleteRangeRequest),
    /// All compares and operations of both branches, and of every transaction within.
    Txn(&'a TxnRequest),
    /// To read keys whenever they change.
    Watch(&'a WatchCreateRequest),
    /// To delete all keys of the lease.
    LeaseRevoke(LeaseId),
    /// To keep all keys of the lease from being deleted.
    LeaseKeepAlive(LeaseId),
    /// To see the names of all keys of the lease.
    LeaseKeys(LeaseId),
    /// To see which leases there are. In etcd that needs all keys of all of them.
    LeaseList,
}

impl<'a> Access<'a> {
    /// Returns what an alarm request needs: to look at alarms is for every user, to change them is
    /// not.
    #[must_use]
    pub fn of_alarm(request: &AlarmRequest) -> Self {
        if request.action == AlarmAction::Get as i32 { Self::AnyUser } else { Self::Admin }
    }

    /// Returns what a question for a lease's time needs: the names of its keys are as secret as the
    /// keys (CVE-2023-32082).
    #[must_use]
    pub fn of_time_to_live(request: &LeaseTimeToLiveRequest) -> Self {
        if request.keys { Self::LeaseKeys(LeaseId(request.id)) } else { Self::AnyUser }
    }

    /// Returns the class of the request.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Self::Open => Policy::Open,
            Self::AnyUser => Policy::AnyUser,
            Self::Admin => Policy::Admin,
            Self::Member => Policy::PeerOnly,
            Self::User(_) | Self::Role(_) => Policy::SelfOrRoot,
            Self::Range(_)
            | Self::Put(_)
            | Self::DeleteRange(_)
            | Self::Txn(_)
            | Self::Watch(_)
            | Self::LeaseRevoke(_)
            | Self::LeaseKeepAlive(_)
            | Self::LeaseKeys(_)
            | Self::LeaseList => Policy::ByRange,
        }
    }
}
