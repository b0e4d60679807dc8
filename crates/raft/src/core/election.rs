//! Elections: asking, campaigning, and giving one's vote.
//!
//! A node that hears no leader first asks whether it could win (pre-vote, Raft thesis section 9.6), so that one that was
//! cut off, or was removed without knowing it, does not drive the term up. Only then it takes a new term and asks for votes.

use std::collections::BTreeMap;

use super::id::{EntryId, NodeId, Term};
use super::message::{Body, CampaignReason, Message};
use super::quorum::Tally;
use super::role::{Candidate, PreCandidate, Transition};
use super::state::{After, State};

/// Whom this node must convince: every voter but itself, in either set.
fn other_voters(state: &State) -> Vec<NodeId> {
    let membership = state.membership();
    let others = membership.members().filter(|node| membership.is_voter(*node) && *node != state.id());
    others.collect()
}

fn tally(state: &State, votes: &BTreeMap<NodeId, bool>) -> Tally {
    state.membership().tally(|node| votes.get(&node).copied())
}

impl PreCandidate {
    /// Asks everybody. The own answer needs no disk: it promises nothing.
    pub(crate) fn start(state: &mut State) -> (PreCandidate, Transition) {
        assert!(state.may_campaign(), "a pre-vote for a node that must not campaign (rule M5)");
        let votes = BTreeMap::from([(state.id(), true)]);
        let body = Body::PreVote { next_term: state.term().next(), last: state.log.last() };
        for node in other_voters(state) {
            state.send(node, body.clone(), After::HardState);
        }
        let started = PreCandidate { votes, elapsed_ticks: 0, timeout: state.draw_timeout() };
        let next = started.next(state);
        (started, next)
    }

    fn next(&self, state: &State) -> Transition {
        match tally(state, &self.votes) {
            Tally::Won => Transition::Campaign(CampaignReason::Silence),
            Tally::Lost => Transition::Follow(state.term(), None),
            Tally::Open => Transition::Stay,
        }
    }

    pub(crate) fn tick(&mut self, state: &mut State) -> Transition {
        self.elapsed_ticks += 1;
        retry(state, self.timeout.is_over(self.elapsed_ticks))
    }

    pub(crate) fn step(&mut self, state: &mut State, message: &Message) -> Transition {
        match message.body {
            Body::PreVoteReply { next_term, granted } if next_term == state.term().next() => {
                self.votes.entry(message.from).or_insert(granted);
                self.next(state)
            }
            _ => follow_leader(message),
        }
    }
}

impl Candidate {
    /// Asks everybody, in the term that [`State::hard_state`] has been advanced to. The requests wait for the disk: if
    /// they left before, a crash could forget the term, and answers to a request made with a longer log could elect
    /// this node with a shorter one.
    pub(crate) fn start(state: &mut State, reason: CampaignReason) -> Candidate {
        assert!(state.may_campaign(), "a campaign of a node that must not (rule M5)");
        assert_eq!(state.hard_state.vote, Some(state.id()), "a candidate votes for itself");
        let body = Body::Vote { last: state.log.last(), reason };
        for node in other_voters(state) {
            state.send(node, body.clone(), After::HardState);
        }
        Candidate { votes: BTreeMap::new(), elapsed_ticks: 0, timeout: state.draw_timeout() }
    }

    fn next(&self, state: &State) -> Transition {
        match tally(state, &self.votes) {
            // The answers show that the own vote is on the disk, for the requests waited for it. The disk's own word may
            // come after them.
            Tally::Won if !state.promises_are_durable() => Transition::Stay,
            Tally::Won => Transition::Lead,
            Tally::Lost => Transition::Follow(state.term(), None),
            Tally::Open => Transition::Stay,
        }
    }

    /// The disk caught up: if it has the own vote, the vote counts (rule W6).
    pub(crate) fn persisted(&mut self, state: &State) -> Transition {
        if state.promises_are_durable() && state.membership().is_voter(state.id()) {
            self.votes.insert(state.id(), true);
        }
        self.next(state)
    }

    pub(crate) fn tick(&mut self, state: &mut State) -> Transition {
        self.elapsed_ticks += 1;
        // While the disk has not even taken the own vote, another campaign could only raise the term.
        let is_due = self.timeout.is_over(self.elapsed_ticks) && state.promises_are_durable();
        retry(state, is_due)
    }

    pub(crate) fn step(&mut self, state: &mut State, message: &Message) -> Transition {
        match message.body {
            Body::VoteReply { granted } => {
                self.votes.entry(message.from).or_insert(granted);
                self.next(state)
            }
            _ => follow_leader(message),
        }
    }
}

/// After a campaign that nobody won, another one, if the node still may.
fn retry(state: &State, is_due: bool) -> Transition {
    match is_due {
        true if state.may_campaign() => Transition::PreCampaign,
        true => Transition::Follow(state.term(), None),
        false => Transition::Stay,
    }
}

/// Somebody else leads this term.
fn follow_leader(message: &Message) -> Transition {
    if message.body.is_from_leader() {
        Transition::Follow(message.term, Some(message.from))
    } else {
        Transition::Stay
    }
}

/// Answers whether this node would vote, without promising to.
pub(crate) fn answer_pre_vote(
    state: &mut State,
    from: NodeId,
    next_term: Term,
    last: EntryId,
    defends: bool,
) {
    let granted = !defends && next_term > state.term() && may_elect(state, last);
    state.send(from, Body::PreVoteReply { next_term, granted }, After::HardState);
}

/// Votes or refuses. A learner votes too: the candidate knows a newer configuration, in which it may be a voter (rule
/// M4). Whether the vote was given.
pub(crate) fn answer_vote(state: &mut State, from: NodeId, last: EntryId, has_leader: bool) -> bool {
    let free = match state.hard_state.vote {
        Some(chosen) => chosen == from,
        None => !has_leader,
    };
    let granted = free && may_elect(state, last);
    if granted {
        assert!(state.loss.is_none(), "a vote of a node that lost entries (rule M5)");
        state.hard_state.vote = Some(from);
    }
    state.send(from, Body::VoteReply { granted }, After::HardState);
    granted
}

/// Only a log that has everything that may be committed may lead (Raft paper, section 5.4.1); and a node that lost
/// entries cannot tell (rule M5).
fn may_elect(state: &State, last: EntryId) -> bool {
    state.loss.is_none() && last.is_up_to_date_with(state.log.last())
}
