//! Where the search begins: clusters in the middle of something.

use super::events::PATIENCE_TICKS;
use crate::network::member::{Member, Work, Written, command};
use crate::network::{Network, small_limits};
use raft::MembershipChange::{AddLearner, AddVoter, Remove};
use raft::{Membership, MembershipChange, Node, NodeId, RoleName, Term};

#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) network: Network,
}

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N4: NodeId = NodeId(4);

/// Nodes of which the first so many are the members.
fn cluster(voters: usize, nodes: &[NodeId]) -> Network {
    let membership = Membership::new(nodes[..voters].iter().copied(), []);
    let mut network = Network::new(nodes, &membership, 1, &small_limits());
    // Short, so that one event is enough to lose patience.
    for id in nodes {
        network.member(*id).config.election_ticks = PATIENCE_TICKS - 1;
        network.crash(*id, Written::Nothing);
        network.restart(*id, 1);
    }
    network
}

/// The same, led by node 1, with nothing under way.
fn led(voters: usize, nodes: &[NodeId]) -> Network {
    let mut network = cluster(voters, nodes);
    network.at(N1, Node::campaign);
    network.quiet();
    assert_eq!(network.leader(), Some(N1));
    network
}

fn propose(network: &mut Network, id: NodeId) {
    network.proposals += 1;
    let number = network.proposals;
    network.at(id, |node| node.propose(command(number))).expect("up").expect("a leader");
}

fn change(network: &mut Network, changes: &[MembershipChange]) {
    network.at(N1, |node| node.propose_change(changes, command(0))).expect("up").expect("a sound change");
}

fn proposals_under_way() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    propose(&mut network, N1);
    propose(&mut network, N1);
    network
}

/// Figure 8 of the Raft paper, before node 1 leads again: an entry of term 2 on two of three disks, one of term 3 on the other.
fn figure_8() -> Network {
    let mut network = cluster(3, &[N1, N2, N3]);
    let terms = |terms: &[u64]| terms.iter().copied().map(Term).collect::<Vec<_>>();
    network.given(N1, &terms(&[1, 2]), Some(Term(3)));
    network.given(N2, &terms(&[1, 2]), Some(Term(3)));
    network.given(N3, &terms(&[1, 3]), Some(Term(3)));
    network
}

fn joint() -> Network {
    let mut network = led(3, &[N1, N2, N3, N4]);
    change(&mut network, &[AddVoter(N4), Remove(N3)]);
    network
}

fn learner_promoted() -> Network {
    let mut network = led(3, &[N1, N2, N3, N4]);
    change(&mut network, &[AddLearner(N4)]);
    network.quiet();
    change(&mut network, &[AddVoter(N4)]);
    network
}

fn lone_member_grows() -> Network {
    let mut network = led(1, &[N1, N2]);
    propose(&mut network, N1);
    change(&mut network, &[AddVoter(N2)]);
    network
}

fn leader_removed() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    change(&mut network, &[Remove(N1)]);
    propose(&mut network, N1);
    network
}

fn snapshot_under_way() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    network.crash(N3, Written::Nothing);
    propose(&mut network, N1);
    propose(&mut network, N1);
    network.quiet();
    network.member(N1).compact(0);
    network.settle(N1);
    network.restart(N3, 1);
    network.at(N1, Node::tick);
    network
}

/// The snapshot has arrived, and waits for the disk.
fn snapshot_arrived() -> Network {
    let mut network = snapshot_under_way();
    while !network.member(N3).queue.iter().any(|work| matches!(work, Work::Install(..))) {
        let place = network.pool.iter().position(|packet| [N1, N3].contains(&packet.message.to));
        network.deliver(place.expect("the way to a snapshot"), false);
    }
    propose(&mut network, N1);
    network
}

/// Node 1 leads, cut off, with entries that nobody else has, and so many pieces of them on its disk; node 2 leads too, and has
/// other entries in their place.
fn two_leaders(written: usize) -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    propose(&mut network, N1);
    propose(&mut network, N1);
    for _ in 0..written {
        network.work(N1);
    }
    network.pool.clear();
    elect_without_1(&mut network);
    propose(&mut network, N2);
    assert_eq!(network.members.values().filter(|member| is_leader(member)).count(), 2);
    network
}

/// Node 1 still believes that it leads; an answer of node 3, given when it did, is on its way to it. Node 2 leads since, and
/// has committed something.
fn late_answer() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    network.at(N1, Node::tick);
    network.pool.retain(|packet| packet.message.to == N3);
    network.deliver(0, false);
    elect_without_1(&mut network);
    network.quiet_among(|node| node != N1);
    propose(&mut network, N2);
    network.quiet_among(|node| node != N1);
    network.pool.retain(|packet| packet.message.body.name() == "HeartbeatReply");
    assert_eq!(network.pool.len(), 1);
    network
}

/// Node 2 is elected by node 3, and node 1 does not hear of it yet. What they say to it is on its way.
fn elect_without_1(network: &mut Network) {
    for _ in 0..40 {
        if is_leader(&network.members[&N2]) {
            return;
        }
        network.at(N2, Node::campaign);
        network.at(N3, Node::tick);
        // Up to the leader's first entries, which stay on their way.
        while !is_leader(&network.members[&N2]) {
            let place = network.pool.iter().position(|packet| packet.message.to != N1);
            let busy = network.work(N2) | network.work(N3);
            match place {
                Some(place) => drop(network.deliver(place, false)),
                None if busy => {}
                None => break,
            }
        }
    }
    panic!("nobody is elected");
}

fn is_leader(member: &Member) -> bool {
    member.node.as_ref().is_some_and(|node| node.role() == RoleName::Leader)
}

fn handover() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    propose(&mut network, N1);
    network.at(N1, |node| node.transfer(N2)).expect("up").expect("a voter");
    network
}

/// Node 3 threw its log away, with an entry that only it and node 1 had.
fn log_thrown_away() -> Network {
    let mut network = led(3, &[N1, N2, N3]);
    propose(&mut network, N1);
    network.quiet_among(|node| node != N2);
    network.forget(N3);
    network.pool.clear();
    network
}

/// Two candidates in one term.
fn rivals() -> Network {
    let mut network = cluster(3, &[N1, N2, N3]);
    network.at(N1, Node::campaign);
    network.at(N2, Node::campaign);
    network
}

pub(crate) fn all() -> Vec<Scene> {
    let scene = |name, network| Scene { name, network };
    vec![
        scene("nothing has happened yet", cluster(3, &[N1, N2, N3])),
        scene("two nodes campaign", rivals()),
        scene("a leader, and nothing under way", led(3, &[N1, N2, N3])),
        scene("proposals under way", proposals_under_way()),
        scene("figure 8", figure_8()),
        scene("two leaders", two_leaders(2)),
        scene("entries are replaced that a disk was writing", two_leaders(1)),
        scene("a deposed leader and a late answer", late_answer()),
        scene("a joint configuration", joint()),
        scene("a learner is promoted", learner_promoted()),
        scene("a lone member grows", lone_member_grows()),
        scene("the leader is removed", leader_removed()),
        scene("a snapshot is under way", snapshot_under_way()),
        scene("a snapshot has arrived", snapshot_arrived()),
        scene("leadership is handed over", handover()),
        scene("a member threw its log away", log_thrown_away()),
    ]
}
