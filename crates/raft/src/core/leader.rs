//! Leading: what a leader knows, and how it takes proposals, reads, answers and time.
//!
//! Handlers only note what is to be sent; `Leader::flush` (in `replicate`) sends it once for each `Ready`, so that
//! a batch of proposals becomes one message to each follower, and all reads that wait share one round.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Entry, MembershipEntry, Payload};
use super::id::{EntryId, Index, NodeId, Session};
use super::limits::CATCH_UP_STALL_ELECTIONS;
use super::membership::{ChangeRefused, Membership, MembershipChange};
use super::message::{Body, Message, StepError};
use super::progress::Progress;
use super::reads::{Confirmed, ReadRounds, Reader, Round};
use super::ready::FollowerStatus;
use super::role::Transition;
use super::state::State;

/// What a leader knows. It lasts as long as its leadership.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Leader {
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    pub(crate) reads: ReadRounds,
    /// The first entry of its own term. Until it is committed, the leader does not know what is (rules R1, M1).
    first_own: Index,
    sessions: u64,
    quorum_ticks: u32,
    heartbeat_ticks: u32,
    pub(crate) heartbeat_due: bool,
    pub(crate) transfer: Option<Transfer>,
}

/// A handover under way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    elapsed_ticks: u32,
    /// The target was told to campaign.
    pub(crate) told: bool,
}

/// Why a proposal was not taken. Nothing was appended, nothing will be (rule K1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead.
    #[error("not the leader")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Too much is under way: the quorum, the disk or the state machine does not keep up.
    #[error("too many proposals under way")]
    Busy,
    /// No log takes an entry of this length, on this node or any other.
    #[error("a proposal of {bytes} bytes, and an entry takes {max} at most")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// [`Limits::entry_bytes_max`](crate::Limits::entry_bytes_max).
        max: usize,
    },
    /// Leadership is being handed over.
    #[error("leadership is being transferred to {to}")]
    Transferring {
        /// To whom.
        to: NodeId,
    },
}

/// Why a change of the configuration was not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// As for any proposal.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The leader has not committed an entry of its own term: it may not know the configuration (Ongaro, raft-dev 2015).
    #[error("the leader has not committed an entry of its term yet")]
    NotEstablished,
    /// An earlier change is not finished: one at a time (rule M1). It is finished when the entry that ends it is applied
    /// here, so that whoever checks the next one against the state machine's members sees those that the log has.
    #[error("an earlier change of the configuration is under way")]
    UnderWay,
    /// The members changed after the change was checked against them: to be checked again.
    #[error("the members have changed since the change was checked")]
    Outdated,
    /// The change itself is impossible.
    #[error(transparent)]
    Refused(#[from] ChangeRefused),
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This node does not lead.
    #[error("not the leader")]
    NotLeader,
    /// The target is not a voter of the configuration, or is a learner.
    #[error("{0} has no vote")]
    NotVoter(NodeId),
}

impl Leader {
    /// Takes over: everybody is asked where they stand, and an entry of the own term without a command is appended (Raft
    /// paper, section 8).
    pub(crate) fn start(state: &mut State) -> Leader {
        assert_eq!(state.hard_state.vote, Some(state.id()), "a leader voted for itself");
        assert!(state.promises_are_durable(), "a leader whose vote is not durable (rule W6)");
        let mut leader = Leader {
            progress: BTreeMap::new(),
            reads: ReadRounds::new(state.term()),
            first_own: state.log.last().index.next(),
            sessions: 0,
            quorum_ticks: 0,
            heartbeat_ticks: 0,
            heartbeat_due: false,
            transfer: None,
        };
        leader.follow_membership(state);
        if state.memberships.current_index() == Index::ZERO {
            // The configuration that the cluster began with becomes the log's first entry. So the log explains itself to
            // a node that joins later, knowing nothing.
            let first = state.membership().clone();
            leader.append_membership(state, first, Bytes::new());
        } else {
            leader.append(state, Payload::Empty);
        }
        leader
    }

    /// Begins with new members, and takes leave of those that are none any more: for two election timeouts they still get
    /// what follows, so that they learn of their removal, and that it is committed. A node that comes back meanwhile is
    /// another one (rule M2).
    fn follow_membership(&mut self, state: &State) {
        let membership = state.membership();
        for (_, progress) in self.progress.iter_mut().filter(|(node, _)| !membership.contains(**node)) {
            progress.leave(2 * state.config.election_ticks);
        }
        for node in membership.members().filter(|node| *node != state.id()) {
            if self.progress.get(&node).is_none_or(Progress::is_leaving) {
                self.sessions += 1;
                let next = state.log.last().index.next();
                self.progress.insert(node, Progress::new(next, Session(self.sessions)));
            }
        }
    }

    pub(crate) fn append(&mut self, state: &mut State, payload: Payload) -> EntryId {
        let id = EntryId::new(state.log.last().index.next(), state.term());
        assert!(id.index >= self.first_own, "{id} is before the first entry of its term's leader");
        let changes_members = matches!(payload, Payload::Membership(_));
        state.append(Entry { term: id.term, index: id.index, payload });
        if changes_members {
            self.follow_membership(state);
        }
        id
    }

    /// The members that follow, by id.
    pub(crate) fn followers(&self) -> impl Iterator<Item = FollowerStatus> + '_ {
        let members = self.progress.iter().filter(|(_, progress)| !progress.is_leaving());
        members.map(|(id, progress)| progress.status(*id))
    }

    /// The entry after which a follower that catches up still needs the log; of the one that needs most.
    pub(crate) fn log_needed_after(&self, state: &State) -> Option<Index> {
        let ticks_max = CATCH_UP_STALL_ELECTIONS * state.config.election_ticks;
        let there = self.progress.values().filter(|progress| progress.is_catching_up(ticks_max));
        there.map(Progress::needs_after).min()
    }

    /// Whether an entry of the own term is committed.
    pub(crate) fn is_established(&self, state: &State) -> bool {
        state.log.commit() >= self.first_own
    }

    fn admits_proposal(&self, state: &State) -> Result<(), ProposeError> {
        if let Some(transfer) = &self.transfer {
            return Err(ProposeError::Transferring { to: transfer.to });
        }
        let limits = &state.config.limits;
        let within = state.log.uncommitted_bytes() < limits.uncommitted_bytes_max
            && state.log.unstable_bytes() < limits.unstable_bytes_max
            && state.log.is_applied_in_time(limits);
        if within { Ok(()) } else { Err(ProposeError::Busy) }
    }

    pub(crate) fn propose(&mut self, state: &mut State, command: Payload) -> Result<EntryId, ProposeError> {
        self.admits_proposal(state)?;
        Ok(self.append(state, command))
    }

    pub(crate) fn propose_change(
        &mut self,
        state: &mut State,
        checked: Index,
        changes: &[MembershipChange],
        context: Bytes,
    ) -> Result<EntryId, ChangeError> {
        self.admits_proposal(state)?;
        if !self.is_established(state) {
            return Err(ChangeError::NotEstablished);
        }
        let current = state.memberships.current_index();
        if state.membership().is_joint() || current > state.log.applied() {
            return Err(ChangeError::UnderWay);
        }
        if current > checked {
            return Err(ChangeError::Outdated);
        }
        let membership = state.membership().change(changes)?;
        let payload = Payload::Membership(Arc::new(MembershipEntry { membership, context }));
        check_length(&payload, state)?;
        Ok(self.append(state, payload))
    }

    fn append_membership(&mut self, state: &mut State, membership: Membership, context: Bytes) -> EntryId {
        self.append(state, Payload::Membership(Arc::new(MembershipEntry { membership, context })))
    }

    /// Takes a read; whether there was room.
    pub(crate) fn read(&mut self, state: &State, reader: Reader) -> bool {
        let room = self.reads.len() < state.config.limits.reads_max;
        if room {
            self.reads.add(reader);
        }
        room
    }

    pub(crate) fn transfer(&mut self, state: &State, to: NodeId) -> Result<(), TransferError> {
        if !state.membership().voters().contains(&to) {
            return Err(TransferError::NotVoter(to));
        }
        if to != state.id() && self.transfer.as_ref().is_none_or(|transfer| transfer.to != to) {
            self.transfer = Some(Transfer { to, elapsed_ticks: 0, told: false });
        }
        Ok(())
    }

    pub(crate) fn tick(&mut self, state: &mut State) -> Transition {
        self.heartbeat_ticks += 1;
        if self.heartbeat_ticks >= state.config.heartbeat_ticks {
            self.heartbeat_ticks = 0;
            self.heartbeat_due = true;
            self.progress.values_mut().for_each(Progress::heartbeat_of_tick);
        }
        let last = state.log.last().index;
        self.progress.retain(|_, progress| progress.tick(last));
        if let Some(transfer) = &mut self.transfer {
            transfer.elapsed_ticks += 1;
            // The target did not manage within an election timeout: go on leading.
            if transfer.elapsed_ticks >= state.config.election_ticks {
                self.transfer = None;
            }
        }
        self.quorum_ticks += 1;
        if self.quorum_ticks < state.config.election_ticks {
            return Transition::Stay;
        }
        self.quorum_ticks = 0;
        self.check_quorum(state)
    }

    /// A leader that has not heard a quorum for an election timeout must assume that there is another one (rule M3).
    fn check_quorum(&mut self, state: &State) -> Transition {
        let heard = |node: NodeId| {
            node == state.id() || self.progress.get(&node).is_some_and(|progress| progress.active)
        };
        let quorum = state.membership().is_quorum(heard);
        for progress in self.progress.values_mut() {
            progress.begin_check();
        }
        if quorum { Transition::Stay } else { Transition::Follow(state.term(), None) }
    }

    pub(crate) fn step(&mut self, state: &mut State, message: Message) -> Result<Transition, StepError> {
        assert_eq!(message.term, state.term(), "only messages of the term reach its leader");
        let (from, body) = (message.from, message.body);
        if let Body::Read { request } = body {
            self.read(state, Reader::Peer { node: from, request });
            return Ok(Transition::Stay);
        }
        let session = match &body {
            Body::AppendReply { session, .. } | Body::AppendRefused { session, .. } => *session,
            Body::HeartbeatReply { session, round, .. } => {
                self.check_round(*round)?;
                *session
            }
            _ => return Ok(Transition::Stay),
        };
        let Some(progress) = self.progress.get_mut(&from) else { return Ok(Transition::Stay) };
        if progress.session != session
            || progress.incarnation.is_some_and(|known| known > message.incarnation)
        {
            return Ok(Transition::Stay);
        }
        if progress.incarnation.is_some_and(|known| known < message.incarnation) {
            // It lost its disk: what it acknowledged before is gone. Late answers are told by the incarnation.
            progress.lost(Index::ZERO, session);
        }
        progress.incarnation = Some(message.incarnation);
        Ok(self.take_answer(state, from, body))
    }

    /// Refuses the answer to a round that this leader never opened: it would confirm every read to come (rule R3).
    fn check_round(&self, round: Round) -> Result<(), StepError> {
        let newest = self.reads.newest();
        let was_opened = round.term == newest.term && round.number <= newest.number;
        if was_opened {
            Ok(())
        } else {
            Err(StepError::Malformed("an answer to a read round that was never opened"))
        }
    }

    fn take_answer(&mut self, state: &mut State, from: NodeId, body: Body) -> Transition {
        let last = state.log.last().index;
        let Some(progress) = self.progress.get_mut(&from) else { return Transition::Stay };
        progress.active = true;
        match body {
            // Beyond the own log nothing can match.
            Body::AppendReply { matched, .. }
                if matched <= last && progress.acknowledged(matched, state.log.base().index.next()) =>
            {
                return self.advance_commit(state);
            }
            Body::AppendRefused { refused, hint, .. } => {
                let agreement = state.log.agreement_at_most(hint);
                if progress.is_loss(refused) {
                    self.sessions += 1;
                    progress.lost(agreement.index, Session(self.sessions));
                } else {
                    progress.refused(refused, agreement);
                }
            }
            Body::HeartbeatReply { round, lost_after, .. } => {
                progress.alive(last);
                if let Some(last) = lost_after {
                    self.sessions += 1;
                    progress.lost(last.min(progress.matched), Session(self.sessions));
                }
                // In bounds: see `check_round`.
                progress.round_confirmed = progress.round_confirmed.max(round.number);
                self.confirm_reads(state, round);
            }
            _ => {}
        }
        Transition::Stay
    }

    /// Commits what a quorum has durably, this node's own copy included only when it is (rule W6), and only up to an
    /// entry of the own term (Raft paper, section 5.4.2).
    pub(crate) fn advance_commit(&mut self, state: &mut State) -> Transition {
        let (own, stable) = (state.id(), state.log.stable());
        let matched = |node: NodeId| match self.progress.get(&node) {
            Some(progress) => progress.matched,
            None if node == own => stable,
            None => Index::ZERO,
        };
        let quorum_has = state.membership().committed(matched);
        if quorum_has < self.first_own || !state.log.commit_to(quorum_has) {
            return Transition::Stay;
        }
        assert_eq!(state.log.term_at(quorum_has), Some(state.term()), "committed an entry of another term");
        self.finish_change(state)
    }

    /// When a joint configuration is committed, ends it; when the configuration that ends it is committed, a leader that
    /// is not part of it steps down (Raft paper, section 6).
    fn finish_change(&mut self, state: &mut State) -> Transition {
        if state.memberships.current_index() > state.log.commit() {
            return Transition::Stay;
        }
        if state.membership().is_joint() {
            let end = state.membership().leave_joint();
            self.append_membership(state, end, Bytes::new());
            return Transition::Stay;
        }
        if state.membership().is_voter(state.id()) { Transition::Stay } else { self.leave(state) }
    }

    /// Steps down as a node that has no vote any more. Who has most of the log may campaign at once, as after a transfer:
    /// the others need not miss a leader for an election timeout.
    fn leave(&mut self, state: &mut State) -> Transition {
        self.flush(state);
        let voters = state.membership().voters();
        let heirs = self.progress.iter().filter(|(node, heir)| voters.contains(node) && heir.active);
        if let Some((heir, _)) = heirs.max_by_key(|(_, heir)| heir.matched) {
            state.send_now(*heir, Body::CampaignNow);
        }
        Transition::Follow(state.term(), None)
    }

    fn confirm_reads(&mut self, state: &mut State, round: Round) {
        assert!(
            round.term == state.term() && round.number <= self.reads.newest().number,
            "{round:?} confirmed, and the newest is {:?} (rule R3)",
            self.reads.newest()
        );
        let own = state.id();
        let membership = state.memberships.current().clone();
        let progress = &self.progress;
        let confirmed = self.reads.confirm(|number| {
            membership.is_quorum(|node| {
                node == own || progress.get(&node).is_some_and(|peer| peer.round_confirmed >= number)
            })
        });
        for reads in confirmed {
            answer_reads(state, reads);
        }
    }
}

/// Refuses what no log takes.
pub(crate) fn check_length(payload: &Payload, state: &State) -> Result<(), ProposeError> {
    let (bytes, max) = (payload.log_bytes(), state.config.limits.entry_bytes_max);
    if bytes <= max { Ok(()) } else { Err(ProposeError::TooLarge { bytes, max }) }
}

/// Tells everybody in the round up to where they must have applied.
pub(crate) fn answer_reads(state: &mut State, confirmed: Confirmed) {
    for reader in confirmed.readers {
        match reader {
            Reader::Local(token) => state.answer_read(token, confirmed.index),
            Reader::Peer { node, request } => {
                state.send_now(node, Body::ReadReply { request, index: confirmed.index });
            }
        }
    }
}
