//! What a node has in every role: term and vote, the log, the configuration, and what it wants done.

use super::durability::{Durability, Promises};
use super::entry::{Entry, Payload};
use super::id::{Boot, EntryId, Incarnation, Index, NodeId, ReadToken, Session, Term};
use super::limits::Limits;
use super::log::{Log, Slice};
use super::loss::Loss;
use super::membership::{History, Membership};
use super::message::{Body, Message, SnapshotMeta};
use super::random::{Random, Timeout};
use super::ready::{Fetch, FetchPurpose, HardState, Persist, ReadReady, Ready};

/// How a node behaves.
#[derive(Clone, Debug, Hash)]
pub struct Config {
    /// The node.
    pub id: NodeId,
    /// The shortest election timeout, in ticks. Actual timeouts lie between this and twice this.
    pub election_ticks: u32,
    /// Ticks between two heartbeats of a leader; much less than `election_ticks`.
    pub heartbeat_ticks: u32,
    /// Makes this node's timeouts differ from other nodes'.
    pub seed: u64,
    /// Budgets.
    pub limits: Limits,
}

impl Config {
    /// etcd's defaults: elections after 10 to 20 ticks of silence, a heartbeat in each tick.
    #[must_use]
    pub fn new(id: NodeId, seed: u64) -> Config {
        Config { id, election_ticks: 10, heartbeat_ticks: 1, seed, limits: Limits::default() }
    }
}

/// What a node starts from: what its durable log recovered, or [`Restored::fresh`].
#[derive(Clone, Debug, Hash)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// Which life of the data directory this is.
    pub incarnation: Incarnation,
    /// Which start of it; no other start of the incarnation had the same.
    pub boot: Boot,
    /// The terms of all entries in the durable log.
    pub terms: super::terms::TermRuns,
    /// The last entries of the log, as many as are to be in memory; may be none.
    pub tail: Vec<Entry>,
    /// The configurations along the log.
    pub memberships: History,
    /// What is known to be committed; at least `applied`.
    pub commit: Index,
    /// What the state machine has applied.
    pub applied: Index,
    /// What the log is known to have lost and not got back (rule M5).
    pub loss: Option<Loss>,
}

impl Restored {
    /// A node that has never run, in a cluster that starts with this configuration; an empty one for a node that is to
    /// be added to a running cluster.
    #[must_use]
    pub fn fresh(membership: Membership) -> Restored {
        Restored {
            hard_state: HardState::default(),
            incarnation: Incarnation(1),
            boot: Boot(1),
            terms: super::terms::TermRuns::new(EntryId::ZERO),
            tail: Vec::new(),
            memberships: History::new(Index::ZERO, membership),
            commit: Index::ZERO,
            applied: Index::ZERO,
            loss: None,
        }
    }
}

/// When a message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum After {
    /// When the term and vote of this moment are durable, and the loss if there is one.
    HardState,
    /// When the log up to here is durable too.
    Entries(Index),
}

/// A snapshot on its way into the state machine, and who sent it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Installing {
    pub(crate) snapshot: SnapshotMeta,
    pub(crate) leader: NodeId,
    pub(crate) term: Term,
    pub(crate) session: Session,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) incarnation: Incarnation,
    boot: Boot,
    questions: u64,
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    pub(crate) memberships: History,
    pub(crate) durability: Durability,
    pub(crate) random: Random,
    /// Entries that this node may have acknowledged are not here: it neither votes nor campaigns until the loss is made
    /// good (rule M5).
    pub(crate) loss: Option<Loss>,
    /// A loss was made good since the last piece of work. The disk finds that out by what is committed, of which the next
    /// entry may tell it, or nothing for as long as the cluster is idle.
    pub(crate) commit_is_due: bool,
    /// A snapshot that the shell is installing; one at a time (rule W8).
    pub(crate) installing: Option<Installing>,
    fetching_committed: bool,
    pub(crate) ready: Ready,
    then_send: Vec<Message>,
}

impl State {
    pub(crate) fn new(config: Config, restored: Restored) -> State {
        State {
            incarnation: restored.incarnation,
            boot: restored.boot,
            questions: 0,
            hard_state: restored.hard_state,
            log: Log::restored(restored.terms, restored.tail, restored.commit, restored.applied),
            memberships: restored.memberships,
            durability: Durability::new(Promises { hard_state: restored.hard_state, loss: restored.loss }),
            random: Random::new(config.seed ^ config.id.0.rotate_left(32)),
            loss: restored.loss,
            commit_is_due: false,
            installing: None,
            fetching_committed: false,
            ready: Ready::default(),
            then_send: Vec::new(),
            config,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn term(&self) -> Term {
        self.hard_state.term
    }

    fn promises(&self) -> Promises {
        Promises { hard_state: self.hard_state, loss: self.loss }
    }

    /// Returns whether term, vote and loss are on the disk as they are now.
    pub(crate) fn promises_are_durable(&self) -> bool {
        self.durability.has(self.promises())
    }

    /// Lets log entries leave memory that nobody but a slow follower can need. A node without followers keeps what the
    /// first message to a new one takes.
    pub(crate) fn trim_log(&mut self) {
        let limits = &self.config.limits;
        let is_alone = self.membership().members().nth(1).is_none();
        let bytes_max = if is_alone { limits.append_bytes_max } else { limits.tail_bytes_max };
        self.log.trim(limits.tail_entries_max, bytes_max.min(limits.tail_bytes_max));
    }

    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.current()
    }

    /// Returns whether nothing can be committed without this node: it is the only voter, and that is committed. What is not in
    /// its log was not committed then, whoever says so.
    pub(crate) fn is_sole_quorum(&self) -> bool {
        self.membership().is_lone_voter(self.id()) && self.memberships.current_index() <= self.log.commit()
    }

    /// Whether this node may ask for votes: as a voter whose log holds what it once acknowledged.
    pub(crate) fn may_campaign(&self) -> bool {
        self.is_needed_as_candidate() && self.loss.is_none() && self.installing.is_none()
    }

    /// A voter; or one that the configuration drops by an entry that may not be committed. Such a node may be the only
    /// one that can win: it has that entry, and the others, still in the joint configuration, need its vote and do
    /// not get it for a shorter log (Raft thesis, section 4.2.2).
    fn is_needed_as_candidate(&self) -> bool {
        let own = self.id();
        let may_be_undone = self.memberships.current_index() > self.log.commit();
        self.membership().is_voter(own)
            || (may_be_undone && self.memberships.previous().is_some_and(|before| before.is_voter(own)))
    }

    /// A timeout between the configured one and twice it, so that candidates rarely meet.
    pub(crate) fn draw_timeout(&mut self) -> Timeout {
        let ticks = self.config.election_ticks + self.random.below(self.config.election_ticks);
        Timeout::new(ticks)
    }

    pub(crate) fn next_question(&mut self) -> super::reads::ReadRequestId {
        self.questions += 1;
        super::reads::ReadRequestId { boot: self.boot, number: self.questions }
    }

    pub(crate) fn message(&self, to: NodeId, body: Body) -> Message {
        Message { from: self.id(), incarnation: self.incarnation, to, term: self.term(), body }
    }

    /// Sends what promises nothing about this node's disk, or what only a node whose vote is durable can say.
    pub(crate) fn send_now(&mut self, to: NodeId, body: Body) {
        let message = self.message(to, body);
        self.ready.send.push(message);
    }

    /// Sends when what the message promises is durable (rule W6), which may be now.
    pub(crate) fn send(&mut self, to: NodeId, body: Body, after: After) {
        let entries_durable = match after {
            After::HardState => true,
            After::Entries(last) => self.log.stable() >= last,
        };
        let message = self.message(to, body);
        if entries_durable && self.promises_are_durable() {
            self.ready.send.push(message);
        } else {
            self.queue_behind_disk(message);
        }
    }

    fn queue_behind_disk(&mut self, message: Message) {
        // One answer for several appends: the last one says it all.
        if let Some(queued) = self.then_send.last_mut()
            && (queued.to, queued.term) == (message.to, message.term)
            && let (
                Body::AppendReply { session: old, matched: before },
                Body::AppendReply { session: new, matched },
            ) = (&mut queued.body, &message.body)
            && old == new
        {
            *before = (*before).max(*matched);
            return;
        }
        self.then_send.push(message);
    }

    pub(crate) fn answer_read(&mut self, token: ReadToken, index: Index) {
        self.ready.reads.push(ReadReady { token, index });
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        if let Payload::Membership(change) = &entry.payload {
            self.memberships.append(entry.index, change.membership.clone());
        }
        self.log.append(entry);
    }

    /// Drops the entries from `first` on, and the configurations they put in force (rule M1).
    pub(crate) fn truncate_from(&mut self, first: Index) {
        self.log.truncate_from(first);
        self.memberships.truncate_from(first);
        self.durability.truncated_from(first);
    }

    /// Collects what storage must do, if anything.
    pub(crate) fn collect_persist(&mut self) {
        let promises = self.promises();
        let is_due = std::mem::take(&mut self.commit_is_due) || !self.then_send.is_empty();
        if self.durability.is_stored(promises) && !self.log.has_unstored() && !is_due {
            return;
        }
        let stored = self.durability.stored();
        let (truncate_from, entries) = self.log.take_unstored();
        self.ready.persist = Some(Persist {
            hard_state: (stored.hard_state != self.hard_state).then_some(self.hard_state),
            loss: self.loss.filter(|loss| stored.loss != Some(*loss)),
            truncate_from,
            entries,
            commit: self.log.commit_id(),
            then_send: std::mem::take(&mut self.then_send),
            ack: self.durability.issue(promises, self.log.last()),
        });
    }

    /// Collects committed entries for the state machine, or asks for those that are not in memory.
    pub(crate) fn collect_committed(&mut self) {
        let (handed, commit) = (self.log.handed(), self.log.commit());
        if self.fetching_committed || self.installing.is_some() || handed == commit {
            return;
        }
        if self.log.is_work_enough(&self.config.limits) {
            return;
        }
        let bytes_max = self.config.limits.committed_bytes_max;
        let enough = self.log.applied().0.saturating_add(self.config.limits.handed_entries_max);
        match self.log.slice(handed.next(), commit.min(Index(enough)), bytes_max) {
            Slice::Entries(entries) => self.hand_out(entries),
            Slice::Fetch(last) => {
                self.fetching_committed = true;
                let purpose = FetchPurpose::Apply;
                self.ready.fetches.push(Fetch { purpose, first: handed.next(), last, bytes_max });
            }
            Slice::Compacted => unreachable!("only applied entries are compacted"),
        }
    }

    /// Takes committed entries that were read from the durable log.
    pub(crate) fn fetched_committed(&mut self, entries: Vec<Entry>) {
        self.fetching_committed = false;
        // A snapshot may have overtaken them, or is about to: they must not come behind it. Or the read failed. Then they are
        // asked for again.
        let is_next = entries.first().is_some_and(|first| first.index == self.log.handed().next());
        if is_next && self.installing.is_none() {
            self.hand_out(entries);
        }
    }

    fn hand_out(&mut self, entries: Vec<Entry>) {
        let mut last = self.log.handed();
        for entry in &entries {
            let id = entry.id();
            assert!(id.index == last.next() && self.log.holds(id), "{id}, to be handed out after {last}");
            last = id.index;
        }
        assert!(last > self.log.handed(), "entries to hand out");
        self.log.hand_to(last, entries.iter().map(Entry::weight).sum());
        if self.ready.committed.is_empty() {
            self.ready.committed = entries;
        } else {
            self.ready.committed.extend(entries);
        }
    }
}
