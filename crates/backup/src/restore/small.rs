//! The small buckets of a file: everything but the keys.

use dbfile::etcd::{AlarmKey, AuthSettings, EtcdError, MetaRows, Version, bucket, parse_lease_key};
use dbfile::{Db, ReadAt, Row};
use machine::seed;
use mvcc::LeaseId;
use prost::Message;
use proto::leasepb;

use super::RestoreError;

/// The newest version whose rows are known here.
const NEWEST: Version = Version { major: 3, minor: 7, patch: 0 };

/// The buckets that an etcd has.
const KNOWN: [&[u8]; 10] = [
    bucket::ALARM,
    bucket::AUTH,
    bucket::AUTH_ROLES,
    bucket::AUTH_USERS,
    bucket::CLUSTER,
    bucket::KEY,
    bucket::LEASE,
    bucket::MEMBERS,
    bucket::MEMBERS_REMOVED,
    bucket::META,
];

/// What a file has besides its keys.
pub(super) struct Small {
    pub(super) meta: MetaRows,
    /// Rows of the side tables.
    pub(super) rows: Vec<seed::Row>,
    /// The leases, by id.
    pub(super) leases: Vec<leasepb::Lease>,
    /// Alarms that are active: their type, and the member that they are about.
    pub(super) alarms: Vec<(i32, u64)>,
}

impl Small {
    /// Reads the small buckets. What a file says of members and cluster is not looked at: those of the new cluster are others.
    pub(super) fn read<S: ReadAt>(db: &Db<S>) -> Result<Self, RestoreError> {
        for bucket in db.buckets()? {
            let bucket = bucket?;
            if !KNOWN.contains(&bucket.name()) {
                return Err(RestoreError::UnknownBucket(bucket.name().to_vec()));
            }
        }
        let meta = MetaRows::read(db)?;
        if let Some(version) = meta.storage_version.filter(|version| is_newer(*version)) {
            return Err(RestoreError::NewerVersion(version));
        }
        let mut small = Self { meta, rows: Vec::new(), leases: Vec::new(), alarms: Vec::new() };
        small.read_leases(db)?;
        small.read_auth(db)?;
        for_each_row(db, bucket::ALARM, |row| {
            let AlarmKey { member, alarm } = AlarmKey::parse(row.key).map_err(|fault| fault.to_string())?;
            small.alarms.push((alarm, member));
            small.rows.push(seed::alarm(alarm, member));
            Ok(())
        })?;
        Ok(small)
    }

    fn read_leases<S: ReadAt>(&mut self, db: &Db<S>) -> Result<(), RestoreError> {
        for_each_row(db, bucket::LEASE, |row| {
            let id = parse_lease_key(row.key).map_err(|fault| fault.to_string())?;
            let lease =
                leasepb::Lease::decode(row.value).map_err(|_| "not a protobuf message of this kind")?;
            if lease.id != id {
                return Err(format!("it is the row of lease {:x}", lease.id));
            }
            let left = Some(lease.remaining_ttl).filter(|left| *left > 0);
            let seeded = seed::lease(LeaseId(id), lease.ttl, left);
            self.rows.push(seeded.ok_or_else(|| format!("no lease is granted for {} s", lease.ttl))?);
            self.leases.push(lease);
            Ok(())
        })?;
        self.leases.sort_unstable_by_key(|lease| lease.id);
        Ok(())
    }

    fn read_auth<S: ReadAt>(&mut self, db: &Db<S>) -> Result<(), RestoreError> {
        let AuthSettings { enabled, revision } = AuthSettings::read(db)?;
        // Without either, nobody was ever added.
        if enabled.is_some() || revision.is_some() {
            self.rows.extend(seed::auth(enabled.unwrap_or(false), revision.unwrap_or(1)));
        }
        for_each_row(db, bucket::AUTH_USERS, |row| {
            self.rows.push(seed::user(row.key, row.value).map_err(|malformed| malformed.what)?);
            Ok(())
        })?;
        for_each_row(db, bucket::AUTH_ROLES, |row| {
            self.rows.push(seed::role(row.key, row.value).map_err(|malformed| malformed.what)?);
            Ok(())
        })
    }

    /// Whether there is a lease of this id.
    pub(super) fn has_lease(&self, id: i64) -> bool {
        self.leases.binary_search_by_key(&id, |lease| lease.id).is_ok()
    }
}

fn is_newer(version: Version) -> bool {
    (version.major, version.minor) > (NEWEST.major, NEWEST.minor)
}

/// A row that is not taken, and why.
pub(super) fn refused(bucket: &[u8], row: &Row<'_>, what: impl Into<String>) -> RestoreError {
    RestoreError::Row { page: row.page, bucket: bucket.to_vec(), row: row.key.to_vec(), what: what.into() }
}

/// Goes through a bucket, if it is there. `take` says what is wrong with a row.
pub(super) fn for_each_row<S: ReadAt>(
    db: &Db<S>,
    name: &'static [u8],
    mut take: impl FnMut(&Row<'_>) -> Result<(), String>,
) -> Result<(), RestoreError> {
    let Some(bucket) = db.bucket(name)? else { return Ok(()) };
    let mut rows = bucket.rows()?;
    while let Some(row) = rows.next_row().map_err(EtcdError::from)? {
        take(&row).map_err(|what| refused(name, &row, what))?;
    }
    Ok(())
}
