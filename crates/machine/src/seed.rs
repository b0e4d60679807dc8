//! Rows of the side tables for a state that is made from somebody else's: what a restore does.
//!
//! A state comes from commands, and this is the one other way. What is made here is what the commands would have made, so
//! [`Machine::open`](crate::Machine::open) takes it; the keys come from whoever has them ([`mvcc::StoreBuilder`]).

use bytes::Bytes;
use mvcc::{LeaseId, Store, TableId};
use prost::Message;
use proto::authpb;
use proto::membershippb::Member;

use crate::auth::tables::{ENABLED, REVISION, ROLES, SETTINGS, USERS, decode_role, decode_user};
use crate::lease::Lease;
use crate::limits::{LEASE_TTL_SECONDS_MAX, LEASE_TTL_SECONDS_MIN};
use crate::tables::{
    ALARMS, CLUSTER, CLUSTER_ID, CLUSTER_VERSION, DOWNGRADE, FORMAT, LEASES, MEMBERS, REMOVED_MEMBERS,
    alarm_key, encode_lease,
};
use crate::{Malformed, RenewEpoch};

/// A row of a side table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The table.
    pub table: TableId,
    /// The row's key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl Row {
    fn new(table: TableId, key: &[u8], value: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.to_vec(), value: value.into() }
    }

    /// Puts the row into a store that is open.
    pub fn put(self, store: &mut Store) {
        store.side_put(self.table, &self.key, self.value);
    }
}

/// A lease, with what is left of it if that is known. `None`: there is no such lease; the id or the time is impossible.
#[must_use]
pub fn lease(id: LeaseId, ttl_seconds: i64, remaining_seconds: Option<i64>) -> Option<Row> {
    let is_possible = id.0 != 0 && (LEASE_TTL_SECONDS_MIN..=LEASE_TTL_SECONDS_MAX).contains(&ttl_seconds);
    let remaining_seconds = remaining_seconds.map(|left| left.clamp(1, ttl_seconds.max(1)));
    // Nobody has renewed it in this cluster.
    let lease = Lease::new(ttl_seconds, remaining_seconds, RenewEpoch(0));
    is_possible.then(|| Row::new(LEASES, &id.0.to_be_bytes(), encode_lease(&lease)))
}

/// An alarm that is active: its type, and the member that it is about.
#[must_use]
pub fn alarm(kind: i32, member: u64) -> Row {
    Row::new(ALARMS, &alarm_key(kind, member), [FORMAT])
}

/// A user, as etcd has it.
///
/// # Errors
/// If it is none.
pub fn user(name: &[u8], record: &[u8]) -> Result<Row, Malformed> {
    let record = Bytes::copy_from_slice(record);
    let (known, user) = decode_user((name, &record))?;
    Ok(Row::new(USERS, name, crate::auth::tables::encode_user(&known, &user)))
}

/// A role, as etcd has it.
///
/// # Errors
/// If it is none.
pub fn role(name: &[u8], record: &[u8]) -> Result<Row, Malformed> {
    let record = Bytes::copy_from_slice(record);
    let (_, permissions) = decode_role((name, &record))?;
    let role = authpb::Role { name: Bytes::copy_from_slice(name), key_permission: permissions };
    Ok(Row::new(ROLES, name, role.encode_to_vec()))
}

/// Whether requests need a login, and how often users and roles have changed.
pub fn auth(is_enabled: bool, revision: u64) -> impl Iterator<Item = Row> {
    let enabled = is_enabled.then(|| Row::new(SETTINGS, ENABLED, [FORMAT]));
    let revision = Row::new(SETTINGS, REVISION, revision.to_be_bytes());
    enabled.into_iter().chain([revision])
}

/// The cluster: its id and its members.
pub fn cluster(id: u64, members: &[Member]) -> impl Iterator<Item = Row> {
    let row = |member: &Member| Row::new(MEMBERS, &member.id.to_be_bytes(), member.encode_to_vec());
    let id = Row::new(CLUSTER, CLUSTER_ID, id.to_be_bytes());
    members.iter().map(row).chain([id])
}

/// Takes everything out of a store that says which cluster it is of.
pub fn forget_cluster(store: &mut Store) {
    for table in [MEMBERS, REMOVED_MEMBERS] {
        let keys: Vec<Vec<u8>> = store.side_scan(table).map(|(key, _)| key.to_vec()).collect();
        keys.iter().for_each(|key| drop(store.side_delete(table, key)));
    }
    for fact in [CLUSTER_ID, CLUSTER_VERSION, DOWNGRADE] {
        store.side_delete(CLUSTER, fact);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use mvcc::{Options, Store};
    use proto::etcdserverpb as pb;

    use super::*;
    use crate::{Applied, Machine};

    fn machine() -> Machine {
        let disk = Arc::new(wal::SimDisk::new(1));
        Machine::open(Store::open(disk, Path::new("/s"), Options::default()).unwrap()).unwrap()
    }

    fn reopened(rows: impl IntoIterator<Item = Row>) -> Machine {
        let disk = Arc::new(wal::SimDisk::new(1));
        let mut store = Store::open(disk, Path::new("/s"), Options::default()).unwrap();
        rows.into_iter().for_each(|row| row.put(&mut store));
        Machine::open(store).unwrap()
    }

    #[test]
    fn rows_are_those_that_commands_make() {
        let mut by_commands = machine();
        let user = pb::AuthUserAddRequest {
            name: "u".to_owned(),
            hashed_password: "hash".to_owned(),
            ..Default::default()
        };
        let permission = authpb::Permission { perm_type: 2, key: "k".into(), range_end: "".into() };
        let commands = [
            pb::InternalRaftRequest { auth_user_add: Some(user.into()), ..Default::default() },
            pb::InternalRaftRequest {
                auth_role_add: Some(pb::AuthRoleAddRequest { name: "r".to_owned() }.into()),
                ..Default::default()
            },
            pb::InternalRaftRequest {
                auth_role_grant_permission: Some(
                    pb::AuthRoleGrantPermissionRequest {
                        name: "r".to_owned(),
                        perm: Some(permission.clone()),
                    }
                    .into(),
                ),
                ..Default::default()
            },
            pb::InternalRaftRequest {
                auth_user_grant_role: Some(
                    pb::AuthUserGrantRoleRequest { user: "u".to_owned(), role: "r".to_owned() }.into(),
                ),
                ..Default::default()
            },
            pb::InternalRaftRequest {
                alarm: Some(
                    pb::AlarmRequest { action: 1, member_id: 7, alarm: pb::AlarmType::Nospace as i32 }.into(),
                ),
                ..Default::default()
            },
        ];
        for (index, command) in (1..).zip(&commands) {
            let outcome = by_commands.apply(Applied { index, term: 1 }, command).unwrap();
            assert!(outcome.result.is_ok(), "{outcome:?}");
        }
        let revision = by_commands.auth().revision();
        let password = by_commands.auth().users().next().unwrap().1.password_hash.clone();
        let record = authpb::User { name: "u".into(), password, roles: vec!["r".to_owned()], options: None };
        let role_record = authpb::Role { name: "r".into(), key_permission: vec![permission] };
        let rows = [
            super::user(b"u", &record.encode_to_vec()).unwrap(),
            role(b"r", &role_record.encode_to_vec()).unwrap(),
            alarm(pb::AlarmType::Nospace as i32, 7),
        ];
        let seeded = reopened(rows.into_iter().chain(auth(false, revision)));
        assert_eq!(seeded.store().state_hash(), by_commands.store().state_hash());
    }

    #[test]
    fn leases_and_members_are_taken_by_a_machine() {
        let member = Member { id: 5, ..Member::default() };
        let rows = [lease(LeaseId(7), 60, Some(100)).unwrap(), lease(LeaseId(-8), 60, None).unwrap()];
        let machine = reopened(rows.into_iter().chain(cluster(9, &[member])));
        let left: Vec<_> = machine.leases().map(|(id, lease)| (id.0, lease.remaining_seconds)).collect();
        assert_eq!(left, [(-8, None), (7, Some(60))], "no more is left than was granted");
        assert_eq!((machine.cluster_id(), machine.members().len()), (Some(9), 1));
        assert_eq!(lease(LeaseId(0), 60, None), None);
        assert_eq!(lease(LeaseId(1), 0, None), None);
        assert_eq!(lease(LeaseId(1), LEASE_TTL_SECONDS_MAX + 1, None), None);
    }

    #[test]
    fn a_state_forgets_its_cluster() {
        let mut machine = reopened(cluster(9, &[Member { id: 5, ..Member::default() }]));
        let empty = reopened([]).store().state_hash();
        forget_cluster(machine.store_mut());
        assert_eq!(machine.store().state_hash(), empty);
    }
}
