//! Everything that a backup holds, as of one entry of the raft log.

use dbfile::etcd::{
    AlarmKey, AuthSettings, ClusterSettings, ConfState, Member, MetaRows, REMOVED, bucket, lease_key,
    member_key,
};
use machine::Machine;
use mvcc::{Applied, LeaseId, Records};
use prost::Message;
use proto::{authpb, leasepb};

use crate::STORAGE_VERSION;

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What is done between two stretches of making a backup.
pub(crate) type Rest = Box<dyn Fn() + Send>;

/// Everything that a backup holds. Cheap to make: versions of keys are read when they are written.
pub struct Frozen {
    pub(crate) records: Records,
    applied: Applied,
    /// The rows of all buckets but that of keys, sorted by name and by key.
    pub(crate) buckets: Vec<(&'static [u8], Vec<Row>)>,
    pub(crate) rest: Rest,
}

impl Frozen {
    /// Freezes a state between two entries. `remaining` returns the seconds that are left of a lease where more is known of
    /// it than the state says.
    #[must_use]
    pub fn of(machine: &Machine, remaining: impl Fn(LeaseId) -> Option<i64>) -> Self {
        let records = machine.view().records();
        let meta = meta(machine, &records).rows();
        let mut buckets = vec![
            (bucket::ALARM, alarms(machine)),
            (bucket::AUTH, owned(auth_settings(machine).rows())),
            (bucket::AUTH_ROLES, roles(machine)),
            (bucket::AUTH_USERS, users(machine)),
            (
                bucket::CLUSTER,
                owned(ClusterSettings { version: Some(STORAGE_VERSION), downgrade: None }.rows()),
            ),
            (bucket::KEY, Vec::new()),
            (bucket::LEASE, leases(machine, remaining)),
            (bucket::MEMBERS, members(machine)),
            (bucket::MEMBERS_REMOVED, removed_members(machine)),
            (bucket::META, owned(meta)),
        ];
        for (_, rows) in &mut buckets {
            rows.sort_unstable();
        }
        Self { records, applied: machine.store().applied(), buckets, rest: Box::new(|| ()) }
    }

    /// Returns the same with something that is done between two stretches of some hundred KiB while it is exported, on the thread that does
    /// that: a caller that shares its cores with others leaves them some time there.
    #[must_use]
    pub fn with_rests(self, rest: impl Fn() + Send + 'static) -> Self {
        Self { rest: Box::new(rest), ..self }
    }

    /// The newest revision that the backup holds.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.records.revision()
    }

    /// The compact revision of that moment; -1: never compacted.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        self.records.compact_revision()
    }

    /// The entry of the raft log that the backup is as of.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Everything but keys and what `meta` says: the names of the buckets and their rows, sorted.
    pub fn tables(&self) -> impl Iterator<Item = (&'static [u8], &[Row])> {
        let is_table = |name: &[u8]| name != bucket::KEY && name != bucket::META;
        self.buckets.iter().filter(move |(name, _)| is_table(name)).map(|(name, rows)| (*name, &rows[..]))
    }
}

fn owned(rows: Vec<(&'static [u8], Vec<u8>)>) -> Vec<Row> {
    rows.into_iter().map(|(name, value)| (name.to_vec(), value)).collect()
}

fn meta(machine: &Machine, records: &Records) -> MetaRows {
    let applied = machine.store().applied();
    let compacted = Some(records.compact_revision()).filter(|revision| *revision >= 0);
    let ids = |is_learner: bool| {
        machine.members().filter(move |member| machine::member_change::is_learner(member) == is_learner)
    };
    MetaRows {
        conf_state: Some(ConfState {
            voters: ids(false).map(|member| member.id).collect(),
            learners: ids(true).map(|member| member.id).collect(),
            ..ConfState::default()
        }),
        consistent_index: Some(applied.index),
        finished_compact: compacted,
        scheduled_compact: compacted,
        storage_version: Some(STORAGE_VERSION),
        term: Some(applied.term),
    }
}

fn alarms(machine: &Machine) -> Vec<Row> {
    let key =
        |alarm: proto::etcdserverpb::AlarmMember| AlarmKey { member: alarm.member_id, alarm: alarm.alarm };
    machine.alarms().map(|alarm| (key(alarm).encoded(), Vec::new())).collect()
}

fn auth_settings(machine: &Machine) -> AuthSettings {
    let auth = machine.auth();
    AuthSettings { enabled: Some(auth.is_enabled()), revision: Some(auth.revision()) }
}

fn roles(machine: &Machine) -> Vec<Row> {
    let row = |(name, permissions): (&str, &[authpb::Permission])| {
        let role = authpb::Role { name: name.to_owned().into(), key_permission: permissions.to_vec() };
        (name.as_bytes().to_vec(), role.encode_to_vec())
    };
    machine.auth().roles().map(row).collect()
}

fn users(machine: &Machine) -> Vec<Row> {
    let row = |(name, user): (&str, &machine::auth::User)| {
        let message = authpb::User {
            name: name.to_owned().into(),
            password: user.password_hash.clone(),
            roles: user.roles.clone(),
            options: Some(authpb::UserAddOptions { no_password: user.no_password }),
        };
        (name.as_bytes().to_vec(), message.encode_to_vec())
    };
    machine.auth().users().map(row).collect()
}

fn leases(machine: &Machine, remaining: impl Fn(LeaseId) -> Option<i64>) -> Vec<Row> {
    let row = |(id, lease): (LeaseId, &machine::lease::Lease)| {
        let left = remaining(id).map(|left| left.clamp(1, lease.ttl_seconds));
        // 0: it has all of its time.
        let remaining_ttl =
            left.or(lease.remaining_seconds).filter(|left| *left < lease.ttl_seconds).unwrap_or(0);
        let message = leasepb::Lease { id: id.0, ttl: lease.ttl_seconds, remaining_ttl };
        (lease_key(id.0).to_vec(), message.encode_to_vec())
    };
    machine.leases().map(row).collect()
}

fn members(machine: &Machine) -> Vec<Row> {
    let row = |member: &proto::membershippb::Member| {
        let shown = machine::member_change::shown(member);
        let value = Member {
            id: shown.id,
            peer_urls: shown.peer_ur_ls,
            is_learner: shown.is_learner,
            name: shown.name,
            client_urls: shown.client_ur_ls,
        };
        (member_key(shown.id), value.encoded())
    };
    machine.members().map(row).collect()
}

fn removed_members(machine: &Machine) -> Vec<Row> {
    machine.removed_members().map(|id| (member_key(id), REMOVED.to_vec())).collect()
}
