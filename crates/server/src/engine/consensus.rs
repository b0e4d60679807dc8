//! The thread that owns the raft node.
//!
//! Everything that happens to consensus arrives as an event; what the node wants done leaves as a [`Ready`], whose
//! parts go to the other members, the log writer and the apply thread. It never waits for a disk, a socket or a lock:
//! a stalled disk must not stop its ticks.

pub(crate) mod changes;
mod contradictions;
mod disk_watch;
mod log_sizes;
mod requests;
mod snapshots;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::{
    Body, Entry, Fetch, FollowerStatus, Index, Message, Node, NodeId, Persisted, Ready, RoleChange, RoleName,
    SnapshotMeta, SnapshotWanted, StepError, Term,
};

use self::changes::{Changes, Checked};
use self::contradictions::Contradictions;
use self::disk_watch::DiskWatch;
use self::log_sizes::LogSizes;
use self::requests::Pending;
use super::apply::ApplyEvent;
use super::inbox::{Inbox, Sender};
use super::lessor::Lessor;
use super::log_writer::{LogEvent, Round};
use super::mailbox::Mailbox;
use super::reply::Unserved;
use super::shared::Shared;
use super::snapshots::{Made, ReceivedStore};
use super::status::EngineStatus;
use super::worker::{Proposal, ReadBatch};
use crate::limits::CATCH_UP_ENTRIES_MAX;
use crate::metrics::Metrics;
use crate::transport::{Incoming, Transport};

/// What happens to consensus.
pub(crate) enum ConsensusEvent {
    /// Commands of one network worker.
    Propose(Vec<Proposal>),
    /// Commands that say what this member saw as the leader.
    ProposeAsLeader(Vec<Proposal>),
    /// A command that says what this member saw as the leader of this term; void in any other.
    ProposeInTerm(Term, Proposal),
    /// Reads of one network worker.
    Read(ReadBatch),
    /// Callers that must know whether this member leads.
    Confirm(ReadBatch),
    /// A change of members.
    Change(Proposal),
    /// The state machine has looked at one.
    ChangeChecked(Box<Checked>),
    /// Leadership is to be handed over.
    Transfer(NodeId),
    /// The same, to whoever is best: this member is about to stop.
    Retire,
    /// This member must not lead.
    Resign,
    /// What another member says.
    Received(Incoming),
    /// A piece of the log is durable.
    Persisted(Persisted),
    /// Entries that were asked of the log.
    Fetched(Fetch, Vec<Entry>),
    /// The state machine has come this far.
    Applied(Index),
    /// A checkpoint holds everything up to here.
    Checkpointed(Index),
    /// A checkpoint that a follower needs.
    SnapshotMade(SnapshotWanted, Box<Made>),
    /// How its transfer ended: the last entry in it, or `None` for a failure.
    SnapshotSent(SnapshotWanted, Option<Index>),
    /// A snapshot arrived, with raft's message.
    SnapshotReceived(Box<Message>, ReceivedStore),
    /// The log has noted that it comes.
    SnapshotExpected(SnapshotMeta, ReceivedStore),
    /// It has replaced the store.
    SnapshotInstalled(SnapshotMeta),
    /// The log begins behind it.
    LogReset(SnapshotMeta),
    /// The member stops.
    Stop,
}

/// Election timeouts without an answer of its disk after which a leader hands over: several seconds, which a disk under
/// load does not take.
const STALL_ELECTIONS: u32 = 5;

/// The pace of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// One tick: `--heartbeat-interval`.
    pub(crate) tick: Duration,
    /// `--election-timeout`.
    pub(crate) election_timeout: Duration,
    /// `--snapshot-catchup-entries`: entries kept behind a checkpoint for followers that are behind.
    pub(crate) catch_up_entries: u64,
    /// Bytes of the log that are kept for followers, whatever their number.
    pub(crate) catch_up_bytes: u64,
}

/// Everything the thread works with.
pub(crate) struct ConsensusThread {
    pub(crate) node: Node,
    pub(crate) inbox: Inbox<ConsensusEvent>,
    /// The way back into its own inbox, for those who report to it.
    pub(crate) own: Sender<ConsensusEvent>,
    pub(crate) log: Sender<LogEvent>,
    pub(crate) apply: Sender<ApplyEvent>,
    pub(crate) transport: Transport,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) status: Arc<EngineStatus>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pace: Pace,
    pub(crate) pending: Pending,
    pub(crate) changes: Changes,
    /// A snapshot that raft is being told of.
    pub(crate) received: Option<ReceivedStore>,
    pub(crate) disk: DiskWatch,
    /// The last entry in a checkpoint.
    pub(crate) checkpoint: Index,
    pub(crate) log_sizes: LogSizes,
    pub(crate) contradictions: Contradictions,
}

impl ConsensusThread {
    /// Runs until the member stops.
    pub(crate) fn run(mut self) {
        let mut clock = Clock::new(self.pace);
        let mut events = Vec::new();
        self.carry_out();
        loop {
            // Never abandoned: the thread has a sender of its own.
            let _ = self.inbox.take(&mut events, Some(clock.next_tick));
            let time = clock.look();
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
            ConsensusEvent::Received(incoming) => self.receive(incoming),
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
        let is_connected = |id: NodeId| self.transport.active_since(id).is_some();
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

    fn receive(&mut self, mut incoming: Incoming) {
        incoming.messages.drain(..).for_each(|message| self.step(message));
        for note in incoming.notes.drain(..) {
            self.hear(incoming.from, note);
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
        if self.shared.stable.reached(self.node.stable()) {
            let _ = self.apply.send(ApplyEvent::Stable);
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
        let millis = uptime.as_millis() as u64;
        self.shared.millis.store(millis, Ordering::Relaxed);
        self.retry();
        self.watch_disk(millis);
        let second = uptime.as_secs() as u32;
        if self.shared.second.swap(second, Ordering::Relaxed) != second {
            self.give_up(second);
            self.promote_learners();
            self.settle_contradictions();
            if self.shared.disk_full.load(Ordering::Relaxed) {
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
            self.transport.send(ready.send);
        }
        if let Some(persist) = ready.persist {
            self.log_sizes.follow(&persist);
            let _ = self.log.send(LogEvent::Persist(persist));
        }
        for fetch in ready.fetches {
            let _ = self.log.send(LogEvent::Fetch(fetch));
        }
        if let Some(snapshot) = ready.install {
            self.install(snapshot);
        }
        for wanted in ready.snapshots {
            let _ = self.apply.send(ApplyEvent::SnapshotWanted(wanted));
        }
        if !ready.committed.is_empty() {
            let _ = self.apply.send(ApplyEvent::Committed(ready.committed));
        }
        for read in ready.reads {
            if let Some(batch) = self.pending.reads.remove(&read.token.0) {
                let _ = self.apply.send(ApplyEvent::Read(batch, read.index));
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
        self.shared.committed.store(commit.0, Ordering::Release);
        self.shared.sole_voter.store(alone, Ordering::Release);
        self.metrics.server.proposals_committed.set(commit.0 as i64);
    }

    fn role_changed(&mut self, change: RoleChange) {
        let leader = change.leader.map_or(0, |leader| leader.0);
        self.shared.term.store(change.term.0, Ordering::Relaxed);
        let before = self.shared.leader_is(leader);
        if leader != 0 && leader != before {
            self.metrics.server.leader_changes_seen.inc();
            self.pending.leader_elected = self.shared.millis.load(Ordering::Relaxed);
        }
        let leads = change.role == RoleName::Leader;
        self.metrics.server.has_leader.set(i64::from(leader != 0));
        self.metrics.server.is_leader.set(i64::from(leads));
        tracing::info!(
            "local-member-id" = format!("{:x}", self.node.id().0),
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
            self.send_changes_back();
        }
        if leader != 0 {
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
            let _ = self.log.send(LogEvent::Release(through));
        }
    }

    /// Returns the entry after which the log is kept. What a checkpoint has is no longer needed here; some is kept for
    /// followers that are behind, and more for those that are catching up: a snapshot under many writes would be out of date
    /// on arrival, again and again.
    ///
    /// But not more bytes than a snapshot is worth, and nothing at all if the disk has no space for another file of the log: it
    /// may be full of just this.
    fn needed_after(&self) -> Index {
        if self.shared.disk_full.load(Ordering::Relaxed) {
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
        for (_, waiter) in self.shared.waiters.expire(u32::MAX) {
            self.deliver(waiter, Unserved::Stopped);
        }
        let _ = self.log.send(LogEvent::Stop);
        let _ = self.apply.send(ApplyEvent::Stop);
    }
}

/// The thread's sense of time.
struct Clock {
    pace: Pace,
    started: Instant,
    last_tick: Instant,
    next_tick: Instant,
}

/// What a look at the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// No tick is due.
    Early,
    /// A tick is due.
    TickDue,
    /// A tick is due, and has been for longer than an election takes: the process was asleep.
    WasLost,
}

impl Clock {
    fn new(pace: Pace) -> Self {
        let now = Instant::now();
        Self { pace, started: now, last_tick: now, next_tick: now + pace.tick }
    }

    fn uptime(&self) -> Duration {
        self.last_tick - self.started
    }

    /// Looks, and counts a tick that is due. After a pause of the process the missed ticks are not made up for: they
    /// would look like one long silence of the leader that never was.
    fn look(&mut self) -> Time {
        self.look_at(Instant::now())
    }

    fn look_at(&mut self, now: Instant) -> Time {
        if now < self.next_tick {
            return Time::Early;
        }
        let gap = now - self.last_tick;
        self.last_tick = now;
        self.next_tick = now + self.pace.tick;
        if gap > self.pace.election_timeout { Time::WasLost } else { Time::TickDue }
    }
}

#[cfg(test)]
mod tests;
