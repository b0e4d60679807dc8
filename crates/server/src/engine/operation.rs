//! Which operation a command is, for the metrics.

use proto::etcdserverpb::InternalRaftRequest;

use super::command::Field;
use crate::metrics::Operation;

/// The operation of a command that is being applied.
pub(crate) fn of_command(command: &InternalRaftRequest) -> Operation {
    match command {
        InternalRaftRequest { put: Some(_), .. } => Operation::Put,
        InternalRaftRequest { txn: Some(_), .. } => Operation::Txn,
        InternalRaftRequest { delete_range: Some(_), .. } => Operation::DeleteRange,
        InternalRaftRequest { compaction: Some(_), .. } => Operation::Compaction,
        InternalRaftRequest { lease_grant: Some(_), .. } => Operation::LeaseGrant,
        InternalRaftRequest { lease_revoke: Some(_), .. }
        | InternalRaftRequest { lease_expire: Some(_), .. } => Operation::LeaseRevoke,
        InternalRaftRequest { lease_checkpoint: Some(_), .. } => Operation::LeaseCheckpoint,
        InternalRaftRequest { alarm: Some(_), .. } => Operation::Alarm,
        InternalRaftRequest { cluster_version_set: Some(_), .. } => Operation::ClusterVersionSet,
        InternalRaftRequest { cluster_member_attr_set: Some(_), .. } => Operation::ClusterMemberAttrSet,
        _ => Operation::Unknown,
    }
}

/// The operation of a command that is being proposed.
pub(crate) fn of_field(field: Field) -> Operation {
    match field {
        Field::Put => Operation::Put,
        Field::Txn => Operation::Txn,
        Field::DeleteRange => Operation::DeleteRange,
        Field::Compaction => Operation::Compaction,
        Field::LeaseGrant => Operation::LeaseGrant,
        Field::LeaseRevoke | Field::LeaseExpire => Operation::LeaseRevoke,
        Field::LeaseCheckpoint => Operation::LeaseCheckpoint,
        Field::Alarm => Operation::Alarm,
        Field::ClusterVersionSet => Operation::ClusterVersionSet,
        Field::ClusterMemberAttrSet => Operation::ClusterMemberAttrSet,
        Field::ClusterBootstrap
        | Field::MemberAdd
        | Field::MemberRemove
        | Field::MemberPromote
        | Field::MemberUpdate
        | Field::MembersReset
        | Field::StateHashMark
        | Field::StateHashClaim => Operation::Unknown,
    }
}
