//! Following another cluster: its keys, leases, users and roles, with the revisions that they have there.
//!
//! ```text
//!              FollowBegin          FollowTurn                  FollowTurn                 FollowTurn
//!  untouched ─────────────► loading ──────────► following ────────────────► cutting over ──────────► ended
//!                              ▲                  │  │    ◄────────────────
//!                              └── FollowBegin ───┘  └──► stopped (it contradicts what is here)
//! ```
//!
//! The leader reads the *source* and proposes what it found. What is applied depends on nothing else (rule A1), so
//! members that come later, other leaders and restarts need nothing special: how far it is is the revision of the store.
//!
//! A revision of the source is taken whole or not at all. Up to the *base*, the source's compact revision, versions are
//! taken with what they say of themselves, as what was before them is not known. From there on this state knows what a
//! put makes of a key, and holds it against what the source says: if they differ, it follows something else than it
//! began with, and stops.
//!
//! Until it has ended, nobody else writes: the commands of clients are refused here, wherever they were proposed.

mod change;
mod leases;
mod users;

use mvcc::Store;
use prost::Message;
use proto::quoratepb::{
    FollowBegin, FollowCompaction, FollowPhase, FollowRevisions, FollowState, FollowTurn,
};

use self::change::Taken;
use crate::source::Failure;
use crate::tables::{FOLLOW, FOLLOW_STATE, malformed};
use crate::{Applied, Effect, Machine, Malformed, Outcome, Rejection};

/// What a cluster knows of following another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// Id of the source.
    pub source: u64,
    /// Which load it is: index of the command that began it.
    pub load: u64,
    /// The source's compact revision when the load began.
    pub base: i64,
    /// The newest revision that was ever shown to readers.
    pub shown: i64,
    /// How far it is.
    pub phase: Phase,
}

/// How far a follow is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The keys of the source come; half of them are here.
    Loading,
    /// Its changes follow.
    Following,
    /// They follow until the two are known to be equal, and then no more.
    CuttingOver,
    /// The cluster takes writes, since this revision.
    Ended {
        /// The newest revision of the source.
        at: i64,
    },
    /// What the source says contradicts what is here.
    Stopped {
        /// What does.
        reason: String,
        /// Whether all keys of the source were here.
        is_loaded: bool,
    },
}

impl Follow {
    /// Returns whether the cluster takes writes of its clients.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// Returns whether what is here is a state that the source once had.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !matches!(self.phase, Phase::Loading | Phase::Stopped { is_loaded: false, .. })
    }

    fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Loading | Phase::Following | Phase::CuttingOver)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut state = FollowState {
            source_cluster_id: self.source,
            load: self.load,
            base_revision: self.base,
            shown_revision: self.shown,
            ..FollowState::default()
        };
        let phase = match &self.phase {
            Phase::Loading => FollowPhase::Loading,
            Phase::Following => FollowPhase::Following,
            Phase::CuttingOver => FollowPhase::CuttingOver,
            Phase::Ended { at } => {
                state.ended_revision = *at;
                FollowPhase::Ended
            }
            Phase::Stopped { reason, is_loaded } => {
                (state.reason, state.is_loaded) = (reason.clone(), *is_loaded);
                FollowPhase::Stopped
            }
        };
        state.set_phase(phase);
        state.encode_to_vec()
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        let state = FollowState::decode(value).map_err(|_| malformed(FOLLOW, key, "not a FollowState"))?;
        let phase = match state.phase() {
            FollowPhase::None => return Err(malformed(FOLLOW, key, "the phase is unknown")),
            FollowPhase::Loading => Phase::Loading,
            FollowPhase::Following => Phase::Following,
            FollowPhase::CuttingOver => Phase::CuttingOver,
            FollowPhase::Ended => Phase::Ended { at: state.ended_revision },
            FollowPhase::Stopped => Phase::Stopped { reason: state.reason, is_loaded: state.is_loaded },
        };
        let (source, load, base) = (state.source_cluster_id, state.load, state.base_revision);
        Ok(Self { source, load, base, shown: state.shown_revision, phase })
    }

    /// Returns what a store says of it.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>, Malformed> {
        let state = store.side_get(FOLLOW, FOLLOW_STATE);
        state.map(|state| Self::decode(FOLLOW_STATE, state)).transpose()
    }
}

impl Machine {
    /// What is known of following another cluster; `None`: this one never did.
    #[must_use]
    pub fn follow(&self) -> Option<&Follow> {
        self.follow.as_ref()
    }

    /// Hands over what was here before the load that is complete now. Dropping it may take long.
    pub fn take_replaced(&mut self) -> Option<mvcc::BegunAnew> {
        self.replaced.take()
    }

    /// Whether clients may not write, because another cluster does.
    pub(crate) fn is_following(&self) -> bool {
        self.follow.as_ref().is_some_and(|follow| !follow.takes_writes())
    }

    fn set_follow(&mut self, follow: Follow) {
        self.store.side_put(FOLLOW, FOLLOW_STATE, follow.encoded());
        self.follow = Some(follow);
    }

    fn set_phase(&mut self, phase: Phase) -> Outcome {
        let mut follow = self.follow.clone().expect("a phase is that of a follow");
        if follow.is_readable() {
            follow.shown = follow.shown.max(self.store.revision());
        }
        follow.phase = phase;
        self.set_follow(follow);
        self.nothing_done().with_effect(Effect::FollowChanged)
    }

    /// Ends the follow because what the source says cannot be.
    fn stop_following(&mut self, reason: String) -> Outcome {
        let is_loaded = self.follow.as_ref().is_some_and(Follow::is_readable);
        self.set_phase(Phase::Stopped { reason, is_loaded })
    }

    /// Returns the follow that a command belongs to.
    fn followed(&self, load: u64) -> Result<&Follow, Rejection> {
        let follow = self.follow.as_ref().filter(|follow| follow.load == load && follow.is_active());
        follow.ok_or(Rejection::FollowOutOfStep)
    }

    /// Whether no client has ever written anything.
    fn is_untouched(&self) -> bool {
        let has_auth = self.auth.users().next().is_some() || self.auth.roles().next().is_some();
        let store = &self.store;
        (store.revision(), store.compact_revision()) == (1, -1) && self.leases.iter().len() == 0 && !has_auth
    }

    /// Begins a load: all keys go. Leases, users and roles stay until those of the source come.
    pub(crate) fn follow_begin(
        &mut self,
        applied: Applied,
        request: &FollowBegin,
    ) -> Result<Outcome, Failure> {
        let shown = match &self.follow {
            None if !self.is_untouched() => return Err(Rejection::FollowNotEmpty.into()),
            None => self.store.revision(),
            Some(follow) if follow.source != request.source_cluster_id => {
                return Err(Rejection::FollowSource.into());
            }
            Some(follow) if !follow.is_active() => return Err(Rejection::FollowOutOfStep.into()),
            Some(follow) if follow.is_readable() => follow.shown.max(self.store.revision()),
            Some(follow) => follow.shown,
        };
        let before = self.store.begin_anew();
        // Of a load that began twice, readers have what was here before the first.
        self.replaced.get_or_insert(before);
        self.leases.detach_all();
        self.set_follow(Follow {
            source: request.source_cluster_id,
            load: applied.index,
            base: request.base_revision,
            shown,
            phase: Phase::Loading,
        });
        Ok(self.nothing_done().with_effect(Effect::FollowChanged))
    }

    /// Takes revisions of the source over.
    pub(crate) fn follow_revisions(
        &mut self,
        applied: Applied,
        request: &FollowRevisions,
    ) -> Result<Outcome, Failure> {
        let follow = self.followed(request.load)?;
        let (base, is_loading) = (follow.base, follow.phase == Phase::Loading);
        if self.store.revision() != request.after {
            return Err(Rejection::FollowOutOfStep.into());
        }
        let mut outcome = self.nothing_done();
        for revision in request.changes.chunk_by(|one, other| one.main == other.main) {
            match self.follow_revision(applied, base, revision, &mut outcome.effects)? {
                Taken::Adopted => {}
                Taken::Applied(changes) if is_loading => drop(changes),
                Taken::Applied(changes) => outcome.followed.push(changes),
                Taken::Not(reason) => return Ok(outcome.and(self.stop_following(reason))),
            }
        }
        let revision = self.store.revision();
        if (revision + 1..=base).contains(&request.through) {
            self.store.pass_to(request.through);
        } else if request.through != revision {
            let reason = format!("the source has nothing of revision {}", revision + 1);
            return Ok(outcome.and(self.stop_following(reason)));
        }
        Ok(outcome)
    }

    /// Compacts as the source did.
    pub(crate) fn follow_compaction(&mut self, request: &FollowCompaction) -> Result<Outcome, Failure> {
        self.followed(request.load)?;
        if request.revision <= self.store.compact_revision() {
            return Ok(self.nothing_done());
        }
        self.compact(&proto::etcdserverpb::CompactionRequest { revision: request.revision, physical: false })
    }

    /// Goes to the next phase.
    pub(crate) fn follow_turn(&mut self, request: &FollowTurn) -> Result<Outcome, Failure> {
        let follow = self.followed(request.load)?;
        let at = self.store.revision();
        if request.at != 0 && request.at != at {
            return Err(Rejection::FollowOutOfStep.into());
        }
        match (&follow.phase, request.phase()) {
            (Phase::Loading, FollowPhase::Following) if at < follow.shown => {
                let reason = format!("the source is at revision {at}, and was at {}", follow.shown);
                Ok(self.stop_following(reason))
            }
            (Phase::Loading, FollowPhase::Following) => {
                Ok(self.set_phase(Phase::Following).with_effect(Effect::FollowLoaded))
            }
            (Phase::CuttingOver, FollowPhase::Following) => Ok(self.set_phase(Phase::Following)),
            (Phase::Following, FollowPhase::CuttingOver) => Ok(self.set_phase(Phase::CuttingOver)),
            (Phase::CuttingOver, FollowPhase::Ended) => Ok(self.set_phase(Phase::Ended { at })),
            (_, FollowPhase::Stopped) => Ok(self.stop_following(request.reason.clone())),
            _ => Err(Rejection::FollowOutOfStep.into()),
        }
    }
}
