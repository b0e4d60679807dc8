//! The node: inputs in, [`Ready`] out.
//!
//! Every input first meets the rules that hold in all roles (terms, votes, who defends a leader), then the role's own
//! handler; its [`Transition`] is carried out by [`Node::swap`].

mod inspect;

use bytes::Bytes;

use super::election::{answer_pre_vote, answer_vote};
use super::entry::{Entry, Payload};
use super::follower::{forgive_loss, installed};
use super::id::{EntryId, Index, NodeId, ReadToken, Term};
use super::leader::{ChangeError, Leader, ProposeError, TransferError, check_length};
use super::limits::TERM_JUMP_MAX;
use super::membership::MembershipChange;
use super::message::{Body, CampaignReason, Message, SnapshotMeta, StepError};
use super::ready::{Fetch, FetchPurpose, HardState, Persisted, Ready, RoleChange, SnapshotWanted};
use super::role::{Candidate, Follower, PreCandidate, Role, Transition};
use super::state::{After, Config, Restored, State};

/// One member's part of the consensus.
///
/// It never blocks, never touches a disk, never asks a clock: the same calls give the same results. Feed it ticks, messages,
/// proposals and acknowledgements; after each batch of them carry out what [`Node::ready`] returns.
///
/// Safety assertions are on in release builds: a broken invariant ends the process rather than the data.
///
/// Clones and hashes are for explorers, which try several futures of one state: two nodes of one identity must never run.
#[derive(Clone, Debug, Hash)]
pub struct Node {
    state: State,
    role: Role,
    reported: RoleChange,
}

/// Why a read was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody is known to lead.
    #[error("no leader")]
    NoLeader,
    /// Too many reads wait.
    #[error("too many reads waiting")]
    Busy,
}

impl Node {
    /// A node that goes on where its durable log ends, as a follower.
    ///
    /// # Panics
    /// If `restored` contradicts itself, or the timeouts are not `0 < heartbeat < election`.
    #[must_use]
    pub fn new(config: Config, restored: Restored) -> Node {
        assert!(0 < config.heartbeat_ticks && config.heartbeat_ticks < config.election_ticks, "timeouts");
        assert!(restored.memberships.current().is_sound(), "an impossible configuration");
        let mut state = State::new(config, restored);
        let timeout = state.draw_timeout();
        let role = Role::Follower(Follower::new(None, timeout));
        let reported = RoleChange { role: role.name(), term: state.term(), leader: None };
        Node { state, role, reported }
    }

    /// Lets one tick of time pass.
    pub fn tick(&mut self) {
        let transition = match &mut self.role {
            Role::Follower(follower) => follower.tick(&mut self.state),
            Role::PreCandidate(candidate) => candidate.tick(&mut self.state),
            Role::Candidate(candidate) => candidate.tick(&mut self.state),
            Role::Leader(leader) => leader.tick(&mut self.state),
        };
        self.swap(transition);
    }

    /// Campaigns without waiting for silence, with a pre-vote as always. A node that leads, or must not campaign, does
    /// nothing.
    pub fn campaign(&mut self) {
        if !matches!(self.role, Role::Leader(_)) && self.state.may_campaign() {
            self.swap(Transition::PreCampaign);
        }
    }

    /// Stops leading at once, without a successor: for a shell that finds it was asleep for longer than an election
    /// timeout (rule L4).
    pub fn resign(&mut self) {
        if matches!(self.role, Role::Leader(_)) {
            self.swap(Transition::Follow(self.state.term(), None));
        }
    }

    /// Takes a message from another node.
    ///
    /// # Errors
    /// [`StepError`] if no correct node sends such a message. Nothing of it is taken then but its term, which a node may
    /// always do.
    pub fn step(&mut self, message: Message) -> Result<(), StepError> {
        let (term, commit) = (self.state.term(), self.state.log.commit());
        let taken = self.step_checked(message);
        assert!(
            self.state.term() >= term && self.state.log.commit() >= commit,
            "terms and commits never fall"
        );
        taken
    }

    fn step_checked(&mut self, message: Message) -> Result<(), StepError> {
        let id = self.state.id();
        if message.to != id {
            return Err(StepError::NotForMe { to: message.to, id });
        }
        message.validate(&self.state.config.limits)?;
        match message.body {
            Body::PreVote { next_term, last } => {
                let defends = self.role.defends_leader(self.state.config.election_ticks);
                answer_pre_vote(&mut self.state, message.from, next_term, last, defends);
                return Ok(());
            }
            Body::Vote { reason, .. } if message.term > self.state.term() => {
                let defends = self.role.defends_leader(self.state.config.election_ticks);
                if defends && reason != CampaignReason::Transfer {
                    return Ok(());
                }
            }
            _ => {}
        }
        // A yes to a pre-vote comes from whoever is in whatever term; all other old messages are void.
        if message.term < self.state.term() && !matches!(message.body, Body::PreVoteReply { .. }) {
            self.answer_old_term(&message);
            return Ok(());
        }
        if message.term > self.state.term() {
            self.take_term(&message)?;
        }
        let transition = self.step_in_term(message)?;
        self.swap(transition);
        Ok(())
    }

    /// Follows into a later term, as far as one message may move a node.
    fn take_term(&mut self, message: &Message) -> Result<(), StepError> {
        let (theirs, ours) = (message.term, self.state.term());
        let reachable = Term(ours.0.saturating_add(TERM_JUMP_MAX));
        if theirs > reachable {
            self.swap(Transition::Follow(reachable, None));
            return Err(StepError::TermTooFar { theirs, ours });
        }
        let leader = message.body.is_from_leader().then_some(message.from);
        self.swap(Transition::Follow(theirs, leader));
        Ok(())
    }

    /// A sender that is behind learns of the later term, where that helps it: a leader would otherwise never win this
    /// node back, and a candidate would ask in vain.
    fn answer_old_term(&mut self, message: &Message) {
        let body = match message.body {
            Body::Vote { .. } => Body::VoteReply { granted: false },
            Body::Append { .. } | Body::Heartbeat { .. } | Body::InstallSnapshot { .. } => Body::LaterTerm,
            _ => return,
        };
        self.state.send(message.from, body, After::HardState);
    }

    fn step_in_term(&mut self, message: Message) -> Result<Transition, StepError> {
        if let Body::Vote { last, .. } = message.body {
            let has_leader = self.role.leader(self.state.id()).is_some();
            let granted = answer_vote(&mut self.state, message.from, last, has_leader);
            if let Role::Follower(follower) = &mut self.role
                && granted
            {
                follower.silence_ticks = 0;
            }
            return Ok(Transition::Stay);
        }
        assert!(message.term <= self.state.term(), "its term was taken before");
        let state = &mut self.state;
        match &mut self.role {
            Role::Follower(follower) => follower.step(state, message),
            Role::Leader(_) if message.body.is_from_leader() => {
                Err(StepError::Malformed("two leaders in one term"))
            }
            // A pre-vote that was asked for before it led.
            Role::Leader(_) if message.term < state.term() => Ok(Transition::Stay),
            Role::Leader(leader) => leader.step(state, message),
            Role::PreCandidate(candidate) => match candidate.step(state, &message) {
                follow @ Transition::Follow(_, Some(_)) => self.follow_and_step(follow, message),
                other => Ok(other),
            },
            Role::Candidate(candidate) => match candidate.step(state, &message) {
                follow @ Transition::Follow(_, Some(_)) => self.follow_and_step(follow, message),
                other => Ok(other),
            },
        }
    }

    /// A candidate heard of the term's leader: it follows, and takes what the leader said.
    fn follow_and_step(&mut self, follow: Transition, message: Message) -> Result<Transition, StepError> {
        self.swap(follow);
        self.step_in_term(message)
    }

    /// Proposes a command. It will be at the returned place of the log, unless leadership is lost first; then another
    /// entry may be there, or the same.
    ///
    /// # Errors
    /// [`ProposeError`]: nothing was appended.
    pub fn propose(&mut self, command: Bytes) -> Result<EntryId, ProposeError> {
        let command = Payload::Command(command);
        // Whoever leads: no other member would take it either.
        check_length(&command, &self.state)?;
        match &mut self.role {
            Role::Leader(leader) => leader.propose(&mut self.state, command),
            _ => Err(self.not_leader()),
        }
    }

    /// Proposes to change the configuration. `context` is for the state machine, and comes with the first of the
    /// entries that the change takes; a change of voters ends when a later entry, which the leader appends by itself,
    /// is committed. Refused until everything about an earlier change is applied here.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing was appended.
    pub fn propose_change(
        &mut self,
        changes: &[MembershipChange],
        context: Bytes,
    ) -> Result<EntryId, ChangeError> {
        self.propose_change_checked(self.state.log.applied(), changes, context)
    }

    /// As [`Node::propose_change`], of a change that the shell has checked against the state machine as of `checked`.
    /// If the members have changed since, it is refused as [`ChangeError::Outdated`]: what was checked and what the log says
    /// must be the same. Between the check and this call, on another thread, an earlier change may have come through.
    ///
    /// # Errors
    /// [`ChangeError`]: nothing was appended.
    pub fn propose_change_checked(
        &mut self,
        checked: Index,
        changes: &[MembershipChange],
        context: Bytes,
    ) -> Result<EntryId, ChangeError> {
        match &mut self.role {
            Role::Leader(leader) => leader.propose_change(&mut self.state, checked, changes, context),
            _ => Err(self.not_leader().into()),
        }
    }

    fn not_leader(&self) -> ProposeError {
        ProposeError::NotLeader { leader: self.role.leader(self.state.id()) }
    }

    /// Asks for a read barrier. `token` comes back in [`Ready::reads`] with the index to be applied before the read is
    /// answered, or in [`Ready::reads_abandoned`]. On a follower the leader is asked.
    ///
    /// # Errors
    /// [`ReadError`]: the token will not come back.
    pub fn read(&mut self, token: ReadToken) -> Result<(), ReadError> {
        let reads_max = self.state.config.limits.reads_max;
        match &mut self.role {
            Role::Leader(leader) => {
                let taken = leader.read(&self.state, super::reads::Reader::Local(token));
                if taken { Ok(()) } else { Err(ReadError::Busy) }
            }
            Role::Follower(follower) if follower.reads.len() >= reads_max => Err(ReadError::Busy),
            Role::Follower(follower) if follower.leader.is_some() => {
                follower.reads.add(token);
                Ok(())
            }
            _ => Err(ReadError::NoLeader),
        }
    }

    /// Hands leadership over. Proposals are refused until it is done or an election timeout has passed.
    ///
    /// # Errors
    /// [`TransferError`].
    pub fn transfer(&mut self, to: NodeId) -> Result<(), TransferError> {
        match &mut self.role {
            Role::Leader(leader) => leader.transfer(&self.state, to),
            _ => Err(TransferError::NotLeader),
        }
    }

    /// A piece of work is durable, and so is every earlier one.
    ///
    /// # Panics
    /// On an acknowledgement of another node's.
    pub fn persisted(&mut self, ack: Persisted) {
        let Some(last) = self.state.durability.complete(ack) else { return };
        self.state.log.stable_to(last);
        forgive_loss(&mut self.state);
        self.state.trim_log();
        let transition = match &mut self.role {
            Role::Candidate(candidate) => candidate.persisted(&self.state),
            Role::Leader(leader) => leader.advance_commit(&mut self.state),
            Role::Follower(_) | Role::PreCandidate(_) => Transition::Stay,
        };
        self.swap(transition);
    }

    /// The state machine has applied everything up to `index`.
    ///
    /// # Panics
    /// If that was never handed out.
    pub fn applied(&mut self, index: Index) {
        self.state.log.applied_to(index);
        self.state.trim_log();
    }

    /// Forgets the log up to `index`, as far as it is durable: a checkpoint of the state has it.
    ///
    /// # Panics
    /// If it is not applied.
    pub fn compact_to(&mut self, index: Index) {
        self.state.log.compact_to(index);
        self.state.memberships.compact_to(self.state.log.base().index);
    }

    /// The answer to a [`Fetch`]: fewer entries than asked for, or none, if they could not be read. Every fetch must be
    /// answered; the node asks again by itself.
    pub fn fetched(&mut self, fetch: &Fetch, entries: Vec<Entry>) {
        match (&fetch.purpose, &mut self.role) {
            (FetchPurpose::Apply, _) => self.state.fetched_committed(entries),
            (FetchPurpose::Peer { .. }, Role::Leader(leader)) => {
                leader.fetched(&mut self.state, fetch, entries)
            }
            (FetchPurpose::Peer { .. }, _) => {}
        }
    }

    /// How the transfer of a snapshot ended: the last entry it contained, or `None` for a failure.
    pub fn snapshot_sent(&mut self, wanted: &SnapshotWanted, reached: Option<Index>) {
        if let Role::Leader(leader) = &mut self.role {
            leader.snapshot_sent(&self.state, wanted, reached);
        }
    }

    /// The snapshot of [`Ready::install`] has replaced the state and the durable log.
    ///
    /// # Panics
    /// If it is not the one that was asked for.
    pub fn installed(&mut self, snapshot: &SnapshotMeta) {
        let installing = self.state.installing.take();
        let installing = installing.filter(|installing| installing.snapshot == *snapshot);
        installed(&mut self.state, installing.expect("the snapshot that was asked for"));
    }

    /// What is to be done; `None` if nothing.
    pub fn ready(&mut self) -> Option<Ready> {
        match &mut self.role {
            Role::Leader(leader) => leader.flush(&mut self.state),
            Role::Follower(follower) => follower.flush(&mut self.state),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.state.collect_persist();
        self.state.collect_committed();
        self.report_role();
        let ready = std::mem::take(&mut self.state.ready);
        (!ready.is_empty()).then_some(ready)
    }

    fn report_role(&mut self) {
        let now = RoleChange {
            role: self.role.name(),
            term: self.state.term(),
            leader: self.role.leader(self.state.id()),
        };
        if now != self.reported {
            self.reported = now;
            self.state.ready.role = Some(now);
        }
    }

    /// Carries out a transition, and those that follow from it: the one place where roles change.
    fn swap(&mut self, mut transition: Transition) {
        loop {
            transition = match transition {
                Transition::Stay => return,
                Transition::Follow(term, leader) => self.become_follower(term, leader),
                Transition::PreCampaign => {
                    let (candidate, next) = PreCandidate::start(&mut self.state);
                    self.replace(Role::PreCandidate(candidate));
                    next
                }
                Transition::Campaign(reason) => self.become_candidate(reason),
                Transition::Lead => {
                    let leader = Leader::start(&mut self.state);
                    self.replace(Role::Leader(Box::new(leader)));
                    Transition::Stay
                }
            }
        }
    }

    fn become_follower(&mut self, term: Term, leader: Option<NodeId>) -> Transition {
        assert!(term >= self.state.term(), "terms never fall");
        if term > self.state.term() {
            self.state.hard_state = HardState { term, vote: None };
        }
        let timeout = self.state.draw_timeout();
        self.replace(Role::Follower(Follower::new(leader, timeout)));
        Transition::Stay
    }

    fn become_candidate(&mut self, reason: CampaignReason) -> Transition {
        let term = self.state.term().next();
        self.state.hard_state = HardState { term, vote: Some(self.state.id()) };
        let candidate = Candidate::start(&mut self.state, reason);
        self.replace(Role::Candidate(candidate));
        Transition::Stay
    }

    /// Reads of a bond to a leader end with it (rule R4).
    fn replace(&mut self, role: Role) {
        let abandoned = match std::mem::replace(&mut self.role, role) {
            Role::Follower(mut follower) => follower.reads.abandon(),
            Role::Leader(leader) => leader.reads.abandon(),
            Role::PreCandidate(_) | Role::Candidate(_) => Vec::new(),
        };
        self.state.ready.reads_abandoned.extend(abandoned);
    }
}
