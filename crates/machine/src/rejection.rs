//! The refusals: what a command or a read is told when it cannot be done, the same on every member.
//!
//! A rejection is part of the outcome, not a fault: state is untouched, and every member that applies the command
//! refuses it for the same reason. Each variant is one line of etcd's error list, with the code and the exact text
//! that go on the wire. Clients match the **text** byte for byte (the Go client ignores the code), so it is data of
//! the variant and the server maps it in one place.

/// A gRPC status code, as a number: this crate knows no gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // the names are gRPC's own
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    DataLoss = 15,
    Unauthenticated = 16,
}

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident = $code:ident, $text:literal;)+) => {
        /// Why a command or a read was refused. Deterministic: a function of the state and the command alone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rejection {
            $($(#[$doc])* $name,)+
        }

        impl Rejection {
            /// All of them, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The gRPC status code that goes on the wire.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)+ }
            }

            /// The number by which members call this refusal between them: its place in [`Self::ALL`].
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The refusal with this number; `None` if this version has none.
            #[must_use]
            pub fn of_number(number: u32) -> Option<Self> {
                Self::ALL.get(usize::try_from(number).ok()?).copied()
            }

            /// The status message that goes on the wire, byte for byte etcd's.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

rejections! {
    // Shape of the request: found before proposing.

    /// A key is empty: of the request, of an operation in a transaction, or of a compare.
    EmptyKey = InvalidArgument, "etcdserver: key is not provided";
    /// A put keeps the old value or lease of a key that does not exist; or an operation of a transaction is empty
    /// (etcd answers that with this text).
    KeyNotFound = InvalidArgument, "etcdserver: key not found";
    /// A put says both `ignore_value` and a value.
    ValueProvided = InvalidArgument, "etcdserver: value is provided";
    /// A put says both `ignore_lease` and a lease.
    LeaseProvided = InvalidArgument, "etcdserver: lease is provided";
    /// A transaction has more operations than allowed, nested ones counted as etcd counts them.
    TooManyOps = InvalidArgument, "etcdserver: too many operations in txn request";
    /// A transaction puts a key twice, or puts one that it also deletes.
    DuplicateKey = InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// Sort order or sort target is a number that the API does not define.
    InvalidSortOption = InvalidArgument, "etcdserver: invalid sort option";
    /// A streamed range asks for an order other than the keys' own.
    StreamSorted = Unimplemented, "RangeStream does not support custom sort orders";
    /// A streamed range asks for a filter by revision.
    StreamFiltered = Unimplemented, "RangeStream does not support revision filters";

    // Revisions.

    /// The revision's history has been compacted away.
    Compacted = OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// The revision has not happened yet.
    FutureRevision = OutOfRange, "etcdserver: mvcc: required revision is a future revision";

    // Alarms.

    /// A NOSPACE alarm is active, and the command would write.
    NoSpace = ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    /// A CORRUPT alarm is active.
    Corrupt = DataLoss, "etcdserver: corrupt cluster";

    // Leases.

    /// No lease has this id.
    LeaseNotFound = NotFound, "etcdserver: requested lease not found";
    /// A lease with this id exists already.
    LeaseExists = FailedPrecondition, "etcdserver: lease already exists";
    /// The time to live is longer than allowed.
    LeaseTtlTooLarge = OutOfRange, "etcdserver: too large lease TTL";
    /// An expiry came too late: the lease was renewed, or the leadership moved, after the leader saw it run out
    /// (rule L1). Only the proposing leader sees this, no client.
    LeaseExpiryVoid = FailedPrecondition, "lease expiry is void: renewed, or proposed in another term";

    // Members.

    /// A member with this id exists.
    MemberExists = FailedPrecondition, "etcdserver: member ID already exist";
    /// Another member has this peer URL.
    PeerUrlExists = FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// No member has this id; or one had it and was removed, and ids are never used again.
    MemberNotFound = NotFound, "etcdserver: member not found";
    /// A voter cannot be promoted.
    MemberNotLearner = FailedPrecondition, "etcdserver: can only promote a learner member";
    /// There are as many learners as allowed already.
    TooManyLearners = FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// The leader's own check before it proposes: a learner that is not caught up cannot be promoted.
    LearnerNotReady = FailedPrecondition,
        "etcdserver: can only promote a learner member which is in sync with leader";
    /// A check before proposing: the change would leave fewer members that have ever started than a quorum. etcd's server
    /// hands out the client-side error here, which carries no code.
    NotEnoughStarted = Unknown,
        "etcdserver: re-configuration failed due to not enough started members";
    /// The cluster has its members already. Only the member that bootstraps sees this, no client.
    AlreadyBootstrapped = FailedPrecondition, "cluster is bootstrapped already";
    /// A cluster version is not of the form `X.Y.Z`, or lower than it was.
    InvalidClusterVersion = InvalidArgument, "invalid cluster version";

    // Commands.

    /// The entry holds no command that this version knows. Refused on every member of this version alike; a newer
    /// one is only proposed once the cluster version says that all members know it.
    UnknownCommand = Internal, "command is not known to this version";

    // Users, roles and permissions. After all others: members call refusals by their places.

    /// No credentials were given; or a user is to be added without a name.
    UserEmpty = InvalidArgument, "etcdserver: user name is empty";
    /// The user may not do that: no permission on a key, or not the role `root`.
    PermissionDenied = PermissionDenied, "etcdserver: permission denied";
    /// Users, roles or permissions have changed since the caller was identified.
    AuthOldRevision = InvalidArgument, "etcdserver: revision of auth store is old";
    /// The token is unknown, forged, or no longer valid: found by the server before it proposes.
    InvalidAuthToken = Unauthenticated, "etcdserver: invalid auth token";
    /// Authentication cannot be switched on without a user `root`.
    RootUserNotExist = FailedPrecondition, "etcdserver: root user does not exist";
    /// Authentication cannot be switched on as long as the user `root` does not hold the role `root`.
    RootRoleNotExist = FailedPrecondition, "etcdserver: root user does not have root role";
    /// Nobody logs in while authentication is off.
    AuthNotEnabled = FailedPrecondition, "etcdserver: authentication is not enabled";
    /// No such user, or not the user's password: the caller cannot tell which.
    AuthFailed = InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A user without a password cannot log in with one; or what should be the hash of a password is none.
    NoPasswordUser = Unknown, "auth: authentication failed, password was given for no password user";
    /// A user of this name exists.
    UserExists = FailedPrecondition, "etcdserver: user name already exists";
    /// No user has this name.
    UserNotFound = FailedPrecondition, "etcdserver: user name not found";
    /// A role is to be added without a name.
    RoleEmpty = InvalidArgument, "etcdserver: role name is empty";
    /// A role of this name exists.
    RoleExists = FailedPrecondition, "etcdserver: role name already exists";
    /// No role has this name.
    RoleNotFound = FailedPrecondition, "etcdserver: role name not found";
    /// The user does not hold the role.
    RoleNotGranted = FailedPrecondition, "etcdserver: role is not granted to the user";
    /// A permission is to be granted, but which one is not said.
    PermissionNotGiven = InvalidArgument, "etcdserver: permission not given";
    /// The role does not permit exactly this range.
    PermissionNotGranted = FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// It would leave no user who could switch authentication off; or a permission has no key, or
    /// ends before it starts; or a name is too long.
    InvalidAuthMgmt = InvalidArgument, "etcdserver: invalid auth management";

    // Following another cluster. After all others, too.

    /// Another cluster is followed, and only its writes count.
    Following = FailedPrecondition,
        "quorate: this cluster follows another one and takes no writes before `quoratectl follow cutover`";
    /// A cluster that was written to cannot begin to follow another one.
    FollowNotEmpty = FailedPrecondition,
        "quorate: only a cluster that was never written to can follow another one: start it with empty data directories";
    /// The cluster follows another one than this.
    FollowSource = FailedPrecondition, "quorate: the cluster began to follow another source";
    /// What an earlier leader or an earlier load has left in the log. Only members see this, no client.
    FollowOutOfStep = FailedPrecondition, "quorate: it is of another load, revision or phase of the follow";

    // Shape of the request, too. After all others.

    /// A key is longer than the index can have; etcd has no such limit, and says this of a whole request.
    KeyTooLong = InvalidArgument, "etcdserver: request is too large";
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_refusals_name_each_other() {
        for &rejection in Rejection::ALL {
            assert_eq!(Rejection::of_number(rejection.number()), Some(rejection));
        }
        assert_eq!(Rejection::of_number(u32::MAX), None);
    }

    #[test]
    fn texts_are_unique_so_that_clients_can_match_them() {
        for (place, rejection) in Rejection::ALL.iter().enumerate() {
            for other in &Rejection::ALL[place + 1..] {
                assert_ne!(rejection.text(), other.text());
            }
        }
    }
}
