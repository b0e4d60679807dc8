//! The two ends of the clock: effects of applied commands come in, commands to propose go out.

use proto::etcdserverpb::{InternalRaftRequest, LeaseCheckpoint, LeaseCheckpointRequest};
use proto::quoratepb::LeaseExpire;

use super::{Checkpoint, Expired, LeaseClock, Millis, Reset};
use crate::{Effect, Machine};

impl LeaseClock {
    /// Takes over the leases of a machine that was just opened.
    pub fn load(&mut self, machine: &Machine, now: Millis) {
        for (id, lease) in machine.leases() {
            self.granted(id, lease.ttl_seconds, lease.remaining_seconds, lease.epoch, now);
        }
    }

    /// Keeps up with an applied command. Effects that are not about leases are passed over.
    pub fn follow(&mut self, effect: &Effect, now: Millis) {
        match *effect {
            Effect::LeaseGranted { id, ttl_seconds, epoch } => {
                self.granted(id, ttl_seconds, None, epoch, now)
            }
            Effect::LeaseAdopted { id, ttl_seconds, remaining_seconds, epoch } => {
                self.granted(id, ttl_seconds, remaining_seconds, epoch, now);
            }
            Effect::LeaseRevoked { id } => self.revoked(id),
            Effect::LeaseCheckpointed { id, remaining_seconds, epoch } => {
                self.checkpointed(id, remaining_seconds, epoch, now);
            }
            Effect::AlarmsChanged
            | Effect::MembersChanged
            | Effect::ClusterVersionChanged
            | Effect::MemberRemoved { .. }
            | Effect::AuthChanged { .. }
            | Effect::Authenticated { .. }
            | Effect::UserTokensInvalid { .. }
            | Effect::AllTokensInvalid
            | Effect::FollowChanged
            | Effect::FollowLoaded
            | Effect::Compacted { .. } => {}
        }
    }
}

impl Expired {
    /// The command to propose, in the term that it names and without forwarding it.
    #[must_use]
    pub fn command(&self) -> InternalRaftRequest {
        let expire = LeaseExpire { id: self.id.0, term: self.term, renew_epoch: self.epoch.0 };
        InternalRaftRequest { lease_expire: Some(expire.into()), ..InternalRaftRequest::default() }
    }
}

impl Reset {
    /// Returns what says that the lease was renewed: it resets what an earlier checkpoint recorded.
    #[must_use]
    pub const fn checkpoint(&self) -> Checkpoint {
        Checkpoint { id: self.id, remaining_seconds: 0 }
    }
}

impl Checkpoint {
    /// One command for many checkpoints.
    #[must_use]
    pub fn command(checkpoints: &[Self]) -> InternalRaftRequest {
        let checkpoints = checkpoints
            .iter()
            .map(|checkpoint| LeaseCheckpoint {
                id: checkpoint.id.0,
                remaining_ttl: checkpoint.remaining_seconds,
            })
            .collect();
        let request = LeaseCheckpointRequest { checkpoints };
        InternalRaftRequest { lease_checkpoint: Some(request.into()), ..InternalRaftRequest::default() }
    }
}
