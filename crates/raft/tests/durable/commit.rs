//! What is noted as committed is about the entries that the log on the disk has, at every moment at which a crash may come;
//! and a log that contradicts what was noted is refused.
//!
//! A piece of work gathers everything between two calls of `Node::ready`. So the one piece may say that an entry is committed,
//! cut off other entries that the disk has in its place, and bring a new term. That is what a member finds in its sockets
//! that led with a suffix nobody else has, and was paused during two elections.

use super::*;
use raft::{Body, Loss, Message, Ready, Round, Session};

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn message(from: u64, term: u64, body: Body) -> Message {
    Message { from: NodeId(from), incarnation: Incarnation(1), to: NodeId(1), term: Term(term), body }
}

fn entries(term: u64, from: u64, to: u64) -> Vec<Entry> {
    let entry = |index: u64| Entry {
        term: Term(term),
        index: Index(index),
        payload: Payload::Command(Bytes::from(format!("{index}@{term}"))),
    };
    (from..=to).map(entry).collect()
}

fn append(term: u64, previous: EntryId, entries: Vec<Entry>, commit: u64) -> Message {
    message(2, term, Body::Append { session: Session(1), previous, entries, commit: Index(commit) })
}

fn heartbeat(from: u64, term: u64, commit: EntryId) -> Message {
    let (commit, commit_term) = (commit.index, Some(commit.term));
    message(from, term, Body::Heartbeat { session: Session(1), commit, commit_term, round: Round::default() })
}

fn open_one_of_three(disk: &SimDisk) -> Result<Log, Error> {
    let membership = Membership::new([1, 2, 3].map(NodeId), []);
    let options = Options { membership, segment_bytes: 1 << 20, ..options() };
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options).map(|opened| opened.log)
}

fn start(log: &mut Log, applied: EntryId) -> Node {
    Node::new(Config::new(NodeId(1), 1), log.restore_at(applied).expect("state and log meet"))
}

/// Carries out what the node wants; what it sent, and what it handed to its state machine.
fn settle(log: &mut Log, node: &mut Node) -> (Vec<Body>, Vec<EntryId>) {
    let (mut sent, mut committed) = (Vec::new(), Vec::new());
    while let Some(Ready { send, persist, committed: handed, .. }) = node.ready() {
        sent.extend(send.into_iter().map(|message| message.body));
        if let Some(persist) = persist {
            log.append(&persist).expect("appends");
            log.sync().expect("syncs");
            node.persisted(persist.ack);
            sent.extend(persist.then_send.into_iter().map(|message| message.body));
        }
        committed.extend(handed.iter().map(Entry::id));
        handed.last().into_iter().for_each(|entry| node.applied(entry.index));
    }
    (sent, committed)
}

/// A member whose disk has 1..=10@1, of which 4 are committed, in term 2.
fn with_a_stale_suffix(disk: &SimDisk) -> (Log, Node) {
    let mut log = open_one_of_three(disk).expect("opens");
    let mut node = start(&mut log, EntryId::ZERO);
    node.step(append(1, EntryId::ZERO, entries(1, 1, 10), 4)).expect("a sound message");
    settle(&mut log, &mut node);
    node.step(heartbeat(2, 2, EntryId::ZERO)).expect("a sound message");
    settle(&mut log, &mut node);
    assert_eq!((log.hard_state().term, log.last()), (Term(2), id(10, 1)));
    (log, node)
}

/// Whether everything that a start finds as committed was: 1..=4@1 and 5..=8@2 were.
fn only_what_was_committed(disk: &SimDisk) -> bool {
    let mut log = open_one_of_three(disk).expect("opens");
    let restored = log.restore_at(EntryId::ZERO).expect("nothing is applied");
    (1..=restored.commit.0).all(|index| {
        let term = if index <= 4 { Term(1) } else { Term(2) };
        restored.terms.at(Index(index)) == Some(term)
    })
}

#[test]
fn a_new_term_and_a_cut_in_one_piece_commit_nothing_that_is_cut() {
    let disk = SimDisk::new(1);
    let (mut log, mut node) = with_a_stale_suffix(&disk);
    // One round of the node: what the leader of term 2 has committed instead, and the leader of term 3.
    node.step(append(2, id(4, 1), entries(2, 5, 8), 8)).expect("a sound message");
    node.step(heartbeat(3, 3, EntryId::ZERO)).expect("a sound message");
    let piece = node.ready().and_then(|ready| ready.persist).expect("a piece");
    assert_eq!((piece.truncate_from, piece.commit), (Some(Index(5)), id(8, 2)));
    assert_eq!(piece.hard_state.map(|state| state.term), Some(Term(3)));
    log.append(&piece).expect("appends");
    log.sync().expect("syncs");
    drop(log);
    let mut log = open_one_of_three(&disk.crash(Crash::KeepAll)).expect("opens");
    let mut node = start(&mut log, EntryId::ZERO);
    let (_, applied) = settle(&mut log, &mut node);
    assert!(applied.iter().all(|entry| entry.index <= Index(4) || entry.term == Term(2)), "{applied:?}");
}

#[test]
fn a_crash_at_any_operation_of_such_a_piece_commits_nothing_that_is_cut() {
    let whole = SimDisk::new(1);
    let (log, mut node) = with_a_stale_suffix(&whole);
    drop(log);
    node.step(append(2, id(4, 1), entries(2, 5, 8), 8)).expect("a sound message");
    node.step(heartbeat(3, 3, EntryId::ZERO)).expect("a sound message");
    let piece = node.ready().and_then(|ready| ready.persist).expect("a piece");
    let mut done = false;
    for operations in 0.. {
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(operations), Crash::TearLast(operations)]
        {
            let disk = whole.restart();
            let mut log = open_one_of_three(&disk).expect("opens");
            log.restore_at(EntryId::ZERO).expect("nothing is applied");
            disk.halt_after(operations);
            done = log.append(&piece).and_then(|()| log.sync()).is_ok();
            drop(log);
            let found = only_what_was_committed(&disk.crash(crash));
            assert!(found, "{operations} operations, {crash:?}");
        }
        if done {
            assert!(operations > 6, "{operations} operations");
            return;
        }
    }
}

/// No second term is needed when the disk is full: while the cut waits for space, a checkpoint may release a prefix, and that
/// writes the hard state.
#[test]
fn a_release_while_a_cut_waits_for_space_commits_nothing_that_is_cut() {
    for releases in [1, 2] {
        let disk = SimDisk::new(1);
        let (mut log, mut node) = with_a_stale_suffix(&disk);
        node.step(append(2, id(4, 1), entries(2, 5, 8), 8)).expect("a sound message");
        let piece = node.ready().and_then(|ready| ready.persist).expect("a piece");
        assert!(piece.hard_state.is_none(), "no other term is needed here");
        (0..2).for_each(|_| disk.inject(Fault::Create));
        assert!(log.append(&piece).is_err_and(|error| error.is_no_space()), "the cut has no space");
        (0..releases).for_each(|place| log.release(Index(3 + place)).expect("releases"));
        let restored = |disk: &SimDisk| {
            let mut log = open_one_of_three(disk).expect("opens");
            let restored = log.restore_at(id(4, 1)).expect("state and log meet");
            EntryId::new(restored.commit, restored.terms.at(restored.commit).expect("in the log"))
        };
        assert_eq!(restored(&disk.crash(Crash::LoseAll)), id(4, 1), "5@1 was never committed");
        log.append(&piece).expect("there is space again");
        log.sync().expect("syncs");
        log.release(Index(6)).expect("releases");
        drop(log);
        let mut log = open_one_of_three(&disk.crash(Crash::LoseAll)).expect("opens");
        let found = log.restore_at(id(8, 2)).expect("state and log meet");
        assert_eq!((found.commit, log.base(), log.last()), (Index(8), id(6, 2), id(8, 2)));
    }
}

#[test]
#[should_panic(expected = "which is being cut off")]
fn what_is_being_cut_off_is_not_released() {
    let disk = SimDisk::new(1);
    let (mut log, mut node) = with_a_stale_suffix(&disk);
    node.step(append(2, id(4, 1), entries(2, 5, 8), 8)).expect("a sound message");
    let piece = node.ready().and_then(|ready| ready.persist).expect("a piece");
    (0..2).for_each(|_| disk.inject(Fault::Create));
    assert!(log.append(&piece).is_err());
    let _ = log.release(Index(8));
}

/// Makes the log of one disk and the hard state of another into one directory: as a backup that was put back in part.
fn with_hard_state_of(entries: &SimDisk, hard_state: &SimDisk) -> SimDisk {
    let mixed = entries.fork();
    for name in ["hard-state-a", "hard-state-b"] {
        let path = Path::new(DIR).join(name);
        let content = hard_state.content(&path).expect("a copy");
        mixed.damage(&path, |bytes| bytes.copy_from_slice(&content));
    }
    mixed
}

#[test]
fn a_hard_state_that_the_log_contradicts_is_refused_with_both_names() {
    let (stale, right) = (SimDisk::new(1), SimDisk::new(2));
    drop(with_a_stale_suffix(&stale));
    let (mut log, mut node) = with_a_stale_suffix(&right);
    node.step(append(2, id(4, 1), entries(2, 5, 8), 8)).expect("a sound message");
    node.step(heartbeat(3, 3, EntryId::ZERO)).expect("a sound message");
    settle(&mut log, &mut node);
    // The next change of the hard state notes what was committed.
    node.step(heartbeat(3, 4, EntryId::ZERO)).expect("a sound message");
    settle(&mut log, &mut node);
    drop(log);
    let mixed = with_hard_state_of(&stale, &right);
    match open_one_of_three(&mixed) {
        Err(error @ Error::CommitContradicted { committed, found, .. }) => {
            assert_eq!((committed, found), (id(8, 2), id(8, 1)));
            let text = error.to_string();
            for part in ["/raft/hard-state-a", "/raft/entries", "8@2", "8@1"] {
                assert!(text.contains(part), "{text}");
            }
        }
        other => panic!("{:?}", other.map(|log| log.last())),
    }
    assert!(open_one_of_three(&right).is_ok());
}

/// The bytes of a copy of the hard state as format 1 had them: without the term of the commit.
fn as_format_1(content: &mut [u8]) {
    let length = u32::from_le_bytes(content[12..16].try_into().expect("four bytes")) as usize;
    content.copy_within(100..20 + length, 92);
    content[8] = 1;
    content[12..16].copy_from_slice(&(length as u32 - 8).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&content[8..16]);
    crc.update(&content[20..12 + length]);
    content[16..20].copy_from_slice(&crc.finalize().to_le_bytes());
}

#[test]
fn the_commit_of_a_directory_of_format_1_is_the_entry_that_its_log_has_there() {
    let disk = SimDisk::new(1);
    let (log, _) = with_a_stale_suffix(&disk);
    drop(log);
    let copies = ["hard-state-a", "hard-state-b"].map(|name| Path::new(DIR).join(name));
    copies.iter().for_each(|path| disk.damage(path, |content| as_format_1(content)));
    let restored = |disk: &SimDisk| {
        let mut log = open_one_of_three(disk).expect("opens");
        log.restore_at(EntryId::ZERO).expect("nothing is applied").commit
    };
    assert_eq!(restored(&disk.fork()), Index(4));
    // One copy is damaged: the other one is enough, and both are of the new format then.
    disk.damage(&copies[1], |content| content[30] ^= 1);
    assert_eq!(restored(&disk), Index(4));
    for path in &copies {
        let content = disk.content(path).expect("a copy");
        assert_eq!(
            (content[8], &content[84..100]),
            (2, &[4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..])
        );
    }
    assert_eq!(restored(&disk.crash(Crash::LoseAll)), Index(4));
}

/// A leader's heartbeat speaks of entries that this member acknowledged and does not have. Nothing shows it a second time:
/// told of it, the leader forgets what this member had. So it must be on the disk before the leader is told.
#[test]
fn a_loss_that_a_heartbeat_shows_is_kept_over_a_restart() {
    let disk = SimDisk::new(1);
    let mut log = open_one_of_three(&disk).expect("opens");
    let mut node = start(&mut log, EntryId::ZERO);
    node.step(append(1, EntryId::ZERO, entries(1, 1, 3), 3)).expect("a sound message");
    settle(&mut log, &mut node);
    node.step(heartbeat(2, 1, id(7, 1))).expect("a sound message");
    let ready = node.ready().expect("an answer");
    assert!(ready.send.is_empty(), "the answer waits for the disk: {:?}", ready.send);
    let piece = ready.persist.expect("a piece");
    let loss = Loss { until: Index(7), term: Term(1) };
    assert_eq!((piece.loss, piece.is_write(), piece.hard_state), (Some(loss), true, None));
    log.append(&piece).expect("appends");
    drop(log);

    let disk = disk.crash(Crash::LoseAll);
    let mut log = open_one_of_three(&disk).expect("opens");
    let restored = log.restore_at(EntryId::ZERO).expect("nothing is applied");
    assert_eq!(restored.loss, Some(loss));
    let mut node = Node::new(Config::new(NodeId(1), 1), restored);
    (0..100).for_each(|_| node.tick());
    node.campaign();
    let (sent, _) = settle(&mut log, &mut node);
    assert_eq!(sent, [], "it does not campaign");
    let ask = Body::Vote { last: id(3, 1), reason: raft::CampaignReason::Silence };
    node.step(message(3, 2, ask)).expect("a sound message");
    let (sent, _) = settle(&mut log, &mut node);
    assert_eq!(sent, [Body::VoteReply { granted: false }], "it does not vote");

    // Its leader sends it again what it lost. There is no descriptor at first to note that with; entries need none.
    node.step(append(2, id(3, 1), entries(1, 4, 7), 7)).expect("a sound message");
    // Nor for the piece that carries the commit.
    disk.inject_after(Fault::NoDescriptor, 0);
    disk.inject_after(Fault::NoDescriptor, 0);
    settle(&mut log, &mut node);
    assert_eq!(node.loss(), None);
    let mut early = open_one_of_three(&disk.crash(Crash::LoseAll)).expect("opens");
    assert_eq!(
        early.restore_at(EntryId::ZERO).expect("nothing is applied").loss,
        Some(loss),
        "not noted yet"
    );
    log.sync().expect("syncs");
    drop(log);
    let mut log = open_one_of_three(&disk.crash(Crash::LoseAll)).expect("opens");
    let restored = log.restore_at(EntryId::ZERO).expect("nothing is applied");
    assert_eq!((restored.loss, log.last()), (None, id(7, 1)), "made good on the disk too");
}

/// The disk learns what is committed with whatever else is written. If nothing is, it must learn of this all the same: of two
/// members with complete logs that are started again, none would vote, and of three with two such members none could lead.
#[test]
fn a_loss_that_a_commit_makes_good_is_made_good_on_the_disk_too() {
    let disk = SimDisk::new(1);
    let mut log = open_one_of_three(&disk).expect("opens");
    let mut node = start(&mut log, EntryId::ZERO);
    node.step(append(1, EntryId::ZERO, entries(1, 1, 3), 3)).expect("a sound message");
    settle(&mut log, &mut node);
    log.forget_entries().expect("there are others");
    let mut node = start(&mut log, EntryId::ZERO);
    node.step(append(1, EntryId::ZERO, entries(1, 1, 3), 2)).expect("a sound message");
    settle(&mut log, &mut node);
    assert!(node.loss().is_some(), "3@1 may have been committed");
    let loss = |disk: &SimDisk| {
        let mut log = open_one_of_three(&disk.crash(Crash::LoseAll)).expect("opens");
        log.restore_at(EntryId::ZERO).expect("nothing is applied").loss
    };
    assert_eq!(loss(&disk), node.loss());
    node.step(message(2, 1, Body::Commit { entry: id(3, 1) })).expect("a sound message");
    assert_eq!(node.loss(), None);
    settle(&mut log, &mut node);
    assert_eq!(loss(&disk), None);
    assert!(node.ready().is_none(), "and it is said once");
}

/// The disk came back as an older copy, with other entries in the place of those that were acknowledged since: the log is as
/// long, and what the leader has committed is not in it.
#[test]
fn a_heartbeat_commits_nothing_that_its_leader_does_not_have() {
    let disk = SimDisk::new(1);
    let (mut log, mut node) = with_a_stale_suffix(&disk);
    node.step(heartbeat(2, 2, id(9, 2))).expect("a sound message");
    let (sent, applied) = settle(&mut log, &mut node);
    assert_eq!((node.commit(), applied), (Index(4), vec![]));
    let [Body::HeartbeatReply { lost_after: Some(after), .. }] = sent[..] else { panic!("{sent:?}") };
    assert!(after < Index(10), "the leader asks from {after} on");
    let loss = Loss { until: Index(9), term: Term(2) };
    drop(log);
    let mut log = open_one_of_three(&disk.crash(Crash::LoseAll)).expect("opens");
    let mut node = start(&mut log, id(4, 1));
    assert_eq!(node.loss(), Some(loss), "over a restart too");

    node.step(append(2, id(4, 1), entries(2, 5, 9), 9)).expect("a sound message");
    settle(&mut log, &mut node);
    assert_eq!((node.commit(), node.last(), node.loss()), (Index(9), id(9, 2), None));
}

/// The other entry is committed here, so one of the two logs is wrong. The leader learns that it must not count this copy.
#[test]
fn a_heartbeat_that_contradicts_what_is_committed_puts_the_log_in_doubt() {
    let disk = SimDisk::new(1);
    let (mut log, mut node) = with_a_stale_suffix(&disk);
    let (theirs, ours) = (id(4, 2), id(4, 1));
    let refused = node.step(heartbeat(2, 2, theirs));
    assert_eq!(refused, Err(raft::StepError::ContradictsCommitted { theirs, ours }));
    let (sent, _) = settle(&mut log, &mut node);
    assert!(matches!(sent[..], [Body::HeartbeatReply { lost_after: Some(_), .. }]), "{sent:?}");
    assert_eq!((node.commit(), node.loss()), (Index(4), None));
}
