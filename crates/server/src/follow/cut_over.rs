//! Cutting over: from when the source is kept from changing until this cluster takes writes.
//!
//! 1. The source is fenced: its NOSPACE alarm is raised, so it refuses puts.
//! 2. Until the two are at the same revision: wait, and read leases and users once more.
//! 3. Both are hashed at that revision. If the hashes differ, the follow stops.
//! 4. If the source is still at that revision, the follow ends: a command that is void if the state is at another one by then.
//!
//! Up to 4 it can be called off, and is, when whoever asked for it goes away or has waited long enough. Then the source is
//! written to as before.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use engine::command::Field;
use proto::quorate_v1::{CutoverResponse, Fence};
use proto::quoratepb::{FollowPhase, FollowTurn};
use tokio::sync::oneshot;

use super::session::Session;
use super::{Fault, Orders};

/// How long the two may take to be equal, unless the caller says.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause before it is looked again whether they are.
const PAUSE: Duration = Duration::from_millis(20);

/// A cut-over that is asked for.
pub(crate) struct Order {
    /// How long it may take; `None`: as long as is usual.
    pub(crate) patience: Option<Duration>,
    /// How the source is kept from changing.
    pub(crate) fence: Fence,
    /// What came of it.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What came of a cut-over: an error says why it was called off.
pub(crate) type Answer = Result<CutoverResponse, String>;

/// How one attempt ended.
enum Attempt {
    /// The source, or this cluster, went on meanwhile.
    Again,
    Done(CutoverResponse),
    /// They are at the same revision and are not the same.
    Differs(String),
}

impl Session {
    /// Serves orders for as long as the session goes on.
    pub(super) async fn serve(&self, orders: &mut Orders) -> Result<Infallible, Fault> {
        loop {
            let Some(order) = orders.recv().await else { return std::future::pending().await };
            self.cut_over(order).await?;
        }
    }

    async fn cut_over(&self, order: Order) -> Result<(), Fault> {
        let Order { patience, fence, mut answer } = order;
        if answer.is_closed() {
            return Ok(());
        }
        let started = Instant::now();
        tracing::info!(fence = fence.as_str_name(), "cutting over");
        self.turn(FollowPhase::CuttingOver, 0).await?;
        let attempts = async {
            if fence == Fence::Alarm {
                self.source.fence(self.fence_id(), true).await?;
            }
            loop {
                match self.attempt(started).await? {
                    Attempt::Again => tokio::time::sleep(PAUSE).await,
                    ended => return Ok::<Attempt, Fault>(ended),
                }
            }
        };
        let ended = tokio::select! {
            ended = attempts => ended,
            () = tokio::time::sleep(patience.unwrap_or(PATIENCE)) => {
                Err(Fault::Source("the two were not equal in time".to_owned()))
            }
            () = self.api.follow.called_off() => Err(Fault::Source("it was called off".to_owned())),
            () = answer.closed() => Err(Fault::Source("whoever asked for it has gone".to_owned())),
        };
        match ended {
            Ok(Attempt::Done(done)) => {
                tracing::info!(
                    revision = done.revision,
                    "without-writes-ms" = done.without_writes_ms,
                    "this cluster takes writes from here on"
                );
                let _ = answer.send(Ok(done));
                Err(Fault::Over)
            }
            Ok(Attempt::Differs(reason)) => {
                let stop = FollowTurn {
                    load: self.load_number(),
                    phase: FollowPhase::Stopped as i32,
                    reason: reason.clone(),
                    at: 0,
                };
                let _ = answer.send(Err(reason));
                let stopped = self.propose(Field::FollowTurn, &stop).await;
                self.source.fence(self.fence_id(), false).await?;
                stopped
            }
            Ok(Attempt::Again) => unreachable!("attempts end with something else"),
            Err(fault) => {
                let why = fault.to_string();
                tracing::warn!(why, "the cut-over is called off");
                let _ = answer.send(Err(why));
                self.call_off().await
            }
        }
    }

    async fn attempt(&self, started: Instant) -> Result<Attempt, Fault> {
        let at = self.source.revision().await?;
        if self.api.view().revision() < at || !self.refresh_compaction().await? {
            return Ok(Attempt::Again);
        }
        self.refresh_all_leases().await?;
        self.refresh_users_if_changed().await?;
        if self.source.revision().await? != at || self.api.view().revision() != at {
            return Ok(Attempt::Again);
        }
        let view = self.api.view();
        let own = tokio::task::spawn_blocking(move || view.hash_kv(None));
        let (theirs, own) = tokio::join!(self.source.hash_kv(), own);
        let theirs = theirs?;
        let own = own.map_err(|error| Fault::Source(error.to_string()))?;
        let Ok(own) = own else { return Ok(Attempt::Again) };
        let is_same_span = (own.hash_revision, theirs.revision) == (at, at)
            && own.compact_revision.max(0) == theirs.compact_revision.max(0);
        if !is_same_span {
            return Ok(Attempt::Again);
        }
        if own.hash != theirs.hash {
            return Ok(Attempt::Differs(format!(
                "HashKV differs at revision {at}: the source has {}, this cluster {}",
                theirs.hash, own.hash
            )));
        }
        if self.source.revision().await? != at {
            return Ok(Attempt::Again);
        }
        if self.turn(FollowPhase::Ended, at).await.is_err() {
            // Not leading any more is found out by the next command.
            return if self.api.status.follow().is_some_and(|follow| follow.takes_writes()) {
                self.done(at, theirs.hash, own.compact_revision, started).await
            } else {
                Ok(Attempt::Again)
            };
        }
        self.done(at, theirs.hash, own.compact_revision, started).await
    }

    async fn done(
        &self,
        revision: i64,
        hash: u32,
        compact_revision: i64,
        started: Instant,
    ) -> Result<Attempt, Fault> {
        let without_writes_ms = started.elapsed().as_millis() as i64;
        // Somebody may have written there just before the end: nothing can be done about it here, but to say so.
        let source_revision = self.source.revision().await.unwrap_or(-1);
        if source_revision > revision {
            tracing::error!(
                revision,
                "source-revision" = source_revision,
                "the source was written to after the end"
            );
        }
        Ok(Attempt::Done(CutoverResponse {
            revision,
            hash,
            compact_revision,
            source_revision,
            without_writes_ms,
        }))
    }
}
