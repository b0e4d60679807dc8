//! The thread that owns the raft node.
//!
//! Everything that happens to consensus arrives as an event; what the node wants done leaves as a [`Ready`], whose
//! parts go to the log writer and the apply thread. It never waits for a disk or a lock: a stalled disk must not stop
//! its ticks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::{
    Entry, Fetch, Index, Node, Persisted, ProposeError, ReadError, ReadToken, Ready, RoleChange, RoleName,
};

use super::apply::ApplyEvent;
use super::inbox::{Inbox, Sender};
use super::lessor::Lessor;
use super::log_writer::LogEvent;
use super::mailbox::{Delivery, Mailbox};
use super::reply::Unserved;
use super::shared::Shared;
use super::waiters::Waiter;
use super::worker::{Proposal, ReadBatch};
use crate::metrics::Metrics;

/// What happens to consensus.
pub(crate) enum ConsensusEvent {
    /// Commands of one network worker.
    Propose(Vec<Proposal>),
    /// Reads of one network worker.
    Read(ReadBatch),
    /// A piece of the log is durable.
    Persisted(Persisted),
    /// Entries that were asked of the log.
    Fetched(Fetch, Vec<Entry>),
    /// The state machine has come this far.
    Applied(Index),
    /// A checkpoint holds everything up to here.
    Checkpointed(Index),
    /// The member stops.
    Stop,
}

/// The pace of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// One tick: `--heartbeat-interval`.
    pub(crate) tick: Duration,
    /// `--election-timeout`.
    pub(crate) election_timeout: Duration,
    /// `--snapshot-catchup-entries`: entries kept behind a checkpoint for followers that are behind.
    pub(crate) catch_up_entries: u64,
}

/// Everything the thread works with.
pub(crate) struct ConsensusThread {
    pub(crate) node: Node,
    pub(crate) inbox: Inbox<ConsensusEvent>,
    pub(crate) log: Sender<LogEvent>,
    pub(crate) apply: Sender<ApplyEvent>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pace: Pace,
    pub(crate) pending: Pending,
}

/// Requests that the node has not answered.
#[derive(Default)]
pub(crate) struct Pending {
    /// Reads under way.
    reads: BTreeMap<u64, ReadBatch>,
    next_token: u64,
    /// Commands and reads that wait for a leader.
    leaderless_proposals: VecDeque<Proposal>,
    leaderless_reads: Vec<ReadBatch>,
}

impl ConsensusThread {
    /// Runs until the member stops.
    pub(crate) fn run(mut self) {
        let started = Instant::now();
        let mut next_tick = started + self.pace.tick;
        let mut events = Vec::new();
        self.carry_out();
        loop {
            self.inbox.take(&mut events, Some(next_tick));
            for event in events.drain(..) {
                if let ConsensusEvent::Stop = event {
                    return self.stop();
                }
                self.handle(event);
            }
            let now = Instant::now();
            if now >= next_tick {
                self.tick(now - started);
                // After a pause of the process the missed ticks are not made up for: they would look like one long
                // silence of the leader that never was.
                next_tick = now + self.pace.tick;
            }
            self.carry_out();
        }
    }

    fn handle(&mut self, event: ConsensusEvent) {
        match event {
            ConsensusEvent::Propose(proposals) => {
                proposals.into_iter().for_each(|proposal| self.propose(proposal))
            }
            ConsensusEvent::Read(batch) => self.read(batch),
            ConsensusEvent::Persisted(persisted) => self.node.persisted(persisted),
            ConsensusEvent::Fetched(fetch, entries) => self.node.fetched(&fetch, entries),
            ConsensusEvent::Applied(index) => self.node.applied(index),
            ConsensusEvent::Checkpointed(index) => self.release(index),
            ConsensusEvent::Stop => {}
        }
    }

    fn propose(&mut self, proposal: Proposal) {
        match self.node.propose(proposal.command.clone()) {
            Ok(_) => {}
            // Nobody leads: it waits for a leader until its caller gives up, as in etcd.
            Err(ProposeError::NotLeader { .. }) => self.pending.leaderless_proposals.push_back(proposal),
            Err(ProposeError::Busy) => self.answer(proposal, Unserved::TooMany),
            Err(ProposeError::Transferring { .. }) => self.answer(proposal, Unserved::Dropped),
        }
    }

    fn answer(&self, proposal: Proposal, unserved: Unserved) {
        if let Some(waiter) = self.shared.waiters.take(proposal.id) {
            self.deliver(waiter, unserved);
        }
    }

    fn deliver(&self, waiter: Waiter, unserved: Unserved) {
        self.mailboxes[waiter.worker].put(&mut vec![Delivery::Reply(waiter.reply, Err(unserved))]);
    }

    fn read(&mut self, batch: ReadBatch) {
        self.pending.next_token += 1;
        let token = self.pending.next_token;
        match self.node.read(ReadToken(token)) {
            Ok(()) => drop(self.pending.reads.insert(token, batch)),
            Err(ReadError::NoLeader) => self.pending.leaderless_reads.push(batch),
            Err(ReadError::Busy) => self.refuse_reads(batch, Unserved::TooMany),
        }
    }

    fn refuse_reads(&self, batch: ReadBatch, unserved: Unserved) {
        self.mailboxes[batch.worker].put(&mut vec![Delivery::Reads(batch.waiting, Err(unserved))]);
    }

    fn tick(&mut self, uptime: Duration) {
        self.node.tick();
        let second = uptime.as_secs() as u32;
        if self.shared.second.swap(second, Ordering::Relaxed) != second {
            self.give_up(second);
        }
    }

    /// Answers those who have waited too long. What happens to their commands is not known.
    fn give_up(&mut self, second: u32) {
        for waiter in self.shared.waiters.expire(second) {
            self.deliver(waiter, Unserved::TimedOut);
        }
        let waiters = &self.shared.waiters;
        self.pending.leaderless_proposals.retain(|proposal| waiters.is_waiting(proposal.id));
        self.pending.leaderless_reads.retain_mut(|batch| {
            // The callers of reads keep their own time.
            batch.waiting.retain(|caller| !caller.is_closed());
            !batch.waiting.is_empty()
        });
    }

    /// Does what the node wants done, until it wants nothing more.
    fn carry_out(&mut self) {
        while let Some(ready) = self.node.ready() {
            self.carry_out_one(ready);
        }
    }

    fn carry_out_one(&mut self, ready: Ready) {
        if let Some(change) = ready.role {
            self.role_changed(change);
        }
        // A member alone has no peers: nothing to send, no snapshot to give or to get. The transport takes these over.
        debug_assert!(ready.send.is_empty() && ready.snapshots.is_empty() && ready.install.is_none());
        if let Some(persist) = ready.persist {
            let _ = self.log.send(LogEvent::Persist(persist));
        }
        for fetch in ready.fetches {
            let _ = self.log.send(LogEvent::Fetch(fetch));
        }
        self.publish_commit();
        if !ready.committed.is_empty() {
            let _ = self.apply.send(ApplyEvent::Committed(ready.committed));
        }
        for read in ready.reads {
            if let Some(batch) = self.pending.reads.remove(&read.token.0) {
                let _ = self.apply.send(ApplyEvent::Read(batch, read.index));
            }
        }
        for token in ready.reads_abandoned {
            if let Some(batch) = self.pending.reads.remove(&token.0) {
                self.read(batch);
            }
        }
    }

    /// Publishes the commit index, and whether reads may be served without asking here. Before anything leaves that
    /// depends on it.
    fn publish_commit(&self) {
        let status = self.node.status();
        let membership = self.node.membership();
        let alone = status.is_established && membership.is_lone_voter(status.id);
        self.shared.committed.store(status.commit.0, Ordering::Release);
        self.shared.sole_voter.store(alone, Ordering::Release);
        self.metrics.server.proposals_committed.set(status.commit.0 as i64);
    }

    fn role_changed(&mut self, change: RoleChange) {
        let leader = change.leader.map_or(0, |leader| leader.0);
        self.shared.term.store(change.term.0, Ordering::Relaxed);
        let before = self.shared.leader.swap(leader, Ordering::Relaxed);
        if leader != 0 && leader != before {
            self.metrics.server.leader_changes_seen.inc();
        }
        let leads = change.role == RoleName::Leader;
        self.metrics.server.has_leader.set(i64::from(leader != 0));
        self.metrics.server.is_leader.set(i64::from(leads));
        tracing::info!(
            "local-member-id" = format!("{:x}", self.node.status().id.0),
            term = change.term.0,
            leader = format!("{leader:x}"),
            role = ?change.role,
            "raft role changed"
        );
        if leads {
            self.lessor.promote(change.term.0, self.pace.election_timeout);
        } else {
            self.shared.sole_voter.store(false, Ordering::Release);
            self.lessor.demote();
        }
        if leader != 0 {
            let proposals = std::mem::take(&mut self.pending.leaderless_proposals);
            proposals.into_iter().for_each(|proposal| self.propose(proposal));
            let reads = std::mem::take(&mut self.pending.leaderless_reads);
            reads.into_iter().for_each(|batch| self.read(batch));
        }
    }

    /// The log up to a checkpoint is no longer needed here; some is kept for followers that are behind.
    fn release(&mut self, checkpoint: Index) {
        let through = Index(checkpoint.0.saturating_sub(self.pace.catch_up_entries));
        if through > Index::ZERO {
            self.node.compact_to(through);
            let _ = self.log.send(LogEvent::Release(through));
        }
    }

    /// Answers everybody who still waits, and passes the word on.
    fn stop(self) {
        for waiter in self.shared.waiters.expire(u32::MAX) {
            self.deliver(waiter, Unserved::Stopped);
        }
        let _ = self.log.send(LogEvent::Stop);
        let _ = self.apply.send(ApplyEvent::Stop);
    }
}
