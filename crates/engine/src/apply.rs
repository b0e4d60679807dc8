//! The thread that owns the state machine.
//!
//! It takes committed entries in batches and, for each batch: applies, publishes the changes to the watchers,
//! announces the applied index, and answers the callers, in this order.

mod compactions;
mod install;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use machine::auth::Identity;
use machine::{Applied, ChangeRules, Effect, Machine, MemberChange, Outcome, Reading};
use metrics::memory::Share;
use metrics::{Operation, Success};
use mvcc::Changes;
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use proto::membershippb::Member;
use raft::{Entry, Index, NodeId, Payload, SnapshotWanted};

use self::compactions::Compactions;
use crate::auth::Auth;
use crate::checkpointer::Checkpointer;
use crate::cluster_log::ClusterLog;
use crate::compaction_hash::CompactionHasher;
use crate::comparison::Comparison;
use crate::defragmenter::Defragmenter;
use crate::event::{ApplyEvent, ConsensusEvent, Round};
use crate::fatal::stop_process;
use crate::handles::Handles;
use crate::inbox::Inbox;
use crate::mailbox::Delivery;
use crate::peers::Peer;
use crate::reply::{CommandReply, answer};
use crate::request::{Checked, Proposal, ReadBatch, RequestId};
use crate::snapshots::place::StorePlace;
use crate::views::Views;
use crate::{messages, operation};

/// Everything the thread works with.
pub struct ApplyThread {
    pub(crate) machine: Machine,
    /// Where its store is.
    place: StorePlace,
    views: Arc<Views>,
    auth: Arc<Auth>,
    pub(crate) inbox: Inbox<ApplyEvent>,
    handles: Handles,
    pub(crate) checkpointer: Checkpointer,
    defragmenter: Defragmenter,
    cluster_log: ClusterLog,
    comparison: Comparison,
    hasher: CompactionHasher,
    compactions: Compactions,
    /// `--warning-apply-duration`.
    slow_apply: Duration,
    batch: Batch,
    /// Committed entries that wait until checkpoints have caught up.
    pub(crate) held: VecDeque<Vec<Entry>>,
    /// From how many bytes on that no checkpoint has nothing more is applied.
    pub(crate) unstored_bytes_max: usize,
    /// Reads that wait for an entry to be applied.
    early_reads: BTreeMap<Index, Vec<ReadBatch>>,
    /// What a snapshot has replaced, until the next checkpoint.
    retired: Option<Machine>,
    /// Followers that wait for a newer checkpoint.
    snapshots_wanted: Vec<SnapshotWanted>,
}

/// What has come of the entries that were taken together.
#[derive(Default)]
struct Batch {
    /// What watchers are shown before `changes`.
    shown: Vec<Shown>,
    changes: Vec<Changes>,
    answers: Vec<(RequestId, CommandReply)>,
    compacted: Option<i64>,
    status_changed: bool,
    auth_changed: bool,
    /// When its first entry began to be applied.
    began: Option<Instant>,
}

/// What watchers are shown, in order.
enum Shown {
    Changes(Arc<[Changes]>),
    /// Everything was loaded from another cluster.
    Loaded {
        revision: i64,
        compact_revision: i64,
    },
}

impl Shown {
    fn delivery(&self) -> Delivery {
        match self {
            Self::Changes(changes) => Delivery::Published(changes.clone()),
            &Self::Loaded { revision, compact_revision } => Delivery::Restored { revision, compact_revision },
        }
    }
}

impl Batch {
    /// Ends the changes that are shown before something else.
    fn end_changes(&mut self) {
        if !self.changes.is_empty() {
            let changes = std::mem::take(&mut self.changes);
            self.shown.push(Shown::Changes(changes.into()));
        }
    }
}

impl ApplyThread {
    /// Returns the thread of a machine whose store is in `place`. A command that takes longer than `slow_apply` is logged.
    pub fn new(
        (machine, place): (Machine, StorePlace),
        inbox: Inbox<ApplyEvent>,
        handles: Handles,
        (views, auth): (Arc<Views>, Arc<Auth>),
        slow_apply: Duration,
    ) -> Self {
        let (own_id, shares) = (handles.status.own_id(), handles.shares);
        let compact_revision = machine.store().compact_revision();
        let cluster_log = ClusterLog::begin(&machine, own_id);
        Self {
            machine,
            place,
            views,
            auth,
            inbox,
            checkpointer: Checkpointer::new(handles.apply.clone()),
            defragmenter: Defragmenter::new(handles.metrics.clone()),
            comparison: Comparison::new(own_id, handles.consensus.clone(), handles.shared.clone()),
            cluster_log,
            hasher: CompactionHasher::default(),
            compactions: Compactions::since(compact_revision, handles.metrics.clone()),
            handles,
            slow_apply,
            batch: Batch::default(),
            held: VecDeque::new(),
            unstored_bytes_max: shares.unstored,
            early_reads: BTreeMap::new(),
            retired: None,
            snapshots_wanted: Vec::new(),
        }
    }

    /// Returns what the thread would have taken its events from, and the machine.
    pub fn into_parts(self) -> (Inbox<ApplyEvent>, Machine) {
        (self.inbox, self.machine)
    }

    /// Runs until the member stops.
    pub fn run(mut self) {
        let mut events = Vec::new();
        loop {
            // Never abandoned: checkpoints report to it.
            let _ = self.inbox.take(&mut events, self.next_due());
            if self.round(&mut events) == Round::Last {
                return self.finish();
            }
        }
    }

    /// Handles everything that was taken from the inbox.
    pub fn round(&mut self, events: &mut Vec<ApplyEvent>) -> Round {
        let mut round = Round::Next;
        for event in events.drain(..) {
            match event {
                ApplyEvent::Stop => round = Round::Last,
                event => self.handle(event),
            }
        }
        if round == Round::Next {
            self.apply_held();
            self.refresh_size();
            self.checkpoint_if_due();
            self.comparison.look_for_damage(&self.machine);
            self.comparison.mark_if_due(&self.machine);
        }
        round
    }

    fn handle(&mut self, event: ApplyEvent) {
        match event {
            ApplyEvent::Committed(entries) => {
                self.held.push_back(entries);
                self.apply_held();
            }
            ApplyEvent::Read(reads, index) => self.serve(reads, index),
            ApplyEvent::Ask(question) => question(&self.machine),
            ApplyEvent::CheckChange { proposal, request, rules } => {
                self.check_change(proposal, &request, rules);
            }
            ApplyEvent::AwaitCheckpoint(answer) => self.checkpointer.await_through(self.applied(), answer),
            ApplyEvent::Defragment(answer) => self.defragmenter.start(self.machine.store().rewrite(), answer),
            ApplyEvent::Checkpointed(generation, done, took) => self.checkpointed(generation, *done, took),
            ApplyEvent::CheckpointFailed(generation, error) => self.checkpoint_failed(generation, &error),
            ApplyEvent::SnapshotWanted(wanted) => self.snapshot_wanted(wanted),
            ApplyEvent::Install(snapshot, received) => self.install(snapshot, received),
            ApplyEvent::Stable => self.checkpointer.start_held(&self.handles.shared.stable),
            ApplyEvent::Stop => {}
        }
    }

    /// When to look again even if nothing happens.
    fn next_due(&self) -> Option<Instant> {
        self.checkpointer.next_due().into_iter().chain(self.comparison.next_due(&self.machine)).min()
    }

    fn check_change(&self, proposal: Proposal, request: &InternalRaftRequest, rules: ChangeRules) {
        let change = MemberChange::of(request).expect("only changes are checked");
        let result = self.machine.check_change(Identity::of(request), change, rules);
        let checked = Checked { proposal, applied: self.applied(), result };
        let _ = self.handles.consensus.send(ConsensusEvent::ChangeChecked(Box::new(checked)));
    }

    fn removed(&self) -> BTreeSet<NodeId> {
        self.machine.removed_members().map(NodeId).collect()
    }

    fn applied(&self) -> Index {
        Index(self.machine.store().applied().index)
    }

    /// Applies what was committed, unless there is too much already that no checkpoint has: memory would fill up while a disk
    /// is slow or full. What is held back is in the log.
    fn apply_held(&mut self) {
        while self.machine.store().unstored_bytes() < self.unstored_bytes_max
            && let Some(entries) = self.held.pop_front()
        {
            self.apply(entries);
        }
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        let Some(last) = entries.last().map(Entry::id) else { return };
        let mut started = Instant::now();
        self.batch.began = Some(started);
        for entry in entries {
            started = self.apply_entry(entry, started);
        }
        self.handles.lessor.applied(last.term);
        self.publish(last.index);
    }

    /// Applies one entry and returns when that was done, which is when the next one starts.
    fn apply_entry(&mut self, entry: Entry, started: Instant) -> Instant {
        let applied = Applied { index: entry.index.0, term: entry.term.0 };
        let bytes = match entry.payload {
            Payload::Command(bytes) => bytes,
            // A change of members; without a command where raft ends one, and where it begins the log.
            Payload::Membership(change) if !change.context.is_empty() => change.context.clone(),
            Payload::Membership(_) | Payload::Empty => {
                self.machine.skip(applied);
                return started;
            }
        };
        let command = match InternalRaftRequest::decode(bytes) {
            Ok(command) => command,
            // Every member finds the same, and there is no command without an outcome (rule A1).
            Err(error) => {
                tracing::error!(index = applied.index, error = %error, "a command in the log is none; it changes nothing");
                self.machine.skip(applied);
                return started;
            }
        };
        let id = command.header.as_ref().map(|header| RequestId(header.id));
        let is_wanted = !machine::txn::may_read(&command)
            || id.is_some_and(|id| self.handles.shared.waiters.is_waiting(id));
        let reading = if is_wanted { Reading::Now } else { Reading::Never };
        let outcome = match self.machine.apply_for(reading, applied, &command) {
            Ok(outcome) => outcome,
            Err(error) if error.is_of_one_value() => stop_process(messages::DAMAGE_IN_A_COMMAND, &error),
            Err(error) => stop_process("the store cannot be read", &error),
        };
        let done = Instant::now();
        self.observe(operation::of_command(&command), done - started, &outcome);
        self.take(id, outcome);
        self.comparison.follow(applied.index, &command, &self.machine);
        done
    }

    fn observe(&self, operation: Operation, took: Duration, outcome: &Outcome) {
        self.handles.metrics.server.apply_duration.of(operation, Success::of(&outcome.result)).observe(took);
        let mvcc = &self.handles.metrics.mvcc;
        match operation {
            Operation::Txn => mvcc.txn.inc(),
            Operation::Put => mvcc.put.inc(),
            Operation::DeleteRange => mvcc.delete.inc(),
            Operation::Compaction if outcome.result.is_ok() => {
                mvcc.index_compaction_pause.observe(took);
                mvcc.compaction_pause.observe(took);
            }
            _ => {}
        }
        for changes in outcome.changes.iter().chain(&outcome.followed) {
            mvcc.events.add(changes.changes.len() as u64);
            mvcc.total_put_size.add(put_bytes(changes) as i64);
        }
        if took > self.slow_apply {
            self.handles.metrics.server.slow_apply.inc();
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.slow_apply,
                request = ?operation,
                "{}",
                messages::SLOW_APPLY
            );
        }
    }

    fn take(&mut self, id: Option<RequestId>, outcome: Outcome) {
        self.batch.changes.extend(outcome.changes);
        self.batch.changes.extend(outcome.followed);
        for effect in &outcome.effects {
            self.follow(effect);
        }
        if let Some(id) = id {
            self.batch.answers.push((id, answer(outcome.result, outcome.unread)));
        }
    }

    fn follow(&mut self, effect: &Effect) {
        match effect {
            Effect::LeaseGranted { ttl_seconds, .. } => {
                self.handles.metrics.lease.granted.inc();
                self.handles.metrics.lease.ttl.observe_number(*ttl_seconds as u64);
                self.handles.lessor.follow(effect);
            }
            Effect::LeaseRevoked { .. } => {
                self.handles.metrics.lease.revoked.inc();
                self.handles.lessor.follow(effect);
            }
            Effect::LeaseCheckpointed { .. } | Effect::LeaseAdopted { .. } => {
                self.handles.lessor.follow(effect)
            }
            Effect::FollowLoaded => self.loaded(),
            Effect::Compacted { revision } => {
                self.batch.compacted = Some(*revision);
                self.compactions.applied(*revision, self.applied());
                if let Some(compaction) = self.machine.store_mut().compaction_hash() {
                    self.hasher.take(compaction);
                }
            }
            Effect::MemberRemoved { id } => {
                self.batch.status_changed = true;
                if self.handles.status.is_own(*id) {
                    self.handles.shared.ending.removal_applied();
                }
            }
            Effect::AlarmsChanged
            | Effect::MembersChanged
            | Effect::ClusterVersionChanged
            | Effect::FollowChanged => {
                self.batch.status_changed = true;
            }
            Effect::AuthChanged { .. } => {
                self.batch.auth_changed = true;
                self.auth.follow(effect, &self.machine);
            }
            Effect::Authenticated { .. } | Effect::UserTokensInvalid { .. } | Effect::AllTokensInvalid => {
                self.auth.follow(effect, &self.machine);
            }
        }
    }

    /// Everything of another cluster is here: readers are shown it from now on, and watchers are caught up from where they
    /// were.
    fn loaded(&mut self) {
        let store = self.machine.store();
        let (revision, compact_revision) = (store.revision(), store.compact_revision());
        self.batch.end_changes();
        self.batch.shown.push(Shown::Loaded { revision, compact_revision });
        self.views.replace(self.machine.view());
        if let Some(replaced) = self.machine.take_replaced() {
            // Freeing it takes longer than a write may wait; without a thread it is done here.
            drop(crate::spawn::thread("close", move || drop(replaced)));
        }
    }

    /// Shows the batch to the world: watchers first, then readers, then the callers.
    fn publish(&mut self, applied: Index) {
        self.batch.end_changes();
        let batch = std::mem::take(&mut self.batch);
        if batch.status_changed {
            self.handles.status.refresh(&self.machine);
            self.cluster_log.follow(&self.machine, self.handles.status.own_id());
            self.handles.peers.set_peers(peers_of(&self.machine));
            self.handles.peers.set_removed(self.removed());
        }
        let mut outgoing: Vec<Vec<Delivery>> = self.handles.mailboxes.iter().map(|_| Vec::new()).collect();
        for deliveries in &mut outgoing {
            if batch.auth_changed {
                deliveries.push(Delivery::AuthChanged);
            }
            deliveries.extend(batch.shown.iter().map(Shown::delivery));
            deliveries.extend(batch.compacted.map(Delivery::Compacted));
        }
        self.handles.shared.applied.store(applied.0, Ordering::Release);
        let mut callers = Vec::with_capacity(batch.answers.len());
        self.handles.shared.waiters.take_all(batch.answers.iter().map(|(id, _)| *id), &mut callers);
        for (caller, (_, answer)) in callers.into_iter().zip(batch.answers) {
            if let Some(caller) = caller {
                if let Some((timing, began)) = caller.timing.as_ref().zip(batch.began) {
                    timing.was_applied(began, Instant::now());
                }
                outgoing[caller.worker].push(Delivery::Reply(caller.reply, answer));
            }
        }
        for (mailbox, mut deliveries) in self.handles.mailboxes.iter().zip(outgoing) {
            mailbox.put(&mut deliveries);
        }
        self.serve_early();
        // A member that stops has no consensus left to tell.
        let _ = self.handles.consensus.send(ConsensusEvent::Applied(applied));
    }

    /// Serves reads that see everything up to `index`, as soon as the state does (rule R5). The leader has told a
    /// follower the index, and its entries may still be on their way.
    fn serve(&mut self, reads: ReadBatch, index: Index) {
        if self.applied() >= index {
            self.handles.mailboxes[reads.worker].put(&mut vec![Delivery::Reads(reads.waiting, Ok(()))]);
        } else {
            self.early_reads.entry(index).or_default().push(reads);
        }
    }

    /// Serves the reads that have waited for what is applied now.
    fn serve_early(&mut self) {
        let applied = self.applied();
        while let Some(first) = self.early_reads.first_entry()
            && *first.key() <= applied
        {
            let (index, batches) = first.remove_entry();
            batches.into_iter().for_each(|reads| self.serve(reads, index));
        }
    }

    fn checkpoint_if_due(&mut self) {
        let store = self.machine.store();
        // Many small changes take much memory before their versions do.
        let is_much = store.unstored_bytes() >= self.unstored_bytes_max / 3;
        if !self.checkpointer.is_due(is_much || store.is_checkpoint_due()) {
            return;
        }
        self.close_retired();
        match self.machine.store_mut().freeze() {
            Some(job) if self.handles.shared.stable.wait_for(self.applied()) => self.checkpointer.start(job),
            Some(job) => self.checkpointer.hold(self.applied(), job),
            // Nothing has changed.
            None => {
                self.checkpointer.finished(true);
                self.checkpointer.reached(self.applied());
                self.make_snapshots();
            }
        }
    }

    fn checkpointed(&mut self, generation: u64, done: mvcc::Done, took: Duration) {
        if !self.checkpointer.is_current(generation) {
            return;
        }
        self.handles.metrics.disk.backend_commit.observe(took);
        self.handles.metrics.disk.backend_commit_write.observe(took);
        let applied = Index(done.applied().index);
        self.machine.store_mut().complete(done);
        self.compactions.checkpointed(applied, SystemTime::now());
        self.handles.shared.unstored.set_disk_full(false);
        self.checkpointer.finished(true);
        self.checkpointer.reached(applied);
        self.make_snapshots();
        let _ = self.handles.consensus.send(ConsensusEvent::Checkpointed(applied));
    }

    fn checkpoint_failed(&mut self, generation: u64, error: &mvcc::Error) {
        if !self.checkpointer.is_current(generation) {
            return;
        }
        if !error.is_retryable() {
            stop_process("a checkpoint failed", error);
        }
        if matches!(error, mvcc::Error::NoSpace(_)) {
            self.handles.shared.unstored.set_disk_full(true);
        }
        tracing::warn!(error = %error, "a checkpoint could not be written and will be tried again");
        self.checkpointer.finished(false);
    }

    fn refresh_size(&self) {
        let slow_bytes = self.handles.shares.unstored_slow().min(self.unstored_bytes_max);
        let is_much = self.machine.store().unstored_bytes() >= slow_bytes;
        if self.handles.shared.unstored.set_much(is_much) {
            self.handles.metrics.memory.exceeded(Share::Unstored).inc();
        }
        self.handles.status.db_bytes.store(self.machine.store().db_size(), Ordering::Relaxed);
    }

    /// The last checkpoint, so that the next start has nothing to replay.
    fn finish(mut self) {
        self.defragmenter.stop();
        self.checkpointer.join();
        if !self.handles.shared.stable.has(self.applied()) {
            return tracing::debug!(
                "no checkpoint at the end: the log on the disk does not have all of it yet"
            );
        }
        // The log has everything: without it the next start takes a little longer.
        if let Err(error) = self.machine.store_mut().checkpoint() {
            tracing::warn!(error = %error, "no checkpoint at the end");
        }
    }
}

/// Returns how many bytes of keys and values were put.
fn put_bytes(changes: &Changes) -> usize {
    let puts = changes.changes.iter().filter(|change| change.is_put());
    puts.map(|change| change.key.len() + change.after.as_ref().map_or(0, |item| item.value().len())).sum()
}

/// The members and where to reach them.
pub fn peers_of(machine: &Machine) -> Vec<Peer> {
    let peer = |member: &Member| {
        let urls = member.raft_attributes.as_ref().map(|raft| raft.peer_urls.clone());
        Peer { id: NodeId(member.id), urls: urls.unwrap_or_default() }
    };
    machine.members().map(peer).collect()
}
