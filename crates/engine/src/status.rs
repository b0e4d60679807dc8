//! What the member says of itself and of its cluster, kept up by the apply thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use machine::follow::Follow;
use parking_lot::RwLock;
use proto::etcdserverpb::AlarmMember;
use proto::membershippb::Member;

use crate::release::Release;

/// Replicated facts that are read far more often than they change.
#[derive(Debug, Default)]
pub struct EngineStatus {
    own_id: u64,
    /// The storage version of this release, as `X.Y.Z`.
    storage_version: &'static str,
    is_learner: AtomicBool,
    members: RwLock<Arc<[Member]>>,
    alarms: RwLock<Arc<[AlarmMember]>>,
    cluster_version: RwLock<Option<String>>,
    downgrade_target: RwLock<Option<String>>,
    follow: RwLock<Option<Arc<Follow>>>,
    /// Bytes of the versions in the store.
    pub db_bytes: AtomicU64,
}

impl EngineStatus {
    /// Returns what the member with this id, of a release with this storage version, says of itself: nothing yet.
    pub fn of(own_id: u64, storage_version: &'static str) -> Self {
        Self { own_id, storage_version, ..Self::default() }
    }

    /// Whether this is the member's own id.
    pub fn is_own(&self, id: u64) -> bool {
        self.own_id == id
    }

    /// Whether this member has no vote.
    pub fn is_learner(&self) -> bool {
        self.is_learner.load(Ordering::Relaxed)
    }

    /// Members by id, ascending.
    pub fn members(&self) -> Arc<[Member]> {
        self.members.read().clone()
    }

    /// Active alarms.
    pub fn alarms(&self) -> Arc<[AlarmMember]> {
        self.alarms.read().clone()
    }

    /// Cluster version as `X.Y.Z`; `None` before the leader has set it.
    pub fn cluster_version(&self) -> Option<String> {
        self.cluster_version.read().clone()
    }

    /// Version, as `X.Y.Z`, for which a downgrade that is under way makes the cluster ready.
    pub fn downgrade_target(&self) -> Option<String> {
        self.downgrade_target.read().clone()
    }

    /// Storage version as `X.Y.Z`: this server's, or the cluster's if that is lower.
    pub fn storage_version(&self) -> String {
        let own = Release::parse(self.storage_version);
        let lower = self.cluster_version().filter(|cluster| Release::parse(cluster) < own);
        lower.unwrap_or_else(|| self.storage_version.to_owned())
    }

    /// Id of this member.
    pub fn own_id(&self) -> u64 {
        self.own_id
    }

    /// How far another cluster is followed; `None`: that never began.
    pub fn follow(&self) -> Option<Arc<Follow>> {
        self.follow.read().clone()
    }

    /// Takes over what the machine has.
    pub fn refresh(&self, machine: &machine::Machine) {
        let is_learner = machine.member(self.own_id).is_some_and(machine::member_change::is_learner);
        self.is_learner.store(is_learner, Ordering::Relaxed);
        *self.members.write() = machine.members().cloned().collect();
        *self.alarms.write() = machine.alarms().collect();
        *self.cluster_version.write() = machine.cluster_version().map(str::to_owned);
        *self.follow.write() = machine.follow().cloned().map(Arc::new);
        *self.downgrade_target.write() = machine.downgrade_target().map(str::to_owned);
    }

    /// Bytes of the versions in the store, as quota and `Status` see them: never 0, which etcdctl divides by.
    pub fn db_size(&self) -> u64 {
        self.db_bytes.load(Ordering::Relaxed).max(1)
    }
}
