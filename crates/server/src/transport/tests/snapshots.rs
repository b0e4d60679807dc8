//! Snapshots between members.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use engine::peers::{
    Peer, Peers, SnapshotFailure, SnapshotFault, SnapshotJob, SnapshotOffer, SnapshotSource,
};
use parking_lot::Mutex;
use raft::{Body, EntryId, Incarnation, Index, Membership, Message, NodeId, Session, SnapshotMeta, Term};

use super::harness::*;
use super::proxy::{Harm, Proxy};

const CHUNKS: u64 = 50;
const CHUNK_BYTES: usize = 50_000;

fn chunk(number: u64) -> Bytes {
    (0..CHUNK_BYTES).map(|place| (number as usize * 31 + place) as u8).collect()
}

/// What was asked of a source.
#[derive(Default)]
struct Asked {
    read: Vec<u64>,
    skipped_to: Vec<u64>,
}

/// Chunks made up as they are asked for.
struct Source {
    next: u64,
    fail_at: Option<u64>,
    asked: Arc<Mutex<Asked>>,
}

impl SnapshotSource for Source {
    fn skip_to(&mut self, chunk: u64) -> Result<(), SnapshotFault> {
        assert!(chunk >= self.next, "a source does not go back");
        self.asked.lock().skipped_to.push(chunk);
        self.next = chunk;
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotFault> {
        if self.fail_at == Some(self.next) {
            return Err("a bad sector".into());
        }
        if self.next == CHUNKS {
            return Ok(None);
        }
        self.asked.lock().read.push(self.next);
        self.next += 1;
        Ok(Some(chunk(self.next - 1)))
    }
}

fn install(from: &Member, to: NodeId, term: u64) -> Message {
    let last = EntryId::new(Index(100), Term(3));
    let snapshot = SnapshotMeta { last, membership: Membership::new([from.id, to], []) };
    let body = Body::InstallSnapshot { session: Session(1), snapshot };
    Message { from: from.id, incarnation: Incarnation(1), to, term: Term(term), body }
}

/// A transfer under way.
struct Sent {
    message: Message,
    asked: Arc<Mutex<Asked>>,
    done: Receiver<Result<(), SnapshotFailure>>,
}

impl Sent {
    fn wait(&self) -> Result<(), SnapshotFailure> {
        self.done.recv_timeout(PATIENCE).expect("a snapshot's transfer ends")
    }
}

fn send(from: &Member, to: NodeId, term: u64, fail_at: Option<u64>) -> Sent {
    let (ended, done) = channel();
    let asked = Arc::<Mutex<Asked>>::default();
    let message = install(from, to, term);
    from.transport.send_snapshot(SnapshotJob {
        offer: SnapshotOffer { message: message.clone(), content: Bytes::from_static(b"checkpoint") },
        source: Box::new(Source { next: 0, fail_at, asked: asked.clone() }),
        done: Box::new(move |result| drop(ended.send(result))),
    });
    Sent { message, asked, done }
}

/// Everything is there, in order, once.
fn check_whole(sink: &SinkState, message: &Message) {
    assert_eq!(sink.finished.as_ref(), Some(message));
    assert!(sink.chunks.iter().cloned().eq((0..CHUNKS).map(chunk)), "{} chunks", sink.chunks.len());
}

#[test]
fn a_snapshot_arrives_whole() {
    let (one, two) = pair();
    let sent = send(&one, two.id, 3, None);
    sent.wait().unwrap();
    two.engine.change(|state| {
        assert_eq!(state.sinks.len(), 1);
        check_whole(&state.sinks[0], &sent.message);
    });
    assert!(sent.asked.lock().read.iter().copied().eq(0..CHUNKS));
    let counted = one.metrics.peers.of(two.id.0);
    assert_eq!((counted.snapshot_send.success.get(), counted.snapshot_send.inflight.get()), (1, 0));
    assert_eq!(counted.snapshot_send.duration.count(), 1);
    let counted = two.metrics.peers.of(one.id.0);
    assert_eq!((counted.snapshot_receive.success.get(), counted.snapshot_receive.failures.get()), (1, 0));
    // And another one, as the first one has ended.
    send(&one, two.id, 3, None).wait().unwrap();
}

/// One that reaches two through a proxy.
fn pair_with(harm: Harm) -> (Member, Member, Proxy) {
    let (one, two) = (Member::start(1), Member::start(2));
    let proxy = Proxy::start(two.address, harm, CHUNKS as i64 * CHUNK_BYTES as i64 / 2);
    one.transport.set_peers(vec![Peer { id: two.id, urls: vec![format!("http://{}", proxy.address)] }]);
    one.wait_connected(two.id);
    (one, two, proxy)
}

#[test]
fn a_transfer_that_is_cut_in_the_middle_goes_on_there() {
    for harm in [Harm::Cut, Harm::Damage] {
        let (one, two, proxy) = pair_with(harm);
        let sent = send(&one, two.id, 3, None);
        sent.wait().unwrap();
        assert_eq!(proxy.harm_done(), 1);
        two.engine.change(|state| {
            assert_eq!(state.sinks.len(), 1, "the sink of the first connection goes on");
            check_whole(&state.sinks[0], &sent.message);
        });
        let asked = sent.asked.lock();
        assert!(asked.read.iter().copied().eq(0..CHUNKS), "no chunk is read twice: {:?}", asked.read);
        let failures = two.metrics.peers.of(one.id.0).snapshot_receive.failures.get();
        assert_eq!(failures, 1, "the broken connection");
    }
}

#[test]
fn another_transfer_of_the_same_content_takes_up_what_is_there() {
    let (one, two) = pair();
    let failed = send(&one, two.id, 3, Some(20)).wait();
    assert!(matches!(&failed, Err(SnapshotFailure::Source(error)) if error.to_string() == "a bad sector"));
    // What was in flight arrives first.
    wait_until("the receiver has noticed", || {
        two.metrics.peers.of(one.id.0).snapshot_receive.failures.get() == 1
    });

    let sent = send(&one, two.id, 4, None);
    sent.wait().unwrap();
    let asked = sent.asked.lock();
    let &[from] = &asked.skipped_to[..] else { panic!("skipped to {:?}", asked.skipped_to) };
    assert!(from > 0 && asked.read.iter().copied().eq(from..CHUNKS), "{:?}", asked.read);
    two.engine.change(|state| {
        assert_eq!(state.sinks.len(), 1);
        check_whole(&state.sinks[0], &sent.message);
    });
}

#[test]
fn a_sink_that_finds_damage_ends_the_transfer_and_is_dropped() {
    let (one, two) = pair();
    two.engine.change(|state| state.refuse_chunk = Some(7));
    let refused = send(&one, two.id, 3, None).wait();
    assert!(
        matches!(&refused, Err(SnapshotFailure::Refused(why)) if why == "this chunk is damaged"),
        "{refused:?}"
    );
    two.engine.wait_for("the sink's end", |state| state.sinks[0].is_dropped.then_some(()));

    two.engine.change(|state| state.refuse_chunk = None);
    let sent = send(&one, two.id, 3, None);
    sent.wait().unwrap();
    two.engine.change(|state| {
        assert_eq!(state.sinks.len(), 2, "what was damaged is not gone on with");
        check_whole(&state.sinks[1], &sent.message);
    });
}

#[test]
fn one_snapshot_is_received_at_a_time() {
    let (one, two) = pair();
    let three = Member::start(3);
    three.transport.set_peers(vec![two.peer()]);
    three.wait_connected(two.id);
    two.engine.change(|state| state.chunks_max = Some(2));
    let first = send(&one, two.id, 3, None);
    two.engine.wait_for("the first", |state| state.sinks.first().map(|_| ()));

    // Another leader of the same term: there is no such thing, and it has to wait in any case.
    let second = send(&three, two.id, 3, None).wait();
    let busy = "another snapshot is being received";
    assert!(matches!(&second, Err(SnapshotFailure::Refused(why)) if why == busy), "{second:?}");
    // One transfer to each peer.
    let twice = send(&one, two.id, 3, None).wait();
    assert!(matches!(twice, Err(SnapshotFailure::UnderWay(NodeId(2)))), "{twice:?}");

    two.engine.change(|state| state.chunks_max = None);
    first.wait().unwrap();
}

#[test]
fn a_leader_of_a_later_term_goes_first() {
    let (one, two) = pair();
    let three = Member::start(3);
    three.transport.set_peers(vec![two.peer()]);
    three.wait_connected(two.id);
    two.engine.change(|state| state.chunks_max = Some(2));
    let first = send(&one, two.id, 3, None);
    two.engine.wait_for("the first", |state| state.sinks.first().map(|_| ()));
    let second = send(&three, two.id, 4, None);
    // The deposed leader's connection ends between two chunks; its content is the same, so it is gone on with.
    two.engine.change(|state| state.chunks_max = None);
    second.wait().unwrap();
    drop(first);
    two.engine.wait_for("the second", |state| {
        state.sinks.iter().any(|sink| sink.finished.as_ref() == Some(&second.message)).then_some(())
    });
}

/// A receiver would refuse the old one, after all the work.
#[test]
fn a_leader_that_leads_again_does_not_finish_what_it_sent_before() {
    let (one, two) = pair();
    two.engine.change(|state| state.chunks_max = Some(2));
    let first = send(&one, two.id, 3, None);
    two.engine.wait_for("the first", |state| state.sinks.first().map(|_| ()));
    let second = send(&one, two.id, 4, None);
    assert!(first.done.recv_timeout(PATIENCE).is_err(), "nobody is told of the end of one that was replaced");
    two.engine.change(|state| state.chunks_max = None);
    second.wait().unwrap();
    two.engine.wait_for("the second", |state| {
        state.sinks.iter().any(|sink| sink.finished.as_ref() == Some(&second.message)).then_some(())
    });
    assert_eq!(one.metrics.peers.of(two.id.0).snapshot_send.inflight.get(), 0);
    send(&one, two.id, 4, None).wait().unwrap();
}

#[test]
fn a_snapshot_for_nobody_is_not_sent() {
    let one = Member::start(1);
    let nobody = send(&one, NodeId(9), 3, None).wait();
    assert!(matches!(nobody, Err(SnapshotFailure::UnknownPeer(NodeId(9)))), "{nobody:?}");
}

/// Messages and a snapshot do not get into each other's way.
#[test]
fn messages_go_on_beside_a_snapshot() {
    let (one, two) = pair();
    let sent = send(&one, two.id, 3, None);
    for number in 1..=200 {
        one.transport.send(vec![append(&one, two.id, number, vec![1; 1000])]);
        two.engine.wait_for("the message", |state| (state.messages.len() as u64 == number).then_some(()));
    }
    sent.wait().unwrap();
    two.engine.change(|state| check_whole(&state.sinks[0], &sent.message));
}
