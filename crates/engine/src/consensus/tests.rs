//! The thread of n1, one of three members, with the others' messages by hand and nobody behind its queues.

use std::sync::Arc;
use std::time::Instant;

use raft::{
    CATCH_UP_STALL_ELECTIONS, Config, Entry, EntryId, HardState, History, Incarnation, Limits, Membership,
    Node, Payload, Restored, Round as ReadRound, Session, Term, TermRuns,
};
use tokio::sync::oneshot;

use super::super::ending::Ending;
use super::super::reply::CommandReply;
use super::super::waiters::Waiter;
use super::*;
use crate::consensus::clock::Pace;
use crate::consensus::queue::Changes;
use crate::handles::{Handles, Inboxes};
use crate::inbox::Inbox;
use crate::request::{Proposal, RequestId};

fn entry(index: u64, term: u64) -> Entry {
    Entry { index: Index(index), term: Term(term), payload: Payload::Command(Default::default()) }
}

/// The thread, and what the others get.
struct Bench {
    thread: ConsensusThread,
    applied: Inbox<ApplyEvent>,
    log: Inbox<LogEvent>,
}

const PACE: Pace = Pace {
    tick: Duration::from_millis(100),
    election_timeout: Duration::from_millis(1000),
    catch_up_entries: 0,
    catch_up_bytes: 1 << 40,
};

/// A follower whose disk has this log.
fn follower(log: Vec<Entry>, commit: u64) -> Bench {
    follower_within(Limits::default(), log, commit)
}

fn follower_within(limits: Limits, log: Vec<Entry>, commit: u64) -> Bench {
    let mut terms = TermRuns::new(EntryId::ZERO);
    log.iter().for_each(|entry| terms.append(entry.id()));
    let membership = Membership::new([1, 2, 3].map(NodeId), []);
    let restored = Restored {
        hard_state: HardState { term: Term(1), vote: None },
        terms,
        tail: log,
        commit: Index(commit),
        applied: Index(commit),
        memberships: History::new(Index::ZERO, membership.clone()),
        ..Restored::fresh(membership)
    };
    let node = Node::new(Config { limits, ..Config::new(NodeId(1), 1) }, restored);
    let (handles, Inboxes { consensus, log, apply: applied }) = Handles::for_tests(1);
    let changes = Changes::new(machine::ChangeRules { learners_max: 1, strict: false }, false);
    let thread = ConsensusThread::new(node, consensus, handles, PACE, changes);
    Bench { thread, applied, log }
}

impl Bench {
    fn hear(&mut self, from: u64, term: u64, body: Body) {
        let message = Message {
            from: NodeId(from),
            incarnation: Incarnation(1),
            to: NodeId(1),
            term: Term(term),
            body,
        };
        self.thread.step(message);
        self.thread.carry_out();
    }

    /// Has n1 elected in this term, with the vote of n2.
    fn lead(&mut self, term: u64) {
        self.thread.node.campaign();
        self.thread.carry_out();
        self.hear(2, term - 1, Body::PreVoteReply { next_term: Term(term), granted: true });
        let ack = self.last_ack();
        self.thread.handle(ConsensusEvent::Persisted(ack));
        self.thread.carry_out();
        self.hear(2, term, Body::VoteReply { granted: true });
        assert_eq!(self.thread.node.role(), RoleName::Leader);
    }

    /// Both others have the log up to here, in their first sessions with this leader, and it is applied.
    fn commit(&mut self, term: u64, index: u64) {
        self.hear(2, term, Body::AppendReply { session: Session(1), matched: Index(index) });
        self.hear(3, term, Body::AppendReply { session: Session(2), matched: Index(index) });
        self.apply(index);
    }

    fn apply(&mut self, index: u64) {
        self.thread.handle(ConsensusEvent::Applied(Index(index)));
        self.thread.carry_out();
    }

    fn tick(&mut self, millis: u64) {
        self.thread.round(&mut Vec::new(), Time::TickDue, Duration::from_millis(millis));
    }

    /// What came out for the apply thread.
    fn committed(&self) -> Vec<Entry> {
        let mut events = Vec::new();
        self.applied.take(&mut events, Some(Instant::now())).unwrap();
        let entries = events.into_iter().filter_map(|event| match event {
            ApplyEvent::Committed(entries) => Some(entries),
            _ => None,
        });
        entries.flatten().collect()
    }

    /// The last release that the log writer was asked for.
    fn released(&self) -> Option<Index> {
        let mut events = Vec::new();
        self.log.take(&mut events, Some(Instant::now())).unwrap();
        events.iter().rev().find_map(|event| match event {
            LogEvent::Release(through) => Some(*through),
            _ => None,
        })
    }

    /// A command of a client here, and where its answer comes.
    fn propose(&mut self, bytes: usize) -> (RequestId, oneshot::Receiver<CommandReply>) {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { worker: 0, reply, started_millis: 0, deadline_second: u32::MAX, timing: None };
        let id = self.thread.handles.shared.waiters.register(waiter).unwrap();
        let proposal = Proposal { id, command: vec![0; bytes].into() };
        self.thread.handle(ConsensusEvent::Propose(vec![proposal]));
        (id, answer)
    }

    /// Whether a command was taken.
    fn takes(&mut self, bytes: usize) -> bool {
        let (id, _answer) = self.propose(bytes);
        self.thread.handles.shared.waiters.is_waiting(id)
    }
}

fn append(previous: (u64, u64), entries: Vec<Entry>, commit: u64) -> Body {
    let previous = EntryId::new(Index(previous.0), Term(previous.1));
    Body::Append { session: Session(1), previous, entries, commit: Index(commit) }
}

/// A checkpoint of what the disk lost would be ahead of the log that the next start finds.
#[test]
fn a_log_that_was_cut_is_not_stable_as_far_as_it_was() {
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 3);
    bench.thread.publish_stable();
    assert!(bench.thread.handles.shared.stable.has(Index(5)));
    // The leader of the next term never had the last two; what it has is committed elsewhere.
    bench.hear(2, 2, append((3, 1), vec![entry(4, 2), entry(5, 2)], 5));
    let last = bench.committed().last().map(Entry::id);
    assert_eq!(last, Some(EntryId::new(Index(5), Term(2))), "it is applied before the own disk has it");
    assert!(!bench.thread.handles.shared.stable.has(Index(4)), "and not checkpointed");
    assert!(bench.thread.handles.shared.stable.has(Index(3)));
}

/// An idle cluster would take no change of members any more: a change that waits makes no entry.
#[test]
fn a_change_that_was_cut_off_with_the_leadership_is_not_waited_for() {
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    bench.lead(2);
    bench.commit(2, 6);
    assert!(bench.thread.node.is_established() && bench.thread.is_settled());
    // Ten commands and a change that nobody else gets.
    for _ in 0..10 {
        bench.thread.node.propose(Default::default()).unwrap();
    }
    let add = [raft::MembershipChange::AddLearner(NodeId(4))];
    let change = bench.thread.node.propose_change(&add, Default::default()).unwrap();
    bench.thread.changes.proposed = change.index;
    bench.thread.carry_out();
    // Another leader: its log goes on after 6.
    bench.hear(3, 3, append((6, 2), vec![entry(7, 3)], 7));
    bench.apply(7);
    bench.lead(4);
    bench.commit(4, 8);
    assert!(bench.thread.node.is_established() && !bench.thread.node.membership().is_joint());
    assert!(bench.thread.is_settled());
}

#[test]
fn changes_that_wait_are_bounded_in_number_and_in_bytes() {
    use crate::author::Author;
    use crate::command::{Field, encode_command};
    use crate::limits::{CHANGES_WAITING_BYTES_MAX, CHANGES_WAITING_MAX};
    for (url_bytes, taken) in [(10, CHANGES_WAITING_MAX), (1 << 20, CHANGES_WAITING_BYTES_MAX >> 20)] {
        let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
        // It leads, and is not established: nothing is looked at.
        bench.lead(2);
        let update = proto::quoratepb::MemberUpdate { id: 1, peer_urls: vec!["u".repeat(url_bytes)] };
        for number in 1..=2 * taken as u64 {
            let id = RequestId(number);
            let command = encode_command(id, &Author::Nobody, Field::MemberUpdate, &update);
            bench.thread.change(NodeId(2), Proposal { id, command });
        }
        let waiting = bench.thread.changes.waiting.len();
        assert!(taken.abs_diff(waiting) <= 1, "{waiting} of {url_bytes} bytes");
    }
}

/// One leader may be wrong, or lie: this member serves nobody, and throws nothing away.
#[test]
fn a_leader_that_contradicts_the_commit_puts_the_member_in_doubt() {
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    for _ in 0..3 {
        bench.hear(2, 2, append((4, 1), vec![entry(5, 2), entry(6, 2)], 6));
    }
    assert!(bench.thread.handles.shared.is_in_doubt());
    assert_eq!(bench.thread.handles.shared.ending.known(), None);
    // Another leader goes on from what is committed here: a majority has it.
    bench.hear(3, 3, append((5, 1), vec![entry(6, 3)], 6));
    bench.tick(1000);
    assert!(!bench.thread.handles.shared.is_in_doubt());
}

#[test]
fn a_member_that_a_majority_of_leaders_contradicts_starts_over() {
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    bench.hear(2, 2, append((4, 1), vec![entry(5, 2), entry(6, 2)], 6));
    assert_eq!(bench.thread.handles.shared.ending.known(), None);
    bench.hear(3, 3, append((4, 1), vec![entry(5, 2), entry(6, 2), entry(7, 3)], 6));
    assert!(bench.thread.handles.shared.is_in_doubt());
    assert_eq!(bench.thread.handles.shared.ending.known(), Some(Ending::StartsOver));
}

/// A leader with a log that reaches back to the first entry, of commands of 100 KB, and a checkpoint of nearly all of it.
fn leader_with_large_commands(entries: u64) -> Bench {
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    bench.lead(2);
    bench.commit(2, 6);
    for index in 7..=6 + entries {
        assert!(bench.takes(100_000));
        bench.thread.carry_out();
        bench.commit(2, index);
    }
    bench.thread.handle(ConsensusEvent::Persisted(bench.last_ack()));
    bench
}

impl Bench {
    /// The acknowledgement of everything that the log writer was given.
    fn last_ack(&self) -> Persisted {
        let mut events = Vec::new();
        self.log.take(&mut events, Some(Instant::now())).unwrap();
        let acks = events.iter().rev().find_map(|event| match event {
            LogEvent::Persist(persist) => Some(persist.ack),
            _ => None,
        });
        acks.expect("something was to be persisted")
    }
}

#[test]
fn the_log_that_is_kept_for_followers_is_bounded_in_bytes() {
    let mut bench = leader_with_large_commands(100);
    bench.thread.pace.catch_up_entries = 1_000;
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(100)));
    assert_eq!(bench.released(), None, "everything is kept");
    bench.thread.pace.catch_up_bytes = 3 << 20;
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(100)));
    let kept = 106 - bench.released().expect("a release").0;
    assert!((20..=31).contains(&kept), "{kept} entries of 100 KB are kept");
}

#[test]
fn a_full_disk_keeps_nothing_that_a_checkpoint_has() {
    let mut bench = leader_with_large_commands(20);
    bench.thread.pace.catch_up_entries = 1_000;
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(20)));
    assert_eq!(bench.released(), None);
    // No checkpoint comes any more: it would need space.
    bench.thread.handles.shared.disk_full.store(true, Ordering::Relaxed);
    bench.tick(1000);
    assert_eq!(bench.released(), Some(Index(20)));
}

/// A follower whose disk hangs or is full answers heartbeats: its vote is durable.
#[test]
fn a_follower_that_stores_nothing_is_not_waited_for() {
    let mut bench = leader_with_large_commands(4);
    for index in 11..=30 {
        assert!(bench.takes(100_000));
        bench.thread.carry_out();
        bench.hear(2, 2, Body::AppendReply { session: Session(1), matched: Index(index) });
        let ack = bench.last_ack();
        bench.thread.handle(ConsensusEvent::Persisted(ack));
        bench.thread.carry_out();
        bench.apply(index);
    }
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(30)));
    assert_eq!(bench.released(), Some(Index(10)), "n3 lacks the rest, and is there");
    let ticks = 10 * (CATCH_UP_STALL_ELECTIONS + 1);
    for tick in 1..=u64::from(ticks) {
        bench.tick(100 * tick);
        for (node, session) in [(2, 1), (3, 2)] {
            let round = ReadRound { term: Term(2), number: 0 };
            let body = Body::HeartbeatReply { session: Session(session), round, lost_after: None };
            bench.hear(node, 2, body);
        }
    }
    assert_eq!(bench.thread.node.role(), RoleName::Leader, "it hears both");
    assert!(bench.thread.node.follower(NodeId(3)).is_some_and(|follower| follower.is_active));
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(30)));
    assert_eq!(bench.released(), Some(Index(30)));
}

/// The state machine does not keep up: callers give up, and what they asked for is still in the log.
#[test]
fn a_leader_whose_state_machine_is_behind_takes_no_more() {
    let limits = Limits::default();
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    bench.lead(2);
    bench.commit(2, 6);
    let mut last = 6;
    while bench.takes(10) {
        bench.thread.carry_out();
        last += 1;
        bench.hear(2, 2, Body::AppendReply { session: Session(1), matched: Index(last) });
        bench.hear(3, 2, Body::AppendReply { session: Session(2), matched: Index(last) });
    }
    assert_eq!(last, 6 + limits.unapplied_entries_max);
    bench.apply(last);
    assert!(bench.takes(10));
}

/// What waits for a quorum counts as well: it may all be committed at once.
#[test]
fn a_leader_without_a_quorum_takes_no_more_than_can_be_applied() {
    let limits = Limits::default();
    let mut bench = follower((1..=5).map(|index| entry(index, 1)).collect(), 5);
    bench.lead(2);
    bench.commit(2, 6);
    let mut taken = 0;
    loop {
        let (id, answer) = bench.propose(10);
        if !bench.thread.handles.shared.waiters.is_waiting(id) {
            break;
        }
        taken += 1;
        // Its caller goes away, as all do in the end.
        drop((bench.thread.handles.shared.waiters.take(id), answer));
    }
    assert_eq!(taken, limits.pending_entries_max);
}

#[test]
fn a_follower_gives_a_slow_state_machine_so_much_at_a_time() {
    let limits = Limits { handed_entries_max: 10, ..Limits::default() };
    let mut bench = follower_within(limits, (1..=5).map(|index| entry(index, 1)).collect(), 5);
    for index in 6..=40 {
        bench.hear(2, 2, append((index - 1, if index == 6 { 1 } else { 2 }), vec![entry(index, 2)], index));
    }
    assert_eq!(bench.committed().len(), 10);
    bench.apply(10);
    assert_eq!(bench.committed().len(), 5, "as many as were applied");
    bench.apply(20);
    assert_eq!(bench.committed().len(), 10);
}

#[test]
fn a_snapshot_from_before_the_log_is_not_sent() {
    use std::path::Path;

    use crate::snapshots::made::Made;
    let disk = Arc::new(wal::SimDisk::new(1));
    let mut store = mvcc::Store::open(disk, Path::new("/kv"), mvcc::Options::default()).unwrap();
    store.set_applied(mvcc::Applied { index: 8, term: 2 });
    store.checkpoint().unwrap();
    let mut bench = leader_with_large_commands(4);
    // The log moves on between the checkpoint and the sending, and n3 asks for a snapshot.
    bench.thread.handle(ConsensusEvent::Checkpointed(Index(10)));
    assert_eq!(bench.thread.node.base().index, Index(10));
    let round = ReadRound { term: Term(2), number: 0 };
    let lost_after = Some(Index(7));
    bench.hear(3, 2, Body::HeartbeatReply { session: Session(2), round, lost_after });
    assert_eq!(bench.thread.node.follower(NodeId(3)).unwrap().mode, "snapshot");
    let mut events = Vec::new();
    bench.applied.take(&mut events, Some(Instant::now())).unwrap();
    let wanted = events.into_iter().find_map(|event| match event {
        ApplyEvent::SnapshotWanted(wanted) => Some(wanted),
        _ => None,
    });
    let made = Box::new(Made::new(store.snapshot().unwrap()));
    bench.thread.handle(ConsensusEvent::SnapshotMade(wanted.expect("a snapshot is wanted"), made));
    assert_eq!(bench.thread.node.follower(NodeId(3)).unwrap().mode, "probe", "it may ask again");
}

#[test]
fn a_pause_is_told_from_a_late_tick() {
    let millis = Duration::from_millis;
    let mut clock = Clock::new(PACE);
    let start = clock.started;
    let looks = [
        (50, Time::Early),
        (100, Time::TickDue),
        (199, Time::Early),
        (900, Time::TickDue),
        (1900, Time::TickDue),
        (2901, Time::WasLost),
        (2950, Time::Early),
        (3001, Time::TickDue),
    ];
    for (at, expected) in looks {
        assert_eq!(clock.look_at(start + millis(at)), expected, "{at} ms");
    }
}
