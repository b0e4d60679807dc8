//! Members that behave.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use engine::note::{Answer, ConsensusNote, PeerNote, Question, Refusal};
use engine::peers::{Peer, Peers};
use engine::request::{Proposal, RequestId};
use raft::NodeId;

use super::harness::*;
use crate::transport::limits::PEER_QUEUE_BYTES_MAX;

#[test]
fn messages_arrive_in_the_order_in_which_they_were_sent() {
    let (one, two) = pair();
    let sizes = [0, 10, 1000, 20_000, 500_000, 3];
    for first in (1..=1000).step_by(10) {
        let batch = (first..first + 10)
            .map(|n| append(&one, two.id, n, vec![n as u8; sizes[n as usize % sizes.len()]]));
        one.transport.send(batch.collect());
        // So that what is queued never comes near to the bound.
        two.engine.wait_for("the batch", |state| (state.messages.len() as u64 == first + 9).then_some(()));
    }
    two.engine.change(|state| {
        assert!(state.numbers().into_iter().eq(1..=1000));
        for message in &state.messages {
            let n = number(message);
            assert_eq!(message, &append(&one, two.id, n, vec![n as u8; sizes[n as usize % sizes.len()]]));
        }
    });
    let sent = one.metrics.peers.of(two.id.0).sent_bytes.get();
    let received = two.metrics.peers.of(one.id.0).received_bytes.get();
    assert!(sent > 0 && received > 0 && received <= sent, "{sent} {received}");
}

#[test]
fn notes_reach_the_other_engine_and_bear_their_sender() {
    let (one, two) = pair();
    let asked = PeerNote::Ask { nonce: 7, question: Question::LeaseRenew { id: 5 } };
    let answer = Answer::Refused(Refusal::NotLeader);
    let answered = PeerNote::Answer { nonce: 7, answer };
    let refused = PeerNote::from(ConsensusNote::Refused { ids: vec![RequestId(3)], why: Refusal::Busy });
    one.transport.tell(two.id, asked.clone());
    two.transport.tell(one.id, answered.clone());
    two.transport.tell(one.id, refused.clone());
    two.engine.wait_for("the question", |state| (state.notes == [(one.id, asked.clone())]).then_some(()));
    let both = [(two.id, answered), (two.id, refused)];
    one.engine.wait_for("the answers", |state| (state.notes == both).then_some(()));
}

/// Clients' commands must not be lost with a leader that was dead before they were sent (rule K1).
#[test]
fn what_was_surely_not_sent_is_answered_in_the_addressees_place() {
    let (one, two) = pair();
    let nobody = NodeId(9);
    let dead = two.id;
    two.stop();
    one.wait_disconnected(dead);
    let proposal = |id| Proposal { id: RequestId(id), command: "put".into() };
    for to in [nobody, dead] {
        one.transport.tell(to, ConsensusNote::Proposals(vec![proposal(1), proposal(2)]).into());
        one.transport.tell(to, ConsensusNote::Change(proposal(3)).into());
        one.transport.tell(to, PeerNote::Ask { nonce: 4, question: Question::LeaseRenew { id: 5 } });
        // Nobody waits for what comes of an answer.
        one.transport.tell(to, PeerNote::Answer { nonce: 6, answer: Answer::LeaseRenewed { ttl: 7 } });
    }
    let why = Refusal::NotLeader;
    let answers = |from| {
        [
            (from, ConsensusNote::Refused { ids: vec![RequestId(1), RequestId(2)], why }.into()),
            (from, ConsensusNote::Refused { ids: vec![RequestId(3)], why }.into()),
            (from, PeerNote::Answer { nonce: 4, answer: Answer::Refused(why) }),
        ]
    };
    let expected = [answers(nobody), answers(dead)].concat();
    one.engine.wait_for("the answers", |state| (state.notes.len() >= expected.len()).then_some(()));
    one.engine.change(|state| assert_eq!(state.notes, expected));
}

#[test]
fn a_member_that_restarts_is_called_again() {
    let (one, two) = pair();
    let address = two.address;
    let engine = two.stop();
    one.wait_disconnected(NodeId(2));
    one.transport.send(vec![append(&one, NodeId(2), 1, "lost")]);

    let listener = crate::net::listen::listen(address, Default::default()).unwrap();
    let two = Member::with(2, CLUSTER, listener, engine);
    two.transport.set_peers(vec![one.peer()]);
    one.wait_connected(two.id);
    two.wait_connected(one.id);
    one.transport.send(vec![append(&one, two.id, 2, "kept")]);
    let numbers = two.engine.wait_for("the second message", |state| {
        let numbers = state.numbers();
        numbers.contains(&2).then_some(numbers)
    });
    assert_eq!(numbers, [2], "what was sent while nobody was there is dropped");
    let metrics = one.metrics.peers.of(2);
    assert_eq!((metrics.disconnected.get(), metrics.sent_failures.get(), metrics.active.get()), (1, 1, 1));
}

#[test]
fn the_urls_of_a_peer_are_tried_in_turn_and_may_change() {
    let (one, two, three) = (Member::start(1), Member::start(2), Member::start(3));
    // Nobody listens there: bound, and let go again.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = vec![format!("http://{nowhere}"), format!("http://{}", two.address)];
    one.transport.set_peers(vec![
        Peer { id: two.id, urls },
        Peer { id: three.id, urls: vec![format!("http://{nowhere}")] },
    ]);
    one.wait_connected(two.id);
    assert_eq!(one.transport.peers(), [two.id, three.id]);
    one.transport.set_peers(vec![two.peer(), three.peer()]);
    one.wait_connected(three.id);
}

/// A follower that was down while a member was added hears from it before it knows of it, and must answer.
#[test]
fn a_member_that_is_not_known_yet_is_answered() {
    let (one, two) = (Member::start(1), Member::start(2));
    one.transport.set_peers(vec![two.peer()]);
    one.wait_connected(two.id);
    two.wait_connected(one.id);
    two.transport.send(vec![append(&two, one.id, 9, "answer")]);
    one.engine.wait_for("the answer", |state| (state.numbers() == [9]).then_some(()));

    one.transport.set_peers(vec![]);
    wait_until("the guest is forgotten", || two.transport.peers().is_empty());
}

#[test]
fn a_removed_member_is_told_so_and_not_heard() {
    let (one, two) = pair();
    one.transport.set_removed([two.id].into());
    one.transport.set_peers(vec![]);
    two.engine.wait_for("the news", |state| state.removed_by.contains(&one.id).then_some(()));
    two.wait_disconnected(one.id);
}

/// The news of a removal may be among what is queued.
#[test]
fn what_is_queued_for_a_peer_that_is_removed_is_still_written() {
    let (one, two) = pair();
    for number in 1..=100 {
        one.transport.send(vec![append(&one, two.id, number, vec![1; 10_000])]);
    }
    one.transport.set_peers(vec![]);
    two.engine.wait_for("all of it", |state| (state.messages.len() == 100).then_some(()));
}

#[test]
fn a_member_that_stops_writes_what_it_has() {
    let (one, two) = pair();
    for number in 1..=100 {
        one.transport.send(vec![append(&one, two.id, number, vec![1; 10_000])]);
    }
    one.stop();
    two.engine.wait_for("all of it", |state| (state.messages.len() == 100).then_some(()));
}

/// The queue of a peer whose engine is slow fills up to its bound; then messages are dropped, and nobody waits.
#[test]
fn a_slow_peer_costs_a_bounded_queue_and_nobodys_time() {
    let (one, two) = pair();
    two.engine.change(|state| state.held = Some(Vec::new()));
    let metrics = one.metrics.peers.of(two.id.0);
    let three = Member::start(3);
    one.transport.set_peers(vec![two.peer(), three.peer()]);
    one.wait_connected(three.id);
    // Each is sent when the one before was queued or dropped, so none is lost on its way to the transport's thread.
    let chunk = 1 << 20;
    let mut number = 0;
    while metrics.sent_failures.get() == 0 {
        number += 1;
        one.transport.send(vec![append(&one, two.id, number, vec![1; chunk])]);
        one.transport.send(vec![append(&one, three.id, number, "mark")]);
        three.engine.wait_for("the mark", |state| (state.messages.len() as u64 == number).then_some(()));
        assert!(number < 200, "200 MiB are queued for a peer that takes none");
    }
    // The queue, what the peer's engine has in hand, and the buffers of the operating system.
    assert!(number as usize * chunk > PEER_QUEUE_BYTES_MAX, "dropped after {number} MiB already");

    // The engine catches up: what was queued arrives, in order.
    two.engine.change(|state| state.held = None);
    one.transport.send(vec![append(&one, three.id, number + 1, "mark")]);
    let last = number - 1;
    let numbers = two.engine.wait_for("what was queued", |state| {
        let numbers = state.numbers();
        (numbers.last() == Some(&last)).then_some(numbers)
    });
    assert!(numbers.into_iter().eq(1..=last));
}

#[test]
fn tools_are_answered_on_the_peer_port() {
    let one = Member::start(1);
    let mut stream = TcpStream::connect(one.address).unwrap();
    let answer = super::intruders::exchange(
        &mut stream,
        "GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("http"), "{answer}");
}

#[test]
fn members_of_different_clusters_do_not_talk() {
    let one = Member::start(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let two = Member::with(2, 0xc2, listener, Arc::default());
    one.transport.set_peers(vec![two.peer()]);
    two.transport.set_peers(vec![one.peer()]);
    // Nothing says so but the log and the absence of a connection: the handshake's own tests have the texts.
    one.transport.send(vec![append(&one, two.id, 1, "x")]);
    wait_until("a message was dropped", || one.metrics.peers.of(2).sent_failures.get() == 1);
    assert_eq!((one.transport.active_since(two.id), two.transport.active_since(one.id)), (None, None));
}
