//! Cutting over: from when the source is kept from changing until this cluster takes writes.
//!
//! 1. The source is fenced: its NOSPACE alarm is raised, so it refuses puts.
//! 2. Until the two are at the same revision: wait, and read leases and users once more.
//! 3. Both are hashed at that revision. If the hashes differ, the follow stops.
//! 4. If the source is still at that revision, the follow ends: a command that is void if the state is at another one by then.
//!
//! Up to 4 it can be called off, and is, when whoever asked for it goes away or has waited long enough. Then this cluster follows
//! again, and when it is known to, the source is written to as before. Never do both take writes: a source is fenced for as long as
//! the command that ends the follow may still be applied.

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

/// What is said when nobody knows yet whether the follow has ended.
const UNKNOWN: &str = "it is not known yet whether the follow has ended: its status will say so";

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
    /// They are the same.
    Equal(Equal),
    /// They are at the same revision and are not the same.
    Differs(String),
}

/// Where the two were the same.
struct Equal {
    at: i64,
    hash: u32,
    compact_revision: i64,
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
        let _fencing = self.fencing.lock().await;
        let started = Instant::now();
        tracing::info!(fence = fence.as_str_name(), "cutting over");
        let deadline = tokio::time::Instant::now() + patience.unwrap_or(PATIENCE);
        loop {
            self.turn(FollowPhase::CuttingOver, 0).await?;
            let found = tokio::select! {
                found = self.find_equal(fence) => found,
                () = tokio::time::sleep_until(deadline) => {
                    Err(Fault::Source("the two were not equal in time".to_owned()))
                }
                () = self.api.follow.called_off() => Err(Fault::Source("it was called off".to_owned())),
                () = answer.closed() => Err(Fault::Source("whoever asked for it has gone".to_owned())),
            };
            match found {
                // From here on nobody calls it off: the command that ends it may be in the log.
                Ok(Ok(equal)) => match self.end(&equal).await {
                    Ok(true) => {
                        let done = self.done(&equal, started).await;
                        tracing::info!(
                            revision = done.revision,
                            "without-writes-ms" = done.without_writes_ms,
                            "this cluster takes writes from here on"
                        );
                        let _ = answer.send(Ok(done));
                        return Err(Fault::Over);
                    }
                    Ok(false) => {}
                    Err(fault) => {
                        let _ = answer.send(Err(UNKNOWN.to_owned()));
                        return Err(fault);
                    }
                },
                Ok(Err(differs)) => {
                    let _ = answer.send(Err(differs.clone()));
                    return self.differs(differs).await;
                }
                Err(fault) => {
                    let why = fault.to_string();
                    tracing::warn!(why, "the cut-over is called off");
                    let called_off = self.call_off().await;
                    let _ = answer.send(Err(why));
                    return called_off;
                }
            }
        }
    }

    /// Keeps the source from changing, and returns where the two are the same, or how they differ.
    async fn find_equal(&self, fence: Fence) -> Result<Result<Equal, String>, Fault> {
        if fence == Fence::Alarm {
            self.source.fence(self.fence_id(), true).await?;
        }
        loop {
            match self.attempt().await? {
                Attempt::Again => tokio::time::sleep(PAUSE).await,
                Attempt::Equal(equal) => return Ok(Ok(equal)),
                Attempt::Differs(how) => return Ok(Err(how)),
            }
        }
    }

    /// Ends the follow, and returns whether it has ended: not if this cluster went on meanwhile.
    ///
    /// If there is no answer, the command may still be applied. Then another one is put after it, which makes it void or is void
    /// itself: only when one of them is applied, it is known which.
    async fn end(&self, equal: &Equal) -> Result<bool, Fault> {
        let ended = self.turn(FollowPhase::Ended, equal.at).await;
        if ended.is_ok() || self.has_ended() {
            return Ok(true);
        }
        let turned_back = self.turn(FollowPhase::Following, 0).await;
        if self.has_ended() {
            return Ok(true);
        }
        turned_back.map(|()| false)
    }

    fn has_ended(&self) -> bool {
        self.api.status.follow().is_some_and(|follow| follow.takes_writes())
    }

    /// Stops the follow for good. The source first, which nobody would think of afterwards.
    async fn differs(&self, reason: String) -> Result<(), Fault> {
        self.source.fence(self.fence_id(), false).await?;
        let phase = FollowPhase::Stopped as i32;
        let stop = FollowTurn { load: self.load_number(), phase, reason, at: 0 };
        self.propose(Field::FollowTurn, &stop).await
    }

    async fn attempt(&self) -> Result<Attempt, Fault> {
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
        Ok(Attempt::Equal(Equal { at, hash: theirs.hash, compact_revision: own.compact_revision }))
    }

    async fn done(&self, equal: &Equal, started: Instant) -> CutoverResponse {
        let without_writes_ms = started.elapsed().as_millis() as i64;
        // Somebody may have written there just before the end: nothing can be done about it here, but to say so.
        let source_revision = self.source.revision().await.unwrap_or(-1);
        if source_revision > equal.at {
            tracing::error!(
                revision = equal.at,
                "source-revision" = source_revision,
                "the source was written to after the end"
            );
        }
        CutoverResponse {
            revision: equal.at,
            hash: equal.hash,
            compact_revision: equal.compact_revision,
            source_revision,
            without_writes_ms,
        }
    }
}
