//! Section 6: counting in one set of voters and in two, and what changes of the members come to.
//!
//! The counting is held against its definition, for every small configuration and every state of its voters.

use super::*;
use raft::MembershipChange::{self, AddLearner, AddVoter, Remove};
use raft::{ChangeRefused, Tally};

const NODES: u64 = 4;

/// Every set of the nodes 1 to [`NODES`], as a list.
fn sets() -> impl Iterator<Item = Vec<NodeId>> {
    (0..1_u64 << NODES)
        .map(|bits| (1..=NODES).filter(|node| bits >> (node - 1) & 1 == 1).map(NodeId).collect())
}

/// Every configuration of these nodes: one set of voters, or two.
fn configurations() -> Vec<Membership> {
    let pairs = sets().flat_map(|new| sets().map(move |old| (new.clone(), old)));
    pairs.filter_map(|(new, old)| Membership::from_parts(new, old, Vec::new(), Vec::new())).collect()
}

/// Whether more than half of each set are in `among`.
fn is_majority_of_each(membership: &Membership, among: impl Fn(NodeId) -> bool) -> bool {
    let most = |set: &[NodeId]| 2 * set.iter().filter(|node| among(**node)).count() > set.len();
    most(membership.voters()) && (membership.outgoing().is_empty() || most(membership.outgoing()))
}

#[test]
fn what_is_committed_is_the_highest_index_that_a_majority_of_each_set_has() {
    let mut cases = 0;
    for membership in configurations() {
        for case in 0..4_u64.pow(NODES as u32) {
            let matched = |node: NodeId| Index(case / 4_u64.pow(node.0 as u32 - 1) % 4);
            let has = |index: u64| is_majority_of_each(&membership, |node| matched(node) >= Index(index));
            let expected = (0..4).rev().find(|index| has(*index)).unwrap_or(0);
            assert_eq!(membership.committed(matched), Index(expected), "{membership} {case}");
            cases += 1;
        }
    }
    assert_eq!(cases, (15 * 16 + 1) * 256, "two sets, or one, or none at all");
}

#[test]
fn a_vote_is_decided_when_the_missing_answers_cannot_change_it() {
    for membership in configurations() {
        for case in 0..3_u64.pow(NODES as u32) {
            let vote = |node: NodeId| {
                [None, Some(true), Some(false)][(case / 3_u64.pow(node.0 as u32 - 1) % 3) as usize]
            };
            let expected = if is_majority_of_each(&membership, |node| vote(node) == Some(true)) {
                Tally::Won
            } else if is_majority_of_each(&membership, |node| vote(node) != Some(false)) {
                Tally::Open
            } else {
                Tally::Lost
            };
            assert_eq!(membership.tally(vote), expected, "{membership} {case}");
        }
    }
}

#[test]
fn without_voters_nothing_is_won_and_nothing_committed() {
    let nobody = Membership::default();
    assert_eq!(nobody.tally(|_| Some(true)), Tally::Lost);
    assert_eq!(nobody.committed(|_| Index(9)), Index(0));
}

/// Changes in the words of the tables: `v2` adds a voter, `l2` a learner, `r2` removes.
fn changes(words: &str) -> Vec<MembershipChange> {
    let change = |word: &str| {
        let node = NodeId(word[1..].parse().expect("a number"));
        match &word[..1] {
            "v" => AddVoter(node),
            "l" => AddLearner(node),
            "r" => Remove(node),
            other => panic!("{other}"),
        }
    };
    words.split_whitespace().map(change).collect()
}

/// From a configuration of these voters and learners, with these changes at once: the configuration while it changes, and
/// the one at the end.
#[test]
fn changes_come_to_this() {
    use ChangeRefused::{NoChange, NoVoters, RemovesMajority};
    let of = |voters: &[u64], learners: &[u64]| {
        let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
        Membership::new(nodes(voters), nodes(learners))
    };
    for (voters, learners, words, expected) in [
        // One voter more or less is a joint change too: there is one way only.
        (&[1][..], &[][..], "v2", Ok(("(n1 n2)&(n1)", "(n1 n2)"))),
        (&[1, 2, 3], &[], "r3", Ok(("(n1 n2)&(n1 n2 n3)", "(n1 n2)"))),
        (&[1], &[], "v2 v3", Ok(("(n1 n2 n3)&(n1)", "(n1 n2 n3)"))),
        // Learners come and go without.
        (&[1], &[], "l2 l3 l4 l5", Ok(("(n1)+(n2 n3 n4 n5)", "(n1)+(n2 n3 n4 n5)"))),
        (&[1], &[2, 3, 4, 5], "r2 r3 r4 r5", Ok(("(n1)", "(n1)"))),
        (&[1, 2], &[], "l3", Ok(("(n1 n2)+(n3)", "(n1 n2)+(n3)"))),
        // Promoted, demoted. A voter that is demoted keeps its old vote until the end, and is no learner before.
        (&[1, 3], &[2], "v2", Ok(("(n1 n2 n3)&(n1 n3)", "(n1 n2 n3)"))),
        (&[1, 2, 3], &[], "l2", Ok(("(n1 n3)&(n1 n2 n3)->(n2)", "(n1 n3)+(n2)"))),
        (&[1, 2, 3], &[4], "l2 v4", Ok(("(n1 n3 n4)&(n1 n2 n3)->(n2)", "(n1 n3 n4)+(n2)"))),
        // The last word about a node counts.
        (&[1, 2, 3], &[], "l1 v1", Err(NoChange)),
        (&[1, 2, 3], &[], "v2 l2", Ok(("(n1 n3)&(n1 n2 n3)->(n2)", "(n1 n3)+(n2)"))),
        (&[1, 2, 3], &[], "r1 v4 v5 v4 l5 l5 r4 v4", Ok(("(n2 n3 n4)&(n1 n2 n3)+(n5)", "(n2 n3 n4)+(n5)"))),
        // What is so already, and nodes that are not there, change nothing.
        (&[1], &[], "v1", Err(NoChange)),
        (&[2], &[1], "l1", Err(NoChange)),
        (&[2], &[], "r1", Err(NoChange)),
        (&[1], &[], "", Err(NoChange)),
        (&[1, 2, 3], &[], "r9 v4", Ok(("(n1 n2 n3 n4)&(n1 n2 n3)", "(n1 n2 n3 n4)"))),
        // Somebody must remain, and most of those who decided until now.
        (&[1], &[], "l1", Err(NoVoters)),
        (&[1, 2], &[3], "l1 l2", Err(NoVoters)),
        (&[1], &[2], "r1 v2", Err(RemovesMajority)),
        (&[1, 2, 3], &[], "r1 r2 v4 v5", Err(RemovesMajority)),
    ] {
        let from = of(voters, learners);
        let next = from.change(&changes(words));
        let shown = next.clone().map(|next| (next.to_string(), next.leave_joint().to_string()));
        let expected = expected.map(|(joint, end)| (joint.to_owned(), end.to_owned()));
        assert_eq!(shown, expected, "{from}: {words}");
        // A joint configuration takes no change at all, not even none.
        if let Some(joint) = next.ok().filter(Membership::is_joint) {
            for words in ["", "v9", "l9", "r1"] {
                assert_eq!(joint.change(&changes(words)), Err(ChangeRefused::Joint), "{joint}: {words}");
            }
        }
    }
}

/// What a leader knows of a follower is not lost when that becomes a learner.
#[test]
fn a_voter_that_is_demoted_goes_on_where_it_was() {
    let mut subject = Subject::established(3, 1, &[]);
    let before = subject.node.follower(NodeId(2)).expect("a follower");
    assert_eq!(before.matched, Index(1));
    subject.node.propose_change(&[AddLearner(NodeId(2))], Bytes::new()).expect("taken");
    subject.settle();
    let joint = subject.node.follower(NodeId(2)).expect("a follower");
    assert_eq!((joint.matched, joint.mode), (Index(1), before.mode));
    subject.acknowledge(2, 2);
    subject.acknowledge(3, 2);
    subject.acknowledge(3, 3);
    assert_eq!(subject.node.membership().to_string(), "(n1 n3)+(n2)");
    let learner = subject.node.follower(NodeId(2)).expect("a follower");
    assert_eq!((learner.matched, learner.mode), (Index(2), before.mode));
}

/// A proposal that changes nothing but what the shell knows of members (their addresses) is a command like any other: the
/// configuration has no part in it, and several may be under way.
#[test]
fn other_facts_about_members_are_commands() {
    let mut subject = Subject::established(3, 1, &[]);
    let before = subject.node.membership().clone();
    for _ in 0..2 {
        subject.node.propose(Bytes::from("n2 moves to another address")).expect("taken");
    }
    subject.settle();
    assert_eq!(*subject.node.membership(), before);
}
