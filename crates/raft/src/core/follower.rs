//! Following: take the leader's entries, acknowledge them when they are durable, and wait for its silence.

use super::entry::Entry;
use super::id::{EntryId, Index, NodeId, Session, Term};
use super::loss::Loss;
use super::message::{Body, Message, SnapshotMeta, StepError};
use super::random::Timeout;
use super::reads::Round;
use super::role::{Follower, Transition};
use super::state::{After, Installing, State};

impl Follower {
    pub(crate) fn new(leader: Option<NodeId>, timeout: Timeout) -> Follower {
        Follower { leader, silence_ticks: 0, timeout, reads: super::reads::ForwardedReads::default() }
    }

    pub(crate) fn tick(&mut self, state: &mut State) -> Transition {
        self.silence_ticks += 1;
        let lost = self.reads.tick(state.config.election_ticks);
        state.ready.reads_abandoned.extend(lost);
        // Who is the only voter has nobody to wait for.
        let alone = state.membership().is_lone_voter(state.id());
        match alone || self.timeout.is_over(self.silence_ticks) {
            true if state.may_campaign() => Transition::PreCampaign,
            true if self.leader.is_some() => Transition::Follow(state.term(), None),
            _ => Transition::Stay,
        }
    }

    pub(crate) fn step(&mut self, state: &mut State, message: Message) -> Result<Transition, StepError> {
        if message.body.is_from_leader() {
            self.hears_leader(message.from)?;
        }
        let from = message.from;
        match message.body {
            Body::Append { session, previous, entries, commit } => {
                take_append(state, from, session, previous, entries, commit)?;
            }
            Body::Commit { entry } => take_commit(state, entry)?,
            Body::Heartbeat { session, commit, commit_term, round } => {
                take_heartbeat(state, from, session, (commit, commit_term), round)?;
            }
            Body::InstallSnapshot { session, snapshot } => take_snapshot(state, from, session, snapshot)?,
            Body::ReadReply { request, index } => {
                for token in self.reads.answered(request) {
                    state.answer_read(token, index);
                }
            }
            Body::CampaignNow if state.may_campaign() => {
                return Ok(Transition::Campaign(super::message::CampaignReason::Transfer));
            }
            _ => {}
        }
        Ok(Transition::Stay)
    }

    fn hears_leader(&mut self, from: NodeId) -> Result<(), StepError> {
        if self.leader.is_some_and(|leader| leader != from) {
            return Err(StepError::Malformed("two leaders in one term"));
        }
        self.leader = Some(from);
        self.silence_ticks = 0;
        Ok(())
    }

    /// Sends what was gathered: one question for all reads that wait.
    pub(crate) fn flush(&mut self, state: &mut State) {
        if let Some(leader) = self.leader
            && self.reads.is_waiting()
        {
            let request = state.next_question();
            self.reads.ask(request);
            state.send(leader, Body::Read { request }, After::HardState);
        }
    }
}

fn take_append(
    state: &mut State,
    leader: NodeId,
    session: Session,
    previous: EntryId,
    entries: Vec<Entry>,
    commit: Index,
) -> Result<(), StepError> {
    if state.installing.is_some() {
        return Ok(());
    }
    let end = previous.index.plus(entries.len());
    // What is committed is in every leader's log (Leader Completeness): only the part after it is of interest. The part
    // before may be compacted here, and is compared as far as it is not.
    let known = state.log.commit();
    check_committed(state, previous)?;
    entries
        .iter()
        .take_while(|entry| entry.index <= known)
        .try_for_each(|entry| check_committed(state, entry.id()))?;
    if end <= known {
        acknowledge(state, leader, session, known);
        return Ok(());
    }
    if previous.index >= known && !state.log.holds(previous) {
        refuse(state, leader, session, previous);
        return Ok(());
    }
    for entry in entries {
        if entry.index <= known || state.log.holds(entry.id()) {
            continue;
        }
        if entry.index <= state.log.last().index {
            state.truncate_from(entry.index);
        }
        state.append(entry);
    }
    assert!(state.log.last().index >= end, "an append up to {end} left a log up to {}", state.log.last());
    state.log.commit_to(commit.min(end));
    forgive_loss(state);
    acknowledge(state, leader, session, end);
    Ok(())
}

/// Compares an entry that a leader says is in its log with the committed one here. No correct leader has another, but a
/// peer is not trusted with this process's life (rule S9): the message is refused, and the shell learns why. Every
/// message that names an entry of the leader's log comes through here: whoever acknowledges what it can see it does not
/// hold helps to commit what is not there.
fn check_committed(state: &State, theirs: EntryId) -> Result<(), StepError> {
    let is_committed = theirs.index <= state.log.commit();
    match state.log.term_at(theirs.index).filter(|_| is_committed) {
        Some(term) if term != theirs.term => {
            Err(StepError::ContradictsCommitted { theirs, ours: EntryId::new(theirs.index, term) })
        }
        _ => Ok(()),
    }
}

/// The leader says that this entry is committed.
fn take_commit(state: &mut State, entry: EntryId) -> Result<(), StepError> {
    check_committed(state, entry)?;
    if state.installing.is_none() && state.log.holds(entry) {
        state.log.commit_to(entry.index);
        forgive_loss(state);
    }
    Ok(())
}

fn acknowledge(state: &mut State, leader: NodeId, session: Session, matched: Index) {
    assert!(matched <= state.log.last().index, "{matched} acknowledged, of a log up to {}", state.log.last());
    state.send(leader, Body::AppendReply { session, matched }, After::Entries(matched));
}

fn refuse(state: &mut State, leader: NodeId, session: Session, previous: EntryId) {
    let hint = state.log.agreement_at_most(previous);
    let body = Body::AppendRefused { session, refused: previous.index, hint };
    state.send(leader, body, After::HardState);
}

fn take_heartbeat(
    state: &mut State,
    leader: NodeId,
    session: Session,
    (commit, commit_term): (Index, Option<Term>),
    round: Round,
) -> Result<(), StepError> {
    let committed = commit_term.map(|term| EntryId::new(commit, term));
    let lost_after = agreement_before_loss(state, commit, committed);
    if lost_after.is_some() && state.is_sole_quorum() {
        // It would neither vote nor campaign from now on, over restarts, and there is nobody else to.
        return Err(StepError::Malformed("a commit without the only voter"));
    }
    let contradiction = committed.map_or(Ok(()), |entry| check_committed(state, entry));
    if lost_after.is_some() && contradiction.is_ok() {
        // The leader says "committed of what you acknowledged", and it is not here. etcd panics at this point, at each start
        // (etcd#10166); here the leader is asked to send it again (rule M5). The answer waits until the loss is on the
        // disk: it makes the leader forget what this node had, so that no later heartbeat would show it again.
        state.loss = Some(Loss { until: commit, term: state.term() }.and(state.loss));
    }
    if state.installing.is_none() && committed.is_some_and(|entry| state.log.holds(entry)) {
        state.log.commit_to(commit);
        forgive_loss(state);
    }
    state.send(leader, Body::HeartbeatReply { session, round, lost_after }, After::HardState);
    contradiction
}

/// Returns up to where this log may agree with a leader's, if it does not have what it has acknowledged up to `commit`: it is
/// shorter than it was, or its disk came back as an older copy, with another entry there.
fn agreement_before_loss(state: &State, commit: Index, committed: Option<EntryId>) -> Option<Index> {
    if state.installing.is_some() {
        return None;
    }
    let last = state.log.last().index;
    if commit > last {
        return Some(last);
    }
    let is_known = commit >= state.log.base().index;
    let other = committed.filter(|entry| is_known && !state.log.holds(*entry))?;
    Some(state.log.agreement_at_most(other).index)
}

/// Ends the effects of a loss once everything is back, on the disk too.
pub(crate) fn forgive_loss(state: &mut State) {
    let Some(loss) = state.loss else { return };
    let stable = state.log.stable();
    let term = state.log.term_at(stable).expect("what is durable is in the log");
    if loss.is_made_good(state.log.commit(), EntryId::new(stable, term)) {
        state.loss = None;
        state.commit_is_due = true;
        state.durability.loss_is_made_good();
    }
}

fn take_snapshot(
    state: &mut State,
    leader: NodeId,
    session: Session,
    snapshot: SnapshotMeta,
) -> Result<(), StepError> {
    check_committed(state, snapshot.last)?;
    if state.installing.is_some() {
        return Ok(());
    }
    if state.log.holds(snapshot.last) {
        // The log has it all: no need to throw away what follows (Raft paper, figure 13).
        state.log.commit_to(snapshot.last.index);
    }
    let commit = state.log.commit();
    if snapshot.last.index <= commit {
        acknowledge(state, leader, session, snapshot.last.index);
        return Ok(());
    }
    let term = state.term();
    state.installing = Some(Installing { snapshot: snapshot.clone(), leader, term, session });
    state.ready.install = Some(snapshot);
    Ok(())
}

/// The shell has replaced the state and the durable log by the snapshot. Its sender learns of it, if it still leads.
pub(crate) fn installed(state: &mut State, installing: Installing) {
    let Installing { snapshot, leader, term, session } = installing;
    let last = snapshot.last;
    assert!(term <= state.term(), "a snapshot of the later term {term} was installed");
    state.log.reset(last);
    state.durability.truncated_from(last.index.next());
    state.memberships = super::membership::History::new(last.index, snapshot.membership);
    if term == state.term() {
        acknowledge(state, leader, session, last.index);
    }
    forgive_loss(state);
}
