//! Names of buckets, in the order in which a file has them.

/// Alarms that are raised.
pub const ALARM: &[u8] = b"alarm";
/// Whether logins are needed, and the revision of users and roles.
pub const AUTH: &[u8] = b"auth";
/// Roles.
pub const AUTH_ROLES: &[u8] = b"authRoles";
/// Users.
pub const AUTH_USERS: &[u8] = b"authUsers";
/// The cluster's version.
pub const CLUSTER: &[u8] = b"cluster";
/// Every version of every key that is not compacted away.
pub const KEY: &[u8] = b"key";
/// Leases.
pub const LEASE: &[u8] = b"lease";
/// Members.
pub const MEMBERS: &[u8] = b"members";
/// Ids of members that were removed.
pub const MEMBERS_REMOVED: &[u8] = b"members_removed";
/// Where in the raft log the file is, and up to where it is compacted.
pub const META: &[u8] = b"meta";
