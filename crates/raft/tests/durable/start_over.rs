//! Starting over: as a member that joins, behind a snapshot, after throwing everything away, alone. Whatever operation of the
//! disk is the last one before a crash, the next start finds one of the two sides, whole.

use super::*;
use raft::{Boot, Loss, Payload};

fn open_as(disk: &SimDisk, membership: Membership) -> Result<Opened, Error> {
    let options = Options { membership, ..options() };
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options)
}

fn members(ids: &[u64]) -> Membership {
    Membership::new(ids.iter().copied().map(NodeId), [])
}

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

/// Three founding members, ten entries of term 1.
fn ten_entries(disk: &SimDisk) -> Log {
    let mut log = open_as(disk, members(&[1, 2, 3])).expect("opens").log;
    let mut follower = Follower::new(log.restore_at(EntryId::ZERO).expect("a new log"));
    let persist = follower.append(EntryId::ZERO, 10, true, 500);
    log.append(&persist).expect("appends");
    log.sync().expect("syncs");
    log
}

/// Has the disk know of a later term.
fn hear_of_term(log: &mut Log, term: u64) -> Result<(), Error> {
    let mut node = Node::new(Config::new(NodeId(1), 1), log.restore(log.base().index)?);
    let body = raft::Body::LaterTerm;
    let message =
        raft::Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term: Term(term), body };
    node.step(message).expect("a sound message");
    let piece = node.ready().and_then(|ready| ready.persist);
    piece.map_or(Ok(()), |piece| log.append(&piece))
}

/// Does something to a log of ten entries, with a crash after each operation of the disk that it takes; then hands over the
/// disk and whether it was done, until it was.
fn with_every_crash(mut act: impl FnMut(&mut Log) -> Result<(), Error>, mut see: impl FnMut(SimDisk, bool)) {
    let whole = SimDisk::new(1);
    drop(ten_entries(&whole));
    for operations in 0.. {
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(operations), Crash::TearLast(operations)]
        {
            let disk = whole.restart();
            let mut log = open(&disk).expect("opens").log;
            disk.halt_after(operations);
            let done = act(&mut log).is_ok();
            drop(log);
            see(disk.crash(crash), done);
            if done {
                return;
            }
        }
    }
}

#[test]
fn a_member_that_joins_knows_nothing_and_keeps_what_it_is_sent() {
    let founders = members(&[2, 3]);
    let entries = |disk: &SimDisk| -> Option<usize> {
        let mut log = open_as(disk, Membership::default()).ok()?.log;
        let last = log.last();
        let restored = log.restore_at(EntryId::ZERO).expect("nothing is applied");
        let mut follower = Follower::new(restored);
        assert!(!follower.node.membership().contains(NodeId(1)));
        assert_eq!(*follower.node.membership() == founders, last != EntryId::ZERO, "{last}");
        (0..100).for_each(|_| follower.node.tick());
        follower.node.campaign();
        assert!(follower.node.ready().is_none(), "it never campaigns");
        let message = |previous: EntryId, count: u64| {
            let entry = |place| {
                let change = raft::MembershipEntry { membership: founders.clone(), context: Bytes::new() };
                let payload = match place {
                    1 => Payload::Membership(Arc::new(change)),
                    _ => Payload::Command(Bytes::from("c")),
                };
                Entry { term: Term(1), index: Index(place), payload }
            };
            let entries = (previous.index.0 + 1..=previous.index.0 + count).map(entry).collect();
            let body = raft::Body::Append { session: raft::Session(1), previous, entries, commit: Index(0) };
            raft::Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term: Term(1), body }
        };
        for _ in 0..3 {
            follower.node.step(message(follower.node.last(), 2)).expect("a sound message");
            let persist = follower.node.ready().and_then(|ready| ready.persist).expect("entries");
            log.append(&persist).and_then(|()| log.sync()).ok()?;
        }
        Some(log.last().index.0 as usize)
    };
    let whole = SimDisk::new(1);
    assert_eq!(entries(&whole), Some(6));
    for operations in 0..whole.operations() {
        let disk = SimDisk::new(1);
        disk.halt_after(operations);
        entries(&disk);
        let after = disk.crash(Crash::Random(operations));
        assert!(entries(&after).is_some_and(|found| found >= 6), "{operations} operations");
    }
}

#[test]
fn a_crash_while_a_snapshot_replaces_state_and_log_is_made_good() {
    // The snapshot is ahead of the log, or contradicts its end.
    for last in [id(20, 3), id(10, 2), id(7, 2)] {
        let snapshot = SnapshotMeta { last, membership: members(&[1, 2, 4]) };
        let mut ends = [0, 0];
        // The state is replaced in one step, after the note and before the log.
        let state_now = std::cell::Cell::new(EntryId::ZERO);
        with_every_crash(
            |log| {
                state_now.set(id(4, 1));
                hear_of_term(log, last.term.0)?;
                log.expect_snapshot(&snapshot)?;
                state_now.set(last);
                log.reset_to(&snapshot)
            },
            |disk, _| {
                let state = state_now.get();
                let mut log = open(&disk).expect("opens").log;
                let restored = log.restore_at(state).expect("state and log meet");
                assert_eq!(restored.applied, state.index);
                ends[usize::from(state == last)] += 1;
                if state == last {
                    assert_eq!((log.base(), log.last()), (last, last), "{last}");
                    assert_eq!(*log.memberships().current().as_ref(), snapshot.membership);
                    drop(log);
                    let mut again = open(&disk).expect("opens").log;
                    assert_eq!(again.restore_at(last).expect("meet").applied, last.index);
                } else {
                    assert_eq!(log.last(), id(10, 1));
                }
            },
        );
        assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
    }
}

#[test]
fn a_state_that_no_announced_snapshot_explains_is_refused() {
    let disk = SimDisk::new(1);
    let mut log = ten_entries(&disk);
    assert!(matches!(log.restore_at(id(11, 1)), Err(Error::StateAhead { .. })));
    assert!(matches!(log.restore_at(id(7, 2)), Err(Error::StateContradicts { .. })));
    hear_of_term(&mut log, 2).expect("notes it");
    log.expect_snapshot(&SnapshotMeta { last: id(12, 2), membership: members(&[1]) }).expect("notes it");
    assert!(matches!(log.restore_at(id(11, 1)), Err(Error::StateAhead { .. })), "not this one");
    // Announced, and overtaken by what the log has committed since: no state comes from it.
    log.restore(Index(7)).expect("they meet");
    log.expect_snapshot(&SnapshotMeta { last: id(6, 2), membership: members(&[1]) }).expect("notes it");
    assert!(matches!(log.restore_at(id(6, 2)), Err(Error::StateContradicts { .. })));
    log.release(Index(5)).expect("releases");
    assert!(matches!(log.restore_at(id(4, 1)), Err(Error::StateBehind { .. })));
    assert_eq!(log.restore_at(id(6, 1)).expect("they meet").applied, Index(6));
}

#[test]
fn entries_are_thrown_away_as_a_whole_and_the_promise_not_to_vote_stays() {
    let mut ends = [0, 0];
    with_every_crash(Log::forget_entries, |disk, done| {
        let mut log = open(&disk).expect("opens").log;
        let forgot = log.last() == EntryId::ZERO;
        assert!(forgot || (!done && log.last() == id(10, 1)), "as a whole: {}", log.last());
        ends[usize::from(forgot)] += 1;
        let applied = if forgot { EntryId::ZERO } else { id(3, 1) };
        let restored = log.restore_at(applied).expect("state and log meet");
        assert_eq!(restored.hard_state.term, Term(1), "term and vote stay");
        if forgot {
            assert_eq!(restored.loss, Some(Loss { until: Index(10), term: Term(1) }));
            assert_eq!((restored.incarnation, restored.commit), (Incarnation(2), Index(0)));
            assert!(restored.boot > Boot(2) && restored.tail.is_empty());
            assert_eq!(*restored.memberships.current().as_ref(), Membership::default());
        } else {
            assert_eq!((restored.loss, restored.incarnation), (None, Incarnation(1)));
        }
    });
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}

#[test]
fn the_promise_not_to_vote_ends_when_the_log_is_back() {
    let loss = |log: &mut Log| {
        let disk_says = log.restore_at(EntryId::ZERO).expect("restores");
        (disk_says.loss, Node::new(Config::new(NodeId(1), 1), disk_says))
    };
    for (count, commit, new_term, expected) in
        [(9, 9, false, true), (10, 10, false, false), (2, 0, true, false)]
    {
        let disk = SimDisk::new(1);
        let mut log = ten_entries(&disk);
        log.forget_entries().expect("forgets");
        let mut follower = Follower::new(log.restore_at(EntryId::ZERO).expect("an empty log"));
        follower.commit = Index(commit);
        let persist = follower.append(EntryId::ZERO, count, new_term, 100);
        log.append(&persist).expect("appends");
        log.sync().expect("syncs");
        follower.node.persisted(persist.ack);
        let case = format!("{count} entries, committed {commit}, new term {new_term}");
        assert_eq!(follower.node.loss().is_some(), expected, "{case}: the node");
        drop(log);
        let (found, node) = loss(&mut open(&disk.crash(Crash::LoseAll)).expect("opens").log);
        assert_eq!((found.is_some(), node.loss().is_some()), (expected, expected), "{case}: after a restart");
    }
}

#[test]
fn the_only_voter_does_not_throw_its_log_away() {
    let disk = SimDisk::new(1);
    let mut log = filled(&disk, 3).log;
    assert!(matches!(log.forget_entries(), Err(Error::NobodyElse)));
}

/// What a member that is alone commits when it starts.
fn start_alone(log: &mut Log) -> Vec<EntryId> {
    let mut node = Node::new(Config::new(NodeId(1), 1), log.restore_at(EntryId::ZERO).expect("restores"));
    let mut committed = Vec::new();
    node.tick();
    while let Some(ready) = node.ready() {
        if let Some(persist) = ready.persist {
            log.append(&persist).expect("appends");
            log.sync().expect("syncs");
            node.persisted(persist.ack);
        }
        for fetch in &ready.fetches {
            let entries = log.fetch(fetch).expect("entries of the log").run().expect("intact entries");
            node.fetched(fetch, entries);
        }
        if let Some(last) = ready.committed.last() {
            committed.extend(ready.committed.iter().map(Entry::id));
            node.applied(last.index);
        }
    }
    committed
}

#[test]
fn a_forced_new_cluster_has_everything_that_the_log_had_and_this_member_alone() {
    let mut ends = [0, 0];
    with_every_crash(
        |log| log.force_new_cluster(Bytes::from("the others are gone")).map(|done| assert!(done)),
        |disk, done| {
            let mut log = open(&disk).expect("opens").log;
            let forced = *log.memberships().current().as_ref() == members(&[1]);
            assert!(forced || !done);
            ends[usize::from(forced)] += 1;
            // The operator tries again, until it says that nothing is left to do.
            assert_eq!(log.force_new_cluster(Bytes::new()).expect("again"), !forced);
            assert!(!log.force_new_cluster(Bytes::new()).expect("once more"));
            let committed = start_alone(&mut log);
            let old: Vec<EntryId> = (1..=10).map(|index| id(index, 1)).collect();
            assert!(committed.starts_with(&old) && committed.len() == 12, "{committed:?}");
            assert!(committed[10].term > Term(1), "a term that nobody else had");
        },
    );
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}

#[test]
fn a_cluster_is_not_forced_from_a_log_that_is_not_there() {
    let disk = SimDisk::new(1);
    let mut log = ten_entries(&disk);
    log.forget_entries().expect("forgets");
    assert!(matches!(log.force_new_cluster(Bytes::new()), Err(Error::LogIncomplete)));
    let disk = SimDisk::new(2);
    let mut joiner = open_as(&disk, Membership::default()).expect("opens").log;
    assert!(matches!(joiner.force_new_cluster(Bytes::new()), Err(Error::LogIncomplete)));
}

/// Does it on a disk that is full at one write, and again when there is space: it comes to the same. How often it had to wait.
fn waits_for_space(act: impl Fn(&mut Log) -> Result<(), Error>) -> u64 {
    let shown = |disk: &SimDisk| {
        let mut log = open(disk).expect("opens").log;
        let Shown { base, entries, .. } = show(&mut log);
        let indexes: Vec<Index> = entries.iter().map(|entry| entry.index).collect();
        (base, indexes, log.memberships().current().to_string())
    };
    let whole = SimDisk::new(1);
    drop(ten_entries(&whole));
    let expected = whole.fork();
    act(&mut open(&expected).expect("opens").log).expect("a disk with space");
    let mut waits = 0;
    for writes in 0.. {
        let disk = whole.fork();
        let mut log = open(&disk).expect("opens").log;
        disk.inject_after(wal::Fault::WriteNoSpace, writes);
        let Err(error) = act(&mut log) else { break };
        if !error.is_no_space() {
            // The wal could not be cut: the process ends, and the next one finishes what was begun.
            drop(log);
            let found = shown(&disk.restart());
            assert!(found == shown(&expected) || found == shown(&whole.fork()), "{found:?}");
            continue;
        }
        waits += 1;
        act(&mut log).expect("there is space again");
        drop(log);
        assert_eq!(shown(&disk.crash(Crash::LoseAll)), shown(&expected), "after {writes} writes");
    }
    waits
}

#[test]
fn starting_over_waits_for_a_full_disk() {
    let snapshot = SnapshotMeta { last: id(20, 3), membership: members(&[1, 2, 4]) };
    assert!(
        waits_for_space(|log| {
            hear_of_term(log, 3)?;
            log.expect_snapshot(&snapshot)
        }) >= 2
    );
    assert!(waits_for_space(|log| log.reset_to(&snapshot)) >= 2);
    assert!(waits_for_space(Log::forget_entries) >= 4);
    assert!(waits_for_space(|log| log.force_new_cluster(Bytes::new()).map(|_| ())) >= 4);
}

#[test]
#[should_panic(expected = "the disk would know of term 1 only")]
fn a_snapshot_of_a_term_that_the_disk_does_not_know_is_not_expected() {
    let mut log = ten_entries(&SimDisk::new(1));
    let _ = log.expect_snapshot(&SnapshotMeta { last: id(12, 2), membership: members(&[1]) });
}

/// It throws everything away a second time before all of it is back, or finds on a start that it has to begin again.
#[test]
fn what_was_thrown_away_twice_is_what_was_there_the_first_time() {
    let disk = SimDisk::new(1);
    let mut log = ten_entries(&disk);
    (0..2).for_each(|_| log.forget_entries().expect("there are others"));
    let loss = Some(Loss { until: Index(10), term: Term(1) });
    assert_eq!(log.restore_at(EntryId::ZERO).expect("nothing is left").loss, loss);
}

#[test]
fn a_loss_that_a_snapshot_makes_good_ends_with_it() {
    let disk = SimDisk::new(1);
    let mut log = ten_entries(&disk);
    log.forget_entries().expect("there are others");
    for (last, is_made_good) in [(id(9, 1), false), (id(12, 1), true)] {
        log.reset_to(&SnapshotMeta { last, membership: members(&[1, 2, 3]) }).expect("begins behind it");
        let mut log = open(&disk.crash(Crash::LoseAll)).expect("opens").log;
        let loss = log.restore_at(last).expect("they meet").loss;
        assert_eq!(loss.is_none(), is_made_good, "{last}: {loss:?}");
    }
}

/// Three founding members with ten committed entries, and a learner that is to be added by the eleventh.
fn with_a_change(disk: &SimDisk) -> (Log, Node, Membership) {
    let mut log = ten_entries(disk);
    let mut node = Node::new(Config::new(NodeId(1), 1), log.restore(Index::ZERO).expect("they meet"));
    let membership = Membership::new([1, 2, 3].map(NodeId), [NodeId(4)]);
    let change = raft::MembershipEntry { membership: membership.clone(), context: Bytes::new() };
    write_after_ten(&mut log, &mut node, Term(1), vec![Payload::Membership(Arc::new(change))]);
    (log, node, membership)
}

/// Has the leader of a term replace what comes after the tenth entry.
fn write_after_ten(log: &mut Log, node: &mut Node, term: Term, payloads: Vec<Payload>) {
    let entry = |(place, payload)| Entry { term, index: Index(11).plus(place), payload };
    let entries = payloads.into_iter().enumerate().map(entry).collect();
    let body =
        raft::Body::Append { session: raft::Session(1), previous: id(10, 1), entries, commit: Index(10) };
    let message = raft::Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term, body };
    node.step(message).expect("a sound message");
    log.append(&node.ready().and_then(|ready| ready.persist).expect("a piece")).expect("appends");
    log.sync().expect("syncs");
}

/// A change of members after the base may still be cut off, and what was in force before it is in force again then.
#[test]
fn a_released_log_knows_the_configuration_at_its_base() {
    let disk = SimDisk::new(1);
    let (mut log, _, membership) = with_a_change(&disk);
    log.release(Index(8)).expect("releases");
    let log = open(&disk.crash(Crash::LoseAll)).expect("opens").log;
    let history = log.memberships();
    assert_eq!((&**history.at(Index(8)), &**history.current()), (&members(&[1, 2, 3]), &membership));
}

#[test]
fn what_is_cut_off_is_neither_in_force_nor_looked_for() {
    let (mut log, mut node, _) = with_a_change(&SimDisk::new(1));
    let some = |count: usize| vec![Payload::Command(Bytes::from(vec![7; 500])); count];
    write_after_ten(&mut log, &mut node, Term(2), some(200));
    assert_eq!(**log.memberships().current(), members(&[1, 2, 3]));
    write_after_ten(&mut log, &mut node, Term(3), some(150));
    assert_eq!(show(&mut log).entries.len(), 160);
    for first in (11..160).map(Index) {
        let fetch = Fetch { purpose: FetchPurpose::Apply, first, last: Index(160), bytes_max: 1 };
        let found = log.fetch(&fetch).expect("it is there").run().expect("intact entries");
        assert_eq!(found[0].id(), EntryId::new(first, Term(3)));
    }
}

/// A log whose state comes from elsewhere: it goes on behind the place that it was told, and remembers what it promises there.
#[test]
fn a_log_begins_behind_an_entry_that_nobody_has() {
    let disk = SimDisk::new(1);
    let shared: Arc<dyn wal::Disk> = Arc::new(disk.clone());
    let options = Options { membership: members(&[1, 2, 3]), ..options() };
    Log::begin_behind(&shared, Path::new(DIR), &options, id(3, 1)).expect("it is made");
    let disk = disk.crash(Crash::LoseAll);
    let mut log = open(&disk).expect("opens").log;
    assert_eq!((log.base(), log.last(), log.hard_state().term), (id(3, 1), id(3, 1), Term(1)));
    assert_eq!(**log.memberships().current(), members(&[1, 2, 3]));
    assert!(
        matches!(log.restore_at(id(2, 1)), Err(Error::StateBehind { .. })),
        "the state is that of the place"
    );
    let mut follower = Follower::new(log.restore_at(id(3, 1)).expect("the state that it begins behind"));
    let persist = follower.append(id(3, 1), 2, true, 10);
    log.append(&persist).expect("appends");
    log.sync().expect("syncs");
    drop(log);
    let log = open(&disk.crash(Crash::LoseAll)).expect("opens").log;
    assert_eq!((log.base(), log.last(), log.hard_state().term), (id(3, 1), id(5, 2), Term(2)));
}
