//! Leases of the source. They are not in its history, so the leader asks for them, and learns of them later than of the
//! keys that are attached to them.

use mvcc::LeaseId;
use proto::quoratepb::FollowLeases;

use crate::lease::Lease;
use crate::limits::{LEASE_TTL_SECONDS_MAX, LEASE_TTL_SECONDS_MIN};
use crate::source::Failure;
use crate::{Applied, Effect, Machine, Outcome, RenewEpoch, tables};

impl Machine {
    /// Makes the lease that a key is attached to, if it is not here yet. Nothing is known of it, so it lives for as long as there
    /// is: as in etcd, where a key outlives a lease that is missing.
    pub(super) fn provide_lease(&mut self, applied: Applied, id: LeaseId, effects: &mut Vec<Effect>) {
        if id != LeaseId(0) && !self.leases.contains(id) {
            effects.push(self.adopt_lease(applied, id, LEASE_TTL_SECONDS_MAX, None));
        }
    }

    /// Takes over what the source says of its leases.
    pub(crate) fn follow_leases(
        &mut self,
        applied: Applied,
        request: &FollowLeases,
    ) -> Result<Outcome, Failure> {
        self.followed(request.load)?;
        let mut outcome = self.nothing_done();
        for lease in &request.leases {
            let is_possible = (LEASE_TTL_SECONDS_MIN..=LEASE_TTL_SECONDS_MAX).contains(&lease.ttl);
            if lease.id != 0 && is_possible {
                let remaining = Some(lease.remaining).filter(|left| *left > 0 && *left < lease.ttl);
                outcome.effects.push(self.adopt_lease(applied, LeaseId(lease.id), lease.ttl, remaining));
            }
        }
        for id in request.gone.iter().copied().map(LeaseId) {
            match self.leases.get(id) {
                Some(lease) if lease.keys().len() == 0 => {
                    self.leases.remove(id);
                    tables::delete_lease(&mut self.store, id);
                    outcome.effects.push(Effect::LeaseRevoked { id });
                }
                // Its keys have yet to go, or never will.
                Some(_) | None => {}
            }
        }
        Ok(outcome)
    }

    fn adopt_lease(
        &mut self,
        applied: Applied,
        id: LeaseId,
        ttl_seconds: i64,
        remaining_seconds: Option<i64>,
    ) -> Effect {
        let epoch = RenewEpoch(applied.index);
        let lease = self.leases.adopt(id, Lease::new(ttl_seconds, remaining_seconds, epoch));
        tables::put_lease(&mut self.store, id, lease);
        Effect::LeaseAdopted { id, ttl_seconds, remaining_seconds, epoch }
    }
}
