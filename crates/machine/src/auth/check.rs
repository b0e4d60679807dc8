//! The one check of permission: in apply for every command, and on a view for every read and watch.
//!
//! The order in which things are looked at is visible to clients (semantics contract, section
//! 12.3):
//!
//! 1. no credentials: `UserEmpty`;
//! 2. for keys: an identity older than the state is `AuthOldRevision`, an unknown user
//!    `PermissionDenied`; for what needs the role `root`: an unknown user is `UserNotFound`, and
//!    the revision does not matter;
//! 3. the role `root` may everything;
//! 4. each key and range of the request must lie in one interval that the user may read, or write:
//!    `PermissionDenied`.
//!
//! Who asks is looked up once for a request, not once for each of its operations: also a
//! transaction without any operation needs a user (etcd serves that one to everybody).

use mvcc::LeaseId;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};

use super::span::Span;
use super::state::{Permitted, Rights};
use super::{Access, AuthState, Identity};
use crate::Rejection;
use crate::lease::Leases;

/// Returns whether the request may be done, in a state and on behalf of somebody. The whole
/// decision: it is a pure function of these, and nothing else in this crate or outside decides.
///
/// # Errors
/// `UserEmpty`, `AuthOldRevision`, `UserNotFound`, `PermissionDenied`.
pub(crate) fn authorise(
    auth: &AuthState,
    leases: &Leases,
    identity: Identity<'_>,
    access: Access<'_>,
) -> Result<(), Rejection> {
    if !auth.is_enabled() {
        return Ok(());
    }
    let caller = Caller { auth, leases, identity };
    match access {
        Access::Open | Access::Member => Ok(()),
        Access::AnyUser => caller.any_user(),
        Access::Admin => caller.admin(),
        Access::User(name) => caller.self_or_admin(identity.username == name),
        Access::Role(name) => caller.self_or_admin(caller.holds(name)),
        Access::Range(request) => caller.on_keys()?.read(Span::of(&request.key, &request.range_end)),
        Access::Watch(request) => caller.on_keys()?.read(Span::of_watch(&request.key, &request.range_end)),
        Access::Put(request) => caller.on_keys()?.put(request),
        Access::DeleteRange(request) => caller.on_keys()?.delete_range(request),
        Access::Txn(request) => caller.on_keys()?.txn(request),
        Access::LeaseRevoke(id) | Access::LeaseKeepAlive(id) => {
            caller.on_lease(id, |keys| keys.write_lease(id))
        }
        Access::LeaseKeys(id) => caller.on_lease(id, |keys| keys.read_lease(id)),
        Access::LeaseList => caller.on_all_leases(),
    }
}

/// Somebody, in a state in which permissions are checked.
#[derive(Clone, Copy)]
struct Caller<'a> {
    auth: &'a AuthState,
    leases: &'a Leases,
    identity: Identity<'a>,
}

impl<'a> Caller<'a> {
    /// Credentials and no more: as in etcd, whether the user still exists is not looked at.
    fn any_user(self) -> Result<(), Rejection> {
        if self.identity.username.is_empty() { Err(Rejection::UserEmpty) } else { Ok(()) }
    }

    fn admin(self) -> Result<(), Rejection> {
        self.any_user()?;
        match self.auth.user(self.identity.username) {
            None => Err(Rejection::UserNotFound),
            Some(user) if user.is_root() => Ok(()),
            Some(_) => Err(Rejection::PermissionDenied),
        }
    }

    fn self_or_admin(self, is_self: bool) -> Result<(), Rejection> {
        let has_name = !self.identity.username.is_empty();
        if has_name && is_self { Ok(()) } else { self.admin() }
    }

    fn holds(self, role: &str) -> bool {
        self.auth.user(self.identity.username).is_some_and(|user| user.has_role(role))
    }

    /// Whoever is about to be asked for keys.
    fn on_keys(self) -> Result<Keys<'a>, Rejection> {
        let Identity { username, auth_revision } = self.identity;
        if auth_revision == 0 {
            return Err(Rejection::UserEmpty);
        }
        if auth_revision < self.auth.revision() {
            return Err(Rejection::AuthOldRevision);
        }
        let rights = self.auth.rights(username).ok_or(Rejection::PermissionDenied)?;
        Ok(Keys { leases: self.leases, rights })
    }

    /// A lease without keys is everybody's. For one with keys the role `root` is looked at first,
    /// and then the identity may be an old one.
    fn on_lease(
        self,
        id: LeaseId,
        check: impl FnOnce(Keys<'a>) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        self.any_user()?;
        let has_keys = self.leases.get(id).is_some_and(|lease| lease.keys().len() > 0);
        if !has_keys || self.admin().is_ok() { Ok(()) } else { check(self.on_keys()?) }
    }

    fn on_all_leases(self) -> Result<(), Rejection> {
        self.any_user()?;
        let mut with_keys = self.leases.iter().filter(|(_, lease)| lease.keys().len() > 0).peekable();
        if with_keys.peek().is_none() || self.admin().is_ok() {
            return Ok(());
        }
        let keys = self.on_keys()?;
        with_keys.try_for_each(|(id, _)| keys.read_lease(id))
    }
}

/// What a user may do with keys.
#[derive(Clone, Copy)]
struct Keys<'a> {
    leases: &'a Leases,
    rights: Rights<'a>,
}

impl Keys<'_> {
    fn allow(self, is_allowed: impl FnOnce(&Permitted) -> bool) -> Result<(), Rejection> {
        match self.rights {
            Rights::Everything => Ok(()),
            Rights::Ranges(permitted) if is_allowed(permitted) => Ok(()),
            Rights::Ranges(_) => Err(Rejection::PermissionDenied),
        }
    }

    fn read(self, span: Span<'_>) -> Result<(), Rejection> {
        self.allow(|permitted| permitted.read.contain(span))
    }

    fn write(self, span: Span<'_>) -> Result<(), Rejection> {
        self.allow(|permitted| permitted.write.contain(span))
    }

    fn write_lease(self, id: LeaseId) -> Result<(), Rejection> {
        let lease = self.leases.get(id);
        self.allow(|permitted| lease.is_none_or(|lease| permitted.write.contain_keys(lease)))
    }

    fn read_lease(self, id: LeaseId) -> Result<(), Rejection> {
        let lease = self.leases.get(id);
        self.allow(|permitted| lease.is_none_or(|lease| permitted.read.contain_keys(lease)))
    }

    /// Whoever attaches a key to a lease decides how long the lease's other keys live, and could
    /// not revoke it without writing them. Keeping the old value or lease needs nothing more;
    /// seeing the old value does (CVE-2026-44283).
    fn put(self, request: &PutRequest) -> Result<(), Rejection> {
        let key = Span::single(&request.key);
        self.write(key)?;
        if request.lease != 0 {
            self.write_lease(LeaseId(request.lease))?;
        }
        if request.prev_kv { self.read(key) } else { Ok(()) }
    }

    fn delete_range(self, request: &DeleteRangeRequest) -> Result<(), Rejection> {
        let keys = Span::of(&request.key, &request.range_end);
        self.write(keys)?;
        if request.prev_kv { self.read(keys) } else { Ok(()) }
    }

    /// Both branches, whichever is taken: which one it is would tell what the compares saw. The
    /// depth of the recursion is that of the request, which its decoder bounds.
    fn txn(self, request: &TxnRequest) -> Result<(), Rejection> {
        for compare in &request.compare {
            self.read(Span::of(&compare.key, &compare.range_end))?;
        }
        let mut operations = request.success.iter().chain(&request.failure);
        operations.try_for_each(|operation| self.operation(operation))
    }

    fn operation(self, operation: &RequestOp) -> Result<(), Rejection> {
        match &operation.request {
            Some(Request::RequestRange(request)) => self.read(Span::of(&request.key, &request.range_end)),
            Some(Request::RequestPut(request)) => self.put(request),
            Some(Request::RequestDeleteRange(request)) => self.delete_range(request),
            Some(Request::RequestTxn(request)) => self.txn(request),
            None => Ok(()),
        }
    }
}
