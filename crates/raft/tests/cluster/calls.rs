//! What single calls promise to the shell, where no history or script shows it.

use bytes::Bytes;

use crate::network::member::{Written, command};
use crate::network::{Network, small_limits};
use raft::MembershipChange::{AddLearner, Remove};
use raft::{
    Body, ChangeError, Config, Entry, EntryId, HardState, Incarnation, Index, Limits, Membership, Message,
    Node, NodeId, Payload, Ready, Restored, Session, SnapshotMeta, Term, TermRuns,
};

/// A lone leader whose disk works, and whose state machine has applied nothing yet.
fn leader() -> Node {
    let membership = Membership::new([NodeId(1)], []);
    let mut node = Node::new(Config::new(NodeId(1), 1), Restored::fresh(membership));
    node.campaign();
    commit(&mut node);
    assert!(node.is_established());
    node
}

/// Lets the disk work, and keeps to itself what was handed out.
fn commit(node: &mut Node) {
    while let Some(Ready { persist, .. }) = node.ready() {
        if let Some(persist) = persist {
            node.persisted(persist.ack);
        }
    }
}

#[test]
fn a_change_waits_until_the_one_before_is_applied_here() {
    let mut node = leader();
    let change = |node: &mut Node, id: u64| node.propose_change(&[AddLearner(NodeId(id))], Bytes::new());
    assert_eq!(change(&mut node, 2), Err(ChangeError::UnderWay), "the first configuration is an entry too");
    node.applied(Index(1));
    assert_eq!(change(&mut node, 2).expect("taken").index, Index(2));
    assert_eq!(change(&mut node, 3), Err(ChangeError::UnderWay), "not committed");
    commit(&mut node);
    assert_eq!(node.commit(), Index(2));
    assert_eq!(change(&mut node, 3), Err(ChangeError::UnderWay), "committed and not applied");
    node.applied(Index(2));
    assert_eq!(change(&mut node, 3).expect("taken").index, Index(3));
}

#[test]
fn a_change_that_was_checked_against_older_members_is_outdated() {
    let mut node = leader();
    node.applied(Index(1));
    let remove = [Remove(NodeId(2))];
    node.propose_change(&[AddLearner(NodeId(2))], Bytes::new()).expect("taken");
    node.propose(Bytes::from("a")).expect("taken");
    commit(&mut node);
    node.applied(Index(3));
    assert_eq!(node.membership_index(), Index(2));
    let outdated = node.propose_change_checked(Index(1), &remove, Bytes::new());
    assert_eq!(outdated, Err(ChangeError::Outdated), "at 1 there was no such member");
    node.propose_change_checked(Index(2), &remove, Bytes::new()).expect("taken");
}

#[test]
fn one_follower_can_be_asked_for_without_the_others() {
    let mut node = leader();
    node.applied(Index(1));
    node.propose_change(&[AddLearner(NodeId(2)), AddLearner(NodeId(3))], Bytes::new()).expect("taken");
    assert_eq!(node.follower(NodeId(3)), node.followers().find(|follower| follower.id == NodeId(3)));
    assert_eq!(node.follower(NodeId(3)).map(|follower| follower.matched), Some(Index(0)));
    assert_eq!(node.follower(NodeId(4)), None);
    assert_eq!(node.followers().collect::<Vec<_>>(), node.status().followers);
    node.resign();
    assert_eq!((node.follower(NodeId(3)), node.followers().count()), (None, 0));
}

/// A snapshot that is being sent must not be out of date on arrival because its sender went on compacting.
#[test]
fn a_follower_on_its_way_needs_the_log() {
    let ids = [1, 2, 3].map(NodeId);
    let mut network = Network::new(&ids, &Membership::new(ids, []), 1, &small_limits());
    let [leader, _, slow] = ids;
    let needed = |network: &mut Network| network.node(leader).expect("up").log_needed_after();
    network.at(leader, Node::campaign);
    network.quiet();
    assert_eq!(needed(&mut network), Some(Index(1)), "everybody has all of it");
    network.crash(slow, Written::Nothing);
    for number in 0..4 {
        network.at(leader, |node| node.propose(command(number))).expect("up").expect("a leader");
        network.quiet();
    }
    assert_eq!(needed(&mut network), Some(Index(1)), "one may be back in a moment");
    for _ in 0..9 {
        network.at(leader, Node::tick);
        network.quiet();
    }
    assert_eq!(needed(&mut network), Some(Index(5)), "one that is away holds nothing up");
    network.member(leader).compact(1);
    network.settle(leader);
    network.restart(slow, 9);
    while network.node(leader).expect("up").follower(slow).is_none_or(|slow| slow.mode != "snapshot") {
        network.at(leader, Node::tick);
        while let Some(place) = network.pool.iter().position(|packet| packet.contents.is_none()) {
            network.deliver(place, false);
            while ids.into_iter().any(|id| network.work(id)) {}
        }
    }
    assert_eq!(needed(&mut network), Some(Index(4)), "what follows the snapshot, which has 4 at least");
    network.quiet();
    assert_eq!(needed(&mut network), Some(Index(5)));
}

/// A long log of which nothing is applied and nothing is in memory: an election must not read it all to find out whether a
/// change of members is in it (raft#32), and what it then applies comes in pieces.
#[test]
fn an_election_over_a_long_log_reads_nothing() {
    let membership = Membership::new([NodeId(1)], []);
    let mut terms = TermRuns::new(EntryId::ZERO);
    (1..=1_000_000).for_each(|index| terms.append(EntryId::new(Index(index), Term(1))));
    let restored = Restored { terms, ..Restored::fresh(membership) };
    let restored = Restored { hard_state: raft::HardState { term: Term(1), vote: None }, ..restored };
    let mut node = Node::new(Config::new(NodeId(1), 1), restored);
    node.campaign();
    let mut fetches = Vec::new();
    while let Some(ready) = node.ready() {
        fetches.extend(ready.fetches);
        if let Some(persist) = ready.persist {
            node.persisted(persist.ack);
        }
    }
    assert!(node.is_established(), "elected, and its first entry committed");
    assert_eq!(fetches.len(), 1, "only what it applies, and that piece by piece: {fetches:?}");
    assert_eq!((fetches[0].first, fetches[0].bytes_max), (Index(1), Limits::default().committed_bytes_max));
}

/// What was being read for the state machine when a snapshot came is in the snapshot: applied behind it, it would be applied
/// twice.
#[test]
fn entries_that_were_being_read_do_not_come_behind_a_snapshot() {
    let membership = Membership::new([1, 2].map(NodeId), []);
    let read: Vec<Entry> = (1..=3)
        .map(|index| Entry { index: Index(index), term: Term(1), payload: Payload::Command(Bytes::new()) })
        .collect();
    let mut terms = TermRuns::new(EntryId::ZERO);
    read.iter().for_each(|entry| terms.append(entry.id()));
    let hard_state = HardState { term: Term(1), vote: None };
    // Committed, not applied, and not in memory.
    let restored = Restored { hard_state, terms, commit: Index(3), ..Restored::fresh(membership.clone()) };
    let mut node = Node::new(Config::new(NodeId(1), 1), restored);
    let fetch = node.ready().expect("it reads").fetches.remove(0);
    assert_eq!(fetch.first, Index(1));

    let snapshot = SnapshotMeta { last: EntryId::new(Index(9), Term(1)), membership };
    let body = Body::InstallSnapshot { session: Session(1), snapshot: snapshot.clone() };
    let message =
        Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term: Term(1), body };
    node.step(message).expect("a sound message");
    assert_eq!(node.ready().and_then(|ready| ready.install), Some(snapshot.clone()));
    node.fetched(&fetch, read);
    let mut committed = Vec::new();
    let mut drain = |node: &mut Node| {
        while let Some(ready) = node.ready() {
            committed.extend(ready.committed);
            if let Some(persist) = ready.persist {
                node.persisted(persist.ack);
            }
        }
    };
    drain(&mut node);
    node.installed(&snapshot);
    drain(&mut node);
    assert_eq!(committed, []);
    assert_eq!(node.commit(), Index(9));
}
