//! What is done while this member leads and the source answers.

use std::convert::Infallible;
use std::sync::Arc;

use engine::command::Field;
use machine::follow::{Follow, Phase};
use prost::Message;
use proto::quoratepb::{FollowPhase, FollowTurn};

use super::source::Source;
use super::{Fault, FollowSettings, LEAD_INTERVAL, Orders};
use crate::api::Api;

/// A source that answers, and the member that follows it.
pub(super) struct Session {
    pub(super) api: Arc<Api>,
    pub(super) source: Source,
    /// Held by whoever raises or disarms the fence, for as long as the source may not yet have it so.
    pub(super) fencing: tokio::sync::Mutex<()>,
}

impl Session {
    /// Connects to the source.
    pub(super) async fn begin(api: &Arc<Api>, settings: &FollowSettings) -> Result<Self, Fault> {
        // What an earlier leader has left in the log is applied then.
        api.read_barrier().await.map_err(|_| Fault::NotLeading)?;
        let follow = api.status.follow();
        let stopped = match follow.as_ref().map(|follow| &follow.phase) {
            Some(Phase::Stopped { reason, .. }) => {
                Some(Fault::Source(format!("the follow has stopped: {reason}")))
            }
            _ => None,
        };
        if let Some(fault) = stopped.as_ref().filter(|_| api.follow.is_left_unfenced()) {
            return Err(fault.clone());
        }
        let source = Source::connect(settings, follow.map(|follow| follow.source)).await?;
        if source.id == api.cluster_id {
            return Err(Fault::Source("a cluster cannot follow itself".to_owned()));
        }
        let session = Self { api: api.clone(), source, fencing: tokio::sync::Mutex::default() };
        if let Some(fault) = stopped {
            session.lift_old_fence().await?;
            api.follow.leaves_unfenced();
            return Err(fault);
        }
        Ok(session)
    }

    /// Follows. Returns why it does not go on.
    pub(super) async fn run(&self, orders: &mut Orders) -> Fault {
        let session = async {
            match self.follow() {
                Some(Follow { phase: Phase::Following, .. }) => self.lift_old_fence().await?,
                // An earlier leader was at it, and whoever asked for it is gone.
                Some(Follow { phase: Phase::CuttingOver, .. }) => self.call_off().await?,
                _ => self.load().await?,
            }
            self.keep_up(orders).await
        };
        let fault = tokio::select! {
            ended = session => match ended {
                Ok(never) => match never {},
                Err(fault) => fault,
            },
            () = self.lost_leadership() => Fault::NotLeading,
        };
        match fault {
            Fault::Compacted => {
                tracing::warn!("the source has compacted what comes next: everything is loaded again");
                let is_cutting_over = self.follow().is_some_and(|follow| follow.phase == Phase::CuttingOver);
                let again = async {
                    if is_cutting_over {
                        self.call_off().await?;
                    }
                    self.load().await
                };
                again.await.err().unwrap_or(Fault::Compacted)
            }
            fault => fault,
        }
    }

    /// Does everything that keeps this cluster like the source, until one thing fails.
    async fn keep_up(&self, orders: &mut Orders) -> Result<Infallible, Fault> {
        let own = self.api.view().revision();
        let theirs = self.source.revision().await?;
        if theirs < own {
            return Err(Fault::Source(format!("it is at revision {theirs}, and this cluster at {own}")));
        }
        self.api.follow.recovered();
        tokio::select! {
            ended = self.tail(own) => ended,
            ended = self.poll_revision() => ended,
            ended = self.poll_leases() => ended,
            ended = self.poll_users() => ended,
            ended = self.poll_compaction() => ended,
            ended = self.poll_fence() => ended,
            ended = self.serve(orders) => ended,
        }
    }

    async fn lost_leadership(&self) {
        while self.api.leads() {
            tokio::time::sleep(LEAD_INTERVAL).await;
        }
    }

    /// How far the state is.
    pub(super) fn follow(&self) -> Option<Follow> {
        self.api.status.follow().map(|follow| Follow::clone(&follow))
    }

    /// The load that commands belong to.
    pub(super) fn load_number(&self) -> u64 {
        self.api.status.follow().map_or(0, |follow| follow.load)
    }

    /// Proposes, and returns when it is applied here.
    pub(super) async fn propose<M: Message>(&self, field: Field, command: &M) -> Result<(), Fault> {
        if let Err(status) = self.api.propose_followed(field, command).await {
            tracing::debug!(command = ?field, status = %status, "a command of the follow was not applied");
            return Err(match status.message() {
                text if text == machine::Rejection::FollowNotEmpty.text() => Fault::Source(text.to_owned()),
                text if text == crate::api::status::too_large().message() => {
                    Fault::Source("a revision of it is longer than an entry of the log".to_owned())
                }
                _ => Fault::NotLeading,
            });
        }
        match self.follow().map(|follow| follow.phase) {
            Some(Phase::Stopped { reason, .. }) => {
                tracing::error!(reason, "following has stopped for good");
                Err(Fault::Over)
            }
            _ => Ok(()),
        }
    }

    /// Goes to another phase.
    pub(super) async fn turn(&self, phase: FollowPhase, at: i64) -> Result<(), Fault> {
        let mut turn = FollowTurn { load: self.load_number(), at, ..FollowTurn::default() };
        turn.set_phase(phase);
        self.propose(Field::FollowTurn, &turn).await
    }

    /// Calls a cut-over off: when it is known that this cluster follows, the source may be written to again.
    pub(super) async fn call_off(&self) -> Result<(), Fault> {
        self.turn(FollowPhase::Following, 0).await?;
        self.source.fence(self.fence_id(), false).await
    }

    /// Takes a fence away that an earlier session has left, whose process or connection ended in between.
    pub(super) async fn lift_old_fence(&self) -> Result<(), Fault> {
        if self.source.is_fenced(self.fence_id()).await {
            tracing::info!("the source is not kept from changing any longer");
            self.source.fence(self.fence_id(), false).await?;
        }
        Ok(())
    }

    /// The member that the source's alarm names: this cluster, which is no member of it.
    pub(super) fn fence_id(&self) -> u64 {
        self.api.cluster_id
    }
}
