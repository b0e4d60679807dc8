//! Which operation a command is, for the metrics.

use metrics::Operation;
use proto::etcdserverpb::InternalRaftRequest;

use crate::command::Field;

/// The operation of a command that is being applied.
pub fn of_command(command: &InternalRaftRequest) -> Operation {
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
        InternalRaftRequest { downgrade_info_set: Some(_), .. } => Operation::DowngradeInfoSet,
        _ => of_auth_command(command),
    }
}

fn of_auth_command(command: &InternalRaftRequest) -> Operation {
    match command {
        InternalRaftRequest { authenticate: Some(_), .. } => Operation::Authenticate,
        InternalRaftRequest { auth_enable: Some(_), .. } => Operation::AuthEnable,
        InternalRaftRequest { auth_disable: Some(_), .. } => Operation::AuthDisable,
        InternalRaftRequest { auth_status: Some(_), .. } => Operation::AuthStatus,
        InternalRaftRequest { auth_user_add: Some(_), .. } => Operation::AuthUserAdd,
        InternalRaftRequest { auth_user_delete: Some(_), .. } => Operation::AuthUserDelete,
        InternalRaftRequest { auth_user_change_password: Some(_), .. } => Operation::AuthUserChangePassword,
        InternalRaftRequest { auth_user_grant_role: Some(_), .. } => Operation::AuthUserGrantRole,
        InternalRaftRequest { auth_user_get: Some(_), .. } => Operation::AuthUserGet,
        InternalRaftRequest { auth_user_revoke_role: Some(_), .. } => Operation::AuthUserRevokeRole,
        InternalRaftRequest { auth_user_list: Some(_), .. } => Operation::AuthUserList,
        InternalRaftRequest { auth_role_add: Some(_), .. } => Operation::AuthRoleAdd,
        InternalRaftRequest { auth_role_grant_permission: Some(_), .. } => Operation::AuthRoleGrantPermission,
        InternalRaftRequest { auth_role_get: Some(_), .. } => Operation::AuthRoleGet,
        InternalRaftRequest { auth_role_revoke_permission: Some(_), .. } => {
            Operation::AuthRoleRevokePermission
        }
        InternalRaftRequest { auth_role_delete: Some(_), .. } => Operation::AuthRoleDelete,
        InternalRaftRequest { auth_role_list: Some(_), .. } => Operation::AuthRoleList,
        _ => Operation::Unknown,
    }
}

/// The operation of a command that is being proposed.
pub fn of_field(field: Field) -> Operation {
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
        Field::DowngradeInfoSet => Operation::DowngradeInfoSet,
        Field::Authenticate => Operation::Authenticate,
        Field::AuthEnable => Operation::AuthEnable,
        Field::AuthDisable => Operation::AuthDisable,
        Field::AuthStatus => Operation::AuthStatus,
        Field::AuthUserAdd => Operation::AuthUserAdd,
        Field::AuthUserDelete => Operation::AuthUserDelete,
        Field::AuthUserChangePassword => Operation::AuthUserChangePassword,
        Field::AuthUserGrantRole => Operation::AuthUserGrantRole,
        Field::AuthUserGet => Operation::AuthUserGet,
        Field::AuthUserRevokeRole => Operation::AuthUserRevokeRole,
        Field::AuthUserList => Operation::AuthUserList,
        Field::AuthRoleAdd => Operation::AuthRoleAdd,
        Field::AuthRoleGrantPermission => Operation::AuthRoleGrantPermission,
        Field::AuthRoleGet => Operation::AuthRoleGet,
        Field::AuthRoleRevokePermission => Operation::AuthRoleRevokePermission,
        Field::AuthRoleDelete => Operation::AuthRoleDelete,
        Field::AuthRoleList => Operation::AuthRoleList,
        Field::ClusterBootstrap
        | Field::MemberAdd
        | Field::MemberRemove
        | Field::MemberPromote
        | Field::MemberUpdate
        | Field::MembersReset
        | Field::StateHashMark
        | Field::StateHashClaim
        | Field::FollowBegin
        | Field::FollowRevisions
        | Field::FollowLeases
        | Field::FollowAuth
        | Field::FollowCompaction
        | Field::FollowTurn => Operation::Unknown,
    }
}
