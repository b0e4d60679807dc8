//! Who may call what: the classes of methods and commands.
//!
//! CVE-2026-33413 was five methods for which nobody had written a check. Every command has a class
//! ([`Access::policy`](super::Access::policy)), and the server has one for every method of the API,
//! in one table that a test compares with the `.proto` files (rule S1). What depends on the request
//! is decided by [`Access`](super::Access): to change an alarm is `Admin`; a lease's time without
//! its keys is `AnyUser`; a lease that has no keys is every user's.

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
