//! Proposing what the lease clock finds due.
//!
//! A lease that is due may have been renewed by its client, and the renewal waits on a socket because this process was paused
//! or a worker was busy. So every worker looks at its sockets before the lease is taken for expired.

use std::sync::Arc;
use std::time::Duration;

use engine::author::Author;
use engine::command::{Field, encode_command};
use engine::request::Proposal;
use engine::spawn;
use engine::worker::Worker;
use machine::lease_clock::{Checkpoint, Expired};
use proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest};
use proto::quoratepb::LeaseExpire;
use raft::Term;
use tokio::sync::Semaphore;

use crate::api::Api;

/// Expiries in flight: a mass expiry must not crowd out clients (etcd: 16).
const IN_FLIGHT_MAX: usize = 16;

/// How long the workers may take for their turn. One that is busy for longer does not keep the leases of clients that are gone.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>, workers: Arc<[Arc<Worker>]>) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    loop {
        api.lessor.wait_until_due().await;
        // The source expires its leases, and says so.
        if api.is_following() {
            continue;
        }
        let _ = tokio::time::timeout(TURN_TIME_MAX, serve_waiting(&workers)).await;
        for lease in api.lessor.take_due(|term, due| checkpoint(&api, term, due)) {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let api = api.clone();
            spawn::task("lease expiry", async move {
                expire(&api, lease).await;
                drop(slot);
            });
        }
    }
}

/// Returns when every worker has served what waited on its sockets.
async fn serve_waiting(workers: &[Arc<Worker>]) {
    for worker in workers {
        worker.take_turn().await;
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

/// Proposes what is left of leases. Nobody waits for it: one that is lost makes a lease live longer after a change of
/// leader, never shorter.
fn checkpoint(api: &Api, term: u64, due: Vec<Checkpoint>) {
    let checkpoints = due
        .into_iter()
        .map(|due| LeaseCheckpoint { id: due.id.0, remaining_ttl: due.remaining_seconds })
        .collect();
    let id = api.shared.waiters.anonymous_id();
    let command =
        encode_command(id, &Author::Nobody, Field::LeaseCheckpoint, &LeaseCheckpointRequest { checkpoints });
    api.worker.propose_in_term(Term(term), Proposal { id, command });
}
