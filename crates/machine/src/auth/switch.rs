//! On, off, and who logs in.

use std::sync::Arc;

use bytes::Bytes;
use proto::etcdserverpb::InternalAuthenticateRequest;

use super::{Access, AuthState, Identity, ROOT, check, tables};
use crate::lease::Leases;
use crate::outcome::SimpleToken;
use crate::{Applied, Body, Effect, Machine, Outcome, Rejection, Reply, txn};

impl Machine {
    /// Turns permissions on: only if somebody is left who may turn them off again. On again is
    /// nothing. Not a change of users and roles, so the auth revision stays.
    pub(crate) fn auth_enable(&mut self) -> Result<Outcome, Rejection> {
        if self.auth.is_enabled() {
            return Ok(self.header_only());
        }
        let root = self.auth.user(ROOT).ok_or(Rejection::RootUserNotExist)?;
        if !root.is_root() {
            return Err(Rejection::RootRoleNotExist);
        }
        self.auth_mut().set_enabled();
        tables::put_enabled(&mut self.store);
        let outcome = self.header_only().with_effect(Effect::AllTokensInvalid);
        Ok(outcome.with_effect(Effect::AuthChanged { revision: self.auth.revision() }))
    }

    /// Turns permissions off. Off again is nothing.
    pub(crate) fn auth_disable(&mut self) -> Outcome {
        if !self.auth.is_enabled() {
            return self.header_only();
        }
        self.auth_mut().set_disabled();
        tables::delete_enabled(&mut self.store);
        let changed = self.auth_changed();
        self.header_only().with_effect(Effect::AllTokensInvalid).with_effect(changed)
    }

    pub(crate) fn auth_status(&self) -> Outcome {
        let mut body = Body::empty();
        body.bool(2, self.auth.is_enabled());
        body.varint(3, self.auth.revision());
        self.replied_with(body)
    }

    /// Somebody whose password was right, on the member that was asked, gets a token. With simple
    /// tokens that is what the member drew at random, and this command's index, so that it means
    /// the same on every member; otherwise the member that was asked makes one from the effect.
    pub(crate) fn authenticate(
        &mut self,
        applied: Applied,
        request: &InternalAuthenticateRequest,
    ) -> Result<Outcome, Rejection> {
        if !self.auth.is_enabled() {
            return Err(Rejection::AuthNotEnabled);
        }
        let user = self.auth.user(&request.name).ok_or(Rejection::AuthFailed)?;
        if user.no_password {
            return Err(Rejection::AuthFailed);
        }
        let mut body = Body::empty();
        let is_simple = !request.simple_token.is_empty();
        let simple_token = is_simple.then(|| format!("{}.{}", request.simple_token, applied.index));
        if let Some(token) = &simple_token {
            body.field(2, Bytes::from(token.clone()));
        }
        let effect = Effect::Authenticated {
            user: Arc::from(&request.name[..]),
            simple_token: simple_token.map(|token| SimpleToken(token.into())),
            auth_revision: self.auth.revision(),
        };
        Ok(self.replied_with(body).with_effect(effect))
    }
}

/// What the commands of this directory share.
impl Machine {
    /// The state for a change. What readers hold stays as it is.
    pub(super) fn auth_mut(&mut self) -> &mut AuthState {
        Arc::make_mut(&mut self.auth)
    }

    /// Counts a change of users, roles or permissions.
    pub(super) fn auth_changed(&mut self) -> Effect {
        let revision = self.auth_mut().bump();
        tables::put_revision(&mut self.store, revision);
        Effect::AuthChanged { revision }
    }

    pub(super) fn header_only(&self) -> Outcome {
        self.replied_with(Body::empty())
    }

    pub(super) fn replied_with(&self, body: Body) -> Outcome {
        Outcome::replied(Reply { revision: self.store.revision(), body })
    }
}

/// What the shell asks.
impl Machine {
    /// Users, roles and permissions as they are now. For how readers get at it, see
    /// [`auth`](crate::auth).
    #[must_use]
    pub fn auth(&self) -> Arc<AuthState> {
        Arc::clone(&self.auth)
    }

    /// Returns whether a request may be done now: for what the shell answers without a command, and
    /// for a change of members before it is proposed.
    ///
    /// # Errors
    /// `UserEmpty`, `AuthOldRevision`, `UserNotFound`, `PermissionDenied`.
    pub fn authorise(&self, identity: Identity<'_>, access: Access<'_>) -> Result<(), Rejection> {
        check::authorise(&self.auth, &self.leases, identity, access)
    }
}

impl AuthState {
    /// Returns whether a request may be done in this state: for readers, which do not have the
    /// leases.
    ///
    /// # Errors
    /// `UserEmpty`, `AuthOldRevision`, `UserNotFound`, `PermissionDenied`.
    ///
    /// # Panics
    /// If the request needs to know about leases: a write, a transaction that does not only read,
    /// or a request about a lease. Those are decided by [`Machine::authorise`].
    pub fn authorise(&self, identity: Identity<'_>, access: Access<'_>) -> Result<(), Rejection> {
        let needs_leases = match access {
            Access::Put(_)
            | Access::LeaseRevoke(_)
            | Access::LeaseKeepAlive(_)
            | Access::LeaseKeys(_)
            | Access::LeaseList => true,
            Access::Txn(request) => !txn::is_read_only(request),
            Access::Open
            | Access::AnyUser
            | Access::Admin
            | Access::Member
            | Access::User(_)
            | Access::Role(_)
            | Access::Range(_)
            | Access::DeleteRange(_)
            | Access::Watch(_) => false,
        };
        assert!(!needs_leases, "{access:?} is decided with the leases at hand");
        check::authorise(self, &Leases::default(), identity, access)
    }
}
