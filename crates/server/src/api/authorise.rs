//! Whether a caller may do what it asks for, where no command decides it.
//!
//! Commands are checked in apply. What a member answers by itself is checked here: a method as a
//! whole ([`Api::admit`]), a read of keys before and after it ([`Api::read`]), and what concerns
//! leases by the machine, which has them ([`Api::authorise_on_leases`]).

use std::sync::Arc;

use engine::author::Author;
use machine::auth::{Access, AuthState, Policy};
use machine::{Failure, Rejection};
use mvcc::{Pace, View};
use tonic::{Code, Status};

use super::Api;
use super::method::Method;
use super::status::{self, failed, rejected};
use crate::auth::Caller;
use crate::readers::OnWorker;
use crate::spans;

impl Api {
    /// Returns whether the caller may call the method at all. This member's state may be an old
    /// one, so it refuses a user only after it has caught up.
    pub(super) async fn admit(&self, method: Method, caller: &Caller) -> Result<(), Status> {
        let Some(access) = access_of(method.policy()).map_err(rejected)? else { return Ok(()) };
        if !self.auth.published.generation().is_enabled() {
            return Ok(());
        }
        match self.authorise(caller, access).await {
            Err(status) if is_about_a_user(&status) => {
                self.read_barrier().await?;
                self.authorise(caller, access).await
            }
            decided => decided,
        }
    }

    pub(super) async fn authorise(&self, caller: &Caller, access: Access<'_>) -> Result<(), Status> {
        let (author, state) = self.identified(caller).await?;
        state.authorise(author.identity(), access).map_err(rejected)
    }

    /// Returns on whose behalf a command of this caller is proposed.
    ///
    /// # Errors
    /// `InvalidAuthToken`.
    pub(super) async fn author(&self, caller: &Caller) -> Result<Author, Status> {
        if !self.auth.published.generation().is_enabled() {
            return Ok(Author::Nobody);
        }
        self.identified(caller).await.map(|(author, _)| author)
    }

    /// Returns who the caller is, and the state in which that was found out. Where another member
    /// gave out the caller's token, that is a state which has the token's user: this member waits
    /// for it first.
    ///
    /// # Errors
    /// `InvalidAuthToken`; `AuthOldRevision` for a signed token of a state that this cluster never
    /// had, or has lost: one that was given out before it was restored from an older backup.
    pub(super) async fn identified(&self, caller: &Caller) -> Result<(Author, Arc<AuthState>), Status> {
        if self.is_auth_enabled() && caller.token().is_some_and(|token| self.is_ahead(token)) {
            self.read_barrier().await?;
        }
        let state = self.auth.published.state();
        let author = self.identify(caller, &state)?;
        if !author.is_ahead_of(&state) {
            return Ok((author, state));
        }
        self.read_barrier().await?;
        let state = self.auth.published.state();
        let author = self.identify(caller, &state)?;
        if author.is_ahead_of(&state) {
            Err(rejected(Rejection::AuthOldRevision))
        } else {
            Ok((author, state))
        }
    }

    /// Returns whether a token was made by a command that this member has not applied.
    fn is_ahead(&self, token: &str) -> bool {
        self.tokens.index_of(token).is_some_and(|index| !self.has_applied(index))
    }

    fn identify(&self, caller: &Caller, state: &AuthState) -> Result<Author, Status> {
        if !state.is_enabled() {
            return Ok(Author::Nobody);
        }
        if let Some(token) = caller.token() {
            return self.by_token(token, state);
        }
        Ok(caller.common_name().map_or(Author::Nobody, |name| Author::named(name, state)))
    }

    fn by_token(&self, token: &str, state: &AuthState) -> Result<Author, Status> {
        let Some((name, revision)) = self.tokens.user_of(token) else {
            tracing::warn!("invalid auth token");
            return Err(rejected(Rejection::InvalidAuthToken));
        };
        Ok(Author::User { name, auth_revision: revision.unwrap_or(state.revision()) })
    }

    fn has_applied(&self, index: u64) -> bool {
        self.shared.applied.load(std::sync::atomic::Ordering::Acquire) >= index
    }

    /// Reads keys on behalf of a caller: the answer is of a time at which the caller was permitted
    /// to have it (see `machine::auth`, "Readers"). What takes long is read by a reader.
    ///
    /// # Errors
    /// `InvalidAuthToken`, those of the check, and those of `read`.
    pub(crate) async fn read<Q: Clone + Send + 'static, T: Send + 'static>(
        &self,
        caller: &Caller,
        access: Access<'_>,
        request: &Q,
        read: impl Fn(&View, &Q, &dyn Pace) -> Result<T, Failure> + Clone + Send + 'static,
    ) -> Result<T, Status> {
        let mut attempts = self.auth.published.attempts();
        while let Some(seen) = attempts.begin() {
            if seen.is_enabled() {
                self.authorise(caller, access).await?;
            }
            let replaced = self.views.replaced();
            let answer = match read(&self.view(), request, &OnWorker::new()) {
                Err(Failure::GivenUp) => {
                    let (view, request, read) = (self.view(), request.clone(), read.clone());
                    self.read_at_leisure(caller, move |pace| read(&view, &request, pace)).await?
                }
                answer => answer,
            };
            if attempts.counts() {
                return answer.map_err(|failure| match failure {
                    // Nothing is wrong with it: it was read while a snapshot of the leader took its place.
                    Failure::Store(_) if self.views.may_be_gone(replaced) => status::replaced(),
                    failure => failed(failure),
                });
            }
        }
        Err(rejected(Rejection::AuthOldRevision))
    }

    /// Has a reader read something for a caller, who was found to be permitted to have it.
    ///
    /// # Errors
    /// `Unavailable` if the member stops, `ResourceExhausted` if it is more than there is memory for.
    pub(super) async fn read_at_leisure<T: Send + 'static>(
        &self,
        caller: &Caller,
        read: impl FnOnce(&dyn Pace) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let _stage = spans::stage("read");
        let answer = self.readers.read(caller.connection(), read).await;
        answer.map_err(status::unread)
    }

    /// Returns whether the caller may do something that depends on the keys of leases.
    ///
    /// # Errors
    /// `InvalidAuthToken`, and those of the check.
    pub(super) async fn authorise_on_leases(
        &self,
        caller: &Caller,
        access: Access<'static>,
    ) -> Result<(), Status> {
        let author = self.author(caller).await?;
        self.ask(move |machine| machine.authorise(author.identity(), access)).await?.map_err(rejected)
    }

    /// Returns whether permissions are checked.
    pub(crate) fn is_auth_enabled(&self) -> bool {
        self.auth.published.generation().is_enabled()
    }
}

/// Returns what a method of this class needs as a whole; `None` if that is decided by its handler,
/// which knows what the request is about, or in apply.
///
/// # Errors
/// For a method that is not for clients.
fn access_of(policy: Policy) -> Result<Option<Access<'static>>, Rejection> {
    match policy {
        Policy::Admin => Ok(Some(Access::Admin)),
        Policy::AnyUser => Ok(Some(Access::AnyUser)),
        Policy::Open | Policy::ByRange | Policy::SelfOrRoot => Ok(None),
        Policy::PeerOnly => Err(Rejection::PermissionDenied),
    }
}

/// Returns whether a refusal depends on what is known of users: then a newer state may say
/// otherwise.
fn is_about_a_user(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::FailedPrecondition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_needs_what_its_class_says_and_one_of_members_is_for_no_client() {
        for (policy, needed) in [
            (Policy::Open, None),
            (Policy::AnyUser, Some(Policy::AnyUser)),
            (Policy::Admin, Some(Policy::Admin)),
            (Policy::ByRange, None),
            (Policy::SelfOrRoot, None),
        ] {
            let access = access_of(policy).expect("a method for clients");
            assert_eq!(access.map(Access::policy), needed, "{policy:?}");
        }
        assert_eq!(access_of(Policy::PeerOnly).err(), Some(Rejection::PermissionDenied));
    }
}
