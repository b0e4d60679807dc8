//! The thread that owns the raft log on disk.
//!
//! Group commit: whatever has been handed over while the last sync was under way is appended together and made
//! durable by one sync.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::durable::{Error, Log};
use raft::{Fetch, Index, Message, Persist, Persisted, SnapshotMeta};

use super::consensus::ConsensusEvent;
use super::fatal::stop_process;
use super::inbox::{Inbox, Sender};
use super::log_reader::ReadLog;
use super::shared::Shared;
use super::snapshots::ReceivedStore;
use crate::metrics::Metrics;
use crate::transport::Transport;

/// What the log writer is asked to do.
pub(crate) enum LogEvent {
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
    /// Remove what was received and is not wanted.
    Discard(ReceivedStore),
    /// The member stops.
    Stop,
}

/// How long nothing must happen before the end of the log is marked as synced.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait before a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// Everything the thread works with.
pub(crate) struct LogWriter {
    pub(crate) log: Log,
    pub(crate) inbox: Inbox<LogEvent>,
    pub(crate) consensus: Sender<ConsensusEvent>,
    pub(crate) reader: Sender<ReadLog>,
    pub(crate) transport: Transport,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) waiting: Waiting,
}

/// What has been taken from the inbox and not been done yet.
#[derive(Default)]
pub(crate) struct Waiting {
    events: VecDeque<LogEvent>,
    /// Durable up to here.
    synced: Index,
    /// What the next sync makes true.
    proved: Option<Proved>,
}

/// What may be said once everything appended is durable, and not before (rule W6).
struct Proved {
    /// To this member's node.
    ack: Persisted,
    /// To other members, in the order of the pieces that it waited for.
    messages: Vec<Message>,
}

/// The member stops before there is space.
struct Stopped;

impl LogWriter {
    /// Runs until the member stops.
    pub(crate) fn run(mut self) {
        self.write_until_stopped();
        let _ = self.reader.send(ReadLog::Stop);
    }

    fn write_until_stopped(&mut self) {
        let mut taken = Vec::new();
        let mut witnessed = true;
        loop {
            let is_full = self.shared.disk_full.load(Ordering::Relaxed);
            let look_again = (is_full || !witnessed).then(|| Instant::now() + IDLE);
            self.inbox.take(&mut taken, look_again);
            self.waiting.events.extend(taken.drain(..));
            if self.waiting.events.is_empty() {
                if !witnessed {
                    self.witness();
                    witnessed = true;
                }
                // While writes are refused nothing else would bring us here.
                self.prepare();
                continue;
            }
            let mut release = None;
            let mut stop = false;
            while let Some(event) = self.waiting.events.pop_front() {
                match event {
                    LogEvent::Persist(persist) => {
                        witnessed &= !persist.is_write();
                        // Nobody was promised anything of what stays undone.
                        let Ok(()) = self.append(persist) else { return };
                    }
                    LogEvent::Fetch(fetch) => self.fetch(fetch),
                    LogEvent::Release(through) => release = Some(through),
                    LogEvent::Expect(snapshot, received) => self.expect(snapshot, received),
                    LogEvent::Reset(snapshot) => self.reset(snapshot),
                    LogEvent::Discard(received) => drop(received),
                    LogEvent::Stop => stop = true,
                }
            }
            self.prove();
            if let Some(through) = release {
                self.release(through);
            }
            if stop {
                return self.witness();
            }
            self.prepare();
        }
    }

    /// Appends, waiting for space if there is none: nothing of the batch is acknowledged meanwhile, new writes are
    /// refused, reads go on.
    fn append(&mut self, persist: Persist) -> Result<(), Stopped> {
        let started = Instant::now();
        while let Err(error) = self.log.append(&persist) {
            if !error.is_no_space() {
                stop_process("the raft log cannot be written", &error);
            }
            self.report_full(&error);
            self.wait_for_space()?;
        }
        self.metrics.disk.wal_write.observe(started.elapsed());
        let bytes: usize = persist.entries.iter().map(raft::Entry::weight).sum();
        self.metrics.disk.wal_write_bytes.add(bytes as i64);
        let Persist { ack, then_send, .. } = persist;
        match &mut self.waiting.proved {
            Some(proved) => {
                proved.ack = ack;
                proved.messages.extend(then_send);
            }
            None => self.waiting.proved = Some(Proved { ack, messages: then_send }),
        }
        Ok(())
    }

    /// Makes everything appended durable by one sync, and says so.
    fn prove(&mut self) {
        let Some(Proved { ack, messages }) = self.waiting.proved.take() else { return };
        self.sync();
        if !messages.is_empty() {
            self.transport.send(messages);
        }
        let _ = self.consensus.send(ConsensusEvent::Persisted(ack));
    }

    /// Waits a little. A checkpoint may come to an end meanwhile and make space by what it releases, and the member
    /// may be stopped; everything else keeps its turn.
    fn wait_for_space(&mut self) -> Result<(), Stopped> {
        let mut taken = Vec::new();
        self.inbox.take(&mut taken, Some(Instant::now() + FULL_DISK_RETRY));
        self.waiting.events.extend(taken);
        for event in std::mem::take(&mut self.waiting.events) {
            match event {
                LogEvent::Release(through) if through <= self.waiting.synced => self.release(through),
                LogEvent::Stop => return Err(Stopped),
                event => self.waiting.events.push_back(event),
            }
        }
        Ok(())
    }

    fn sync(&mut self) {
        let started = Instant::now();
        match self.log.sync() {
            Ok(synced) => self.waiting.synced = synced,
            Err(error) => stop_process("the raft log cannot be synced", &error),
        }
        self.metrics.disk.wal_fsync.observe(started.elapsed());
    }

    /// Notes that a snapshot comes, so that a start after a crash knows what to make of a state ahead of the log.
    fn expect(&mut self, snapshot: SnapshotMeta, received: ReceivedStore) {
        if let Err(error) = self.log.expect_snapshot(&snapshot) {
            stop_process("a snapshot cannot be noted in the raft log", &error);
        }
        let _ = self.consensus.send(ConsensusEvent::SnapshotExpected(snapshot, received));
    }

    /// Begins behind a snapshot.
    fn reset(&mut self, snapshot: SnapshotMeta) {
        // What was appended before is gone with this, but what was promised with it must be true first.
        self.prove();
        if let Err(error) = self.log.reset_to(&snapshot) {
            stop_process("the raft log cannot begin behind a snapshot", &error);
        }
        self.waiting.synced = snapshot.last.index;
        let _ = self.consensus.send(ConsensusEvent::LogReset(snapshot));
    }

    /// Has entries read by another thread: a follower that is far behind must not hold up the writes of today. What
    /// is not here any more is answered too; the node sends a snapshot then.
    fn fetch(&mut self, fetch: Fetch) {
        match self.log.fetch(&fetch) {
            Some(job) => drop(self.reader.send(ReadLog::Read(job))),
            None => drop(self.consensus.send(ConsensusEvent::Fetched(fetch, Vec::new()))),
        }
    }

    /// Leaves proof that everything was synced, so that damage to the last batch is known for what it is.
    fn witness(&mut self) {
        match self.log.witness() {
            Ok(()) => {}
            Err(error) if error.is_no_space() => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be synced", &error),
        }
    }

    /// Reserves the next segment while the current one still has room, so that a full disk shows early.
    fn prepare(&mut self) {
        match self.log.prepare_next() {
            Ok(()) => {
                if self.shared.disk_full.swap(false, Ordering::Relaxed) {
                    tracing::info!("the raft log can grow again: writes are taken");
                }
            }
            Err(error) if error.is_no_space() => self.report_full(&error),
            Err(error) => stop_process("the raft log cannot be extended", &error),
        }
    }

    fn report_full(&self, error: &Error) {
        if !self.shared.disk_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the raft log cannot grow: writes are refused until there is space");
        }
    }

    fn release(&mut self, through: Index) {
        match self.log.release(through) {
            Ok(()) => {}
            // The files go with the next release.
            Err(error @ (Error::Wal(_) | Error::NoSpace { .. })) => {
                tracing::warn!(error = %error, "the raft log was not released")
            }
            Err(error) => stop_process("the raft log cannot be released", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use raft::durable::Options;
    use raft::{Membership, Node, NodeId, Ready};
    use wal::SimDisk;

    use super::*;
    use crate::engine::inbox::inbox;
    use crate::engine::waiters::Waiters;

    const SEGMENT_BYTES: u64 = 4096;

    /// A log writer on a thread, for a node that is alone.
    struct Bench {
        disk: SimDisk,
        node: Node,
        log: Sender<LogEvent>,
        consensus: Inbox<ConsensusEvent>,
        shared: Arc<Shared>,
        thread: std::thread::JoinHandle<()>,
    }

    fn bench() -> Bench {
        let disk = SimDisk::new(1);
        let alone = NodeId(1);
        let options = Options {
            identity: [1, 1],
            segment_bytes: SEGMENT_BYTES,
            tail_bytes_max: 1 << 20,
            membership: Membership::new([alone], []),
            incarnation: raft::Incarnation(1),
        };
        let mut log =
            raft::durable::Log::open(Arc::new(disk.clone()), Path::new("/log"), options).unwrap().log;
        let mut node = Node::new(raft::Config::new(alone, 1), log.restore(Index::ZERO).unwrap());
        node.campaign();
        let (log_sender, log_inbox) = inbox();
        let (consensus_sender, consensus) = inbox();
        let (reader, _) = inbox();
        let shared = Arc::new(Shared::new(Waiters::new(1, 0), Duration::from_secs(7)));
        let writer = LogWriter {
            log,
            inbox: log_inbox,
            consensus: consensus_sender,
            reader,
            transport: Transport::default(),
            shared: shared.clone(),
            metrics: Arc::new(Metrics::new(crate::config::Config::default().metrics)),
            waiting: Waiting::default(),
        };
        let thread = std::thread::spawn(move || writer.run());
        Bench { disk, node, log: log_sender, consensus, shared, thread }
    }

    impl Bench {
        /// Hands what the node wants persisted to the writer.
        fn hand_over(&mut self) {
            while let Some(Ready { persist, .. }) = self.node.ready() {
                if let Some(persist) = persist {
                    self.log.send(LogEvent::Persist(persist)).unwrap();
                }
            }
        }

        /// Takes the writer's next report to the node.
        fn hear(&mut self) {
            let mut events = Vec::new();
            self.consensus.take(&mut events, None);
            for event in events {
                if let ConsensusEvent::Persisted(persisted) = event {
                    self.node.persisted(persisted);
                }
            }
        }

        /// Has one entry after the other persisted.
        fn fill(&mut self, entries: usize) {
            for _ in 0..entries {
                self.node.propose(vec![7; 500].into()).unwrap();
                self.hand_over();
                self.hear();
            }
        }

        fn wait_until_full(&self) {
            while !self.shared.disk_full.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_member_stops_while_its_disk_is_full() {
        let mut bench = bench();
        bench.hand_over();
        bench.hear();
        bench.disk.set_capacity(Some(0));
        // More than the segments that are there take.
        for _ in 0..40 {
            bench.node.propose(vec![7; 500].into()).unwrap();
        }
        bench.hand_over();
        bench.wait_until_full();
        bench.log.send(LogEvent::Stop).unwrap();
        bench.thread.join().unwrap();
    }

    #[test]
    fn what_a_checkpoint_releases_makes_space_for_what_waits() {
        let mut bench = bench();
        bench.hand_over();
        bench.hear();
        bench.fill(40);
        let used: usize =
            bench.disk.files().iter().filter_map(|path| bench.disk.content(path)).map(|c| c.len()).sum();
        bench.disk.set_capacity(Some(used as u64));
        let durable = bench.node.status().commit;
        let proposed = 20;
        for _ in 0..proposed {
            bench.node.propose(vec![7; 500].into()).unwrap();
        }
        bench.hand_over();
        bench.wait_until_full();
        bench.log.send(LogEvent::Release(durable)).unwrap();
        while bench.node.status().commit.0 < durable.0 + proposed {
            bench.hear();
        }
        bench.log.send(LogEvent::Stop).unwrap();
        bench.thread.join().unwrap();
    }
}
