//! On whose behalf a command is proposed.

use std::sync::Arc;

use machine::auth::{AuthState, Identity, ROOT};

/// On whose behalf something is done: what the header of a command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// A caller without credentials, or any caller while authentication is off.
    Nobody,
    /// This member, for what no client asked for and needs the role `root`.
    Member,
    /// A user.
    User {
        /// Who.
        name: Arc<str>,
        /// The auth revision at which that was found out.
        auth_revision: u64,
    },
}

impl Author {
    /// Returns the identity that the machine checks.
    pub fn identity(&self) -> Identity<'_> {
        match self {
            Self::Nobody => Identity::NOBODY,
            // Whoever needs the role `root` is asked for no revision.
            Self::Member => Identity { username: ROOT, auth_revision: 0 },
            Self::User { name, auth_revision } => Identity { username: name, auth_revision: *auth_revision },
        }
    }

    /// Returns whether the user was found out in a later state than this one: by a signed token, which names its auth
    /// revision. What this state says of a user of that name may be about somebody else.
    pub fn is_ahead_of(&self, state: &AuthState) -> bool {
        matches!(self, Self::User { auth_revision, .. } if *auth_revision > state.revision())
    }

    /// Returns the user's name, if it is a user.
    pub fn user(&self) -> Option<&Arc<str>> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::Nobody | Self::Member => None,
        }
    }

    /// Returns the user that a certificate names, as of this state.
    pub fn named(name: &Arc<str>, state: &AuthState) -> Self {
        Self::User { name: name.clone(), auth_revision: state.revision() }
    }
}
