//! The lease clock and the time: what the pure [`LeaseClock`] does not have.
//!
//! The apply thread reports grants and revocations, the consensus thread leadership, keepalives renew; the expiry task
//! scans twice a second, as etcd does, and proposes what has come due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::lease_clock::{
    Checkpoint, Expired, LeaseClock, LeaseClockOptions, Millis, RenewError, Renewed, Reset, TimeToLive,
};
use machine::{Effect, Machine};
use metrics::Metrics;
use mvcc::LeaseId;
use parking_lot::Mutex;
use raft::Term;
use tokio::sync::Notify;

/// How often expired leases are looked for.
const SCAN_INTERVAL: Duration = Duration::from_millis(500);

/// The leases' times on this member.
pub struct Lessor {
    clock: Mutex<LeaseClock>,
    started: Instant,
    /// Something was revoked or reset, or leadership moved: whoever waits for an expiry to be decided looks again.
    changed: Notify,
    metrics: Arc<Metrics>,
}

impl Lessor {
    /// A lessor that knows no leases yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            clock: Mutex::new(LeaseClock::new(LeaseClockOptions::default())),
            started: Instant::now(),
            changed: Notify::new(),
            metrics,
        }
    }

    fn now(&self) -> Millis {
        Millis(self.started.elapsed().as_millis() as u64)
    }

    /// Takes over the leases of a machine that was just opened, and forgets all others: at the start, and when a snapshot
    /// from the leader has replaced the state. In both cases this member does not lead.
    pub fn load(&self, machine: &Machine) {
        let mut clock = LeaseClock::new(LeaseClockOptions::default());
        clock.load(machine, self.now());
        *self.clock.lock() = clock;
        self.changed.notify_waiters();
    }

    /// Follows what applying a command did.
    pub fn follow(&self, effect: &Effect) {
        self.clock.lock().follow(effect, self.now());
        // A reset may make an expiry void.
        let decides = matches!(
            effect,
            Effect::LeaseRevoked { .. } | Effect::LeaseCheckpointed { remaining_seconds: None, .. }
        );
        if decides {
            self.changed.notify_waiters();
        }
    }

    /// An entry of this term was applied, and what it did has been [followed](Self::follow).
    pub fn applied(&self, term: Term) {
        self.clock.lock().applied(term.0);
    }

    /// This member leads now.
    pub fn promote(&self, term: u64, election_timeout: Duration) {
        self.clock.lock().promoted(term, election_timeout.as_millis() as u64, self.now());
        self.changed.notify_waiters();
    }

    /// This member does not lead any more.
    pub fn demote(&self) {
        self.clock.lock().demoted();
        self.changed.notify_waiters();
    }

    /// Renews a lease; waits while its expiry is being decided. The caller confirms leadership before it promises anything
    /// (rule L2).
    pub async fn renew(&self, id: LeaseId) -> Result<Renewed, RenewError> {
        loop {
            let changed = self.changed.notified();
            let renewed = self.clock.lock().renew(id, self.now());
            match renewed {
                Err(RenewError::Expiring) => changed.await,
                other => return other,
            }
        }
    }

    /// A reset that a renewal has asked for was applied.
    pub fn reset_applied(&self, reset: Reset) {
        self.clock.lock().reset_applied(reset);
    }

    /// What is left of a lease.
    pub fn time_to_live(&self, id: LeaseId) -> Option<TimeToLive> {
        self.clock.lock().time_to_live(id, self.now())
    }

    /// Ids of all leases, by expiry.
    pub fn leases(&self) -> Vec<LeaseId> {
        self.clock.lock().leases()
    }

    /// Returns when something has come due.
    pub async fn wait_until_due(&self) {
        loop {
            tokio::time::sleep(SCAN_INTERVAL).await;
            if self.clock.lock().next_due().is_some_and(|due| due <= self.now()) {
                return;
            }
        }
    }

    /// Takes what is due: has the checkpoints among it proposed, in the term in which this member leads, and returns the
    /// leases that have expired. From then on renewals of these leases wait until their expiry is decided.
    ///
    /// Whoever renews a lease after the scan may propose a reset, on another thread: the log must have it after the
    /// checkpoint. So `propose` is called under the lock, and must not return before consensus has the command in its queue.
    pub fn take_due(&self, propose: impl FnOnce(u64, Vec<Checkpoint>)) -> Vec<Expired> {
        let mut clock = self.clock.lock();
        let due = clock.scan(self.now());
        if let Some(term) = clock.term()
            && !due.checkpoints.is_empty()
        {
            propose(term, due.checkpoints);
        }
        self.metrics.server.lease_expired.add(due.expired.len() as u64);
        due.expired
    }
}

#[cfg(test)]
mod tests {
    use machine::lease_clock::RenewEpoch;

    use super::*;
    use metrics::MetricsDetail;

    const ID: LeaseId = LeaseId(7);
    const TTL: i64 = 600;

    /// What the member applies after its election may be what its predecessor promised.
    #[tokio::test]
    async fn a_renewal_waits_for_the_expiry_to_be_decided_and_a_reset_decides_it() {
        let lessor = Arc::new(Lessor::new(Arc::new(Metrics::new(MetricsDetail::Basic, Vec::new()))));
        lessor.follow(&Effect::LeaseGranted { id: ID, ttl_seconds: TTL, epoch: RenewEpoch(1) });
        let checkpointed = |remaining_seconds, epoch| Effect::LeaseCheckpointed {
            id: ID,
            remaining_seconds,
            epoch: RenewEpoch(epoch),
        };
        lessor.follow(&checkpointed(Some(0), 1));
        lessor.promote(5, Duration::ZERO);
        assert_eq!(lessor.take_due(|_, _| ()).len(), 1);
        let renewed = {
            let lessor = lessor.clone();
            tokio::spawn(async move { lessor.renew(ID).await })
        };
        tokio::task::yield_now().await;
        assert!(!renewed.is_finished());
        lessor.follow(&checkpointed(None, 2));
        assert_eq!(renewed.await.unwrap().map(|renewed| renewed.ttl_seconds), Ok(TTL));
    }
}
