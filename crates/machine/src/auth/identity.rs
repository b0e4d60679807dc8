//! On whose behalf a request is made.

use proto::etcdserverpb::InternalRaftRequest;

use super::{AuthState, ROOT};

/// A user, and what was known of users and roles when the user was identified. The header of a
/// command carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Empty: no credentials were given.
    pub username: &'a str,
    /// The auth revision at which a token was issued, or at which a certificate was looked at. A
    /// command on keys is refused if users, roles or permissions have changed since. 0: no
    /// credentials were given.
    pub auth_revision: u64,
}

impl<'a> Identity<'a> {
    /// A caller without credentials.
    pub const NOBODY: Identity<'static> = Identity { username: "", auth_revision: 0 };

    /// Returns the identity in the header of a command. A command without header has none.
    #[must_use]
    pub fn of(entry: &'a InternalRaftRequest) -> Self {
        entry.header.as_ref().map_or(Self::NOBODY, |header| Identity {
            username: &header.username,
            auth_revision: header.auth_revision,
        })
    }

    /// Returns the identity under which a member proposes or reads what no client asked for:
    /// compaction by schedule, raising an alarm, the read of a health check. It is the user `root`,
    /// which exists and holds its role as long as authentication is on.
    #[must_use]
    pub fn of_member(auth: &AuthState) -> Identity<'static> {
        Identity { username: ROOT, auth_revision: auth.revision() }
    }

    /// Returns the same user as known now: for a watch that is checked again because users, roles
    /// or permissions have changed (rule V6). That they have changed is then no reason to refuse.
    #[must_use]
    pub fn renewed(self, auth: &AuthState) -> Self {
        Self { auth_revision: auth.revision(), ..self }
    }
}
