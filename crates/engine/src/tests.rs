//! Consensus, log writer, log reader and apply together, on a simulated disk, with the real queues between them and one
//! thread that lets each do a round in turn. What the other members say comes by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mvcc::{Applied, LeaseId, Store};
use proto::etcdserverpb::PutRequest;
use raft::durable::{Log, Options as LogOptions};
use raft::{
    Body, Config, Entry, EntryId, Incarnation, Index, Limits, Membership, Message, Node, NodeId, Payload,
    RoleName, Session, SnapshotMeta, Term,
};
use tokio::sync::oneshot;
use wal::{Crash, SimDisk};

use crate::assembly::{Opened, Owners, Settings, assemble};
use crate::auth::NoTokens;
use crate::author::Author;
use crate::command::{Field, encode_command};
use crate::consensus::clock::{Pace, Time};
use crate::event::{ApplyEvent, ConsensusEvent, Prepare, ReadLog};
use crate::handles::Handles;
use crate::inbox::{Inbox, Sender};
use crate::mailbox::{Delivery, Mailbox};
use crate::peers::{Heard, SnapshotSource};
use crate::reply::{CommandReply, Unserved};
use crate::request::{Proposal, RequestId};
use crate::shared::Shared;
use crate::snapshots::made::Made;
use crate::snapshots::place::StorePlace;
use crate::snapshots::receiver::Receiver;
use crate::waiters::Waiter;

const OWN: NodeId = NodeId(1);
const SEGMENT_BYTES: u64 = 64 << 10;

/// n1 of three members: everything that owns its state.
struct Member {
    disk: SimDisk,
    owners: Owners,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    snapshots: Receiver,
    /// Where consensus takes its events from.
    events: Sender<ConsensusEvent>,
    /// The state machine does nothing.
    is_apply_held: bool,
}

const SETTINGS: Settings = Settings {
    cluster_id: 7,
    pace: Pace {
        tick: Duration::from_millis(100),
        election_timeout: Duration::from_millis(1000),
        catch_up_entries: 0,
        catch_up_bytes: 1 << 30,
    },
    change_rules: machine::ChangeRules { learners_max: 1, strict: false },
    promotes_learners: false,
    slow_apply: Duration::from_secs(3600),
    fragment_bytes: 1 << 20,
    first_question: 0,
};

fn membership() -> Membership {
    Membership::new([1, 2, 3].map(NodeId), [])
}

/// Opens the raft log on this disk, and a node on it that has applied what the state has.
fn open_log(disk: &SimDisk, limits: Limits, machine: &machine::Machine) -> (Log, Node) {
    let options = LogOptions {
        identity: [7, OWN.0],
        segment_bytes: SEGMENT_BYTES,
        tail_bytes_max: 1 << 20,
        membership: membership(),
        incarnation: Incarnation(1),
    };
    let mut log = Log::open(Arc::new(disk.clone()), Path::new("/data/wal"), options).expect("a log").log;
    let applied = machine.store().applied();
    let applied = EntryId::new(Index(applied.index), Term(applied.term));
    let restored = log.restore_at(applied).expect("log and state meet");
    (log, Node::new(Config { limits, ..Config::new(OWN, 1) }, restored))
}

impl Member {
    /// A start from this disk.
    fn start(disk: SimDisk) -> Member {
        Member::start_within(disk, Limits::default())
    }

    fn start_within(disk: SimDisk, limits: Limits) -> Member {
        let place = StorePlace {
            disk: Arc::new(disk.clone()),
            dir: "/data/kv".into(),
            options: mvcc::Options { identity: [7, OWN.0], ..mvcc::Options::default() },
        };
        let machine = place.open().expect("a store");
        let (log, node) = open_log(&disk, limits, &machine);
        let (handles, inboxes) = Handles::for_tests(OWN.0);
        let opened = Opened { log, node, machine, place: place.clone() };
        let (owners, _) = assemble(&SETTINGS, opened, Arc::new(NoTokens), &handles, inboxes);
        Member {
            disk,
            owners,
            shared: handles.shared,
            mailbox: handles.mailboxes[0].clone(),
            snapshots: Receiver::new(place, handles.consensus.clone(), handles.metrics.clone()),
            events: handles.consensus,
            is_apply_held: false,
        }
    }

    /// Lets each do a round, until nobody has anything to do.
    fn settle(&mut self) {
        while self.round() {}
    }

    fn round(&mut self) -> bool {
        let mut events = taken(&self.owners.consensus.inbox);
        let mut is_busy = !events.is_empty();
        self.owners.consensus.round(&mut events, Time::Early, Duration::ZERO);
        let mut events = taken(&self.owners.log_writer.inbox);
        if !events.is_empty() {
            is_busy = true;
            self.owners.log_writer.round(&mut events);
        }
        for job in taken(&self.owners.log_reader.inbox) {
            is_busy = true;
            if let ReadLog::Read(job) = job {
                assert!(self.owners.log_reader.read(job).is_none(), "there are descriptors");
            }
        }
        // Its report is of use when there is space again, and comes with the next piece.
        if taken(&self.owners.log_preparer.inbox).contains(&Prepare::NextFile) {
            self.owners.log_preparer.prepare();
        }
        if !self.is_apply_held {
            let mut events = taken(&self.owners.apply.inbox);
            is_busy |= !events.is_empty();
            self.owners.apply.round(&mut events);
        }
        is_busy
    }

    /// These messages arrive together, so that consensus handles them in one round.
    fn hear(&mut self, messages: Vec<Message>) {
        for message in messages {
            let incoming = ConsensusEvent::Received(Heard::of(message));
            self.events.send(incoming).expect("consensus is there");
        }
        self.settle();
    }

    /// A leader that nobody contradicts says this.
    fn follow(&mut self, term: u64, previous: (u64, u64), entries: Vec<Entry>, commit: u64) {
        self.hear(vec![append(2, term, previous, entries, commit)]);
    }

    /// Has this member elected.
    fn lead(&mut self, term: u64) {
        self.owners.consensus.node.campaign();
        self.settle();
        for body in
            [Body::PreVoteReply { next_term: Term(term), granted: true }, Body::VoteReply { granted: true }]
        {
            let of = if matches!(body, Body::PreVoteReply { .. }) { term - 1 } else { term };
            self.hear(vec![message(2, of, body)]);
        }
        assert_eq!(self.owners.consensus.node.role(), RoleName::Leader);
    }

    /// The second member has the leader's log up to here.
    fn acknowledge(&mut self, term: u64, index: u64) {
        let body = Body::AppendReply { session: Session(1), matched: Index(index) };
        self.hear(vec![message(2, term, body)]);
    }

    /// A put of a client here, and where its answer comes.
    fn put(&mut self, key: &str, value: &str) -> (RequestId, oneshot::Receiver<CommandReply>) {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { worker: 0, reply, started_millis: 0, deadline_second: u32::MAX, timing: None };
        let id = self.shared.waiters.register(waiter).expect("there is room");
        let proposal = Proposal { id, command: put(id, key, value) };
        self.events.send(ConsensusEvent::Propose(vec![proposal])).expect("consensus is there");
        (id, answer)
    }

    /// The answers that came for callers.
    fn answers(&self) -> Vec<CommandReply> {
        let deliveries = self.mailbox.taken();
        let answers = deliveries.into_iter().filter_map(|delivery| match delivery {
            Delivery::Reply(_, reply) => Some(reply),
            _ => None,
        });
        answers.collect()
    }

    fn has(&self, key: &str, value: &str) -> bool {
        let item = self.owners.apply.machine.view().get(key.as_bytes()).expect("the store can be read");
        item.is_some_and(|item| item.encoded.windows(value.len()).any(|part| part == value.as_bytes()))
    }

    fn is_applied(&self) -> Index {
        Index(self.owners.apply.machine.store().applied().index)
    }
}

fn taken<T>(inbox: &Inbox<T>) -> Vec<T> {
    let mut batch = Vec::new();
    inbox.take(&mut batch, Some(Instant::now())).expect("somebody can send");
    batch
}

fn message(from: u64, term: u64, body: Body) -> Message {
    Message { from: NodeId(from), incarnation: Incarnation(1), to: OWN, term: Term(term), body }
}

fn append(from: u64, term: u64, previous: (u64, u64), entries: Vec<Entry>, commit: u64) -> Message {
    let previous = EntryId::new(Index(previous.0), Term(previous.1));
    message(from, term, Body::Append { session: Session(1), previous, entries, commit: Index(commit) })
}

fn put(id: RequestId, key: &str, value: &str) -> Bytes {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    encode_command(id, &Author::Nobody, Field::Put, &PutRequest { key, value, ..Default::default() })
}

/// An entry of another leader: a put of its own name.
fn entry(index: u64, term: u64) -> Entry {
    let command = put(RequestId(0), &format!("key {index}"), &format!("of term {term}"));
    Entry { index: Index(index), term: Term(term), payload: Payload::Command(command) }
}

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    indexes.map(|index| entry(index, term)).collect()
}

#[test]
fn a_put_is_answered_when_a_quorum_has_it_on_its_disks() {
    let mut member = Member::start(SimDisk::new(1));
    member.follow(1, (0, 0), entries(1..=3, 1), 3);
    assert_eq!(member.is_applied(), Index(3));
    member.lead(2);
    member.acknowledge(2, 4);
    let (_, _caller) = member.put("key", "value");
    member.settle();
    assert!(member.answers().is_empty() && !member.has("key", "value"), "one disk is not enough");
    member.acknowledge(2, 5);
    assert!(matches!(member.answers()[..], [Ok(_)]));
    assert!(member.has("key", "value"));
    // What was acknowledged is on the disk, whatever becomes of the process.
    let again = Member::start(member.disk.crash(Crash::LoseAll));
    assert_eq!(again.owners.consensus.node.last(), EntryId::new(Index(5), Term(2)));
}

/// A leader with a suffix that nobody else has is cut off during two elections, and then finds the messages of both new
/// leaders at once: what it cuts off, and what takes its place and is committed, are in one piece of work.
#[test]
fn a_deposed_leader_that_hears_two_leaders_at_once_has_the_right_state() {
    for crashes in [false, true] {
        let mut member = Member::start(SimDisk::new(1));
        member.follow(1, (0, 0), entries(1..=3, 1), 3);
        member.lead(2);
        member.acknowledge(2, 4);
        for number in 0..3 {
            member.put(&format!("key {}", 5 + number), "lost");
        }
        member.settle();
        assert_eq!(member.owners.consensus.node.stable(), Index(7));

        member.hear(vec![
            append(2, 3, (4, 2), vec![entry(5, 3)], 5),
            append(3, 4, (5, 3), vec![entry(6, 4)], 6),
        ]);
        if crashes {
            member = Member::start(member.disk.crash(Crash::LoseAll));
            member.hear(vec![append(3, 4, (6, 4), vec![], 6)]);
        }
        assert_eq!(member.is_applied(), Index(6));
        assert!(member.has("key 5", "of term 3") && member.has("key 6", "of term 4"));
        assert!(!member.has("key 7", "lost"));
        member.hear(vec![append(3, 4, (6, 4), vec![entry(7, 4)], 7)]);
        assert!(member.has("key 7", "of term 4"));
        assert_eq!(member.owners.log_writer.log.last(), EntryId::new(Index(7), Term(4)));
    }
}

/// Commands that take the state machine long: what waits for it is bounded, and what was taken is done.
#[test]
fn a_state_machine_that_does_not_keep_up_stops_the_intake_and_not_the_cluster() {
    let limits = Limits {
        handed_entries_max: 20,
        unapplied_entries_max: 100,
        pending_entries_max: 200,
        ..Limits::default()
    };
    let mut member = Member::start_within(SimDisk::new(1), limits);
    member.follow(1, (0, 0), entries(1..=3, 1), 3);
    member.lead(2);
    member.acknowledge(2, 4);
    member.is_apply_held = true;
    let mut callers = Vec::new();
    let refused = loop {
        callers.push(member.put("key", &callers.len().to_string()));
        member.settle();
        let answers = member.answers();
        if !answers.is_empty() {
            break answers;
        }
        member.acknowledge(2, member.owners.consensus.node.last().index.0);
        assert!(callers.len() < 1000, "all of it is taken");
    };
    assert!(matches!(refused[..], [Err(Unserved::TooMany)]), "{refused:?}");
    assert_eq!(callers.len(), 101);
    let waiting: usize = taken(&member.owners.apply.inbox)
        .into_iter()
        .map(|event| match event {
            ApplyEvent::Committed(entries) => {
                let waiting = entries.len();
                member.owners.apply.round(&mut vec![ApplyEvent::Committed(entries)]);
                waiting
            }
            event => {
                member.owners.apply.round(&mut vec![event]);
                0
            }
        })
        .sum();
    assert_eq!(waiting, 20, "the rest is in the log");
    // Heartbeats are answered all the while: the member is alive.
    assert_eq!(member.owners.consensus.node.role(), RoleName::Leader);

    member.is_apply_held = false;
    member.settle();
    assert_eq!(member.answers().len(), 100, "what was taken is answered");
    assert!(member.has("key", "99"));
    member.put("key", "taken again");
    member.settle();
    member.acknowledge(2, 105);
    assert!(matches!(member.answers()[..], [Ok(_)]));
    assert!(member.has("key", "taken again"));
}

/// A follower far behind its leader, whose state machine stands still: what it holds in memory does not grow.
#[test]
fn a_follower_with_a_slow_state_machine_keeps_what_is_committed_on_the_disk() {
    let limits = Limits { handed_entries_max: 20, tail_entries_max: 50, ..Limits::default() };
    let mut member = Member::start_within(SimDisk::new(1), limits);
    member.is_apply_held = true;
    for first in (1..=1000).step_by(10) {
        let previous = if first == 1 { (0, 0) } else { (first - 1, 1) };
        member.follow(1, previous, entries(first..=first + 9, 1), first + 9);
    }
    assert!(
        member.owners.consensus.node.entries_in_memory() <= 60,
        "{}",
        member.owners.consensus.node.entries_in_memory()
    );
    member.is_apply_held = false;
    member.settle();
    assert_eq!(member.is_applied(), Index(1000));
    assert!(member.has("key 1000", "of term 1"));
}

/// The store of another member, after its first hundred entries.
fn snapshot() -> (Store, Made, SnapshotMeta) {
    let last = EntryId::new(Index(100), Term(1));
    let options = mvcc::Options { identity: [7, 2], ..mvcc::Options::default() };
    let mut store = Store::open(Arc::new(SimDisk::new(2)), &PathBuf::from("/kv"), options).expect("a store");
    let mut txn = store.txn();
    txn.put("key".into(), "from the snapshot".into(), LeaseId(0));
    txn.commit().expect("a change");
    store.set_applied(Applied { index: last.index.0, term: last.term.0 });
    store.checkpoint().expect("a checkpoint");
    let made = Made::new(store.snapshot().expect("an export"));
    (store, made, SnapshotMeta { last, membership: membership() })
}

/// Its log has no space for what the leader sends. Installing a snapshot makes space, and does not wait for it.
#[test]
fn a_member_with_a_full_disk_takes_a_snapshot() {
    let mut member = Member::start(SimDisk::new(1));
    member.follow(1, (0, 0), entries(1..=3, 1), 3);
    let (_store, mut made, meta) = snapshot();
    let body = Body::InstallSnapshot { session: Session(1), snapshot: meta.clone() };
    let install = message(2, 1, body);
    let mut sink = member.snapshots.begin(&made.offer(install.clone())).expect("nothing else is under way");
    while let Some(chunk) = made.next_chunk().expect("the export can be read") {
        sink.push(chunk).expect("the chunk is sound");
    }
    sink.finish(install).expect("the snapshot is sound");
    let arrival = taken(&member.owners.consensus.inbox);

    let used: usize =
        member.disk.files().iter().filter_map(|path| member.disk.content(path)).map(|file| file.len()).sum();
    // The store needs some; the log gets no other file.
    member.disk.set_capacity(Some(used as u64 + SEGMENT_BYTES / 2));
    let large = |index| {
        let command = put(RequestId(0), "large", &"x".repeat(4000));
        Entry { index: Index(index), term: Term(1), payload: Payload::Command(command) }
    };
    let mut last = 3;
    while !(member.shared.disk_full.load(Ordering::Relaxed) && member.owners.consensus.node.stable().0 < last)
    {
        member.follow(1, (last, 1), vec![large(last + 1)], 3);
        last += 1;
        assert!(last < 90, "the disk does not fill up");
    }
    member.events.send_all(arrival).expect("consensus is there");
    member.settle();
    assert_eq!(member.is_applied(), meta.last.index);
    assert!(member.has("key", "from the snapshot"));
    assert_eq!(member.owners.log_writer.log.last(), meta.last);
    assert_eq!(member.owners.consensus.node.stable(), meta.last.index);
    member.follow(1, (100, 1), vec![entry(101, 1)], 101);
    assert!(member.has("key 101", "of term 1"));
}

/// A disk that is slow or full must not fill the memory of a member (rule I6): what is committed waits in the log.
#[test]
fn nothing_more_is_applied_while_checkpoints_do_not_keep_up() {
    let mut member = Member::start(SimDisk::new(1));
    member.owners.apply.unstored_bytes_max = 20_000;
    let value = "x".repeat(4000);
    let entry = |index| {
        let command = put(RequestId(0), &format!("key {index}"), &value);
        Entry { index: Index(index), term: Term(1), payload: Payload::Command(command) }
    };
    member.follow(1, (0, 0), vec![entry(1)], 1);
    assert_eq!(member.is_applied(), Index(1));
    let used: usize =
        member.disk.files().iter().filter_map(|path| member.disk.content(path)).map(|file| file.len()).sum();
    member.disk.set_capacity(Some(used as u64));
    for index in 2..=20 {
        member.follow(1, (index - 1, 1), vec![entry(index)], index);
    }
    let held = member.is_applied();
    assert!((4..=6).contains(&held.0), "{held}");
    testkit::wait::until("the thread that writes checkpoints finds the disk full", || {
        member.settle();
        member.shared.unstored.is_stuck().then_some(())
    });
    let room = member.shared.unstored.room_within(Duration::from_secs(3600));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let refused = Err(Unserved::Rejected(machine::Rejection::NoSpace));
    assert_eq!(runtime.block_on(room), refused, "writes of clients do not wait for a full disk");
    member.disk.set_capacity(None);
    testkit::wait::until("everything is applied", || {
        member.settle();
        (member.is_applied() == Index(20)).then_some(())
    });
    assert!(member.has("key 20", &value));
}
