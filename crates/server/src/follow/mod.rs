//! Following another cluster: what the leader does so that everything goes through the log.
//!
//! ```text
//!  source ──snapshot──► file ──► versions, leases, users ─┐
//!     ├─────watch────► revisions ─────────────────────────┼─► commands, proposed as the leader ─► machine::follow
//!     ├─────leases, users, compaction: asked every so often┘
//!     └─────revision: how far behind this cluster is
//! ```
//!
//! A thread of its own with a runtime of its own, on every member that was started with `--follow-endpoints`; it works while
//! its member leads. It keeps nothing that another leader would miss: where to go on is the revision of the state. Whatever
//! goes wrong with the source is a *fault* that is shown and tried again after a pause; what contradicts the state stops the follow for
//! good, and that is decided when a command is applied.
//!
//! It is a client like any other, and knows the state machine by its commands.

mod batch;
mod cut_over;
mod fault;
mod handle;
mod load;
mod polls;
mod session;
mod settings;
mod snapshot;
mod source;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub(crate) use self::cut_over::Order;
use self::fault::Fault;
pub(crate) use self::handle::{Handle, Orders};
use self::session::Session;

pub use self::settings::FollowSettings;
use crate::api::Api;

/// Pause before a source that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often a member looks whether it leads.
const LEAD_INTERVAL: Duration = Duration::from_millis(100);

/// Runs on a thread of its own, until the member stops.
pub(crate) fn run(
    api: Arc<Api>,
    settings: FollowSettings,
    orders: Orders,
    mut stopped: watch::Receiver<bool>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(error = %error, "nothing is followed: no runtime for it"),
    };
    runtime.block_on(async {
        tokio::select! {
            () = follow(&api, &settings, orders) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
    runtime.shutdown_background();
}

async fn follow(api: &Arc<Api>, settings: &FollowSettings, mut orders: Orders) {
    loop {
        if api.status.follow().is_some_and(|follow| follow.takes_writes()) {
            api.follow.ended();
            return;
        }
        if !api.leads() {
            api.follow.forget();
            tokio::time::sleep(LEAD_INTERVAL).await;
            continue;
        }
        let fault = match Session::begin(api, settings).await {
            Ok(session) => session.run(&mut orders).await,
            Err(fault) => fault,
        };
        let pause = match &fault {
            // Over: the next round says why.
            Fault::Compacted | Fault::Over => continue,
            Fault::NotLeading => LEAD_INTERVAL,
            Fault::Source(what) => {
                if api.follow.failed(what) {
                    tracing::warn!(fault = what, "the source cannot be followed at the moment");
                }
                RETRY
            }
        };
        refuse(&mut orders, &fault);
        tokio::time::sleep(pause).await;
    }
}

/// Refuses the cut-overs that were asked for: whoever asked does not wait for a source that fails.
fn refuse(orders: &mut Orders, fault: &Fault) {
    while let Ok(Order { answer, .. }) = orders.try_recv() {
        let _ = answer.send(Err(fault.to_string()));
    }
}
