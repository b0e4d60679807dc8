//! What the core wants done. The order of effects is in the types: what must wait for the disk is inside of
//! [`Persist`], so it cannot be sent by oversight.

use super::entry::Entry;
use super::id::{EntryId, Index, NodeId, ReadToken, Session, Term};
use super::loss::Loss;
use super::message::{Body, Message, SnapshotMeta};

/// What a node must never forget: its term and whom it voted for in it (Raft paper, figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got the node's vote in that term.
    pub vote: Option<NodeId>,
}

/// Effects of the steps since the last one. All fields are independent of each other except by index; only what is
/// inside of `persist` has an order.
#[derive(Clone, Debug, Default, Hash)]
pub struct Ready {
    /// To be sent now: nothing in it depends on this node's disk.
    pub send: Vec<Message>,
    /// To be queued for the log writer, in the order of the `Ready`s.
    pub persist: Option<Persist>,
    /// Committed entries, consecutive, to be applied. They may be ahead of the own disk: a state checkpoint must wait
    /// until [`Status::stable`] has reached what it contains.
    pub committed: Vec<Entry>,
    /// Reads that may be answered once `index` is applied (rule R5).
    pub reads: Vec<ReadReady>,
    /// Reads that will not be answered: leadership moved, or an answer was lost. To be asked again, or refused.
    pub reads_abandoned: Vec<ReadToken>,
    /// Entries wanted from the durable log; the answer is [`Node::fetched`](crate::Node::fetched).
    pub fetches: Vec<Fetch>,
    /// Followers that need a snapshot.
    pub snapshots: Vec<SnapshotWanted>,
    /// A snapshot received must now replace the state and the durable log; then
    /// [`Node::installed`](crate::Node::installed).
    pub install: Option<SnapshotMeta>,
    /// Role, term or leader changed.
    pub role: Option<RoleChange>,
}

impl Ready {
    pub(crate) fn is_empty(&self) -> bool {
        self.send.is_empty()
            && self.persist.is_none()
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.reads_abandoned.is_empty()
            && self.fetches.is_empty()
            && self.snapshots.is_empty()
            && self.install.is_none()
            && self.role.is_none()
    }
}

/// One piece of work for the log writer: forget, append, sync, then send. Pieces are done in order; one sync may
/// serve several.
#[derive(Clone, Debug, Hash)]
pub struct Persist {
    /// Term and vote, if they changed. Durable before the entries are.
    pub hard_state: Option<HardState>,
    /// A loss that was found since (rule M5). Durable before the entries are, and over restarts until it is made good,
    /// which the log finds out by itself.
    pub loss: Option<Loss>,
    /// Entries from here on are void; to be dropped before `entries` are appended.
    pub truncate_from: Option<Index>,
    /// To be appended; consecutive.
    pub entries: Vec<Entry>,
    /// The last entry known to be committed, which is in the log when all of the above is. Worth noting when something is
    /// written anyway, never worth a sync.
    pub commit: EntryId,
    /// To be sent when all of the above, and every earlier piece, is durable (rule W6).
    pub then_send: Vec<Message>,
    /// To be given to [`Node::persisted`](crate::Node::persisted) at the same time.
    pub ack: Persisted,
}

impl Persist {
    /// Whether there is anything to write. A piece without only keeps its messages behind earlier pieces.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.hard_state.is_some()
            || self.loss.is_some()
            || self.truncate_from.is_some()
            || !self.entries.is_empty()
    }
}

/// "This piece is durable." Comes with the piece and can be had in no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Persisted {
    pub(crate) batch: u64,
    /// The last entry of the log when the piece was handed out.
    pub(crate) last: EntryId,
}

/// A read that is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadReady {
    /// Whose.
    pub token: ReadToken,
    /// What must be applied before it is answered.
    pub index: Index,
}

/// A wish for entries that are no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// Whom they are for.
    pub purpose: FetchPurpose,
    /// The first entry.
    pub first: Index,
    /// The last entry. Fewer are welcome, but at least one.
    pub last: Index,
    /// Stop when this many bytes are reached.
    pub bytes_max: usize,
}

/// Whom entries are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchPurpose {
    /// The own state machine.
    Apply,
    /// A follower that is behind.
    Peer {
        /// The follower.
        node: NodeId,
        /// The relation to it; entries that come after it ended are dropped.
        session: Session,
        /// The term in which this node asked as a leader.
        term: Term,
    },
}

/// A follower needs a snapshot: the shell sends its latest checkpoint with [`SnapshotWanted::message`], and reports with
/// [`Node::snapshot_sent`](crate::Node::snapshot_sent) how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotWanted {
    /// The follower.
    pub to: NodeId,
    /// The first entry that the log can serve after the snapshot: a checkpoint from before is of no use.
    pub first: Index,
    pub(crate) session: Session,
    pub(crate) envelope: Message,
}

impl SnapshotWanted {
    /// The message that the receiver steps once it holds the whole snapshot.
    #[must_use]
    pub fn message(&self, snapshot: SnapshotMeta) -> Message {
        let body = Body::InstallSnapshot { session: self.session, snapshot };
        Message { body, ..self.envelope.clone() }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it could win.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// Role, term and leader after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoleChange {
    /// The role.
    pub role: RoleName,
    /// The term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<NodeId>,
}

/// A node at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The leader of the term, if known.
    pub leader: Option<NodeId>,
    /// The place before the first entry of the log.
    pub base: EntryId,
    /// The last entry of the log.
    pub last: EntryId,
    /// The last entry that is durable here.
    pub stable: Index,
    /// The last entry known to be committed.
    pub commit: Index,
    /// The last entry known to be applied.
    pub applied: Index,
    /// Whether, as a leader, it has committed an entry of its own term: only then reads and changes are served.
    pub is_established: bool,
    /// What a leader knows of its followers, by node.
    pub followers: Vec<FollowerStatus>,
    /// To whom leadership is being handed over.
    pub transfer_to: Option<NodeId>,
}

/// A follower as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FollowerStatus {
    /// The follower.
    pub id: NodeId,
    /// Up to where its log agrees, durably.
    pub matched: Index,
    /// The next entry to send it.
    pub next: Index,
    /// `probe`, `replicate` or `snapshot`.
    pub mode: &'static str,
    /// Whether it was heard within the last election timeout, or two of them at most.
    pub is_active: bool,
}
