//! What single calls promise to the shell, where no history or script shows it.

use bytes::Bytes;
use raft::MembershipChange::{AddLearner, Remove};
use raft::{ChangeError, Config, Index, Membership, Node, NodeId, Ready, Restored};

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
