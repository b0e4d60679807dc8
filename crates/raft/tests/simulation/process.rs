//! A running member: the node, the durable log and the state machine, with the queues between their
//! threads.
//!
//! ```text
//!   messages, ticks, proposals ──► node ──► log_work ──► log writer ──► to_read ──► log reader ─┐
//!                                   ▲  └──► to_apply ──► apply ──────┐       │                  │
//!                                   └──────────── reports ◄──────────┴───────┴──────────────────┘
//! ```
//!
//! In the server each of the four is a thread. Here the history says which one does its next piece
//! of work.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use raft::durable::{Error, FetchJob, Log, Options};
use raft::{
    Config, Entry, Fetch, Incarnation, Index, Limits, Membership, Message, Node, NodeId, Persist, Persisted,
    ReadReady, ReadToken, Ready, Restored, SnapshotMeta, SnapshotWanted,
};
use wal::SimDisk;

use crate::state::State;

/// What the log writer is to do.
pub(crate) enum LogWork {
    Persist(Persist),
    Fetch(Fetch),
    Release(Index),
    /// Notes that a snapshot is about to replace the state.
    Expect(SnapshotMeta, State),
    /// Begins the log after a snapshot that has replaced the state.
    Reset(SnapshotMeta),
}

/// What the apply thread is to do.
pub(crate) enum ApplyWork {
    Entries(Vec<Entry>),
    Install(SnapshotMeta, State),
}

/// What the node is yet to learn of the others.
pub(crate) enum Report {
    Persisted(Persisted),
    Fetched(Fetch, Vec<Entry>),
    Applied(Index),
    Expected(SnapshotMeta, State),
    Installed(SnapshotMeta),
    Reset(SnapshotMeta),
}

/// The part of a [`Ready`] that leaves the process.
pub(crate) struct Outgoing {
    pub(crate) messages: Vec<Message>,
    pub(crate) reads: Vec<ReadReady>,
    pub(crate) reads_abandoned: Vec<ReadToken>,
    pub(crate) snapshots: Vec<SnapshotWanted>,
}

pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) log: Log,
    pub(crate) disk: SimDisk,
    pub(crate) log_work: VecDeque<LogWork>,
    pub(crate) to_apply: VecDeque<ApplyWork>,
    /// Entries that are to be read from the log's files, beside the log writer.
    pub(crate) to_read: VecDeque<FetchJob>,
    pub(crate) reports: VecDeque<Report>,
    /// Appended and not yet synced, with the messages that wait for it.
    pub(crate) unsynced: Vec<(Persisted, Vec<Message>)>,
    /// What could not be appended because the disk is full.
    pub(crate) waiting: Option<Persist>,
    /// What the log writer knows to be durable.
    pub(crate) synced: Index,
    /// What is applied.
    pub(crate) state: State,
    /// What is on the disk of it.
    pub(crate) checkpoint: State,
    /// The content of the snapshot whose message is being stepped.
    pub(crate) received: Option<State>,
}

/// Opens log and checkpoint as a server does when it starts, and finishes what a crash interrupted.
pub(crate) fn open(
    id: NodeId,
    disk: &SimDisk,
    founders: &Membership,
    tail_bytes_max: usize,
) -> Result<(Log, Restored, State), Error> {
    let options = Options {
        identity: [0xc0ffee, id.0],
        segment_bytes: 4 * wal::SEGMENT_BYTES_MIN,
        tail_bytes_max,
        membership: founders.clone(),
        incarnation: Incarnation(1),
    };
    let mut log = Log::open(Arc::new(disk.clone()), Path::new("/raft"), options)?.log;
    let mut state = State::read(disk).map_err(|source| state_error("read", source))?;
    let restored = match log.restore_at(state.last) {
        Err(Error::StateForgotten { .. }) => {
            state = State::default();
            state.write(disk).map_err(|source| state_error("write", source))?;
            log.restore_at(state.last)?
        }
        other => other?,
    };
    Ok((log, restored, state))
}

/// Names the state's file in an error of the disk.
pub(crate) fn state_error(op: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: "/state".into(), op, source }
}

/// How a process is configured; drawn anew for each start.
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) tail_bytes_max: usize,
    pub(crate) seed: u64,
}

impl Process {
    pub(crate) fn start(
        id: NodeId,
        disk: &SimDisk,
        founders: &Membership,
        settings: Settings,
    ) -> Result<(Process, Restored), Error> {
        let (log, restored, state) = open(id, disk, founders, settings.tail_bytes_max)?;
        let config = Config { election_ticks: 4, limits: settings.limits, ..Config::new(id, settings.seed) };
        let process = Process {
            node: Node::new(config, restored.clone()),
            log,
            disk: disk.clone(),
            log_work: VecDeque::new(),
            to_apply: VecDeque::new(),
            to_read: VecDeque::new(),
            reports: VecDeque::new(),
            unsynced: Vec::new(),
            waiting: None,
            synced: Index::ZERO,
            state,
            checkpoint: state,
            received: None,
        };
        Ok((process, restored))
    }

    /// Queues what the node wants done, and returns what is for others.
    pub(crate) fn take(&mut self, ready: Ready) -> Outgoing {
        self.log_work.extend(ready.persist.map(LogWork::Persist));
        self.log_work.extend(ready.fetches.into_iter().map(LogWork::Fetch));
        if !ready.committed.is_empty() {
            self.to_apply.push_back(ApplyWork::Entries(ready.committed));
        }
        if let Some(snapshot) = ready.install {
            let content = self.received.take().expect("the snapshot's content came with its message");
            self.log_work.push_back(LogWork::Expect(snapshot, content));
        }
        Outgoing {
            messages: ready.send,
            reads: ready.reads,
            reads_abandoned: ready.reads_abandoned,
            snapshots: ready.snapshots,
        }
    }

    /// Lets the node learn the oldest report. Returns whether there was one.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(report) = self.reports.pop_front() else { return false };
        match report {
            Report::Persisted(ack) => self.node.persisted(ack),
            Report::Fetched(fetch, entries) => self.node.fetched(&fetch, entries),
            Report::Applied(index) => self.node.applied(index),
            Report::Expected(snapshot, content) => {
                self.to_apply.push_back(ApplyWork::Install(snapshot, content));
            }
            Report::Installed(snapshot) => self.log_work.push_back(LogWork::Reset(snapshot)),
            Report::Reset(snapshot) => self.node.installed(&snapshot),
        }
        true
    }

    /// Returns the snapshot for a follower: the checkpoint on the disk, if it is recent enough.
    pub(crate) fn snapshot_for(&self, wanted: &SnapshotWanted) -> Option<(Message, State)> {
        let last = self.checkpoint.last;
        if last.index.next() < wanted.first {
            return None;
        }
        let membership = self.node.membership_at(last.index).clone();
        Some((wanted.message(SnapshotMeta { last, membership }), self.checkpoint))
    }

    /// Returns whether a thread beside the node's has something to do, or something to report.
    pub(crate) fn is_busy(&self) -> bool {
        let is_idle = self.to_apply.is_empty() && self.to_read.is_empty() && self.reports.is_empty();
        !is_idle || self.has_log_work()
    }

    pub(crate) fn has_log_work(&self) -> bool {
        !self.log_work.is_empty() || !self.unsynced.is_empty() || self.waiting.is_some()
    }
}
