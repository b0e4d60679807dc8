//! A disk that stays full for a while: what is tried again must not make it fuller, and what is half done must not be taken
//! for something else meanwhile.

use super::*;
use raft::{Body, Message, Session};

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn entries(term: u64, from: u64, to: u64, bytes: usize) -> Vec<Entry> {
    let payload = Payload::Command(Bytes::from(vec![7; bytes]));
    let entry = |index: u64| Entry { term: Term(term), index: Index(index), payload: payload.clone() };
    (from..=to).map(entry).collect()
}

fn append(term: u64, previous: EntryId, entries: Vec<Entry>, commit: u64) -> Message {
    let body = Body::Append { session: Session(1), previous, entries, commit: Index(commit) };
    Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term: Term(term), body }
}

fn open_large(disk: &SimDisk) -> Log {
    let membership = Membership::new([1, 2, 3].map(NodeId), []);
    let options = Options { membership, segment_bytes: 1 << 20, ..options() };
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options).expect("opens").log
}

/// A member whose disk has 1..=10@1, of which 9 are committed, in a file that is almost full.
fn ten_entries(disk: &SimDisk) -> (Log, Node) {
    let mut log = open_large(disk);
    let mut node = Node::new(Config::new(NodeId(1), 1), log.restore_at(EntryId::ZERO).expect("a new log"));
    node.step(append(1, EntryId::ZERO, entries(1, 1, 10, 100_000), 9)).expect("a sound message");
    let piece = piece(&mut node);
    log.append(&piece).and_then(|()| log.sync()).expect("appends");
    node.persisted(piece.ack);
    (log, node)
}

fn piece(node: &mut Node) -> Persist {
    node.ready().and_then(|ready| ready.persist).expect("a piece")
}

/// Lets the disk have this many bytes more.
fn leave_space(disk: &SimDisk, bytes: u64) {
    let used: usize =
        disk.files().iter().filter_map(|path| disk.content(path)).map(|content| content.len()).sum();
    disk.set_capacity(Some(used as u64 + bytes));
}

/// The cut itself finds space, and some of the entries that come in place of what is cut; the rest does not.
#[test]
fn a_cut_that_is_done_is_not_done_again_however_often_the_piece_is_tried() {
    let disk = SimDisk::new(1);
    let (mut log, mut node) = ten_entries(&disk);
    node.step(append(2, id(9, 1), entries(2, 10, 13, 1000), 13)).expect("a sound message");
    let piece = piece(&mut node);
    assert_eq!((piece.truncate_from, piece.entries.len()), (Some(Index(10)), 4));
    leave_space(&disk, 64 << 10);
    assert!(log.append(&piece).is_err_and(|error| error.is_no_space()));
    assert_eq!(log.last(), id(10, 2), "one of them has found space");
    let files = disk.files().len();
    for _ in 0..50 {
        assert!(log.append(&piece).is_err_and(|error| error.is_no_space()));
    }
    assert_eq!(disk.files().len(), files, "files that only say where the log ends");
    disk.set_capacity(None);
    log.append(&piece).and_then(|()| log.sync()).expect("there is space again");
    drop(log);
    let mut log = open_large(&disk.crash(Crash::LoseAll));
    let names: Vec<EntryId> = show(&mut log).entries.iter().map(Entry::id).collect();
    assert_eq!(names[8..], [id(9, 1), id(10, 2), id(11, 2), id(12, 2), id(13, 2)]);
}

/// The log that a snapshot replaces may have to wait for space to be dropped. Its prefix may be released meanwhile, as a
/// checkpoint from before the snapshot has it.
#[test]
fn a_release_while_a_snapshot_waits_to_replace_the_log_changes_nothing() {
    let disk = SimDisk::new(1);
    let (mut log, _) = ten_entries(&disk);
    let snapshot = SnapshotMeta { last: id(20, 1), membership: Membership::new([1, 2, 3].map(NodeId), []) };
    log.expect_snapshot(&snapshot).expect("notes it");
    leave_space(&disk, 0);
    assert!(log.reset_to(&snapshot).is_err_and(|error| error.is_no_space()));
    log.release(Index(3)).expect("nothing is left to be released");
    let crashed = disk.crash(Crash::LoseAll);
    crashed.set_capacity(None);
    let found = open_large(&crashed);
    assert_eq!((found.base(), found.last()), (snapshot.last, snapshot.last));
    disk.set_capacity(None);
    log.reset_to(&snapshot).expect("there is space again");
    assert_eq!((log.base(), log.last()), (snapshot.last, snapshot.last));
    log.release(Index(20)).expect("nothing to release");
}

/// What is appended is durable, whether there is space for the note that a loss is made good or not.
#[test]
fn a_loss_that_is_made_good_is_noted_when_there_is_space() {
    let disk = SimDisk::new(1);
    let (mut log, _) = ten_entries(&disk);
    log.forget_entries().expect("there are others");
    let mut node =
        Node::new(Config::new(NodeId(1), 1), log.restore_at(EntryId::ZERO).expect("nothing is left"));
    node.step(append(1, EntryId::ZERO, entries(1, 1, 10, 10), 10)).expect("a sound message");
    log.append(&piece(&mut node)).expect("appends");
    // The entries are written first.
    disk.inject_after(Fault::WriteNoSpace, 1);
    assert_eq!(log.sync().expect("the entries are durable"), Index(10));
    let loss = |disk: &SimDisk| open_large(disk).restore_at(EntryId::ZERO).expect("nothing is applied").loss;
    assert!(loss(&disk.crash(Crash::LoseAll)).is_some());
    log.sync().expect("there is space again");
    assert_eq!(loss(&disk.crash(Crash::LoseAll)), None);
}
