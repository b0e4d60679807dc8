//! Commands and reads of this member's clients on their way through consensus.
//!
//! Whoever leads takes them; another member hands commands on to the leader in batches, and asks it for reads through
//! raft. While nobody leads, and while leadership is handed over, they are held. A command is never handed on twice unless
//! its addressee said that it did not take it: what happened to a command that got no answer is not known (rule K1).

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{NodeId, ProposeError, ReadError, ReadToken, RoleName};

use super::thread::ConsensusThread;
use crate::limits::FORWARD_BYTES_MAX;
use crate::mailbox::Delivery;
use crate::note::{ConsensusNote, Refusal};
use crate::reply::Unserved;
use crate::request::{Proposal, ReadBatch, RequestId};
use crate::waiters::Waiter;

impl ConsensusThread {
    pub(super) fn propose(&mut self, proposal: Proposal) {
        match self.node.propose(proposal.command.clone()) {
            Ok(_) => {}
            Err(ProposeError::NotLeader { leader: Some(_) }) => self.pending.outgoing.push(proposal),
            // Nobody leads: it waits for a leader until its caller gives up, as in etcd.
            Err(ProposeError::NotLeader { leader: None }) => self.pending.held_proposals.push(proposal),
            // It goes to the next leader, or is proposed here if the transfer fails. etcd drops it with an error.
            Err(ProposeError::Transferring { .. }) => self.pending.held_proposals.push(proposal),
            Err(error @ (ProposeError::Busy | ProposeError::TooLarge { .. })) => {
                self.answer(proposal.id, Unserved::from(Refusal::from(&error)));
            }
        }
    }

    /// Proposes what was seen as the leader: not at all if this member does not lead (any more).
    pub(super) fn propose_as_leader(&mut self, Proposal { id, command }: Proposal) {
        if let Err(error) = self.node.propose(command) {
            self.answer(id, Unserved::from(Refusal::from(&error)));
        }
    }

    pub(super) fn answer(&self, id: RequestId, unserved: Unserved) {
        if let Some(waiter) = self.handles.shared.waiters.take(id) {
            self.deliver(waiter, unserved);
        }
    }

    pub(super) fn deliver(&self, waiter: Waiter, unserved: Unserved) {
        self.handles.mailboxes[waiter.worker].put(&mut vec![Delivery::Reply(waiter.reply, Err(unserved))]);
    }

    pub(super) fn read(&mut self, batch: ReadBatch) {
        self.pending.next_token += 1;
        let token = self.pending.next_token;
        match self.node.read(ReadToken(token)) {
            Ok(()) => drop(self.pending.reads.insert(token, batch)),
            Err(ReadError::NoLeader) => self.pending.held_reads.push(batch),
            Err(ReadError::Busy) => self.answer_reads(batch, Err(Unserved::TooMany)),
        }
    }

    /// Asks a quorum whether this member leads (rule L2). Unlike a read it waits for nothing to be applied, and is refused
    /// where another member leads.
    pub(super) fn confirm(&mut self, batch: ReadBatch) {
        if self.node.role() != RoleName::Leader {
            return self.answer_reads(batch, Err(Unserved::Dropped));
        }
        self.pending.next_token += 1;
        let token = self.pending.next_token;
        match self.node.read(ReadToken(token)) {
            Ok(()) => drop(self.pending.confirmations.insert(token, batch)),
            Err(_) => self.answer_reads(batch, Err(Unserved::TooMany)),
        }
    }

    pub(super) fn answer_reads(&self, batch: ReadBatch, result: Result<(), Unserved>) {
        self.handles.mailboxes[batch.worker].put(&mut vec![Delivery::Reads(batch.waiting, result)]);
    }

    /// Asks the leader for everything that is held. It is held again if the leader still does not take it.
    pub(super) fn ask_again(&mut self) {
        let has_caller = |proposal: &Proposal| self.handles.shared.waiters.has_caller(proposal.id);
        let mut proposals = std::mem::take(&mut self.pending.held_proposals);
        proposals.retain(has_caller);
        let mut changes = std::mem::take(&mut self.pending.held_changes);
        changes.retain(has_caller);
        proposals.into_iter().for_each(|proposal| self.propose(proposal));
        let reads = std::mem::take(&mut self.pending.held_reads);
        reads.into_iter().for_each(|batch| self.read(batch));
        changes.into_iter().for_each(|change| self.change(self.node.id(), change));
    }

    /// Hands this round's commands on to the leader, in one message unless they are many bytes.
    pub(super) fn forward(&mut self) {
        if self.pending.outgoing.is_empty() {
            return;
        }
        let outgoing = std::mem::take(&mut self.pending.outgoing);
        let Some(leader) = self.node.leader().filter(|leader| *leader != self.node.id()) else {
            // It changed within this round.
            return outgoing.into_iter().for_each(|proposal| self.propose(proposal));
        };
        if self.handles.peers.active_since(leader).is_none() {
            // It would be dropped on the way.
            return self.pending.held_proposals.extend(outgoing);
        }
        for commands in in_frames(&outgoing) {
            self.handles.peers.tell(leader, ConsensusNote::Proposals(commands.to_vec()).into());
        }
        self.pending.forwarded.extend(outgoing.into_iter().map(|proposal| (proposal.id, proposal)));
    }

    /// Takes what another member says besides raft's messages.
    pub(super) fn hear(&mut self, from: NodeId, note: ConsensusNote) {
        match note {
            ConsensusNote::Proposals(commands) => self.propose_for(from, commands),
            ConsensusNote::Refused { ids, why } => ids.into_iter().for_each(|id| self.refused(from, id, why)),
            ConsensusNote::Change(change) => self.change(from, change),
        }
    }

    /// Proposes what another member's clients want. What is not taken goes back, so that it can be tried again.
    fn propose_for(&mut self, member: NodeId, commands: Vec<Proposal>) {
        let mut refused: Vec<(Refusal, Vec<RequestId>)> = Vec::new();
        for Proposal { id, command } in commands {
            let Err(error) = self.node.propose(command) else { continue };
            let why = Refusal::from(&error);
            match refused.last_mut() {
                Some((same, ids)) if *same == why => ids.push(id),
                _ => refused.push((why, vec![id])),
            }
        }
        for (why, ids) in refused {
            self.handles.peers.tell(member, ConsensusNote::Refused { ids, why }.into());
        }
    }

    /// A command that was handed on was not taken, so it was surely not proposed (rule K1).
    fn refused(&mut self, by: NodeId, id: RequestId, why: Refusal) {
        if let Some(change) = self.pending.forwarded_changes.remove(&id) {
            return self.change_refused(change, why);
        }
        let Some(proposal) = self.pending.forwarded.remove(&id) else { return };
        match why {
            why if !why.is_for_now() => self.answer(id, Unserved::from(why)),
            // Another member has become leader meanwhile.
            _ if self.node.leader().is_some_and(|leader| leader != by) => self.propose(proposal),
            _ => self.pending.held_proposals.push(proposal),
        }
    }

    /// Answers those who have waited too long. What happens to their commands is not known, unless no leader was told.
    pub(super) fn give_up(&mut self, second: u32) {
        let late = self.handles.shared.waiters.expire(second);
        let leaderless = self.pending.held_proposals.iter().chain(&self.pending.held_changes);
        let unproposed: BTreeSet<RequestId> = leaderless.map(|proposal| proposal.id).collect();
        for (id, waiter) in late {
            let is_leaderless = self.node.leader().is_none() && unproposed.contains(&id);
            let why = if is_leaderless { Unserved::NoLeader } else { self.why_late(&waiter) };
            self.deliver(waiter, why);
        }
        let waiters = &self.handles.shared.waiters;
        self.pending.held_proposals.retain(|proposal| waiters.is_waiting(proposal.id));
        self.pending.forwarded.retain(|id, _| waiters.is_waiting(*id));
        self.pending.held_changes.retain(|change| waiters.is_waiting(change.id));
        self.pending.forwarded_changes.retain(|id, _| waiters.is_waiting(*id));
        self.pending.held_reads.retain_mut(|batch| {
            // The callers of reads keep their own time.
            batch.waiting.retain(|caller| !caller.is_closed());
            !batch.waiting.is_empty()
        });
        self.expire_changes();
    }

    /// Asks the leader again for what it has not been asked for yet: because it did not lead when it was asked, was handing
    /// leadership over, or could not be reached.
    pub(super) fn retry(&mut self) {
        let waits = !self.pending.held_proposals.is_empty() || !self.pending.held_changes.is_empty();
        if waits && self.node.leader().is_some() {
            self.ask_again();
        }
    }

    /// Why a command may have got no answer, as etcd tells it.
    fn why_late(&self, waiter: &Waiter) -> Unserved {
        let elected = self.pending.leader_elected;
        let election_timeout = self.pace.election_timeout.as_millis() as u64;
        let lost = elected.saturating_sub(2 * election_timeout);
        if lost < waiter.started_millis && waiter.started_millis < elected {
            return Unserved::LeaderFailed;
        }
        let now = self.millis();
        let waited = Duration::from_millis(now.saturating_sub(waiter.started_millis));
        let connected =
            |node| self.handles.peers.active_since(node).is_some_and(|since| since.elapsed() >= waited);
        let own = self.node.id();
        let is_connected = match self.node.leader() {
            None => true,
            Some(leader) if leader == own => {
                self.node.membership().is_quorum(|node| node == own || connected(node))
            }
            Some(leader) => connected(leader),
        };
        if is_connected { Unserved::TimedOut } else { Unserved::ConnectionLost }
    }
}

/// Splits commands, in their order, into runs that fit into a frame each: of [`FORWARD_BYTES_MAX`] or of one command, which
/// fits by itself.
fn in_frames(commands: &[Proposal]) -> impl Iterator<Item = &[Proposal]> {
    let mut bytes = 0;
    commands.chunk_by(move |one, next| {
        bytes += one.command.len();
        let has_room = bytes + next.command.len() <= FORWARD_BYTES_MAX;
        bytes = if has_room { bytes } else { 0 };
        has_room
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_handed_on_in_frames_that_are_not_too_long() {
        let lengths = [1, 2, FORWARD_BYTES_MAX - 3, 1, FORWARD_BYTES_MAX + 5, 0, 7, FORWARD_BYTES_MAX];
        let proposal = |(id, length): (usize, &usize)| Proposal {
            id: RequestId(id as u64),
            command: vec![0; *length].into(),
        };
        let commands: Vec<Proposal> = lengths.iter().enumerate().map(proposal).collect();
        let frames: Vec<Vec<u64>> =
            in_frames(&commands).map(|frame| frame.iter().map(|one| one.id.0).collect()).collect();
        assert_eq!(frames, [vec![0, 1, 2], vec![3], vec![4], vec![5, 6], vec![7]]);
        assert_eq!(in_frames(&[]).count(), 0);
    }
}
