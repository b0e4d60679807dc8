//! Granting, revoking, asking.

use std::time::Duration;

use bytes::Bytes;
use proto::etcdserverpb as pb;

use crate::call::{Attached, awaited};
use crate::kv::Header;
use crate::number::LeaseId;

/// A lease that is to be granted. Nothing keeps it alive: see [`Client::lease`](crate::Client::lease).
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// let lease = client.lease_grant(Duration::from_secs(30)).await?;
/// client.put("k", "v").lease(lease.id).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Grant<S = Attached> {
    pub(crate) state: S,
    pub(crate) message: pb::LeaseGrantRequest,
}

impl<S> Grant<S> {
    /// Sets the id. Without it, the server chooses one.
    pub fn id(mut self, id: impl Into<LeaseId>) -> Self {
        self.message.id = id.into().0;
        self
    }
}

/// A lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// Who answered, and when.
    pub header: Header,
    /// The lease.
    pub id: LeaseId,
    /// How long it lives without being renewed: at least what was asked for.
    pub ttl: Duration,
}

impl From<pb::LeaseGrantResponse> for Granted {
    fn from(answer: pb::LeaseGrantResponse) -> Granted {
        Granted {
            header: answer.header.into(),
            id: LeaseId(answer.id),
            ttl: seconds(answer.ttl).unwrap_or_default(),
        }
    }
}

/// The end of a lease: what is attached to it is deleted.
#[derive(Debug, Clone)]
#[must_use]
pub struct Revoke<S = Attached> {
    pub(crate) state: S,
    pub(crate) message: pb::LeaseRevokeRequest,
}

/// The answer to a [`Revoke`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevokeAnswer {
    /// Who answered, and when.
    pub header: Header,
}

impl From<pb::LeaseRevokeResponse> for RevokeAnswer {
    fn from(answer: pb::LeaseRevokeResponse) -> RevokeAnswer {
        RevokeAnswer { header: answer.header.into() }
    }
}

/// A question about a lease.
#[derive(Debug, Clone)]
#[must_use]
pub struct TimeToLive<S = Attached> {
    pub(crate) state: S,
    pub(crate) message: pb::LeaseTimeToLiveRequest,
}

impl<S> TimeToLive<S> {
    /// Asks for the keys that are attached to it.
    pub fn keys(mut self) -> Self {
        self.message.keys = true;
        self
    }
}

/// The answer to a [`TimeToLive`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeToLiveAnswer {
    /// Who answered, and when.
    pub header: Header,
    /// The lease.
    pub id: LeaseId,
    /// What is left of it; `None` if there is no such lease.
    pub remaining: Option<Duration>,
    /// How long it lives when it is renewed.
    pub granted: Duration,
    /// The keys that are attached to it, if they were asked for.
    pub keys: Vec<Bytes>,
}

impl From<pb::LeaseTimeToLiveResponse> for TimeToLiveAnswer {
    fn from(answer: pb::LeaseTimeToLiveResponse) -> TimeToLiveAnswer {
        TimeToLiveAnswer {
            header: answer.header.into(),
            id: LeaseId(answer.id),
            remaining: seconds(answer.ttl),
            granted: seconds(answer.granted_ttl).unwrap_or_default(),
            keys: answer.keys,
        }
    }
}

/// A question for all leases.
#[derive(Debug, Clone)]
#[must_use]
pub struct Leases<S = Attached> {
    pub(crate) state: S,
    pub(crate) message: pb::LeaseLeasesRequest,
}

/// The answer to [`Leases`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeasesAnswer {
    /// Who answered, and when.
    pub header: Header,
    /// All leases.
    pub ids: Vec<LeaseId>,
}

impl From<pb::LeaseLeasesResponse> for LeasesAnswer {
    fn from(answer: pb::LeaseLeasesResponse) -> LeasesAnswer {
        let ids = answer.leases.iter().map(|lease| LeaseId(lease.id)).collect();
        LeasesAnswer { header: answer.header.into(), ids }
    }
}

/// Returns seconds as a time; `None` for less than none.
fn seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Returns a time in whole seconds, at least one: leases know no smaller ones.
fn whole_seconds(time: Duration) -> i64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(seconds.max(1)).unwrap_or(i64::MAX)
}

impl crate::Client {
    /// Grants a lease, and leaves it to the caller to renew it. Times are rounded up to whole seconds. See [`Grant`].
    pub fn lease_grant(&self, ttl: Duration) -> Grant {
        Grant {
            state: Attached::new(self),
            message: pb::LeaseGrantRequest { ttl: whole_seconds(ttl), id: 0 },
        }
    }

    /// Revokes a lease. See [`Revoke`].
    pub fn lease_revoke(&self, id: impl Into<LeaseId>) -> Revoke {
        Revoke { state: Attached::new(self), message: pb::LeaseRevokeRequest { id: id.into().0 } }
    }

    /// Asks what is left of a lease. See [`TimeToLive`].
    pub fn lease_time_to_live(&self, id: impl Into<LeaseId>) -> TimeToLive {
        let message = pb::LeaseTimeToLiveRequest { id: id.into().0, keys: false };
        TimeToLive { state: Attached::new(self), message }
    }

    /// Asks for all leases. See [`Leases`].
    pub fn leases(&self) -> Leases {
        Leases { state: Attached::new(self), message: pb::LeaseLeasesRequest {} }
    }
}

awaited!(Grant => Granted, lease_stub.lease_grant);
awaited!(Revoke => RevokeAnswer, lease_stub.lease_revoke);
awaited!(TimeToLive => TimeToLiveAnswer, lease_stub.lease_time_to_live);
awaited!(Leases => LeasesAnswer, lease_stub.lease_leases);
