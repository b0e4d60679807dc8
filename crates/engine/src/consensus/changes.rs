//! Changes of members on their way through the leader (see [`change`]).
//!
//! They wait in one queue and are taken one at a time: the first is checked by the state machine, proposed, applied, and
//! its joint configuration ended, before the next one is looked at. The queue is the leader's: it goes back to where the
//! changes came from when the member stops to lead.

use bytes::Bytes;
use machine::MemberChange;
use machine::member_change::is_learner;
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::Member;
use proto::quoratepb::MemberPromote;
use raft::{ChangeError, Index, MembershipChange, NodeId, ProposeError};

use super::thread::ConsensusThread;
use crate::author::Author;
use crate::change;
use crate::command::{Field, encode_command};
use crate::consensus::queue::Waiting;
use crate::event::ApplyEvent;
use crate::limits::{CHANGES_WAITING_BYTES_MAX, CHANGES_WAITING_MAX};
use crate::messages;
use crate::note::{ConsensusNote, Refusal};
use crate::reply::Unserved;
use crate::request::{Checked, Proposal, RequestId};

impl ConsensusThread {
    /// Takes a change that was asked for here or, with another `origin`, at another member.
    pub(super) fn change(&mut self, origin: NodeId, proposal: Proposal) {
        let own = self.node.id();
        match self.node.leader() {
            Some(leader) if leader == own => self.queue_change(origin, proposal),
            _ if origin != own => self.refuse_change(origin, &proposal, Refusal::NotLeader),
            Some(leader) if self.handles.peers.active_since(leader).is_none() => {
                self.pending.held_changes.push(proposal);
            }
            Some(leader) => {
                self.handles.peers.tell(leader, ConsensusNote::Change(proposal.clone()).into());
                self.pending.forwarded_changes.insert(proposal.id, proposal);
            }
            None => self.pending.held_changes.push(proposal),
        }
    }

    fn queue_change(&mut self, origin: NodeId, proposal: Proposal) {
        // It comes from a member, and is not trusted to be one.
        let Ok(request) = InternalRaftRequest::decode(proposal.command.clone()) else {
            return self.refuse_change(origin, &proposal, Refusal::Unknown);
        };
        if MemberChange::of(&request).is_none() {
            return self.refuse_change(origin, &proposal, Refusal::Unknown);
        }
        let bytes = self.changes.bytes + proposal.command.len();
        if self.changes.waiting.len() >= CHANGES_WAITING_MAX || bytes > CHANGES_WAITING_BYTES_MAX {
            return self.refuse_change(origin, &proposal, Refusal::Busy);
        }
        self.changes.bytes = bytes;
        let since = self.millis();
        let request = Box::new(request);
        self.changes.waiting.push_back(Waiting { origin, proposal, request, since });
    }

    /// Has the next change checked, when the one before is over and done with.
    pub(super) fn next_change(&mut self) {
        while let Some(next) = self.changes.waiting.front() {
            if self.changes.is_checking || !self.is_settled() || !self.takes_changes() {
                return;
            }
            let change = MemberChange::of(&next.request).expect("only changes are queued");
            match change::check_ready(change, &self.node.status()) {
                Err(rejection) => self.end_change(Some(Refusal::Rejected(rejection))),
                Ok(()) => {
                    let (proposal, request) = (next.proposal.clone(), next.request.clone());
                    let rules = self.changes.rules;
                    let _ = self.handles.apply.send(ApplyEvent::CheckChange { proposal, request, rules });
                    self.changes.is_checking = true;
                }
            }
        }
    }

    /// Gives members their vote that were added as voters and have caught up.
    pub(super) fn give_votes(&mut self) {
        if self.node.membership().learners().is_empty() || !self.node.is_established() || !self.is_settled() {
            return;
        }
        let members = self.handles.status.members();
        let is_voter = |id: NodeId| members.iter().any(|member| member.id == id.0 && !is_learner(member));
        let commit = self.node.commit();
        let is_ready = |id: &NodeId| {
            is_voter(*id)
                && self.node.follower(*id).is_some_and(|follower| change::is_ready_to_vote(&follower, commit))
        };
        let Some(ready) = self.node.membership().learners().iter().copied().find(is_ready) else { return };
        match self.node.propose_change(&[MembershipChange::AddVoter(ready)], Bytes::new()) {
            Ok(_) => tracing::info!(member = %ready, "a member that has caught up votes from now on"),
            Err(error) => tracing::debug!(member = %ready, error = %error, "a vote has to wait"),
        }
    }

    /// With `--auto-promote-learners`: asks for the promotion of a learner that has caught up, as an operator would.
    pub(super) fn promote_learners(&mut self) {
        let is_idle = self.changes.waiting.is_empty() && self.is_settled();
        if !self.changes.promotes_learners || !is_idle || !self.node.is_established() {
            return;
        }
        let members = self.handles.status.members();
        let commit = self.node.commit();
        let is_ready = |member: &&Member| {
            let follower = self.node.follower(NodeId(member.id));
            is_learner(member) && follower.is_some_and(|follower| change::is_ready_to_vote(&follower, commit))
        };
        let Some(id) = members.iter().find(is_ready).map(|learner| learner.id) else { return };
        tracing::info!(member = format!("{id:x}"), "a learner that has caught up is promoted");
        let request = self.handles.shared.waiters.anonymous_id();
        let command = encode_command(request, &Author::Member, Field::MemberPromote, &MemberPromote { id });
        self.queue_change(self.node.id(), Proposal { id: request, command });
    }

    /// Whether the last change is over and done with.
    pub(super) fn is_settled(&self) -> bool {
        let applied = self.node.applied_index();
        self.changes.proposed <= applied
            && !self.node.membership().is_joint()
            && self.node.membership_index() <= applied
    }

    /// The state machine has checked the first change.
    pub(super) fn change_checked(&mut self, checked: Checked) {
        let is_first =
            self.changes.waiting.front().is_some_and(|first| first.proposal.id == checked.proposal.id);
        // It may have been sent back since, with the leadership.
        if !std::mem::take(&mut self.changes.is_checking) || !is_first {
            return;
        }
        match checked.result {
            Err(rejection) => self.end_change(Some(Refusal::Rejected(rejection))),
            Ok(()) => self.propose_change(checked.applied),
        }
    }

    fn propose_change(&mut self, checked: Index) {
        let Some(first) = self.changes.waiting.front() else { return };
        let step = change::step(MemberChange::of(&first.request).expect("only changes are queued"));
        let (id, command) = (first.proposal.id, first.proposal.command.clone());
        if step == Some(MembershipChange::Remove(self.node.id())) && self.hands_over_before(id) {
            return;
        }
        let proposed = match step {
            Some(step) => self.node.propose_change_checked(checked, &[step], command),
            None => self.node.propose(command).map_err(ChangeError::from),
        };
        match proposed {
            Ok(entry) => {
                self.changes.proposed = entry.index;
                self.end_change(None);
            }
            // Something came in between: from the start.
            Err(ChangeError::NotEstablished | ChangeError::UnderWay | ChangeError::Outdated) => {}
            // The next leader is asked, or this one again if the transfer fails.
            Err(ChangeError::Propose(ProposeError::Transferring { .. })) => {}
            Err(ChangeError::Propose(error)) => self.end_change(Some(Refusal::from(&error))),
            Err(ChangeError::Refused(refused)) => {
                tracing::warn!(error = %refused, "raft refuses a change of members that the state machine takes");
                self.end_change(Some(Refusal::Unknown));
            }
        }
    }

    /// A leader that is to be removed hands leadership over, and its successor removes it: a leader that removed itself
    /// would not learn what becomes of the last proposals of its clients. Returns whether it does so now: once for each
    /// change, as a transfer can fail, and not if nobody can take over.
    fn hands_over_before(&mut self, removal: RequestId) -> bool {
        if self.changes.handed_over_before == Some(removal) {
            return false;
        }
        let Some(successor) = self.successor() else { return false };
        self.changes.handed_over_before = Some(removal);
        tracing::info!(to = %successor, "leadership is handed over before the leader is removed");
        self.transfer(successor);
        true
    }

    /// Whether changes may be proposed: not before this leader knows what is committed, and not while it hands over.
    fn takes_changes(&self) -> bool {
        self.node.is_established() && self.node.transfer_target().is_none()
    }

    /// The first change is proposed or refused.
    fn end_change(&mut self, refused: Option<Refusal>) {
        let Some(first) = self.changes.waiting.pop_front() else { return };
        self.changes.bytes -= first.proposal.command.len();
        if let Some(why) = refused {
            self.refuse_change(first.origin, &first.proposal, why);
        }
    }

    fn refuse_change(&mut self, origin: NodeId, proposal: &Proposal, why: Refusal) {
        if origin == self.node.id() {
            self.change_refused(proposal.clone(), why);
        } else {
            self.handles.peers.tell(origin, ConsensusNote::Refused { ids: vec![proposal.id], why }.into());
        }
    }

    /// A change that was asked for here was not taken.
    pub(super) fn change_refused(&mut self, proposal: Proposal, why: Refusal) {
        if why.is_for_now() {
            self.pending.held_changes.push(proposal);
        } else {
            self.answer(proposal.id, Unserved::from(why));
        }
    }

    /// This member does not lead (any more): the changes look for the next leader.
    pub(super) fn send_changes_back(&mut self) {
        self.changes.is_checking = false;
        self.changes.proposed = Index::ZERO;
        self.changes.bytes = 0;
        for Waiting { origin, proposal, .. } in std::mem::take(&mut self.changes.waiting) {
            self.refuse_change(origin, &proposal, Refusal::NotLeader);
        }
    }

    /// Forgets changes whose callers have given up.
    pub(super) fn expire_changes(&mut self) {
        let now = self.millis();
        let patience = self.handles.shared.request_timeout.as_millis() as u64;
        // The first one may be with the state machine.
        let keep = usize::from(self.changes.is_checking);
        let first = self.changes.waiting.drain(..keep).next();
        self.changes.waiting.retain(|waiting| now.saturating_sub(waiting.since) < patience);
        first.into_iter().for_each(|first| self.changes.waiting.push_front(first));
        self.changes.bytes = self.changes.waiting.iter().map(|waiting| waiting.proposal.command.len()).sum();
    }

    /// Hands leadership over.
    pub(super) fn transfer(&mut self, to: NodeId) {
        let own = format!("{:x}", self.node.id().0);
        match self.node.transfer(to) {
            Ok(_) => tracing::info!(
                "local-member-id" = own,
                "current-leader-member-id" = own,
                "transferee-member-id" = format!("{:x}", to.0),
                "{}",
                messages::TRANSFER_BEGINS
            ),
            Err(error) => tracing::debug!(error = %error, to = %to, "leadership is not handed over"),
        }
    }
}
