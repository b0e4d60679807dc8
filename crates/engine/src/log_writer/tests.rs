//! The log writer on a simulated disk.

use std::path::Path;
use std::sync::Arc;

use raft::durable::Options;
use raft::{Body, Entry, EntryId, Membership, Node, NodeId, Payload, Ready, Session, Term};
use wal::{Disk, SimDisk};

use super::*;
use crate::handles::Inboxes;
use crate::inbox::inbox;
use crate::log_preparer::LogPreparer;
use crate::log_reader::LogReader;
use crate::shared::Shared;

const SEGMENT_BYTES: u64 = 4096;

/// A log writer for the only member of a cluster, or for one of three, that does a round when it is told to.
struct Parts {
    disk: SimDisk,
    node: Node,
    writer: LogWriter,
    log: Sender<LogEvent>,
    preparer: LogPreparer,
    reader: Inbox<ReadLog>,
    consensus: Inbox<ConsensusEvent>,
    shared: Arc<Shared>,
}

fn open(disk: &SimDisk, members: &[u64]) -> Log {
    let options = Options {
        identity: [1, 1],
        segment_bytes: SEGMENT_BYTES,
        tail_bytes_max: 1 << 20,
        membership: Membership::new(members.iter().copied().map(NodeId), []),
        incarnation: raft::Incarnation(1),
    };
    Log::open(Arc::new(disk.clone()), Path::new("/log"), options).unwrap().log
}

fn parts(members: &[u64]) -> Parts {
    parts_on(SimDisk::new(1), members)
}

fn parts_on(disk: SimDisk, members: &[u64]) -> Parts {
    let own = NodeId(1);
    let mut log = open(&disk, members);
    let node = Node::new(raft::Config::new(own, 1), log.restore(Index::ZERO).unwrap());
    let (handles, Inboxes { consensus, log: log_inbox, .. }) = Handles::for_tests(own.0);
    let (shared, events) = (handles.shared.clone(), handles.log.clone());
    let (writer, reader, preparer) = LogWriter::new(log, log_inbox, handles);
    Parts { disk, node, writer, log: events, preparer, reader: reader.inbox, consensus, shared }
}

impl Parts {
    /// Lets the process be killed and start again, in a cluster of three.
    fn restart(&mut self) {
        *self = parts_on(self.disk.restart(), &[1, 2, 3]);
    }

    /// Lets the writer do everything there is for it in one round.
    fn round(&mut self) -> Round {
        let mut taken = Vec::new();
        self.writer.inbox.take(&mut taken, Some(Instant::now())).unwrap();
        self.writer.round(&mut taken)
    }

    /// Hands over what the node wants persisted, and does it.
    fn persist(&mut self) {
        while let Some(Ready { persist, .. }) = self.node.ready() {
            let persist = persist.map(LogEvent::Persist);
            self.log.send_all(persist).unwrap();
        }
        self.round();
    }

    fn reports(&mut self) -> Vec<ConsensusEvent> {
        let mut events = Vec::new();
        self.consensus.take(&mut events, Some(Instant::now())).unwrap();
        events
    }

    fn used_bytes(&self) -> u64 {
        self.disk
            .files()
            .iter()
            .filter_map(|path| self.disk.content(path))
            .map(|file| file.len() as u64)
            .sum()
    }

    /// Lets the leader of the first term append large entries after the last one.
    fn append(&mut self, entries: u64) {
        let previous = self.node.last();
        let entry = |index: u64| Entry {
            index: Index(index),
            term: Term(1),
            payload: Payload::Command(vec![7; 500].into()),
        };
        let entries = (1..=entries).map(|number| entry(previous.index.0 + number)).collect();
        let body = Body::Append { session: Session(1), previous, entries, commit: Index::ZERO };
        self.node.step(message(body)).unwrap();
    }
}

fn message(body: Body) -> Message {
    Message { from: NodeId(2), incarnation: raft::Incarnation(1), to: NodeId(1), term: Term(1), body }
}

/// A log writer and its preparer on threads, for a node that is alone.
struct Bench {
    disk: SimDisk,
    node: Node,
    log: Sender<LogEvent>,
    consensus: Inbox<ConsensusEvent>,
    shared: Arc<Shared>,
    thread: std::thread::JoinHandle<()>,
}

fn bench() -> Bench {
    let Parts { disk, mut node, writer, log, preparer, consensus, shared, .. } = parts(&[1]);
    node.campaign();
    let thread = std::thread::spawn(move || writer.run());
    std::thread::spawn(move || preparer.run());
    Bench { disk, node, log, consensus, shared, thread }
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
        self.consensus.take(&mut events, None).unwrap();
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

/// The state machine of a member that was started again needs them: without them there is no checkpoint, which is what makes
/// space.
#[test]
fn entries_are_read_while_a_piece_waits_for_space() {
    let mut parts = parts(&[1, 2, 3]);
    parts.append(40);
    parts.persist();
    parts.disk.set_capacity(Some(parts.used_bytes()));
    parts.append(20);
    parts.persist();
    assert!(parts.writer.waiting.is_stuck);
    parts.reports();
    let fetch = |first, last| {
        let purpose = raft::FetchPurpose::Apply;
        LogEvent::Fetch(Fetch { purpose, first: Index(first), last: Index(last), bytes_max: 1 << 20 })
    };
    parts.log.send_all([fetch(1, 3), fetch(200, 201)]).unwrap();
    parts.round();
    let mut jobs = Vec::new();
    parts.reader.take(&mut jobs, Some(Instant::now())).unwrap();
    let [ReadLog::Read(job)] = &jobs[..] else { panic!("{} jobs", jobs.len()) };
    assert_eq!(job.run().unwrap().len(), 3);
    assert!(matches!(&parts.reports()[..], [ConsensusEvent::Fetched(_, entries)] if entries.is_empty()));
}

/// The member was started again on its full disk: nothing has been synced since, and everything that is there is durable.
#[test]
fn what_a_checkpoint_releases_makes_space_after_a_start_on_a_full_disk() {
    let mut parts = parts(&[1, 2, 3]);
    parts.append(40);
    parts.persist();
    parts.restart();
    parts.disk.set_capacity(Some(parts.used_bytes()));
    parts.append(20);
    parts.persist();
    assert!(parts.writer.waiting.is_stuck);
    parts.log.send(LogEvent::Release(Index(40))).unwrap();
    parts.round();
    assert!(!parts.writer.waiting.is_stuck);
    assert_eq!(parts.writer.log.last().index, Index(60));
}

#[test]
fn the_next_file_is_not_made_by_the_thread_that_syncs() {
    let mut parts = parts(&[1, 2, 3]);
    let next = Path::new("/log/entries/next.tmp");
    parts.append(1);
    parts.persist();
    assert!(!parts.disk.exists(next).unwrap());
    assert!(parts.reports().iter().any(|event| matches!(event, ConsensusEvent::Persisted(_))));
    // It was asked for once, however many rounds there were.
    parts.append(1);
    parts.persist();
    let mut asked = Vec::new();
    parts.preparer.inbox.take(&mut asked, Some(Instant::now())).unwrap();
    assert_eq!(asked, [Prepare::NextFile]);
    parts.preparer.prepare();
    assert!(parts.disk.exists(next).unwrap());
    parts.round();
    parts.append(20);
    parts.persist();
    parts.preparer.inbox.take(&mut asked, Some(Instant::now())).unwrap();
    assert_eq!(asked.len(), 2, "the log is in another file now");
}

/// Installing the snapshot is what makes space.
#[test]
fn a_snapshot_does_not_wait_behind_a_piece_that_has_no_space() {
    let mut parts = parts(&[1, 2, 3]);
    parts.append(6);
    parts.persist();
    parts.reports();
    // A cut needs a few KiB.
    parts.disk.set_capacity(Some(parts.used_bytes() + SEGMENT_BYTES / 2));
    parts.append(20);
    parts.persist();
    assert!(parts.shared.disk_full.load(Ordering::Relaxed));
    assert!(parts.reports().is_empty(), "nothing of it is acknowledged");
    // A later piece waits, too.
    parts.append(1);
    parts.persist();

    let last = EntryId::new(Index(100), Term(1));
    let snapshot = SnapshotMeta { last, membership: Membership::new([1, 2, 3].map(NodeId), []) };
    let body = Body::InstallSnapshot { session: Session(1), snapshot: snapshot.clone() };
    parts.node.step(message(body)).unwrap();
    while let Some(ready) = parts.node.ready() {
        assert!(ready.install.is_none_or(|wanted| wanted == snapshot));
    }
    parts.log.send(LogEvent::Expect(snapshot.clone(), ReceivedStore::without_files())).unwrap();
    parts.round();
    assert!(matches!(parts.reports()[..], [ConsensusEvent::SnapshotExpected(..)]));
    parts.log.send(LogEvent::Reset(snapshot.clone())).unwrap();
    parts.round();
    let reports = parts.reports();
    assert!(matches!(reports[..], [ConsensusEvent::LogReset(_), ConsensusEvent::Persisted(_)]));
    assert_eq!(parts.writer.log.last(), last, "the entries of the pieces that waited are void");
    for report in reports {
        match report {
            ConsensusEvent::LogReset(snapshot) => parts.node.installed(&snapshot),
            ConsensusEvent::Persisted(persisted) => parts.node.persisted(persisted),
            _ => {}
        }
    }
    assert_eq!(parts.node.stable(), last.index);
    parts.node.check_invariants();

    // And there is space again.
    parts.append(1);
    parts.persist();
    assert_eq!(parts.writer.log.last().index, Index(101));
    parts.disk.set_capacity(None);
    parts.preparer.prepare();
    parts.round();
    assert!(!parts.shared.disk_full.load(Ordering::Relaxed));
}

/// A crash may come when the snapshot has replaced the state, and before it replaces the log. The next start begins behind the
/// snapshot then, and must know its term.
#[test]
fn a_snapshot_that_overtakes_a_new_term_does_not_make_a_start_forget_it() {
    let mut parts = parts(&[1, 2, 3]);
    parts.append(6);
    parts.persist();
    // A piece that has no space, and behind it one with the term of the next leader.
    parts.disk.set_capacity(Some(parts.used_bytes()));
    parts.append(20);
    parts.persist();
    let last = EntryId::new(Index(100), Term(5));
    let snapshot = SnapshotMeta { last, membership: Membership::new([1, 2, 3].map(NodeId), []) };
    let body = Body::InstallSnapshot { session: Session(1), snapshot: snapshot.clone() };
    parts.node.step(Message { term: Term(5), ..message(body) }).unwrap();
    parts.persist();
    parts.log.send(LogEvent::Expect(snapshot, ReceivedStore::without_files())).unwrap();
    parts.round();
    assert!(parts.reports().iter().any(|event| matches!(event, ConsensusEvent::SnapshotExpected(..))));

    let crashed = parts.disk.crash(wal::Crash::LoseAll);
    crashed.set_capacity(None);
    let mut log = open(&crashed, &[1, 2, 3]);
    let restored = log.restore_at(last).unwrap();
    assert_eq!((restored.terms.last(), restored.hard_state.term), (last, Term(5)));
}

/// To note a snapshot and to begin behind it takes files of the log. A process that has no descriptor left waits for one.
#[test]
fn without_descriptors_a_snapshot_takes_its_place_later() {
    let mut waits = 0;
    for opened in 0..8 {
        let mut parts = parts(&[1, 2, 3]);
        parts.append(30);
        parts.persist();
        parts.reports();
        let last = EntryId::new(Index(100), Term(1));
        let snapshot = SnapshotMeta { last, membership: Membership::new([1, 2, 3].map(NodeId), []) };
        let body = Body::InstallSnapshot { session: Session(1), snapshot: snapshot.clone() };
        parts.node.step(message(body)).unwrap();
        while parts.node.ready().is_some() {}
        parts.log.send(LogEvent::Expect(snapshot.clone(), ReceivedStore::without_files())).unwrap();
        parts.disk.inject_after(wal::Fault::NoDescriptor, opened);
        parts.disk.inject_after(wal::Fault::NoDescriptor, opened);
        let mut reports = Vec::new();
        while !matches!(reports[..], [ConsensusEvent::LogReset(_)]) {
            waits += u32::from(parts.writer.waiting.is_stuck);
            if matches!(reports[..], [ConsensusEvent::SnapshotExpected(..)]) {
                parts.log.send(LogEvent::Reset(snapshot.clone())).unwrap();
            }
            parts.round();
            reports = parts.reports();
        }
        assert_eq!(parts.writer.log.last(), last, "after {opened}");
        parts.node.installed(&snapshot);
        parts.append(1);
        parts.persist();
        assert_eq!(parts.writer.log.last().index, Index(101), "after {opened}");
    }
    assert!(waits > 2, "it waited {waits} times");
}

/// A follower was to get entries that were not committed, and another leader cut them off before they were read.
#[test]
fn entries_that_were_cut_before_they_were_read_are_nothing_and_no_damage() {
    let mut parts = parts(&[1, 2, 3]);
    parts.append(30);
    parts.persist();
    let purpose = raft::FetchPurpose::Peer { node: NodeId(3), session: Session(1), term: Term(1) };
    let fetch = Fetch { purpose, first: Index(25), last: Index(28), bytes_max: 1 << 20 };
    let job = parts.writer.log.fetch(&fetch).expect("they are there");
    let entry = Entry { index: Index(2), term: Term(2), payload: Payload::Empty };
    let previous = EntryId::new(Index(1), Term(1));
    let body = Body::Append { session: Session(1), previous, entries: vec![entry], commit: Index::ZERO };
    parts.node.step(Message { term: Term(2), ..message(body) }).unwrap();
    parts.persist();
    parts.reports();
    let (_, inbox) = inbox();
    assert!(LogReader { inbox, consensus: parts.writer.handles.consensus.clone() }.read(job).is_none());
    assert!(matches!(&parts.reports()[..], [ConsensusEvent::Fetched(_, entries)] if entries.is_empty()));
}

#[test]
fn entries_that_no_descriptor_is_left_for_are_read_later() {
    let mut parts = parts(&[1, 2, 3]);
    // More files than a log keeps open, so that the first is closed.
    parts.append(200);
    parts.persist();
    parts.reports();
    let purpose = raft::FetchPurpose::Peer { node: NodeId(3), session: Session(1), term: Term(1) };
    let fetch = Fetch { purpose, first: Index(1), last: Index(3), bytes_max: 1 << 20 };
    let job = parts.writer.log.fetch(&fetch).expect("they are there");
    let (_, inbox) = inbox();
    let reader = LogReader { inbox, consensus: parts.writer.handles.consensus.clone() };
    // The log closes the 16 files that it keeps open, one after the other, and there is still no descriptor.
    for _ in 0..=16 {
        parts.disk.inject_after(wal::Fault::NoDescriptor, 0);
    }
    let job = reader.read(job).expect("it is tried again");
    assert!(parts.reports().is_empty());
    assert!(reader.read(job).is_none());
    assert!(matches!(&parts.reports()[..], [ConsensusEvent::Fetched(_, entries)] if entries.len() == 3));
}

/// What is not released now goes with the next release.
#[test]
fn without_descriptors_nothing_is_released() {
    for opened in 0..4 {
        let mut parts = parts(&[1, 2, 3]);
        parts.append(30);
        parts.persist();
        parts.disk.inject_after(wal::Fault::NoDescriptor, opened);
        for through in [10, 20, 20] {
            parts.log.send(LogEvent::Release(Index(through))).unwrap();
            parts.round();
        }
        assert_eq!(parts.writer.log.base().index, Index(20), "after {opened}");
    }
}
