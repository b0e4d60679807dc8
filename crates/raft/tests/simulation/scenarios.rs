//! Histories that are written down: sequences that went wrong once, or that chance finds too seldom
//! to rely on it.

use bytes::Bytes;
use raft::MembershipChange::{AddVoter, Remove};
use raft::{Node, NodeId, RoleName};
use wal::Crash;

use crate::healing::heal;
use crate::log_writer::Next;
use crate::network::Cut;
use crate::process::LogWork;
use crate::random::Random;
use crate::server::End;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::world::World;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

/// The ways in which a process may end in the middle of something.
const ENDS: [End; 5] = [
    End::Killed,
    End::Crashed(Crash::LoseAll),
    End::Crashed(Crash::KeepAll),
    End::Crashed(Crash::Random(1)),
    End::Crashed(Crash::TearLast(2)),
];

/// More operations than one piece of work takes.
const OPERATIONS_MAX: u64 = 60;

/// A cluster of three, led by A, with some entries that everybody has.
fn cluster() -> World {
    let mut world = World::new(3, 0, Random::new(1), Weather::calm(), Trace::default());
    world.input(A, Node::campaign);
    world.settle();
    world.propose(A, 5);
    world.settle();
    assert_eq!(world.leader(), Some(A));
    world
}

/// Holds up everything between A and the others. A goes on, and its disk gets entries that nobody
/// else has.
fn hold_up_a(world: &mut World) {
    for other in [B, C] {
        world.network.cut(A, other, Cut::Held);
        world.network.cut(other, A, Cut::Held);
    }
    world.propose(A, 3);
    world.do_all_work(A);
}

/// Lets B and C miss their leader, until one of them leads and has committed its first entry.
fn elect_another(world: &mut World) -> NodeId {
    for _ in 0..30 {
        for id in [B, C] {
            world.input(id, Node::tick);
        }
        world.settle_among(&[B, C]);
        if let Some(leader) = world.leader().filter(|leader| *leader != A) {
            return leader;
        }
    }
    world.fail("B and C elect nobody");
}

/// Hands leadership from one of B and C to the other, which commits something.
fn hand_over(world: &mut World, from: NodeId) {
    let to = if from == B { C } else { B };
    world.input(from, |node| node.transfer(to).is_ok());
    world.settle_among(&[B, C]);
    assert_eq!(world.leader(), Some(to));
    world.propose(to, 1);
    world.settle_among(&[B, C]);
}

/// Lets A's log writer work on a disk that stops after so many operations, and the process end with
/// it. Returns whether the work was done before.
fn write_and_end(world: &mut World, operations: u64, next: &[Next], end: End) -> bool {
    world.server(A).disk.halt_after(operations);
    let mut figures = world.figures;
    let process = world.process(A).expect("A runs");
    let done = next.iter().try_for_each(|next| process.write(*next, &mut figures).map(drop));
    world.end(A, end);
    done.is_ok()
}

/// Plays `prepare`, then lets A do `next` and crash, at each operation of its disk in turn and in
/// all ways. Each time A starts again, and the cluster works.
fn crash_at_each_operation(prepare: impl Fn() -> World, next: &[Next]) {
    for end in ENDS {
        let is_done = |operations: &u64| {
            let mut world = prepare();
            let is_done = write_and_end(&mut world, *operations, next, end);
            world.start(A);
            heal(&mut world);
            is_done
        };
        let enough = (0..OPERATIONS_MAX).find(is_done).expect("the work comes to an end");
        assert!(enough > 3, "the disk has nothing to do");
    }
}

/// One piece of work brings a new term, cuts off a suffix that the disk has, and says that the
/// entries in its place are committed: at no moment may the disk say of the suffix that it is
/// committed.
#[test]
fn a_leader_that_missed_two_elections_believes_in_nothing_that_lost() {
    let prepare = || {
        let mut world = cluster();
        hold_up_a(&mut world);
        let leader = elect_another(&mut world);
        hand_over(&mut world, leader);
        world.network.mend_all();
        world.arrive_at_once(A);
        let process = world.process(A).unwrap();
        let Some(LogWork::Persist(piece)) = process.log_work.front() else { panic!("a piece to write") };
        let cut = piece.truncate_from.expect("a suffix to cut");
        assert!(piece.hard_state.is_some() && piece.commit.index >= cut, "{piece:?}");
        world
    };
    crash_at_each_operation(prepare, &[Next::Work, Next::Sync]);
}

/// The same suffix is to be cut while the disk is full. A checkpoint lets the log go up to what it
/// contains meanwhile, which writes the hard state.
#[test]
fn a_release_while_a_cut_waits_for_space_believes_in_nothing_that_lost() {
    let prepare = || {
        let mut world = cluster();
        hold_up_a(&mut world);
        let leader = elect_another(&mut world);
        world.drop_mail_of(A);
        world.network.mend_all();
        // A hears a heartbeat, and its answer makes the leader send entries, which say what is
        // committed by now.
        world.input(leader, Node::tick);
        world.ready(leader);
        world.arrive_at_once(A);
        world.write(A, Next::Work);
        world.write(A, Next::Sync);
        world.arrive_at_once(leader);
        world.fill_disk_but_for(A, 200);
        world.arrive_at_once(A);
        world.make_checkpoint(A, 0);
        world.write(A, Next::Work);
        let process = world.process(A).unwrap();
        let piece = process.waiting.as_ref().expect("a piece that waits for space");
        assert!(piece.truncate_from.is_some_and(|cut| piece.commit.index >= cut), "{piece:?}");
        assert!(matches!(process.log_work.front(), Some(LogWork::Release(_))));
        world
    };
    crash_at_each_operation(prepare, &[Next::Release, Next::Work]);
}

/// A heartbeat shows a follower that it has lost an entry which its acknowledgement committed.
/// Until it has the entry again it gives no vote (rule M5), also after a restart: with its vote, C
/// could lead without the entry.
#[test]
fn a_loss_that_a_heartbeat_showed_is_remembered_after_a_restart() {
    for end in ENDS {
        let mut world = cluster();
        world.lose_end_of_log(B);
        assert_eq!(world.figures.losses, 1);
        assert!(world.node(B).unwrap().loss().is_some());
        world.drop_mail_of(C);
        world.end(B, end);
        world.start(B);
        world.end(A, End::Killed);
        for _ in 0..30 {
            for id in [B, C] {
                world.input(id, Node::tick);
            }
            world.settle_among(&[B, C]);
        }
        assert_eq!(world.leader(), None, "{end:?}");
        heal(&mut world);
    }
}

/// The disk of A comes back as an older copy: with a suffix that lost, and as long as the log that A has acknowledged since.
/// What the leader has committed of that log is not what the copy has.
#[test]
fn an_older_copy_with_a_suffix_that_lost_commits_nothing_of_it() {
    let mut world = cluster();
    hold_up_a(&mut world);
    let leader = elect_another(&mut world);
    world.drop_mail_of(A);
    world.network.mend_all();
    // A learns of the term, and not yet of its entries.
    world.input(leader, Node::tick);
    world.ready(leader);
    world.arrive_at_once(A);
    world.write(A, Next::Work);
    world.write(A, Next::Sync);
    let copy = world.servers[&A].disk.crash(Crash::LoseAll);
    let lost = world.node(A).unwrap().last();
    world.propose(leader, 2);
    world.settle();
    let committed = world.node(A).unwrap().last();
    assert!(committed.index == lost.index && committed.term > lost.term, "{committed} in place of {lost}");

    world.end(A, End::Killed);
    world.server(A).disk = copy;
    world.server(A).is_in_trouble = true;
    world.start(A);
    world.input(leader, Node::tick);
    world.ready(leader);
    world.arrive_at_once(A);
    assert!(world.node(A).unwrap().loss().is_some());
    heal(&mut world);
}

/// B acknowledges an entry that is not committed, and its disk comes back as an older copy without the entry. No heartbeat shows
/// that: its refusal does, and it gets the entry again.
#[test]
fn an_older_copy_gets_again_what_was_never_committed() {
    let mut world = World::new(5, 0, Random::new(1), Weather::calm(), Trace::default());
    world.input(A, Node::campaign);
    world.settle();
    let copy = world.servers[&B].disk.crash(Crash::LoseAll);
    let before = world.node(B).unwrap().last();
    world.propose(A, 2);
    world.settle_among(&[A, B]);
    let acknowledged = world.node(A).unwrap().follower(B).unwrap().matched;
    assert_eq!(acknowledged, world.node(A).unwrap().last().index);
    assert_eq!(world.node(A).unwrap().commit(), before.index);

    world.end(B, End::Killed);
    world.server(B).disk = copy;
    world.server(B).is_in_trouble = true;
    world.start(B);
    assert_eq!(world.node(B).unwrap().last(), before);
    world.propose(A, 1);
    for _ in 0..10 {
        world.input(A, Node::tick);
        world.settle_among(&[A, B]);
    }
    assert_eq!(world.node(B).unwrap().last(), world.node(A).unwrap().last());
    assert_eq!(world.node(A).unwrap().commit(), before.index, "two of five");
    heal(&mut world);
}

/// A leader is deposed, removed, and added again under its id, with the log of its own that it
/// still has, while messages of all its lives are under way.
#[test]
fn a_removed_leader_comes_back_under_its_id() {
    let mut world = cluster();
    hold_up_a(&mut world);
    let leader = elect_another(&mut world);
    let mut change = |change| {
        let proposed = world.input(leader, |node| node.propose_change(&[change], Bytes::new()));
        assert!(matches!(proposed, Some(Ok(_))), "{proposed:?}");
        world.settle_among(&[B, C]);
    };
    change(Remove(A));
    change(AddVoter(A));
    let members = world.node(leader).unwrap().membership().clone();
    assert!(members.is_voter(A), "{members}");
    heal(&mut world);
    assert!(world.node(A).unwrap().membership().is_voter(A));
}

/// The log writer lets the requests for votes leave, and then tells the node that they could. The
/// answers may be faster.
#[test]
fn votes_of_all_others_come_before_the_word_of_the_own_disk() {
    let mut world = World::new(3, 0, Random::new(1), Weather::calm(), Trace::default());
    world.input(A, Node::campaign);
    world.ready(A);
    let answer = |world: &mut World| {
        for id in [B, C] {
            world.arrive_at_once(id);
            world.do_all_work(id);
        }
        world.arrive_at_once(A);
    };
    answer(&mut world);
    assert_eq!(world.node(A).unwrap().role(), RoleName::Candidate);
    world.write(A, Next::Work);
    world.write(A, Next::Sync);
    answer(&mut world);
    assert_eq!(world.node(A).unwrap().role(), RoleName::Candidate);
    while world.hear(A) {}
    assert_eq!(world.node(A).unwrap().role(), RoleName::Leader);
    heal(&mut world);
}

/// A read's round is lost, and then the only other voter is removed: nobody is left whose answer
/// could end the round.
#[test]
fn a_read_in_flight_is_answered_when_its_leader_becomes_the_only_voter() {
    let mut world = World::new(2, 0, Random::new(1), Weather::calm(), Trace::default());
    world.input(A, Node::campaign);
    world.settle();
    world.read(A);
    world.ready(A);
    world.drop_mail_of(B);
    assert_eq!(world.checkers.reads.waiting(), 1);
    let proposed = world.input(A, |node| node.propose_change(&[Remove(B)], Bytes::new()));
    assert!(matches!(proposed, Some(Ok(_))), "{proposed:?}");
    world.settle();
    assert!(world.node(A).unwrap().membership().is_lone_voter(A));
    assert_eq!(world.checkers.reads.waiting(), 0);
    heal(&mut world);
}
