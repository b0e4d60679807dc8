//! Backups by the clock, on a thread of their own, by the member that leads.
//!
//! The thread looks once a second what is due. What it does may take as long as a store takes to
//! answer; it holds up nothing else, and when the member stops it is interrupted. A store that
//! cannot be used is no reason for a member not to serve: it is a line in the log and a metric.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archive::name::Millis;
use archive::{Event, Keeper, Reign, Settings, Source, Stop};
use backup::Frozen;
use engine::event::ApplyEvent;
use engine::{priority, spawn};
use mvcc::View;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::api::Api;
use crate::config::Backups;
use crate::metrics::{self, Metrics};
use crate::version;

/// Time between two looks at what is due.
const TURN: Duration = Duration::from_secs(1);

/// How long the state is waited for.
const FREEZE_TIME_MAX: Duration = Duration::from_secs(30);

/// Backups that are made. Dropped, they end.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    thread: Thread,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.thread.unpark();
    }
}

/// Begins to make backups whenever this member leads.
pub(crate) fn start(api: Arc<Api>, backups: Backups) -> Option<Running> {
    let (stop, stopped) = Stop::new();
    let run = move || {
        priority::yield_often();
        let metrics = api.metrics.clone();
        run(api, &backups, &stopped, metrics.of_backups());
    };
    match spawn::thread("backups", run) {
        Ok(handle) => Some(Running { stop, thread: handle.thread().clone() }),
        Err(error) => {
            tracing::error!(error = %error, "cannot start the thread of backups; none are made");
            None
        }
    }
}

fn run(api: Arc<Api>, backups: &Backups, stop: &Stop, metrics: &metrics::Backups) {
    let settings = Settings {
        cluster: api.cluster_id,
        member: api.member_id,
        version: version::QUORATE.to_owned(),
        interval: backups.interval,
        piece_interval: backups.piece_interval,
        keep: backups.keep,
        spool_dir: api.settings.spool_dir.clone(),
    };
    let store = backups.to.open(&backups.s3, stop.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (store, runtime) = match (store, runtime) {
        (Ok(store), Ok(runtime)) => (store, runtime),
        (Err(error), _) => {
            metrics.failures.inc();
            return tracing::error!(error = %error, "backups cannot be made; after a change, start the member again");
        }
        (_, Err(error)) => return tracing::error!(error = %error, "cannot start the runtime of backups"),
    };
    tracing::info!(to = store.place(), "backups are made by the member that leads");
    let mut keeper = Keeper::new(Member { api, runtime }, store, settings);
    while !stop.is_asked() {
        let is_active = keeper.turn(now(), &mut |event| note(metrics, event));
        metrics.active.set(i64::from(is_active));
        let last = metrics.last_full_timestamp.get();
        let age = if is_active && last > 0 { (now() / 1000) as i64 - last } else { 0 };
        metrics.last_full_age.set(age.max(0));
        thread::park_timeout(TURN);
    }
}

/// The wall clock.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn note(metrics: &metrics::Backups, event: Event) {
    match event {
        Event::Began { after, full_time } => {
            metrics.last_full_timestamp.set((full_time / 1000) as i64);
            tracing::info!(after, "this member makes the backups now");
        }
        Event::Full { name, revision, bytes, time, took } => {
            metrics.fulls.inc();
            metrics.last_full_timestamp.set((time / 1000) as i64);
            metrics.last_full_size.set(bytes as i64);
            metrics.last_full_revision.set(revision);
            metrics.shipped_revision.set(revision);
            metrics.full_duration.observe(took);
            tracing::info!(name, revision, bytes, took = ?took, "a full backup was made and verified");
        }
        Event::Piece { revision, bytes } => {
            metrics.pieces.inc();
            metrics.piece_bytes.add(bytes);
            metrics.shipped_revision.set(revision);
            tracing::debug!(revision, bytes, "a piece of history was shipped");
        }
        Event::Done { time } => metrics.last_success_timestamp.set((time / 1000) as i64),
        Event::Cut { after } => {
            metrics.cuts.inc();
            tracing::warn!(
                after,
                "compaction took history that was not shipped: revisions from there to the full backup that is made now \
                 cannot be restored"
            );
        }
        Event::Deleted { objects } => {
            metrics.deleted.add(objects);
            tracing::info!(objects, "old backups were deleted");
        }
        Event::Failed { error, pause } => {
            metrics.failures.inc();
            tracing::warn!(error = %error, pause = ?pause, "a backup failed; it is tried again after a pause");
        }
    }
}

/// This member, as the keeper of the archive sees it.
struct Member {
    api: Arc<Api>,
    /// Waits for other threads.
    runtime: Runtime,
}

impl Source for Member {
    fn leads(&self) -> Option<Reign> {
        let shared = &self.api.shared;
        let leads = shared.is_led_by(self.api.member_id) && !shared.is_stopping();
        // Half of another cluster is nothing that anybody should restore.
        let is_whole = self.api.status.follow().is_none_or(|follow| follow.is_readable());
        (leads && is_whole)
            .then(|| Reign { term: shared.term.load(Ordering::Acquire), store: self.api.views.replaced() })
    }

    fn catch_up(&self) -> Result<(), String> {
        let time = self.api.shared.request_timeout;
        let barrier =
            self.runtime.block_on(async { tokio::time::timeout(time, self.api.read_barrier()).await });
        match barrier {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("a quorum does not answer".to_owned()),
        }
    }

    fn freeze(&self) -> Result<Frozen, String> {
        let (answer, answered) = std::sync::mpsc::channel();
        let freeze = self.api.freezer();
        let ask = Box::new(move |machine: &machine::Machine| drop(answer.send(freeze(machine))));
        let _ = self.api.apply.send(ApplyEvent::Ask(ask));
        let frozen = answered.recv_timeout(FREEZE_TIME_MAX);
        frozen.map_err(|_| "the state could not be had in time: the member is busy, or stops".to_owned())
    }

    fn view(&self) -> View {
        self.api.view()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let metrics: &Metrics = &self.api.metrics;
        metrics.of_backups().active.set(0);
    }
}
