//! A snapshot on its way into the place of a store, and what a start finds if the process ends in the middle.

use std::path::Path;
use std::sync::Arc;

use mvcc::{Applied, LeaseId, Options, Store};
use raft::durable::{Log, Options as LogOptions};
use raft::{
    Body, Config, EntryId, Incarnation, Index, Membership, Message, Node, NodeId, Session, SnapshotMeta, Term,
};
use wal::SimDisk;

use super::made::Made;
use super::place::StorePlace;
use super::receiver::Receiver;
use crate::event::ConsensusEvent;
use crate::inbox::{Inbox, inbox};
use crate::peers::SnapshotSource;
use crate::snapshots::place::ReceivedStore;

/// What the snapshot ends with.
const LAST: EntryId = EntryId::new(Index(10), Term(2));

/// A member that knows nothing yet, on a disk of its own.
struct Joiner {
    place: StorePlace,
    receiver: Receiver,
    inbox: Inbox<ConsensusEvent>,
}

fn joiner() -> Joiner {
    let disk = Arc::new(SimDisk::new(1));
    let place = StorePlace { disk, dir: "/data/member/kv".into(), options: Options::default() };
    drop(place.open().expect("an empty store"));
    let (consensus, inbox) = inbox();
    let metrics = Arc::new(metrics::Metrics::new(metrics::MetricsDetail::Basic, Vec::new()));
    Joiner { receiver: Receiver::new(place.clone(), consensus, metrics), place, inbox }
}

/// A checkpoint of another member, whose store is open for as long as it is read.
fn made() -> (Store, Made) {
    let disk = Arc::new(SimDisk::new(2));
    let mut store = Store::open(disk, Path::new("/kv"), Options::default()).expect("a store");
    let mut txn = store.txn();
    txn.put("key".into(), "value".into(), LeaseId(0));
    txn.commit().expect("a change");
    store.set_applied(Applied { index: LAST.index.0, term: LAST.term.0 });
    store.checkpoint().expect("a checkpoint");
    let made = Made::new(store.snapshot().expect("an export"));
    (store, made)
}

fn meta() -> SnapshotMeta {
    SnapshotMeta { last: LAST, membership: Membership::new([NodeId(1), NodeId(2)], []) }
}

fn message() -> Message {
    let body = Body::InstallSnapshot { session: Session(1), snapshot: meta() };
    Message { from: NodeId(1), incarnation: Incarnation(1), to: NodeId(2), term: Term(2), body }
}

impl Joiner {
    /// Takes the snapshot of another member, up to its arrival at consensus.
    fn receive(&self) -> ReceivedStore {
        let (_store, mut made) = made();
        let mut sink = self.receiver.begin(&made.offer(message())).expect("nothing else is under way");
        while let Some(chunk) = made.next_chunk().expect("the export can be read") {
            sink.push(chunk).expect("the chunk is sound");
        }
        sink.finish(message()).expect("the snapshot is sound");
        let mut events = Vec::new();
        self.inbox.take(&mut events, None).unwrap();
        let Some(ConsensusEvent::SnapshotReceived(_, received)) = events.pop() else {
            panic!("it has arrived")
        };
        received
    }

    /// Notes in the log the term of the leader that sends the snapshot, and then that the snapshot comes.
    fn expect_snapshot(&self) {
        let mut log = self.log();
        let message = message();
        let config = Config::new(message.to, 1);
        let mut node = Node::new(config, log.restore(Index::ZERO).expect("a new log"));
        node.step(message).expect("a sound message");
        let piece = node.ready().and_then(|ready| ready.persist).expect("a term to note");
        log.append(&piece).and_then(|()| log.expect_snapshot(&meta())).expect("the note");
    }

    fn log(&self) -> Log {
        let options = LogOptions {
            identity: [0, 2],
            segment_bytes: 64 << 10,
            tail_bytes_max: 1 << 20,
            membership: Membership::default(),
            incarnation: Incarnation(1),
        };
        Log::open(self.place.disk.clone(), Path::new("/data/member/wal"), options).expect("the log").log
    }

    /// The entry that the store holds, and the base of the log that goes on from there.
    fn start(&self) -> (EntryId, EntryId) {
        self.place.discard_incoming().expect("a start removes what is left over");
        let applied = self.place.open().expect("a whole store").store().applied();
        let applied = EntryId::new(Index(applied.index), Term(applied.term));
        let mut log = self.log();
        log.restore_at(applied).expect("store and log meet");
        (applied, log.base())
    }
}

#[test]
fn one_snapshot_at_a_time_is_taken_and_what_is_not_used_is_removed() {
    let joiner = joiner();
    let received = joiner.receive();
    let dir = received.dir().to_owned();
    assert!(joiner.receiver.begin(&made().1.offer(message())).is_err(), "one is waiting to be installed");
    drop(received);
    assert!(!joiner.place.disk.exists(&dir).expect("the disk answers"));
    drop(joiner.receiver.begin(&made().1.offer(message())).expect("there is room again"));
}

#[test]
fn a_process_that_ends_in_the_middle_starts_with_the_old_state_or_the_new_one() {
    let nothing = (EntryId::ZERO, EntryId::ZERO);
    // Received, and no more: the directory is left as a process leaves it that is killed.
    let joiner = joiner();
    std::mem::forget(joiner.receive());
    assert_eq!(joiner.start(), nothing);

    // Noted in the log.
    let joiner = self::joiner();
    let received = joiner.receive();
    joiner.expect_snapshot();
    std::mem::forget(received);
    assert_eq!(joiner.start(), nothing);

    // In its place.
    let joiner = self::joiner();
    let received = joiner.receive();
    joiner.expect_snapshot();
    joiner.place.replace_by(received.dir()).expect("the renames");
    assert_eq!(joiner.start(), (LAST, LAST), "the log follows the state");
    assert_eq!(joiner.start(), (LAST, LAST), "and once more");
}

#[test]
fn what_was_announced_as_something_else_is_not_taken() {
    let joiner = joiner();
    let (_store, mut made) = made();
    let mut offer = made.offer(message());
    offer.content = "something else".into();
    let mut sink = joiner.receiver.begin(&offer).expect("nothing else is under way");
    while let Some(chunk) = made.next_chunk().expect("the export can be read") {
        sink.push(chunk).expect("the chunk is sound");
    }
    assert!(sink.finish(message()).is_err());
}
