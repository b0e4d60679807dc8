//! The thread that owns the raft log on disk.
//!
//! Group commit: whatever has been handed over while the last sync was under way is appended together and made
//! durable by one sync.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::durable::{Error, Log};
use raft::{Fetch, Index, Message, Persist, Persisted, SnapshotMeta};

use crate::event::{ConsensusEvent, LogEvent, Prepare, ReadLog, Round};
use crate::fatal::stop_process;
use crate::handles::Handles;
use crate::inbox::{self, Inbox, Sender};
use crate::limits::SLOW_SYNC_MIN;
use crate::log_preparer::LogPreparer;
use crate::log_reader::LogReader;
use crate::messages;
use crate::snapshots::place::ReceivedStore;

/// How long nothing must happen before the end of the log is marked as synced.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait before a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// Everything the thread works with.
pub struct LogWriter {
    pub(crate) log: Log,
    pub(crate) inbox: Inbox<LogEvent>,
    reader: Sender<ReadLog>,
    preparer: Sender<Prepare>,
    handles: Handles,
    waiting: Waiting,
}

/// What has been taken from the inbox and not been done yet.
#[derive(Default)]
struct Waiting {
    events: VecDeque<LogEvent>,
    /// There was no space for the first of them.
    is_stuck: bool,
    /// Something was written since the end of the log was last marked as synced.
    is_unwitnessed: bool,
    /// What the next sync makes true.
    proved: Option<Proved>,
    next_file: NextFile,
}

/// What may be said once everything appended is durable, and not before (rule W6).
struct Proved {
    /// To this member's node.
    ack: Persisted,
    /// To other members, in the order of the pieces that it waited for.
    messages: Vec<Message>,
}

/// The file that the log goes on in when the current one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum NextFile {
    /// It is not known to be there.
    #[default]
    Unknown,
    /// It is being made, while the log ends in this segment.
    Asked(u64),
    /// It is there, until the log leaves this segment.
    Ready(u64),
    /// There was no space for it, at this time.
    NoSpace(Instant),
}

/// There is still no space.
struct StillFull;

impl LogWriter {
    /// Returns the thread that writes this log, and those that read it and that make its files.
    pub fn new(log: Log, inbox: Inbox<LogEvent>, handles: Handles) -> (Self, LogReader, LogPreparer) {
        let (reader, reader_inbox) = inbox::inbox();
        let (preparer, preparer_inbox) = inbox::inbox();
        let log_reader = LogReader { inbox: reader_inbox, consensus: handles.consensus.clone() };
        let log_preparer =
            LogPreparer { preparer: log.preparer(), inbox: preparer_inbox, log: handles.log.clone() };
        let writer = Self { log, inbox, reader, preparer, handles, waiting: Waiting::default() };
        (writer, log_reader, log_preparer)
    }

    /// Runs until the member stops.
    pub fn run(mut self) {
        let mut taken = Vec::new();
        loop {
            if self.inbox.take(&mut taken, self.look_again(Instant::now())).is_err() {
                taken.push(LogEvent::Stop);
            }
            if self.round(&mut taken) == Round::Last {
                break;
            }
        }
        let _ = self.reader.send(ReadLog::Stop);
        let _ = self.preparer.send(Prepare::Stop);
    }

    /// Returns when the next round is due even if nothing happens.
    fn look_again(&self, now: Instant) -> Option<Instant> {
        let is_full = self.handles.shared.disk_full.load(Ordering::Relaxed);
        match self.waiting.is_stuck {
            true => Some(now + FULL_DISK_RETRY),
            false => (is_full || self.waiting.is_unwitnessed).then(|| now + IDLE),
        }
    }

    /// Does everything that was taken from the inbox, and syncs once for all of it.
    pub fn round(&mut self, taken: &mut Vec<LogEvent>) -> Round {
        self.waiting.events.extend(taken.drain(..));
        if self.waiting.is_stuck && self.overtake() == Round::Last {
            // Nobody was promised anything of what stays undone.
            return Round::Last;
        }
        if self.waiting.events.is_empty() {
            self.witness();
        }
        let (mut release, mut round) = (None, Round::Next);
        if std::mem::take(&mut self.waiting.is_stuck) {
            // Whether there is space again is to be found out anew.
            self.waiting.next_file = NextFile::Unknown;
        }
        while let Some(event) = self.waiting.events.pop_front() {
            match event {
                LogEvent::Release(through) => release = Some(through),
                LogEvent::Stop => round = Round::Last,
                event => {
                    if let Some(stuck) = self.carry_out(event) {
                        self.waiting.events.push_front(stuck);
                        self.waiting.is_stuck = true;
                        break;
                    }
                }
            }
        }
        self.prove();
        if let Some(through) = release {
            self.release(through);
        }
        match round {
            Round::Last => self.witness(),
            Round::Next => self.prepare(),
        }
        round
    }

    /// Does one thing. Returns it if there is no space for it: nothing behind it is acknowledged then, new writes are
    /// refused, reads go on.
    fn carry_out(&mut self, event: LogEvent) -> Option<LogEvent> {
        match event {
            LogEvent::Persist(persist) => return self.append(persist),
            LogEvent::Expect(snapshot, received) => return self.expect(snapshot, received),
            LogEvent::Reset(snapshot) => return self.reset(snapshot),
            LogEvent::Fetch(fetch) => self.fetch(fetch),
            LogEvent::Prepared(result) => self.prepared(result),
            LogEvent::Release(_) | LogEvent::Stop => unreachable!("taken by the round"),
        }
        None
    }

    /// Does what need not wait behind the piece that has no space: a checkpoint may have come to an end and make space by
    /// what it releases, the state machine may need entries to come to a checkpoint, a snapshot makes space by replacing the
    /// log, and the member may be stopped. Entries that are asked for have been durable since before the piece was made, and
    /// it cuts none of them off.
    fn overtake(&mut self) -> Round {
        let mut kept = VecDeque::new();
        for event in std::mem::take(&mut self.waiting.events) {
            let stays = match event {
                LogEvent::Stop => return Round::Last,
                LogEvent::Release(through) if through <= self.log.synced() => {
                    self.release(through);
                    None
                }
                event @ (LogEvent::Prepared(_) | LogEvent::Fetch(_)) => self.carry_out(event),
                event @ LogEvent::Expect(..) => match self.promise(&mut kept) {
                    Ok(()) => self.carry_out(event),
                    Err(StillFull) => Some(event),
                },
                LogEvent::Reset(snapshot) => self.reset_before(&mut kept, snapshot),
                event => Some(event),
            };
            kept.extend(stays);
        }
        self.waiting.events = kept;
        Round::Next
    }

    /// Writes what pieces promise that wait for space: term, vote and loss. A snapshot that overtakes them may be of a later term
    /// than the disk knows of, and a start must not find an entry of a term that it has forgotten.
    fn promise(&mut self, waiting: &mut VecDeque<LogEvent>) -> Result<(), StillFull> {
        for piece in pieces(waiting) {
            let promises = Persist {
                truncate_from: None,
                entries: Vec::new(),
                commit: self.log.base(),
                then_send: Vec::new(),
                ..*piece
            };
            if let Err(error) = self.log.append(&promises) {
                self.expect_no_space("the raft log cannot be written", &error);
                return Err(StillFull);
            }
            (piece.hard_state, piece.loss) = (None, None);
        }
        Ok(())
    }

    /// Begins behind a snapshot before these pieces are written. Their entries are void then: they are part of the snapshot, or
    /// contradict it, so that nobody counts them.
    fn reset_before(&mut self, waiting: &mut VecDeque<LogEvent>, snapshot: SnapshotMeta) -> Option<LogEvent> {
        if self.promise(waiting).is_err() {
            return Some(LogEvent::Reset(snapshot));
        }
        let stays = self.reset(snapshot);
        if stays.is_none() {
            for piece in pieces(waiting) {
                piece.truncate_from = None;
                piece.entries.clear();
            }
        }
        stays
    }

    fn append(&mut self, persist: Persist) -> Option<LogEvent> {
        let started = Instant::now();
        self.waiting.is_unwitnessed |= persist.is_write();
        if let Err(error) = self.log.append(&persist) {
            self.expect_no_space("the raft log cannot be written", &error);
            return Some(LogEvent::Persist(persist));
        }
        self.handles.metrics.disk.wal_write.observe(started.elapsed());
        let bytes: usize = persist.entries.iter().map(raft::Entry::weight).sum();
        self.handles.metrics.disk.wal_write_bytes.add(bytes as i64);
        let Persist { ack, then_send, .. } = persist;
        match &mut self.waiting.proved {
            Some(proved) => {
                proved.ack = ack;
                proved.messages.extend(then_send);
            }
            None => self.waiting.proved = Some(Proved { ack, messages: then_send }),
        }
        None
    }

    /// Notes that the disk is full, if that is the error; any other one ends the process.
    fn expect_no_space(&mut self, what: &str, error: &Error) {
        if !error.is_no_space() {
            stop_process(what, error);
        }
        self.report_full(error);
        // That there is space again shows with the next file, too; but not at once.
        self.waiting.next_file = NextFile::NoSpace(Instant::now());
    }

    /// Makes everything appended durable by one sync, and says so.
    fn prove(&mut self) {
        let Some(Proved { ack, messages }) = self.waiting.proved.take() else { return };
        self.sync();
        if !messages.is_empty() {
            self.handles.peers.send(messages);
        }
        let _ = self.handles.consensus.send(ConsensusEvent::Persisted(ack));
    }

    fn sync(&mut self) {
        let started = Instant::now();
        if let Err(error) = self.log.sync() {
            stop_process("the raft log cannot be synced", &error);
        }
        let took = started.elapsed();
        self.handles.metrics.disk.wal_fsync.observe(took);
        if took > SLOW_SYNC_MIN {
            tracing::warn!(took = ?took, "expected-duration" = ?SLOW_SYNC_MIN, "{}", messages::SLOW_SYNC);
        }
    }

    /// Notes that a snapshot comes, so that a start after a crash knows what to make of a state ahead of the log.
    fn expect(&mut self, snapshot: SnapshotMeta, received: ReceivedStore) -> Option<LogEvent> {
        let started = Instant::now();
        if let Err(error) = self.log.expect_snapshot(&snapshot) {
            self.expect_no_space("a snapshot cannot be noted in the raft log", &error);
            return Some(LogEvent::Expect(snapshot, received));
        }
        self.handles.metrics.disk.snap_fsync.observe(started.elapsed());
        let _ = self.handles.consensus.send(ConsensusEvent::SnapshotExpected(snapshot, received));
        None
    }

    /// Begins behind a snapshot.
    fn reset(&mut self, snapshot: SnapshotMeta) -> Option<LogEvent> {
        // What was appended before is gone with this, but what was promised with it must be true first.
        self.prove();
        if let Err(error) = self.log.reset_to(&snapshot) {
            self.expect_no_space("the raft log cannot begin behind a snapshot", &error);
            return Some(LogEvent::Reset(snapshot));
        }
        let _ = self.handles.consensus.send(ConsensusEvent::LogReset(snapshot));
        None
    }

    /// Has entries read by another thread: a follower that is far behind must not hold up the writes of today. What
    /// is not here any more is answered too; the node sends a snapshot then.
    fn fetch(&mut self, fetch: Fetch) {
        match self.log.fetch(&fetch) {
            Some(job) => drop(self.reader.send(ReadLog::Read(job))),
            None => drop(self.handles.consensus.send(ConsensusEvent::Fetched(fetch, Vec::new()))),
        }
    }

    /// Leaves proof that everything was synced, so that damage to the last batch is known for what it is.
    fn witness(&mut self) {
        if !std::mem::take(&mut self.waiting.is_unwitnessed) {
            return;
        }
        match self.log.witness() {
            Ok(()) => {}
            Err(error) if error.is_no_space() => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be synced", &error),
        }
    }

    /// Has the next file made while the current one still has room, by another thread: reserving its space takes long, and a
    /// full disk shows early.
    fn prepare(&mut self) {
        let segment = self.log.segment();
        match self.waiting.next_file {
            NextFile::Asked(at) | NextFile::Ready(at) if at == segment => return,
            NextFile::NoSpace(since) if since.elapsed() < FULL_DISK_RETRY => return,
            _ => {}
        }
        self.waiting.next_file = NextFile::Asked(segment);
        let _ = self.preparer.send(Prepare::NextFile);
    }

    /// The next file is there, or there is no space for it.
    fn prepared(&mut self, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                if let NextFile::Asked(segment) = self.waiting.next_file {
                    self.waiting.next_file = NextFile::Ready(segment);
                }
                // A piece that is stuck needs something else.
                if !self.waiting.is_stuck && self.handles.shared.disk_full.swap(false, Ordering::Relaxed) {
                    tracing::info!("the raft log can grow again: writes are taken");
                }
            }
            Err(error) => {
                self.expect_no_space("the raft log cannot be extended", &error);
            }
        }
    }

    fn report_full(&self, error: &Error) {
        if !self.handles.shared.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the raft log cannot grow: writes are refused until there is space");
        }
    }

    fn release(&mut self, through: Index) {
        match self.log.release(through) {
            Ok(()) => {}
            // The files go with the next release.
            Err(error) if error.is_no_space() || matches!(error, Error::Wal(_)) => {
                tracing::warn!(error = %error, "the raft log was not released")
            }
            Err(error) => stop_process("the raft log cannot be released", &error),
        }
    }
}

/// The pieces of work among what waits.
fn pieces(waiting: &mut VecDeque<LogEvent>) -> impl Iterator<Item = &mut Persist> {
    waiting.iter_mut().filter_map(|event| match event {
        LogEvent::Persist(persist) => Some(persist),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
