//! Leases: what all members agree on about them.
//!
//! A lease is an id, a time to live, and the set of keys that go when it goes. Which key belongs to which lease is
//! written with the key, so the set is derived: built when the machine is opened, and kept up by following every
//! change. When a lease has run out is the leader's knowledge (see [`lease_clock`](crate::lease_clock)); it arrives
//! here as a command.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use mvcc::{Change, Changes, LeaseId, Meta};
use proto::etcdserverpb::{LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest};
use proto::quoratepb::LeaseExpire;

use crate::limits::{LEASE_TTL_SECONDS_MAX, LEASE_TTL_SECONDS_MIN};
use crate::source::Failure;
use crate::{Applied, Body, Effect, Machine, Outcome, Rejection, RenewEpoch, Reply, tables};

/// The time to live that a server grants for what was asked: at least its minimum (etcd: 1.5 election timeouts in
/// seconds, rounded up). The minimum is local configuration, so the server puts the result into the command before it
/// proposes. One that is too large stays so, for the state machine to refuse.
#[must_use]
pub fn effective_ttl(requested_seconds: i64, minimum_seconds: i64) -> i64 {
    requested_seconds.max(minimum_seconds)
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Granted time to live in seconds.
    pub ttl_seconds: i64,
    /// Seconds that were left at the last checkpoint; `None` if it was renewed since, or never checkpointed.
    pub remaining_seconds: Option<i64>,
    /// Which renewal this is. An expiry that names another is void (L1).
    pub epoch: RenewEpoch,
    keys: BTreeSet<Bytes>,
}

impl Lease {
    pub(crate) fn new(ttl_seconds: i64, remaining_seconds: Option<i64>, epoch: RenewEpoch) -> Self {
        Self { ttl_seconds, remaining_seconds, epoch, keys: BTreeSet::new() }
    }

    /// The keys attached, in byte order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.keys.iter()
    }

    /// Returns whether a key lies in an interval, which must not be empty.
    pub(crate) fn has_key_within(&self, start: Bound<&[u8]>, end: &[u8]) -> bool {
        self.keys.range::<[u8], _>((start, Bound::Excluded(end))).next().is_some()
    }

    /// Returns whether a key lies behind that place.
    pub(crate) fn has_key_from(&self, start: Bound<&[u8]>) -> bool {
        self.keys.range::<[u8], _>((start, Bound::Unbounded)).next().is_some()
    }

    pub(crate) fn add_key(&mut self, key: &[u8]) {
        // A copy: a slice of what was replicated would keep all of it in memory.
        self.keys.insert(Bytes::copy_from_slice(key));
    }
}

/// All leases. Invariant: a live key with a lease is in that lease's set, and in no other.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
}

impl Leases {
    pub(crate) fn new(leases: impl IntoIterator<Item = (LeaseId, Lease)>) -> Self {
        Self { by_id: leases.into_iter().collect() }
    }

    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.by_id.get(&id)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (LeaseId, &Lease)> {
        self.by_id.iter().map(|(&id, lease)| (id, lease))
    }

    /// Attaches a key that was found in the store with this lease. Returns whether the lease exists.
    pub(crate) fn attach(&mut self, id: LeaseId, key: &[u8]) -> bool {
        self.by_id.get_mut(&id).map(|lease| lease.add_key(key)).is_some()
    }

    /// Keeps the sets of keys up with what changed. Where no lease is involved, that is two comparisons a change.
    pub(crate) fn follow(&mut self, changes: &Changes) {
        let lease_of = |meta: Option<Meta>| meta.map_or(LeaseId(0), |meta| meta.lease);
        let lease_before = |change: &Change| lease_of(change.before.meta());
        let lease_after = |change: &Change| lease_of(change.after.as_ref().map(|item| item.meta));
        let changes = &changes.changes[..];
        if changes
            .iter()
            .all(|change| lease_before(change) == LeaseId(0) && lease_after(change) == LeaseId(0))
        {
            return;
        }
        // A change says what its key was before the whole transaction. Deleting and putting a key in one transaction
        // is possible (the hole in the duplicate-key rule), so what the transaction itself has made of it comes
        // first.
        let mut within = BTreeMap::new();
        for change in changes {
            let after = lease_after(change);
            let before = within.insert(&change.key, after).unwrap_or(lease_before(change));
            if before != after {
                self.move_key(&change.key, before, after);
            }
        }
    }

    /// Takes over a lease with the keys that are attached to it here.
    pub(crate) fn adopt(&mut self, id: LeaseId, mut lease: Lease) -> &Lease {
        if let Some(old) = self.by_id.remove(&id) {
            lease.keys = old.keys;
        }
        self.by_id.entry(id).or_insert(lease)
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        self.by_id.remove(&id);
    }

    /// No key is attached to any lease any more.
    pub(crate) fn detach_all(&mut self) {
        self.by_id.values_mut().for_each(|lease| lease.keys.clear());
    }

    /// Attaches a key to another lease; 0 is none. The one that it goes to exists.
    pub(crate) fn move_key(&mut self, key: &Bytes, from: LeaseId, to: LeaseId) {
        if let Some(lease) = self.by_id.get_mut(&from) {
            lease.keys.remove(key);
        }
        if to != LeaseId(0) {
            let exists = self.attach(to, key);
            assert!(exists, "a put with lease {to:?} was let through, but there is no such lease");
        }
    }
}

impl Machine {
    /// Grants a lease. Its first renewal epoch is the index of this command.
    pub(crate) fn lease_grant(
        &mut self,
        applied: Applied,
        request: &LeaseGrantRequest,
    ) -> Result<Outcome, Failure> {
        let id = LeaseId(request.id);
        // The server picks an id before it proposes; etcd answers so if it did not.
        if request.id == 0 {
            return Err(Rejection::LeaseNotFound.into());
        }
        if request.ttl > LEASE_TTL_SECONDS_MAX {
            return Err(Rejection::LeaseTtlTooLarge.into());
        }
        if self.leases.contains(id) {
            return Err(Rejection::LeaseExists.into());
        }
        let epoch = RenewEpoch(applied.index);
        let lease = Lease::new(request.ttl.max(LEASE_TTL_SECONDS_MIN), None, epoch);
        let ttl_seconds = lease.ttl_seconds;
        tables::put_lease(&mut self.store, id, &lease);
        self.leases.by_id.insert(id, lease);
        let mut body = Body::empty();
        body.int64(2, id.0);
        body.int64(3, ttl_seconds);
        let reply = Reply { revision: self.store.revision(), body };
        Ok(Outcome::replied(reply).with_effect(Effect::LeaseGranted { id, ttl_seconds, epoch }))
    }

    /// Revokes a lease because somebody asked for it.
    pub(crate) fn lease_revoke(&mut self, request: &LeaseRevokeRequest) -> Result<Outcome, Failure> {
        self.end_lease(LeaseId(request.id))
    }

    /// Revokes a lease because the leader saw it run out: only if the leader still led when the command entered the
    /// log, and nobody renewed the lease since (L1).
    pub(crate) fn lease_expire(
        &mut self,
        applied: Applied,
        request: &LeaseExpire,
    ) -> Result<Outcome, Failure> {
        let id = LeaseId(request.id);
        let lease = self.leases.get(id).ok_or(Rejection::LeaseNotFound)?;
        if request.term != applied.term || request.renew_epoch != lease.epoch.0 {
            return Err(Rejection::LeaseExpiryVoid.into());
        }
        self.end_lease(id)
    }

    /// Deletes the lease and, in byte order and one revision, its keys.
    fn end_lease(&mut self, id: LeaseId) -> Result<Outcome, Failure> {
        if !self.leases.contains(id) {
            return Err(Rejection::LeaseNotFound.into());
        }
        let mut txn = self.store.txn();
        let lease = self.leases.by_id.get(&id).expect("looked at above");
        let deleted = txn.delete_keys(lease.keys.iter().cloned());
        let attached = lease.keys.len();
        assert!(deleted == attached, "of {attached} keys attached to lease {id:?} {deleted} exist");
        let changes = txn.commit();
        self.leases.by_id.remove(&id);
        tables::delete_lease(&mut self.store, id);
        let reply = Reply { revision: self.store.revision(), body: Body::empty() };
        Ok(Outcome::changed(reply, changes).with_effect(Effect::LeaseRevoked { id }))
    }

    /// Records what is left of leases, so that it survives a change of leader (L3). 0 says that the lease was
    /// renewed: a renewal that all members know, hence a new epoch. Leases gone meanwhile are passed over.
    pub(crate) fn lease_checkpoint(
        &mut self,
        applied: Applied,
        request: &LeaseCheckpointRequest,
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::replied(Reply { revision: self.store.revision(), body: Body::empty() });
        for checkpoint in &request.checkpoints {
            let id = LeaseId(checkpoint.id);
            let Some(lease) = self.leases.by_id.get_mut(&id) else { continue };
            let remaining_seconds = (checkpoint.remaining_ttl > 0).then_some(checkpoint.remaining_ttl);
            lease.remaining_seconds = remaining_seconds;
            if remaining_seconds.is_none() {
                lease.epoch = RenewEpoch(applied.index);
            }
            let epoch = lease.epoch;
            tables::put_lease(&mut self.store, id, lease);
            outcome.effects.push(Effect::LeaseCheckpointed { id, remaining_seconds, epoch });
        }
        Ok(outcome)
    }
}
