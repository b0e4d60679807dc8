//! Which command an entry of the raft log holds.
//!
//! On the wire a command is a message with one optional field for each kind, exactly one of them set. Here it becomes
//! a closed enum, so that the dispatcher is one `match` and a kind cannot be forgotten.

use mvcc::LeaseId;
use proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DeleteRangeRequest, InternalRaftRequest, LeaseCheckpointRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, TxnRequest,
};
use proto::membershippb::{ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest};
use proto::quoratepb::{
    ClusterBootstrap, FollowAuth, FollowBegin, FollowCompaction, FollowLeases, FollowRevisions, FollowTurn,
    LeaseExpire, MembersReset,
};

use crate::auth::{Access, AuthCommand};
use crate::{MemberChange, quota, txn};

/// The one command of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command<'a> {
    Put(&'a PutRequest),
    Txn(&'a TxnRequest),
    DeleteRange(&'a DeleteRangeRequest),
    Range(&'a RangeRequest),
    Compact(&'a CompactionRequest),
    LeaseGrant(&'a LeaseGrantRequest),
    LeaseRevoke(&'a LeaseRevokeRequest),
    LeaseCheckpoint(&'a LeaseCheckpointRequest),
    LeaseExpire(&'a LeaseExpire),
    Alarm(&'a AlarmRequest),
    /// About users, roles and permissions.
    Auth(AuthCommand<'a>),
    Bootstrap(&'a ClusterBootstrap),
    MemberChange(MemberChange<'a>),
    MembersReset(&'a MembersReset),
    MemberAttributes(&'a ClusterMemberAttrSetRequest),
    ClusterVersion(&'a ClusterVersionSetRequest),
    DowngradeInfo(&'a DowngradeInfoSetRequest),
    FollowBegin(&'a FollowBegin),
    FollowRevisions(&'a FollowRevisions),
    FollowLeases(&'a FollowLeases),
    FollowAuth(&'a FollowAuth),
    FollowCompaction(&'a FollowCompaction),
    FollowTurn(&'a FollowTurn),
    /// etcd's own tests put it into logs: does nothing.
    DowngradeVersionTest,
    /// A comparison of states: changes none (see [`crate::agreement`]).
    StateHash,
}

impl<'a> Command<'a> {
    /// The command of the entry; `None` if it holds none that this version knows. The frequent ones are looked for
    /// first.
    pub(crate) fn of(entry: &'a InternalRaftRequest) -> Option<Self> {
        Self::of_keys(entry)
            .or_else(|| Self::of_leases(entry))
            .or_else(|| Self::of_cluster(entry))
            .or_else(|| Self::of_follow(entry))
            .or_else(|| AuthCommand::of(entry).map(Self::Auth))
    }

    fn of_keys(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = &entry.put {
            return Some(Self::Put(request));
        }
        if let Some(request) = &entry.txn {
            return Some(Self::Txn(request));
        }
        if let Some(request) = &entry.delete_range {
            return Some(Self::DeleteRange(request));
        }
        if let Some(request) = &entry.range {
            return Some(Self::Range(request));
        }
        entry.compaction.as_ref().map(Self::Compact)
    }

    fn of_leases(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = &entry.lease_grant {
            return Some(Self::LeaseGrant(request));
        }
        if let Some(request) = &entry.lease_revoke {
            return Some(Self::LeaseRevoke(request));
        }
        if let Some(request) = &entry.lease_checkpoint {
            return Some(Self::LeaseCheckpoint(request));
        }
        entry.lease_expire.as_deref().map(Self::LeaseExpire)
    }

    fn of_cluster(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = &entry.alarm {
            return Some(Self::Alarm(request));
        }
        if let Some(request) = &entry.cluster_bootstrap {
            return Some(Self::Bootstrap(request));
        }
        if let Some(change) = MemberChange::of(entry) {
            return Some(Self::MemberChange(change));
        }
        if let Some(request) = &entry.members_reset {
            return Some(Self::MembersReset(request));
        }
        if let Some(request) = &entry.cluster_member_attr_set {
            return Some(Self::MemberAttributes(request));
        }
        if let Some(request) = &entry.cluster_version_set {
            return Some(Self::ClusterVersion(request));
        }
        if let Some(request) = &entry.downgrade_info_set {
            return Some(Self::DowngradeInfo(request));
        }
        if entry.state_hash_mark.is_some() || entry.state_hash_claim.is_some() {
            return Some(Self::StateHash);
        }
        entry.downgrade_version_test.as_ref().map(|_| Self::DowngradeVersionTest)
    }

    fn of_follow(entry: &'a InternalRaftRequest) -> Option<Self> {
        if let Some(request) = entry.follow_revisions.as_deref() {
            return Some(Self::FollowRevisions(request));
        }
        if let Some(request) = entry.follow_leases.as_deref() {
            return Some(Self::FollowLeases(request));
        }
        if let Some(request) = entry.follow_begin.as_deref() {
            return Some(Self::FollowBegin(request));
        }
        if let Some(request) = entry.follow_auth.as_deref() {
            return Some(Self::FollowAuth(request));
        }
        if let Some(request) = entry.follow_compaction.as_deref() {
            return Some(Self::FollowCompaction(request));
        }
        entry.follow_turn.as_deref().map(Self::FollowTurn)
    }

    /// Whether it writes what a cluster that follows another one has from there: keys, leases, users, the history.
    pub(crate) fn is_write(self) -> bool {
        match self {
            Self::Put(_)
            | Self::DeleteRange(_)
            | Self::Compact(_)
            | Self::LeaseGrant(_)
            | Self::LeaseRevoke(_)
            | Self::LeaseCheckpoint(_)
            | Self::LeaseExpire(_) => true,
            Self::Txn(request) => txn::writes(request),
            Self::Auth(command) => command.is_write(),
            Self::Range(_)
            | Self::Alarm(_)
            | Self::Bootstrap(_)
            | Self::MemberChange(_)
            | Self::MembersReset(_)
            | Self::MemberAttributes(_)
            | Self::ClusterVersion(_)
            | Self::DowngradeInfo(_)
            | Self::DowngradeVersionTest
            | Self::FollowBegin(_)
            | Self::FollowRevisions(_)
            | Self::FollowLeases(_)
            | Self::FollowAuth(_)
            | Self::FollowCompaction(_)
            | Self::FollowTurn(_)
            | Self::StateHash => false,
        }
    }

    /// Whether a CORRUPT alarm stops it: whatever touches keys or leases, but not what gets a cluster out of the
    /// state.
    pub(crate) fn needs_sound_data(self) -> bool {
        match self {
            Self::Put(_)
            | Self::Txn(_)
            | Self::DeleteRange(_)
            | Self::Range(_)
            | Self::Compact(_)
            | Self::LeaseGrant(_)
            | Self::LeaseRevoke(_)
            | Self::LeaseExpire(_)
            | Self::FollowBegin(_)
            | Self::FollowRevisions(_)
            | Self::FollowLeases(_)
            | Self::FollowCompaction(_) => true,
            Self::LeaseCheckpoint(_)
            | Self::FollowAuth(_)
            | Self::FollowTurn(_)
            | Self::Alarm(_)
            | Self::Auth(_)
            | Self::Bootstrap(_)
            | Self::MemberChange(_)
            | Self::MembersReset(_)
            | Self::MemberAttributes(_)
            | Self::ClusterVersion(_)
            | Self::DowngradeInfo(_)
            | Self::DowngradeVersionTest
            | Self::StateHash => false,
        }
    }

    /// What it needs of whoever gives it. No arm is a default: a new command does not compile without an answer.
    ///
    /// Commands that only members propose need nothing here. A change of members is one of them: raft has taken it up
    /// before it is applied, so it must be checked before it is proposed.
    pub(crate) fn access(self) -> Access<'a> {
        match self {
            Self::Put(request) => Access::Put(request),
            Self::Txn(request) => Access::Txn(request),
            Self::DeleteRange(request) => Access::DeleteRange(request),
            Self::Range(request) => Access::Range(request),
            Self::Compact(_) => Access::Admin,
            Self::LeaseGrant(_) => Access::AnyUser,
            Self::LeaseRevoke(request) => Access::LeaseRevoke(LeaseId(request.id)),
            Self::Alarm(request) => Access::of_alarm(request),
            Self::Auth(command) => command.access(),
            Self::LeaseCheckpoint(_)
            | Self::LeaseExpire(_)
            | Self::FollowBegin(_)
            | Self::FollowRevisions(_)
            | Self::FollowLeases(_)
            | Self::FollowAuth(_)
            | Self::FollowCompaction(_)
            | Self::FollowTurn(_)
            | Self::Bootstrap(_)
            | Self::MemberChange(_)
            | Self::MembersReset(_)
            | Self::MemberAttributes(_)
            | Self::ClusterVersion(_)
            | Self::DowngradeInfo(_)
            | Self::DowngradeVersionTest
            | Self::StateHash => Access::Member,
        }
    }

    /// Whether a NOSPACE alarm stops it: puts, transactions with a put in either branch, new leases.
    pub(crate) fn needs_space(self) -> bool {
        match self {
            Self::Put(_) | Self::LeaseGrant(_) => true,
            Self::Txn(request) => quota::txn_cost(request) > 0,
            _ => false,
        }
    }
}
