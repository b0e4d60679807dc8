//! What the threads of a member say to each other: one enum for each thread, of what it takes from its inbox.

use std::time::Duration;

use machine::{ChangeRules, Machine};
use proto::etcdserverpb::InternalRaftRequest;
use raft::durable::{Error, FetchJob};
use raft::{Entry, Fetch, Index, Message, NodeId, Persist, Persisted, SnapshotMeta, SnapshotWanted, Term};
use tokio::sync::oneshot;

use crate::peers::Heard;
use crate::request::{Checked, Proposal, ReadBatch, ShrinkAnswer};
use crate::snapshots::made::Made;
use crate::snapshots::place::ReceivedStore;

/// What happens to consensus.
pub enum ConsensusEvent {
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
    Received(Heard),
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

/// What happens to the state machine.
pub enum ApplyEvent {
    /// Entries were committed.
    Committed(Vec<Entry>),
    /// These reads may be served once the state holds the index.
    Read(ReadBatch, Index),
    /// Somebody asks a question.
    Ask(Box<dyn FnOnce(&Machine) + Send>),
    /// May this change of members be proposed?
    CheckChange {
        /// The change.
        proposal: Proposal,
        /// The same, decoded.
        request: Box<InternalRaftRequest>,
        /// The rules of the leader that asks.
        rules: ChangeRules,
    },
    /// Somebody waits for a checkpoint that holds everything applied so far.
    AwaitCheckpoint(oneshot::Sender<()>),
    /// Somebody wants the database to be as short as can be.
    Defragment(ShrinkAnswer),
    /// A checkpoint of a generation of the store was written.
    Checkpointed(u64, Box<mvcc::Done>, Duration),
    /// A checkpoint could not be written; it may be possible later.
    CheckpointFailed(u64, mvcc::Error),
    /// A follower needs a snapshot.
    SnapshotWanted(SnapshotWanted),
    /// A snapshot is to replace the store.
    Install(SnapshotMeta, ReceivedStore),
    /// The own disk has the part of the log that a checkpoint waits for.
    Stable,
    /// The member stops: write a last checkpoint and end.
    Stop,
}

/// What the log writer is asked to do.
pub enum LogEvent {
    /// Make this durable, and report it.
    Persist(Persist),
    /// Read entries back.
    Fetch(Fetch),
    /// Entries up to and including this one are in a checkpoint.
    Release(Index),
    /// Note that this snapshot is about to replace the state.
    Expect(SnapshotMeta, ReceivedStore),
    /// It has: begin behind it.
    Reset(SnapshotMeta),
    /// The next file was made, or not.
    Prepared(Result<(), Error>),
    /// The member stops.
    Stop,
}

/// What the log reader is asked to do.
pub enum ReadLog {
    /// Read these entries, and hand them to consensus.
    Read(FetchJob),
    /// The member stops.
    Stop,
}

/// What the log preparer is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Prepare {
    /// Make the next file, unless it is there, and report to the log writer.
    NextFile,
    /// The member stops.
    Stop,
}

/// Whether another round follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// When there is something to do, or at the time that the thread has set itself.
    Next,
    /// None: the member stops.
    Last,
}
