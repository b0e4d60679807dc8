//! Proposing what the lease clock finds due.

use std::sync::Arc;

use machine::lease_clock::{Checkpoint, Due, Expired};
use proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest};
use proto::quoratepb::LeaseExpire;
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::engine::command::Field;
use crate::spawn;

/// Expiries in flight: a mass expiry must not crowd out clients (etcd: 16).
const IN_FLIGHT_MAX: usize = 16;

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    loop {
        let Due { expired, checkpoints } = api.lessor.due().await;
        if !checkpoints.is_empty() {
            checkpoint(&api, checkpoints).await;
        }
        for lease in expired {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let api = api.clone();
            spawn::task("lease expiry", async move {
                expire(&api, lease).await;
                drop(slot);
            });
        }
    }
}

async fn expire(api: &Api, lease: Expired) {
    let command = LeaseExpire { id: lease.id.0, term: lease.term, renew_epoch: lease.epoch.0 };
    // Refused when it was renewed or revoked meanwhile; not answered when leadership moves. Both are as they should be,
    // and a lease that is still there is handed out again.
    if let Err(status) = api.propose_as_leader(Field::LeaseExpire, &command).await {
        tracing::debug!(lease = lease.id.0, status = %status, "lease expiry was not applied");
    }
}

async fn checkpoint(api: &Api, due: Vec<Checkpoint>) {
    let checkpoints = due
        .into_iter()
        .map(|due| LeaseCheckpoint { id: due.id.0, remaining_ttl: due.remaining_seconds })
        .collect();
    let request = LeaseCheckpointRequest { checkpoints };
    if let Err(status) = api.propose_as_leader(Field::LeaseCheckpoint, &request).await {
        tracing::debug!(status = %status, "remaining lease times were not recorded");
    }
}
