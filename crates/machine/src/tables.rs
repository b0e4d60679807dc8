//! The side tables: how leases, alarms and members lie in the store.
//!
//! The store keeps them beside the keys, in the same checkpoint and under the same state hash, as opaque bytes. Their
//! encoding is part of the on-disk format and of what members compare: it never changes in place. See
//! `docs/format/side-tables.md`.
//!
//! ```text
//!  table      key                           value
//!  1 leases   id (i64 BE)                   01 │ ttl s (i64 BE) │ remaining s (i64 BE, 0: none) │ epoch (u64 BE)
//!  2 alarms   type (i32 BE) member (u64 BE) 01
//!  3 members  id (u64 BE)                   membershippb.Member
//!  4 cluster  "id"                          cluster id (u64 BE)
//!             "version"                     cluster version, UTF-8, as X.Y.Z
//!             "downgrade"                   target version, UTF-8; absent: no downgrade under way
//!  5 removed  id (u64 BE)                   01
//!  6 to 8     users, roles: see auth::tables
//!  16 follow  "state"                       quoratepb.FollowState; absent: no other cluster was ever followed
//! ```
//!
//! Ids are stored as two's complement, so negative leases sort after positive ones; nothing depends on it.

use mvcc::{LeaseId, Store, TableId};
use prost::Message;
use proto::membershippb::Member;

use crate::RenewEpoch;
use crate::lease::Lease;

/// Leases by id.
pub(crate) const LEASES: TableId = TableId(1);
/// Active alarms by type and member.
pub(crate) const ALARMS: TableId = TableId(2);
/// Members by id.
pub(crate) const MEMBERS: TableId = TableId(3);
/// Facts about the cluster by name.
pub(crate) const CLUSTER: TableId = TableId(4);

/// Removed members by id.
pub(crate) const REMOVED_MEMBERS: TableId = TableId(5);

/// Following another cluster. The tables before it are for users and roles.
pub(crate) const FOLLOW: TableId = TableId(16);

pub(crate) const FOLLOW_STATE: &[u8] = b"state";
pub(crate) const CLUSTER_ID: &[u8] = b"id";
pub(crate) const CLUSTER_VERSION: &[u8] = b"version";
pub(crate) const DOWNGRADE: &[u8] = b"downgrade";

/// The first byte of every record of ours that may once have another form.
pub(crate) const FORMAT: u8 = 1;
const LEASE_BYTES: usize = 25;

/// A record of a side table does not decode: the store passed its checksum, so it was written by another version, or
/// by a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("side table {table}: record with key {key:02x?} does not decode: {what}")]
pub struct Malformed {
    /// Number of the table.
    pub table: u8,
    /// The record's key.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub what: &'static str,
}

pub(crate) fn malformed(table: TableId, key: &[u8], what: &'static str) -> Malformed {
    Malformed { table: table.0, key: key.to_vec(), what }
}

pub(crate) fn put_lease(store: &mut Store, id: LeaseId, lease: &Lease) {
    store.side_put(LEASES, &id.0.to_be_bytes(), encode_lease(lease).to_vec());
}

pub(crate) fn delete_lease(store: &mut Store, id: LeaseId) {
    store.side_delete(LEASES, &id.0.to_be_bytes());
}

pub(crate) fn leases(store: &Store) -> Result<Vec<(LeaseId, Lease)>, Malformed> {
    let records = store.side_scan(LEASES);
    records
        .map(|(key, value)| Ok((LeaseId(decode_i64(LEASES, key, key)?), decode_lease(key, value)?)))
        .collect()
}

pub(crate) fn encode_lease(lease: &Lease) -> [u8; LEASE_BYTES] {
    let mut record = [0; LEASE_BYTES];
    record[0] = FORMAT;
    record[1..9].copy_from_slice(&lease.ttl_seconds.to_be_bytes());
    record[9..17].copy_from_slice(&lease.remaining_seconds.unwrap_or(0).to_be_bytes());
    record[17..].copy_from_slice(&lease.epoch.0.to_be_bytes());
    record
}

pub(crate) fn decode_lease(key: &[u8], record: &[u8]) -> Result<Lease, Malformed> {
    if record.first() != Some(&FORMAT) {
        return Err(malformed(LEASES, key, "format unknown"));
    }
    if record.len() != LEASE_BYTES {
        return Err(malformed(LEASES, key, "length is not that of a lease"));
    }
    let ttl_seconds = decode_i64(LEASES, key, &record[1..9])?;
    let remaining = decode_i64(LEASES, key, &record[9..17])?;
    let epoch = decode_i64(LEASES, key, &record[17..])?;
    Ok(Lease::new(ttl_seconds, (remaining != 0).then_some(remaining), RenewEpoch(epoch.cast_unsigned())))
}

pub(crate) fn decode_i64(table: TableId, key: &[u8], bytes: &[u8]) -> Result<i64, Malformed> {
    let bytes = bytes.try_into().map_err(|_| malformed(table, key, "number is not 8 bytes long"))?;
    Ok(i64::from_be_bytes(bytes))
}

/// An alarm's key: all there is to it.
pub(crate) fn alarm_key(kind: i32, member: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&kind.to_be_bytes());
    key[4..].copy_from_slice(&member.to_be_bytes());
    key
}

pub(crate) fn put_alarm(store: &mut Store, kind: i32, member: u64) {
    store.side_put(ALARMS, &alarm_key(kind, member), vec![FORMAT]);
}

pub(crate) fn delete_alarm(store: &mut Store, kind: i32, member: u64) {
    store.side_delete(ALARMS, &alarm_key(kind, member));
}

pub(crate) fn alarms(store: &Store) -> Result<Vec<(i32, u64)>, Malformed> {
    store.side_scan(ALARMS).map(|(key, value)| decode_alarm(key, value)).collect()
}

pub(crate) fn decode_alarm(key: &[u8], value: &[u8]) -> Result<(i32, u64), Malformed> {
    if value != [FORMAT] {
        return Err(malformed(ALARMS, key, "format unknown"));
    }
    let (kind, member) =
        key.split_first_chunk::<4>().ok_or_else(|| malformed(ALARMS, key, "key too short"))?;
    Ok((i32::from_be_bytes(*kind), decode_i64(ALARMS, key, member)?.cast_unsigned()))
}

pub(crate) fn put_member(store: &mut Store, member: &Member) {
    store.side_put(MEMBERS, &member.id.to_be_bytes(), member.encode_to_vec());
}

pub(crate) fn members(store: &Store) -> Result<Vec<Member>, Malformed> {
    store.side_scan(MEMBERS).map(|(key, value)| decode_member(key, value)).collect()
}

pub(crate) fn decode_member(key: &[u8], value: &[u8]) -> Result<Member, Malformed> {
    let member = Member::decode(value).map_err(|_| malformed(MEMBERS, key, "not a Member"))?;
    if member.id != decode_i64(MEMBERS, key, key)?.cast_unsigned() {
        return Err(malformed(MEMBERS, key, "is another member's record"));
    }
    Ok(member)
}

pub(crate) fn remove_member(store: &mut Store, id: u64) {
    store.side_delete(MEMBERS, &id.to_be_bytes());
    store.side_put(REMOVED_MEMBERS, &id.to_be_bytes(), vec![FORMAT]);
}

pub(crate) fn removed_members(store: &Store) -> Result<Vec<u64>, Malformed> {
    store.side_scan(REMOVED_MEMBERS).map(|(key, value)| decode_removed(key, value)).collect()
}

pub(crate) fn decode_removed(key: &[u8], value: &[u8]) -> Result<u64, Malformed> {
    if value != [FORMAT] {
        return Err(malformed(REMOVED_MEMBERS, key, "format unknown"));
    }
    Ok(decode_i64(REMOVED_MEMBERS, key, key)?.cast_unsigned())
}

pub(crate) fn cluster_id(store: &Store) -> Result<Option<u64>, Malformed> {
    let id = store.side_get(CLUSTER, CLUSTER_ID);
    id.map(|id| Ok(decode_i64(CLUSTER, CLUSTER_ID, id)?.cast_unsigned())).transpose()
}

pub(crate) fn cluster_text(store: &Store, key: &'static [u8]) -> Result<Option<String>, Malformed> {
    let text = store.side_get(CLUSTER, key);
    text.map(|text| decode_text(key, text)).transpose()
}

pub(crate) fn decode_text(key: &[u8], text: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(text.to_vec()).map_err(|_| malformed(CLUSTER, key, "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_lease_are_as_documented() {
        let lease = Lease::new(60, Some(7), RenewEpoch(0x0102));
        let record = [1, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(encode_lease(&lease), record);
        let decoded = decode_lease(b"k", &record).unwrap();
        assert_eq!(
            (decoded.ttl_seconds, decoded.remaining_seconds, decoded.epoch),
            (60, Some(7), RenewEpoch(0x0102))
        );
        assert!(decode_lease(b"k", &record[1..]).is_err());
        assert!(decode_lease(b"k", &record[..24]).is_err());
    }

    #[test]
    fn the_bytes_of_an_alarm_are_as_documented() {
        assert_eq!(alarm_key(1, 0x0203), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3]);
    }
}
