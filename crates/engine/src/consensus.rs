//! The thread that owns the raft node.
//!
//! Everything that happens to consensus arrives as an event; what the node wants done leaves as a [`Ready`], whose
//! parts go to the other members, the log writer and the apply thread. It never waits for a disk, a socket or a lock:
//! a stalled disk must not stop its ticks.

mod changes;
pub mod clock;
mod contradictions;
mod disk_watch;
mod leadership;
mod log_sizes;
mod pending;
pub mod queue;
mod requests;
mod snapshots;
pub mod thread;

use std::sync::atomic::Ordering;
use std::time::Duration;

use raft::{Body, FollowerStatus, Index, Message, NodeId, Persisted, Ready, RoleChange, RoleName, StepError};

use crate::consensus::clock::{Clock, Time};
use crate::consensus::thread::ConsensusThread;
use crate::event::{ApplyEvent, ConsensusEvent, LogEvent, Round};
use crate::limits::CATCH_UP_ENTRIES_MAX;
use crate::messages;
use crate::peers::Heard;
use crate::reply::Unserved;

/// Election timeouts without an answer of its disk after which a leader hands over: several seconds, which a disk under
/// load does not take.
const STALL_ELECTIONS: u32 = 5;

impl ConsensusThread {
    /// Runs until the member stops.
    pub fn run(mut self) {
        let mut clock = Clock::new(self.pace);
        let mut events = Vec::new();
        self.carry_out();
        loop {
            // Never abandoned: the thread has a sender of its own.
            let _ = self.inbox.take(&mut events, Some(clock.next_tick));
            let time = clock.look();
            if let Some(exceeded) = clock.exceeded() {
                self.heartbeat_is_late(exceeded);
            }
            if self.round(&mut events, time, clock.uptime()) == Round::Last {
                return self.stop();
            }
        }
    }

    /// Handles everything that was taken from the inbox, and then does what comes of all of it.
    pub(super) fn round(&mut self, events: &mut Vec<ConsensusEvent>, time: Time, uptime: Duration) -> Round {
        if time == Time::WasLost {
            self.pause_noticed();
        }
        for event in events.drain(..) {
            if let ConsensusEvent::Stop = event {
                return Round::Last;
            }
            self.handle(event);
        }
        if time != Time::Early {
            self.tick(uptime);
        }
        self.carry_out();
        Round::Next
    }

    fn handle(&mut self, event: ConsensusEvent) {
        match event {
            ConsensusEvent::Propose(proposals) => {
                proposals.into_iter().for_each(|proposal| self.propose(proposal))
            }
            ConsensusEvent::ProposeAsLeader(proposals) => {
                proposals.into_iter().for_each(|proposal| self.propose_as_leader(proposal))
            }
            ConsensusEvent::ProposeInTerm(term, proposal) if term == self.node.term() => {
                self.propose_as_leader(proposal);
            }
            ConsensusEvent::ProposeInTerm(..) => {}
            ConsensusEvent::Read(batch) => self.read(batch),
            ConsensusEvent::Confirm(batch) => self.confirm(batch),
            ConsensusEvent::Change(proposal) => self.change(self.node.id(), proposal),
            ConsensusEvent::ChangeChecked(checked) => self.change_checked(*checked),
            ConsensusEvent::Transfer(to) => self.transfer(to),
            ConsensusEvent::Retire => self.retire(),
            ConsensusEvent::Resign => self.node.resign(),
            ConsensusEvent::Received(heard) => self.receive(heard),
            ConsensusEvent::Persisted(persisted) => self.persisted(persisted),
            ConsensusEvent::Fetched(fetch, entries) => self.node.fetched(&fetch, entries),
            ConsensusEvent::Applied(index) => self.node.applied(index),
            ConsensusEvent::Checkpointed(index) => self.checkpointed(index),
            ConsensusEvent::SnapshotMade(wanted, made) => self.snapshot_made(wanted, *made),
            ConsensusEvent::SnapshotSent(wanted, reached) => self.node.snapshot_sent(&wanted, reached),
            ConsensusEvent::SnapshotReceived(message, received) => self.snapshot_received(*message, received),
            ConsensusEvent::SnapshotExpected(snapshot, received) => {
                self.snapshot_expected(snapshot, received)
            }
            ConsensusEvent::SnapshotInstalled(snapshot) => self.snapshot_installed(snapshot),
            ConsensusEvent::LogReset(snapshot) => self.log_reset(&snapshot),
            ConsensusEvent::Stop => {}
        }
    }

    /// Notes that the followers have waited for a heartbeat, if this member leads.
    fn heartbeat_is_late(&self, exceeded: Duration) {
        if self.node.role() != RoleName::Leader {
            return;
        }
        for follower in self.node.followers() {
            let (interval, to) = (self.pace.tick, follower.id);
            tracing::warn!(
                %to,
                "heartbeat-interval" = ?interval,
                "expected-duration" = ?(2 * interval),
                "exceeded-duration" = ?exceeded,
                "{}",
                messages::HEARTBEAT_LATE
            );
            self.handles.metrics.server.heartbeat_send_failures.inc();
        }
    }

    /// A leader whose disk takes nothing any more commits through its followers for a while, and then no more. Somebody
    /// else should lead by then.
    fn watch_disk(&mut self, millis: u64) {
        let stall = self.disk.stalled_for(self.node.stable(), self.node.last().index, millis);
        let leads = self.node.role() == RoleName::Leader;
        if !leads || stall < STALL_ELECTIONS * self.pace.election_timeout || self.is_alone() {
            return;
        }
        let is_news = stall < STALL_ELECTIONS * self.pace.election_timeout + 2 * self.pace.tick;
        if is_news {
            tracing::warn!(stalled = ?stall, "the disk of the leader does not answer: another member is to lead");
        }
        match self.successor() {
            Some(successor) if stall < 2 * STALL_ELECTIONS * self.pace.election_timeout => {
                self.transfer(successor);
            }
            _ => self.node.resign(),
        }
    }

    /// Returns who is to lead after this leader: the voter that is there and has most of the log. One that has just gone
    /// counts as active for up to an election timeout; that it is not connected any more shows at once.
    fn successor(&self) -> Option<NodeId> {
        let voters = self.node.membership().voters();
        let is_able = |follower: &FollowerStatus| follower.is_active && voters.contains(&follower.id);
        let is_connected = |id: NodeId| self.handles.peers.active_since(id).is_some();
        let able = self.node.followers().filter(is_able);
        let best = able.max_by_key(|follower| (is_connected(follower.id), follower.matched));
        best.map(|follower| follower.id)
    }

    /// The member is about to stop: the others need not wait for an election timeout.
    fn retire(&mut self) {
        if let Some(successor) = self.successor() {
            tracing::info!(to = %successor, "leadership is handed over before the member stops");
            self.transfer(successor);
        }
    }

    fn is_alone(&self) -> bool {
        self.node.membership().is_lone_voter(self.node.id())
    }

    fn receive(&mut self, mut heard: Heard) {
        heard.messages.drain(..).for_each(|message| self.step(message));
        for note in heard.notes.drain(..) {
            self.hear(heard.from, note);
        }
    }

    fn step(&mut self, message: Message) {
        let from = message.from;
        // A snapshot comes with its content, or not at all (rule S9).
        if matches!(message.body, Body::InstallSnapshot { .. }) && self.received.is_none() {
            return tracing::warn!(from = %from, "a member announces a snapshot without sending it");
        }
        match self.node.step(message) {
            Ok(()) => {}
            Err(StepError::ContradictsCommitted { theirs, ours }) => self.contradicted(from, theirs, ours),
            Err(error) => {
                tracing::warn!(from = %from, error = %error, "a message of another member was refused");
            }
        }
    }

    fn persisted(&mut self, persisted: Persisted) {
        self.node.persisted(persisted);
        self.publish_stable();
    }

    fn publish_stable(&self) {
        if self.handles.shared.stable.reached(self.node.stable()) {
            let _ = self.handles.apply.send(ApplyEvent::Stable);
        }
    }

    /// The process was asleep for longer than an election takes: there may be another leader, whose leases this one
    /// must not expire (rule L4). Alone there cannot be.
    fn pause_noticed(&mut self) {
        if !self.is_alone() {
            self.node.resign();
            self.carry_out();
        }
    }

    fn tick(&mut self, uptime: Duration) {
        self.node.tick();
        self.give_votes();
        let is_new_second = uptime.as_secs() != self.uptime.as_secs();
        self.uptime = uptime;
        self.handles.shared.uptime_is(uptime);
        self.retry();
        self.watch_disk(self.millis());
        if is_new_second {
            self.give_up(uptime.as_secs() as u32);
            self.promote_learners();
            self.settle_contradictions();
            if self.handles.shared.disk_full.load(Ordering::Relaxed) {
                self.release();
            }
        }
    }

    /// Does what the node wants done, until it wants nothing more.
    fn carry_out(&mut self) {
        while let Some(ready) = self.node.ready() {
            self.carry_out_one(ready);
        }
        self.forward();
        self.next_change();
    }

    fn carry_out_one(&mut self, ready: Ready) {
        if let Some(change) = ready.role {
            self.role_changed(change);
        }
        // Before anything leaves: a configuration with other voters ends what a lone voter may do, and a log that was cut
        // is not stable as far as it was (what is applied now must not be checkpointed before the disk has it).
        self.publish_commit();
        self.publish_stable();
        if !ready.send.is_empty() {
            self.handles.peers.send(ready.send);
        }
        if let Some(persist) = ready.persist {
            self.log_sizes.follow(&persist);
            let _ = self.handles.log.send(LogEvent::Persist(persist));
        }
        for fetch in ready.fetches {
            let _ = self.handles.log.send(LogEvent::Fetch(fetch));
        }
        if let Some(snapshot) = ready.install {
            self.install(snapshot);
        }
        for wanted in ready.snapshots {
            let _ = self.handles.apply.send(ApplyEvent::SnapshotWanted(wanted));
        }
        if !ready.committed.is_empty() {
            let _ = self.handles.apply.send(ApplyEvent::Committed(ready.committed));
        }
        for read in ready.reads {
            if let Some(batch) = self.pending.reads.remove(&read.token.0) {
                let _ = self.handles.apply.send(ApplyEvent::Read(batch, read.index));
            }
            if let Some(batch) = self.pending.confirmations.remove(&read.token.0) {
                self.answer_reads(batch, Ok(()));
            }
        }
        for token in ready.reads_abandoned {
            if let Some(batch) = self.pending.reads.remove(&token.0) {
                self.read(batch);
            }
            if let Some(batch) = self.pending.confirmations.remove(&token.0) {
                self.answer_reads(batch, Err(Unserved::Dropped));
            }
        }
    }

    /// Publishes the commit index, and whether reads may be served without asking here. Before anything leaves that
    /// depends on it.
    fn publish_commit(&self) {
        let commit = self.node.commit();
        let alone = self.node.is_established() && self.is_alone();
        self.handles.shared.committed.store(commit.0, Ordering::Release);
        self.handles.shared.sole_voter.store(alone, Ordering::Release);
        self.handles.metrics.server.proposals_committed.set(commit.0 as i64);
    }

    fn role_changed(&mut self, change: RoleChange) {
        self.handles.shared.term.store(change.term.0, Ordering::Relaxed);
        let before = self.handles.shared.leader_is(change.leader);
        if change.leader.is_some() && change.leader != before {
            self.handles.metrics.server.leader_changes_seen.inc();
            self.pending.leader_elected = self.millis();
        }
        for line in leadership::lines(self.node.id(), before, &change) {
            tracing::info!("{line}");
        }
        let leads = change.role == RoleName::Leader;
        self.handles.metrics.server.has_leader.set(i64::from(change.leader.is_some()));
        self.handles.metrics.server.is_leader.set(i64::from(leads));
        tracing::info!(
            "local-member-id" = format!("{:x}", self.node.id().0),
            term = change.term.0,
            leader = format!("{:x}", change.leader.map_or(0, |leader| leader.0)),
            role = ?change.role,
            "raft role changed"
        );
        if leads {
            self.handles.lessor.promote(change.term.0, self.pace.election_timeout);
        } else {
            self.handles.shared.sole_voter.store(false, Ordering::Release);
            self.handles.lessor.demote();
            self.send_changes_back();
        }
        if change.leader.is_some() {
            self.ask_again();
        }
    }

    fn checkpointed(&mut self, index: Index) {
        self.checkpoint = index;
        self.release();
    }

    /// Releases the part of the log that nobody needs.
    fn release(&mut self) {
        let through = self.needed_after().min(self.checkpoint).min(self.node.applied_index());
        if through > self.node.base().index {
            self.node.compact_to(through);
            self.log_sizes.release(through);
            let _ = self.handles.log.send(LogEvent::Release(through));
        }
    }

    /// Returns the entry after which the log is kept. What a checkpoint has is no longer needed here; some is kept for
    /// followers that are behind, and more for those that are catching up: a snapshot under many writes would be out of date
    /// on arrival, again and again.
    ///
    /// But not more bytes than a snapshot is worth, and nothing at all if the disk has no space for another file of the log: it
    /// may be full of just this.
    fn needed_after(&self) -> Index {
        if self.handles.shared.disk_full.load(Ordering::Relaxed) {
            return self.checkpoint;
        }
        let before_checkpoint = |entries: u64| Index(self.checkpoint.0.saturating_sub(entries));
        let mut after = before_checkpoint(self.pace.catch_up_entries);
        if let Some(needed) = self.node.log_needed_after() {
            after = after.min(needed.max(before_checkpoint(CATCH_UP_ENTRIES_MAX)));
        }
        after.max(self.log_sizes.start_of_last(self.pace.catch_up_bytes))
    }

    /// Answers everybody who still waits, and passes the word on.
    fn stop(self) {
        for (_, waiter) in self.handles.shared.waiters.expire(u32::MAX) {
            self.deliver(waiter, Unserved::Stopped);
        }
        let _ = self.handles.log.send(LogEvent::Stop);
        let _ = self.handles.apply.send(ApplyEvent::Stop);
    }
}

#[cfg(test)]
mod tests;
