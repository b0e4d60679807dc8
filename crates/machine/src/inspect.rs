//! Looking at a state that is not served: what a row of a side table says, and what contradicts itself in the whole.
//!
//! [`Machine::open`] stops at the first row that it does not understand. Here each row is looked at by itself.

use bytes::Bytes;
use mvcc::{LeaseId, TableId};
use proto::authpb::Permission;
use proto::membershippb::Member;

use crate::auth::tables::{ENABLED, REVISION, ROLES, SETTINGS, USERS, decode_role, decode_user};
use crate::auth::{ROOT, User};
use crate::follow::Follow;
use crate::lease::Lease;
use crate::tables::{
    ALARMS, CLUSTER, CLUSTER_ID, CLUSTER_VERSION, DOWNGRADE, FOLLOW, FOLLOW_STATE, FORMAT, LEASES, MEMBERS,
    REMOVED_MEMBERS, decode_alarm, decode_i64, decode_lease, decode_member, decode_removed, decode_text,
    malformed,
};
use crate::{Machine, Malformed};

/// What a row of a side table says.
#[derive(Debug)]
pub enum Row {
    /// A lease, without its keys.
    Lease(LeaseId, Lease),
    /// An active alarm: its type, and the member that it is about.
    Alarm(i32, u64),
    /// A member of the cluster.
    Member(Member),
    /// The cluster's id.
    ClusterId(u64),
    /// The cluster's version.
    ClusterVersion(String),
    /// The target version of a downgrade that is under way.
    DowngradeTarget(String),
    /// The id of a member that was removed.
    RemovedMember(u64),
    /// A user, by name.
    User(String, User),
    /// A role, by name, and what it permits.
    Role(String, Vec<Permission>),
    /// Authentication is on.
    AuthEnabled,
    /// The auth revision.
    AuthRevision(u64),
    /// How far another cluster is followed.
    Follow(Follow),
}

impl Row {
    /// Returns what the row says.
    ///
    /// # Errors
    /// If no version known here writes such a row.
    pub fn decode(table: TableId, key: &[u8], value: &Bytes) -> Result<Self, Malformed> {
        match table {
            LEASES => Ok(Self::Lease(LeaseId(decode_i64(LEASES, key, key)?), decode_lease(key, value)?)),
            ALARMS => decode_alarm(key, value).map(|(kind, member)| Self::Alarm(kind, member)),
            MEMBERS => decode_member(key, value).map(Self::Member),
            CLUSTER => Self::of_cluster(key, value),
            REMOVED_MEMBERS => decode_removed(key, value).map(Self::RemovedMember),
            USERS => decode_user((key, value)).map(|(name, user)| Self::User(name, user)),
            ROLES => decode_role((key, value)).map(|(name, permissions)| Self::Role(name, permissions)),
            SETTINGS => Self::of_settings(key, value),
            FOLLOW if key == FOLLOW_STATE => Follow::decode(key, value).map(Self::Follow),
            _ => Err(malformed(table, key, "the table is unknown")),
        }
    }

    fn of_cluster(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        match key {
            CLUSTER_ID => Ok(Self::ClusterId(decode_i64(CLUSTER, key, value)?.cast_unsigned())),
            CLUSTER_VERSION => decode_text(key, value).map(Self::ClusterVersion),
            DOWNGRADE => decode_text(key, value).map(Self::DowngradeTarget),
            _ => Err(malformed(CLUSTER, key, "the fact is unknown")),
        }
    }

    fn of_settings(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        match key {
            ENABLED if value == [FORMAT] => Ok(Self::AuthEnabled),
            REVISION => Ok(Self::AuthRevision(decode_i64(SETTINGS, key, value)?.cast_unsigned())),
            _ => Err(malformed(SETTINGS, key, "the setting is unknown")),
        }
    }
}

/// Returns what contradicts itself in a state whose rows are sound one by one: a sentence each.
#[must_use]
pub fn contradictions(machine: &Machine) -> Vec<String> {
    let mut found = Vec::new();
    for id in machine.removed_members().filter(|id| machine.member(*id).is_some()) {
        found.push(format!("member {id:x} was removed and is still a member"));
    }
    if machine.cluster_id().is_none() && machine.members().len() > 0 {
        found.push("there are members of a cluster that has no id".to_owned());
    }
    let auth = &machine.auth;
    for (name, user) in auth.users() {
        // The role root permits everything without a row that says so.
        for role in user.roles.iter().filter(|role| *role != ROOT && auth.role(role).is_none()) {
            found.push(format!("user {name:?} has the role {role:?}, which does not exist"));
        }
    }
    if auth.is_enabled() && auth.user(ROOT).is_none_or(|root| !root.is_root()) {
        found.push("authentication is on, and there is no user root with the role root".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use mvcc::{Options, Store};
    use wal::SimDisk;

    use super::*;

    fn machine(rows: &[(TableId, &[u8], &[u8])]) -> Machine {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let mut store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
        for (table, key, value) in rows {
            store.side_put(*table, key, value.to_vec());
        }
        Machine::open(store).unwrap()
    }

    #[test]
    fn what_is_not_there_and_what_is_there_twice_is_said() {
        assert_eq!(contradictions(&machine(&[])), [""; 0]);
        let id = 7_u64.to_be_bytes();
        let found = contradictions(&machine(&[
            (MEMBERS, &id, b"\x08\x07"),
            (REMOVED_MEMBERS, &id, &[FORMAT]),
            (USERS, b"u", b"\x0a\x01u\x1a\x01r\x1a\x04root"),
            (SETTINGS, ENABLED, &[FORMAT]),
        ]));
        assert_eq!(
            found,
            [
                "member 7 was removed and is still a member",
                "there are members of a cluster that has no id",
                "user \"u\" has the role \"r\", which does not exist",
                "authentication is on, and there is no user root with the role root",
            ]
        );
    }

    #[test]
    fn a_row_of_a_table_that_nobody_knows_is_malformed() {
        assert!(Row::decode(TableId(99), b"k", &Bytes::new()).is_err());
        assert!(Row::decode(CLUSTER, b"k", &Bytes::new()).is_err());
        assert!(Row::decode(SETTINGS, ENABLED, &Bytes::new()).is_err());
        assert!(matches!(
            Row::decode(SETTINGS, ENABLED, &Bytes::from_static(&[FORMAT])),
            Ok(Row::AuthEnabled)
        ));
    }
}
