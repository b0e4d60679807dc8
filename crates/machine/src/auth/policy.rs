//! Who may call what: one row for every method of the API.
//!
//! CVE-2026-33413 was five methods for which nobody had written a check. A server that takes its
//! methods' classes from here refuses to serve one without a row, and a test compares the rows with
//! the `.proto` files (rule S1).

/// The class of a method or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Everybody, without credentials.
    Open,
    /// Whoever has credentials.
    AnyUser,
    /// Users with the role `root`.
    Admin,
    /// Users with a permission on every key of the request.
    ByRange,
    /// The user that the request is about, or a holder of the role that it is about; or the role
    /// `root`.
    SelfOrRoot,
    /// Members alone: commands that only members propose. No method of the API is of this class.
    PeerOnly,
}

use Policy::{Admin, AnyUser, ByRange, Open, SelfOrRoot};

/// Service, method and class. What depends on the request is decided by [`Access`](super::Access):
/// to change an alarm is `Admin`; a lease's time without its keys is `AnyUser`; a lease that has no
/// keys is every user's.
pub const METHODS: &[(&str, &str, Policy)] = &[
    ("etcdserverpb.KV", "Range", ByRange),
    ("etcdserverpb.KV", "RangeStream", ByRange),
    ("etcdserverpb.KV", "Put", ByRange),
    ("etcdserverpb.KV", "DeleteRange", ByRange),
    ("etcdserverpb.KV", "Txn", ByRange),
    ("etcdserverpb.KV", "Compact", Admin),
    ("etcdserverpb.Watch", "Watch", ByRange),
    ("etcdserverpb.Lease", "LeaseGrant", AnyUser),
    ("etcdserverpb.Lease", "LeaseRevoke", ByRange),
    ("etcdserverpb.Lease", "LeaseKeepAlive", ByRange),
    ("etcdserverpb.Lease", "LeaseTimeToLive", ByRange),
    ("etcdserverpb.Lease", "LeaseLeases", ByRange),
    ("etcdserverpb.Cluster", "MemberAdd", Admin),
    ("etcdserverpb.Cluster", "MemberRemove", Admin),
    ("etcdserverpb.Cluster", "MemberUpdate", Admin),
    ("etcdserverpb.Cluster", "MemberList", AnyUser),
    ("etcdserverpb.Cluster", "MemberPromote", Admin),
    ("etcdserverpb.Maintenance", "Alarm", AnyUser),
    ("etcdserverpb.Maintenance", "Status", AnyUser),
    ("etcdserverpb.Maintenance", "Defragment", Admin),
    ("etcdserverpb.Maintenance", "Hash", Admin),
    ("etcdserverpb.Maintenance", "HashKV", Admin),
    ("etcdserverpb.Maintenance", "Snapshot", Admin),
    ("etcdserverpb.Maintenance", "MoveLeader", Admin),
    ("etcdserverpb.Maintenance", "Downgrade", Admin),
    ("etcdserverpb.Auth", "AuthEnable", Admin),
    ("etcdserverpb.Auth", "AuthDisable", Admin),
    ("etcdserverpb.Auth", "AuthStatus", Open),
    ("etcdserverpb.Auth", "Authenticate", Open),
    ("etcdserverpb.Auth", "UserAdd", Admin),
    ("etcdserverpb.Auth", "UserGet", SelfOrRoot),
    ("etcdserverpb.Auth", "UserList", Admin),
    ("etcdserverpb.Auth", "UserDelete", Admin),
    ("etcdserverpb.Auth", "UserChangePassword", Admin),
    ("etcdserverpb.Auth", "UserGrantRole", Admin),
    ("etcdserverpb.Auth", "UserRevokeRole", Admin),
    ("etcdserverpb.Auth", "RoleAdd", Admin),
    ("etcdserverpb.Auth", "RoleGet", SelfOrRoot),
    ("etcdserverpb.Auth", "RoleList", Admin),
    ("etcdserverpb.Auth", "RoleDelete", Admin),
    ("etcdserverpb.Auth", "RoleGrantPermission", Admin),
    ("etcdserverpb.Auth", "RoleRevokePermission", Admin),
    ("v3lockpb.Lock", "Lock", ByRange),
    ("v3lockpb.Lock", "Unlock", ByRange),
    ("v3electionpb.Election", "Campaign", ByRange),
    ("v3electionpb.Election", "Proclaim", ByRange),
    ("v3electionpb.Election", "Leader", ByRange),
    ("v3electionpb.Election", "Observe", ByRange),
    ("v3electionpb.Election", "Resign", ByRange),
    ("grpc.health.v1.Health", "Check", Open),
    ("grpc.health.v1.Health", "Watch", Open),
    ("grpc.health.v1.Health", "List", Open),
];

impl Policy {
    /// Returns the class of a method; `None` if it has no row, and then nobody may call it.
    #[must_use]
    pub fn of(service: &str, method: &str) -> Option<Self> {
        let row = METHODS.iter().find(|row| (row.0, row.1) == (service, method))?;
        Some(row.2)
    }
}
