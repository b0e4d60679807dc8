//! Watches and permissions (rule V6).
//!
//! A watch is permitted when it is created, and again whenever users or permissions have changed,
//! before it gets anything that was written after that. The hub looks whether they have before each
//! piece of its work, so also before it hands out changes: they were applied after the state that
//! permits or forbids them was published.

use machine::Rejection;
use machine::auth::{Access, AuthState, Identity};
use mvcc::{KeyRange, RangeEnd};
use proto::etcdserverpb::WatchCreateRequest;

use super::hub::Hub;
use super::watcher::WatcherId;
use crate::published::{Generation, Published};

impl Hub {
    /// Cancels the watches that are not permitted any longer, if users or permissions have changed
    /// since the last time.
    pub fn renew_permissions(&mut self, published: &Published) {
        let now = published.generation();
        if self.permitted_in != Some(now) {
            self.check_permissions(&published.state(), now);
        }
    }

    /// Returns whether this is the state in which all watchers were found to be permitted the last time. One that was found
    /// to be permitted in another state must not join them: nobody would look at it before the next change.
    pub fn is_permitted_in(&self, seen: Generation) -> bool {
        self.permitted_in == Some(seen)
    }

    fn check_permissions(&mut self, state: &AuthState, now: Generation) {
        self.permitted_in = Some(now);
        if !now.is_enabled() {
            return;
        }
        let forbidden = |(id, user, range): (WatcherId, Option<&str>, &KeyRange)| {
            let identity = Identity { username: user.unwrap_or_default(), auth_revision: 0 }.renewed(state);
            let refused = state.authorise(identity, Access::Watch(&request_of(range))).err()?;
            Some((id, refused))
        };
        let mut cancelled: Vec<_> = self.watched().filter_map(forbidden).collect();
        cancelled.sort_by_key(|(id, _)| *id);
        for (id, refused) in cancelled {
            self.cancel_failed(id, reason_of(refused));
        }
    }
}

/// Returns the request whose keys are these.
fn request_of(range: &KeyRange) -> WatchCreateRequest {
    let range_end = match &range.end {
        RangeEnd::Single => Default::default(),
        RangeEnd::Open => bytes::Bytes::from_static(&[0]),
        RangeEnd::Before(end) => end.clone(),
    };
    WatchCreateRequest { key: range.start.clone(), range_end, ..Default::default() }
}

/// Returns the reason of a cancellation as etcd's clients look for it: the error of a call, as Go
/// prints it.
pub fn reason_of(rejection: Rejection) -> String {
    let code = match rejection {
        Rejection::InvalidAuthToken => "Unauthenticated",
        Rejection::AuthOldRevision | Rejection::UserEmpty => "InvalidArgument",
        _ => "PermissionDenied",
    };
    let text = match code {
        "PermissionDenied" => Rejection::PermissionDenied.text(),
        _ => rejection.text(),
    };
    format!("rpc error: code = {code} desc = {text}")
}
