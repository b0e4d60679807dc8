//! What applying a command gave.

use std::fmt;
use std::sync::Arc;

use mvcc::{Changes, LeaseId};

use crate::txn::Unread;
use crate::{Rejection, RenewEpoch, Reply};

/// Everything that follows from one command. The same on every member that applies it.
#[derive(Debug)]
pub struct Outcome {
    /// For the caller, on the member that proposed the command.
    pub result: Result<Reply, Rejection>,
    /// For the watchers: the changes of the one revision that the command made. `None` if no key changed.
    pub changes: Option<Changes>,
    /// For the watchers too: the changes of the revisions that were taken over from another cluster, in their order.
    pub followed: Vec<Changes>,
    /// For the rest of the shell: the lease clock, status, metrics. In the order in which they happened.
    pub effects: Vec<Effect>,
    /// What is still to be read for the caller: it makes the body that `result` lacks then. Not the same on every member.
    pub unread: Option<Box<Unread>>,
}

/// When that is read which a command does not need, but its reply does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// While the command is applied, unless it is much.
    Now,
    /// By whoever waits for the reply, in any case.
    Later,
    /// Never: nobody on this member waits, since the command came from another one or is applied again after a start.
    Never,
}

impl Outcome {
    pub(crate) fn refused(rejection: Rejection) -> Self {
        let (changes, followed) = (None, Vec::new());
        Self { result: Err(rejection), changes, followed, effects: Vec::new(), unread: None }
    }

    pub(crate) fn replied(reply: Reply) -> Self {
        Self::changed(reply, None)
    }

    pub(crate) fn changed(reply: Reply, changes: Option<Changes>) -> Self {
        Self { result: Ok(reply), changes, followed: Vec::new(), effects: Vec::new(), unread: None }
    }

    /// Adds the effects of another outcome, whose reply is the answer.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.effects.extend(other.effects);
        self.result = other.result;
        self
    }

    pub(crate) fn with_effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// A change to something other than keys that parts of the shell keep up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A lease began: `LeaseClock::granted`.
    LeaseGranted {
        /// Which.
        id: LeaseId,
        /// Time to live in seconds.
        ttl_seconds: i64,
        /// The renewal that an expiry must name.
        epoch: RenewEpoch,
    },
    /// A lease ended, revoked or expired: `LeaseClock::revoked`.
    LeaseRevoked {
        /// Which.
        id: LeaseId,
    },
    /// What is left of a lease was recorded: `LeaseClock::checkpointed`.
    LeaseCheckpointed {
        /// Which.
        id: LeaseId,
        /// Seconds left; `None` if it was renewed since.
        remaining_seconds: Option<i64>,
        /// The renewal that an expiry must name.
        epoch: RenewEpoch,
    },
    /// A lease is as that of another cluster: `LeaseClock::granted`.
    LeaseAdopted {
        /// Which.
        id: LeaseId,
        /// Time to live in seconds.
        ttl_seconds: i64,
        /// Seconds left; `None`: all of them.
        remaining_seconds: Option<i64>,
        /// The renewal that an expiry must name.
        epoch: RenewEpoch,
    },
    /// How far another cluster is followed is not the same as before: `Machine::follow`.
    FollowChanged,
    /// All keys of another cluster are here. What was here before is not read any more: `Machine::take_replaced`.
    FollowLoaded,
    /// The alarms are not the same as before: `Machine::alarms`.
    AlarmsChanged,
    /// The members, or what they say of themselves, are not the same as before: `Machine::members`.
    MembersChanged,
    /// A member was removed. If it is this one, it has no business in the cluster any more and stops.
    MemberRemoved {
        /// Which.
        id: u64,
    },
    /// The cluster version is not the same as before: `Machine::cluster_version`.
    ClusterVersionChanged,
    /// Users, roles or permissions have changed, or authentication was switched on or off:
    /// `Machine::auth`, to be published before the next command is applied. Watches are checked
    /// again (rule V6).
    AuthChanged {
        /// The auth revision.
        revision: u64,
    },
    /// A user logged in.
    Authenticated {
        /// Who.
        user: Arc<str>,
        /// The token, which is in the reply and valid on every member from now on. `None` if tokens
        /// are not of the simple kind: then the member that proposed the command makes one.
        simple_token: Option<SimpleToken>,
        /// The revision at which the password was right.
        auth_revision: u64,
    },
    /// A user was deleted, or has another password: no simple token of this user is valid any
    /// longer.
    UserTokensInvalid {
        /// Whose.
        user: Arc<str>,
    },
    /// Authentication was switched on or off: no simple token is valid any longer.
    AllTokensInvalid,
    /// The history before this revision is released. Whoever asked for a physical compaction waits for the store.
    Compacted {
        /// The compaction revision.
        revision: i64,
    },
}

/// A token of the simple kind. A secret: whoever has it is the user.
#[derive(Clone, PartialEq, Eq)]
pub struct SimpleToken(pub(crate) Arc<str>);

impl SimpleToken {
    /// The text that clients send.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SimpleToken {
    /// Without the token (rule S6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimpleToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let effect = Effect::Authenticated {
            user: "u".into(),
            simple_token: Some(SimpleToken("prefix.7".into())),
            auth_revision: 3,
        };
        let text = format!("{effect:?}");
        assert!(text.contains("SimpleToken(..)") && !text.contains("prefix"), "{text}");
    }
}
