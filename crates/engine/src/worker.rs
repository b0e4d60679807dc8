//! What a network worker shares with the tasks of its connections.
//!
//! A worker is one thread with a current-thread runtime; a connection stays on the worker that accepted it. Requests
//! on their way to consensus gather in the worker's outbox while tasks run, and leave in one go when the flush task
//! gets its turn, behind everything that was ready: one lock, one wake-up, one batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use metrics::Metrics;
use metrics::memory::Share;
use parking_lot::Mutex;
use raft::{NodeId, Term};
use tokio::sync::{Notify, oneshot, watch};

use crate::auth::Auth;
use crate::catch_up::CatchUp;
use crate::event::ConsensusEvent;
use crate::handles::Handles;
use crate::inbox::Sender;
use crate::limits::APPLY_LAG_ENTRIES_MAX;
use crate::mailbox::{Delivery, Mailbox};
use crate::reply::{CommandReply, Unserved};
use crate::request::{Proposal, ReadBatch, RequestId};
use crate::shared::Shared;
use crate::timing::Timing;
use crate::waiters::Waiter;
use crate::watch::hub::Hub;
use crate::{messages, spawn};

/// Who may propose a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposer {
    /// Whoever leads: another member hands it on.
    Anybody,
    /// This member, if it leads: the command says what a leader saw. Another member does not hand it on (rule L1).
    OnlyThisLeader,
    /// The leader, after checks that only it can make: a change of members.
    LeaderAfterChecks,
}

/// How much is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watching {
    /// Open watch streams.
    pub streams: usize,
    /// Watchers on them.
    pub watchers: usize,
    /// Watchers that are behind.
    pub slow_watchers: usize,
    /// Events that wait until they can be sent.
    pub pending_events: usize,
}

impl Watching {
    /// Returns the sum.
    pub fn plus(self, other: Self) -> Self {
        Self {
            streams: self.streams + other.streams,
            watchers: self.watchers + other.watchers,
            slow_watchers: self.slow_watchers + other.slow_watchers,
            pending_events: self.pending_events + other.pending_events,
        }
    }
}

#[derive(Default)]
struct Outbox {
    proposals: Vec<Proposal>,
    as_leader: Vec<Proposal>,
    changes: Vec<Proposal>,
    reads: Vec<oneshot::Sender<Result<(), Unserved>>>,
    confirmations: Vec<oneshot::Sender<Result<(), Unserved>>>,
}

impl Outbox {
    fn len(&self) -> usize {
        let commands = self.proposals.len() + self.as_leader.len() + self.changes.len();
        commands + self.reads.len() + self.confirmations.len()
    }
}

/// One network worker.
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    consensus: Sender<ConsensusEvent>,
    mailbox: Arc<Mailbox>,
    outbox: Mutex<Outbox>,
    flush: Notify,
    /// Only tasks of this worker take this lock, so nobody ever waits for it; apart from a scrape of the metrics, which counts
    /// the watchers of all workers.
    hub: Mutex<Hub>,
    catch_up: CatchUp,
    auth: Arc<Auth>,
    metrics: Arc<Metrics>,
    /// Second (of the process) in which a late read barrier was last logged.
    late_barrier_logged: AtomicU32,
    /// Whether streams without an end of their own are to end.
    ends_streams: watch::Sender<bool>,
}

/// Turns of a worker's runtime in which what has arrived on a socket passes through its tasks: connection, stream, and what
/// the stream starts. Twice that, as more costs nothing.
const TURNS: u32 = 8;

impl Worker {
    /// Returns the worker with the given number, which has this hub.
    pub fn new(index: usize, handles: &Handles, hub: Hub, catch_up: CatchUp, auth: Arc<Auth>) -> Arc<Self> {
        Arc::new(Self {
            index,
            shared: handles.shared.clone(),
            consensus: handles.consensus.clone(),
            mailbox: handles.mailboxes[index].clone(),
            outbox: Mutex::default(),
            flush: Notify::new(),
            hub: Mutex::new(hub),
            catch_up,
            auth,
            metrics: handles.metrics.clone(),
            late_barrier_logged: AtomicU32::new(0),
            ends_streams: watch::Sender::new(false),
        })
    }

    /// Proposes a command (built for the id it is given) and waits until it is applied, which is noted in `timing`.
    ///
    /// # Errors
    /// See [`Unserved`]; after `TimedOut` and `Stopped` the command may still be applied.
    pub async fn propose(
        &self,
        proposer: Proposer,
        timing: Option<Arc<Timing>>,
        build: impl FnOnce(RequestId) -> Bytes,
    ) -> CommandReply {
        if self.shared.apply_lag() > APPLY_LAG_ENTRIES_MAX {
            return Err(Unserved::TooMany);
        }
        let (reply, answer) = oneshot::channel();
        let deadline_second = self.shared.deadline_second();
        let started_millis = self.shared.millis.load(Ordering::Relaxed);
        let waiter = Waiter { worker: self.index, reply, started_millis, deadline_second, timing };
        let id = self.shared.waiters.register(waiter).map_err(|_| Unserved::TooMany)?;
        let command = build(id);
        self.shared.waiters.weigh(id, command.len()).map_err(|_| {
            self.metrics.memory.exceeded(Share::InFlight).inc();
            Unserved::TooMany
        })?;
        let first = {
            let mut outbox = self.outbox.lock();
            let proposals = match proposer {
                Proposer::Anybody => &mut outbox.proposals,
                Proposer::OnlyThisLeader => &mut outbox.as_leader,
                Proposer::LeaderAfterChecks => &mut outbox.changes,
            };
            proposals.push(Proposal { id, command });
            outbox.len() == 1
        };
        if first {
            self.flush.notify_one();
        }
        answer.await.unwrap_or(Err(Unserved::Stopped))
    }

    /// Returns when a read of the local state is linearizable: the state holds everything that was acknowledged
    /// before this call.
    pub async fn read_barrier(&self) -> Result<(), Unserved> {
        if self.shared.sole_voter_is_caught_up() {
            return Ok(());
        }
        let barrier = self.ask_consensus(|outbox| &mut outbox.reads).await;
        if let Err(unserved) = &barrier {
            self.barrier_failed(unserved);
        }
        barrier
    }

    /// Notes that a read has no barrier.
    fn barrier_failed(&self, unserved: &Unserved) {
        let server = &self.metrics.server;
        match unserved {
            Unserved::TimedOut | Unserved::NoLeader | Unserved::ConnectionLost => {
                server.slow_read_indexes.inc();
                // All that wait are late together.
                let second = self.shared.second.load(Ordering::Relaxed);
                if self.late_barrier_logged.swap(second, Ordering::Relaxed) != second {
                    tracing::warn!(timeout = ?self.shared.request_timeout, "{}", messages::READ_INDEX_LATE);
                }
            }
            _ => server.read_indexes_failed.inc(),
        }
    }

    /// Returns when a quorum has confirmed, since this call, that this member leads (rule L2). It does not wait until
    /// anything is applied.
    pub async fn confirm_leadership(&self) -> Result<(), Unserved> {
        if self.shared.sole_voter.load(Ordering::Acquire) {
            return Ok(());
        }
        self.ask_consensus(|outbox| &mut outbox.confirmations).await
    }

    async fn ask_consensus(
        &self,
        queue: impl FnOnce(&mut Outbox) -> &mut Vec<oneshot::Sender<Result<(), Unserved>>>,
    ) -> Result<(), Unserved> {
        let (reply, answer) = oneshot::channel();
        let first = {
            let mut outbox = self.outbox.lock();
            queue(&mut outbox).push(reply);
            outbox.len() == 1
        };
        if first {
            self.flush.notify_one();
        }
        match tokio::time::timeout(self.shared.request_timeout, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Unserved::Stopped)),
            Err(_) => Err(Unserved::TimedOut),
        }
    }

    /// From now on streams without an end of their own end: the member is leaving, and would wait for their clients.
    pub fn end_streams(&self) {
        self.ends_streams.send_replace(true);
    }

    /// Returns when streams without an end of their own are to end.
    pub async fn streams_end(&self) {
        // Ends with an error only when the sender is gone, and it lives in here.
        let _ = self.ends_streams.subscribe().wait_for(|ends| *ends).await;
    }

    /// Returns, on any thread, when this worker has looked at its sockets since the call and has run what came of it.
    pub async fn take_turn(&self) {
        let (done, is_done) = oneshot::channel();
        self.mailbox.put(&mut vec![Delivery::Turn(done)]);
        // An error means that the worker has ended: then nothing waits there.
        let _ = is_done.await;
    }

    /// Asks consensus to hand leadership over, if this member leads.
    pub fn hand_over(&self, to: NodeId) {
        let _ = self.consensus.send(ConsensusEvent::Transfer(to));
    }

    /// Proposes what this member saw as the leader of this term. It is in the queue of consensus when this returns, and
    /// nobody waits for what becomes of it.
    pub fn propose_in_term(&self, term: Term, proposal: Proposal) {
        let _ = self.consensus.send(ConsensusEvent::ProposeInTerm(term, proposal));
    }

    /// Counts what the clients of this worker watch.
    pub fn watching(&self) -> Watching {
        let hub = self.hub.lock();
        Watching {
            streams: hub.stream_count(),
            watchers: hub.watcher_count(),
            slow_watchers: hub.slow_watcher_count(),
            pending_events: hub.pending_event_count(),
        }
    }

    /// Runs a piece of work on the hub and sends off the catch-up jobs it made.
    pub fn with_hub<T>(&self, work: impl FnOnce(&mut Hub) -> T) -> T {
        let mut hub = self.hub.lock();
        hub.identity.raft_term = self.shared.term.load(Ordering::Relaxed);
        // Also from the task of a connection, whose panic would leave a broken hub to the others.
        let result = spawn::guard("the hub of watchers", || {
            hub.renew_permissions(&self.auth.published);
            work(&mut hub)
        });
        let jobs = hub.take_jobs();
        drop(hub);
        if !jobs.is_empty() {
            self.catch_up.send(self.index, jobs);
        }
        result
    }

    /// Sends what the tasks of this worker have gathered; runs for as long as the worker.
    pub async fn run_flush(self: Arc<Self>) {
        loop {
            self.flush.notified().await;
            let outbox = std::mem::take(&mut *self.outbox.lock());
            let as_leader =
                (!outbox.as_leader.is_empty()).then(|| ConsensusEvent::ProposeAsLeader(outbox.as_leader));
            let proposals = (!outbox.proposals.is_empty()).then(|| ConsensusEvent::Propose(outbox.proposals));
            let reads = (!outbox.reads.is_empty())
                .then(|| ConsensusEvent::Read(ReadBatch { worker: self.index, waiting: outbox.reads }));
            let confirm = (!outbox.confirmations.is_empty()).then(|| {
                ConsensusEvent::Confirm(ReadBatch { worker: self.index, waiting: outbox.confirmations })
            });
            let changes = outbox.changes.into_iter().map(ConsensusEvent::Change);
            // A member that stops drops the events, and with them the senders that callers wait on.
            let events = reads.into_iter().chain(confirm).chain(proposals).chain(as_leader).chain(changes);
            let _ = self.consensus.send_all(events);
        }
    }

    /// Hands out what the state's threads deliver; runs for as long as the worker.
    pub async fn run_pump(self: Arc<Self>) {
        let mut batch = Vec::new();
        loop {
            self.mailbox.take(&mut batch).await;
            for delivery in batch.drain(..) {
                self.deliver(delivery);
            }
        }
    }

    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Published(batch) => {
                self.with_hub(|hub| hub.publish(batch.iter().map(|changes| &changes.changes)));
            }
            Delivery::AuthChanged => self.with_hub(|_| ()),
            Delivery::Compacted(revision) => self.with_hub(|hub| hub.compacted(revision)),
            Delivery::Restored { revision, compact_revision } => {
                self.with_hub(|hub| hub.restored(revision, compact_revision));
            }
            Delivery::CaughtUp(stream, watcher, found) => {
                self.with_hub(|hub| hub.caught_up(stream, watcher, found));
            }
            // A caller that has gone away does not miss its answer.
            Delivery::Reply(caller, reply) => drop(caller.send(reply)),
            Delivery::Turn(done) => drop(tokio::spawn(async move {
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let _ = done.send(());
            })),
            Delivery::Reads(callers, result) => {
                for caller in callers {
                    let _ = caller.send(result.clone());
                }
            }
        }
    }
}
