//! Sections 5.3 and 5.4.2: replication and commitment.

use super::*;
use crate::network::{Network, small_limits};

/// What an append says.
fn said(message: &Message) -> (EntryId, Vec<EntryId>, Index) {
    match &message.body {
        Body::Append { previous, entries, commit, .. } => (*previous, names(entries), *commit),
        other => panic!("{other:?}"),
    }
}

/// Section 5.3: the leader appends the proposal and sends it to everybody, with the entry that precedes it.
#[test]
fn a_proposal_is_appended_and_sent_to_all() {
    let mut subject = Subject::established(3, 1, &[1]);
    subject.node.propose(Bytes::from("x")).expect("a leader");
    subject.settle();
    let appends = subject.sent("Append");
    assert_eq!(appends.iter().map(|append| append.to).collect::<Vec<_>>(), [NodeId(2), NodeId(3)]);
    for append in &appends {
        assert_eq!(said(append), (id(2, 2), vec![id(3, 2)], Index(2)));
    }
    assert_eq!(subject.disk.last().map(Entry::id), Some(id(3, 2)), "it is on the own disk too");
}

/// Section 5.3: what a majority has is committed and handed to the state machine, and the next append says so.
#[test]
fn a_replicated_entry_is_committed_and_the_followers_are_told() {
    let mut subject = Subject::established(3, 1, &[1]);
    subject.committed.clear();
    subject.node.propose(Bytes::from("x")).expect("a leader");
    subject.settle();
    assert_eq!(subject.node.commit(), Index(2));
    subject.sent.clear();
    subject.acknowledge(3, 3);
    assert_eq!(subject.node.commit(), Index(3));
    assert_eq!(names(&subject.committed), [id(3, 2)]);
    let told = subject.sent("Commit");
    assert_eq!(told.len(), 2, "followers need not wait for the next append");
    assert!(told.iter().all(|message| message.body == Body::Commit { entry: id(3, 2) }));
    subject.node.propose(Bytes::from("y")).expect("a leader");
    subject.settle();
    assert!(subject.sent("Append").iter().all(|append| said(append).2 == Index(3)));
}

/// Section 5.3: committed once a majority of the servers has it, the leader included.
#[test]
fn a_majority_of_acknowledgements_commits() {
    for (voters, acknowledgements, expected) in [
        (1, &[][..], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[2, 3], true),
        (5, &[], false),
        (5, &[5], false),
        (5, &[2, 4], true),
        (5, &[2, 3, 4, 5], true),
        (4, &[3], false),
        (4, &[3, 4], true),
    ] {
        let mut subject = Subject::established(voters, 1, &[1]);
        subject.node.propose(Bytes::from("x")).expect("a leader");
        subject.settle();
        acknowledgements.iter().for_each(|from| subject.acknowledge(*from, 3));
        assert_eq!(subject.node.commit() == Index(3), expected, "{voters} voters, {acknowledgements:?}");
    }
}

/// Section 5.3: with an entry all before it are committed, also those of former leaders, and applied in their order.
#[test]
fn an_entry_commits_everything_before_it() {
    for log in [&[][..], &[2], &[1, 2], &[1]] {
        let mut subject = Subject::leader(3, 2, log);
        subject.node.propose(Bytes::from("x")).expect("a leader");
        subject.settle();
        let first_own = log.len() as u64 + 1;
        subject.acknowledge(2, first_own + 1);
        let mut expected = names(&log_of(log));
        expected.extend([id(first_own, 3), id(first_own + 1, 3)]);
        assert_eq!(names(&subject.committed), expected);
    }
}

/// Section 5.3: a follower applies what it learns to be committed, in order.
#[test]
fn a_follower_applies_what_is_committed() {
    for commit in 0..=3 {
        let mut subject = Subject::follower(3, 1, &[]);
        subject.append(2, 1, EntryId::ZERO, log_of(&[1, 1, 1]), commit);
        assert_eq!(names(&subject.committed), names(&log_of(&[1, 1, 1])[..commit as usize]));
    }
    // A commit index beyond what came with it says nothing about what else the log holds.
    let mut subject = Subject::follower(3, 2, &[1, 1, 1]);
    subject.append(2, 2, id(1, 1), Vec::new(), 3);
    assert_eq!(subject.node.commit(), Index(1));
}

/// Section 5.3: an append fits only behind an entry that the follower has.
#[test]
fn a_follower_refuses_an_append_after_an_entry_that_it_lacks() {
    // With the refusal comes where the logs may agree at most.
    for (previous, refused) in [
        (EntryId::ZERO, None),
        (id(1, 1), None),
        (id(2, 2), None),
        (id(1, 2), Some(id(1, 1))),
        (id(2, 1), Some(id(1, 1))),
        (id(3, 3), Some(id(2, 2))),
        (id(9, 3), Some(id(2, 2))),
    ] {
        let mut subject = Subject::follower(3, 3, &[1, 2]);
        subject.append(2, 3, previous, Vec::new(), 0);
        let session = Session(1);
        let expected = match refused {
            None => Body::AppendReply { session, matched: previous.index },
            Some(hint) => Body::AppendRefused { session, refused: previous.index, hint },
        };
        assert_eq!(subject.sent[0].body, expected, "{previous}");
    }
}

/// Section 5.3: a conflicting entry goes, with all that follow it; what agrees stays, with all that follows it.
#[test]
fn an_append_replaces_what_conflicts_and_nothing_else() {
    for (previous, new, expected) in [
        (id(2, 2), &[][..], &[1, 2, 2][..]),
        (id(2, 2), &[3], &[1, 2, 3]),
        (id(1, 1), &[3, 4], &[1, 3, 4]),
        (EntryId::ZERO, &[1], &[1, 2, 2]),
        (EntryId::ZERO, &[3], &[3]),
        (id(3, 2), &[3, 3], &[1, 2, 2, 3, 3]),
    ] {
        let mut subject = Subject::follower(3, 4, &[1, 2, 2]);
        let entries = new.iter().enumerate();
        let entries =
            entries.map(|(place, term)| entry(previous.index.0 + place as u64 + 1, *term)).collect();
        subject.append(2, 4, previous, entries, 0);
        assert_eq!(names(&subject.disk), names(&log_of(expected)), "{new:?} after {previous}");
        assert_eq!(subject.node.last(), *names(&log_of(expected)).last().expect("an entry"));
    }
}

/// Section 5.3, figure 7: whatever a follower's log is, the leader makes it like its own.
#[test]
fn a_leader_brings_every_log_of_figure_7_to_its_own() {
    let own = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for follower in [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6][..],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        &[],
    ] {
        let ids = [1, 2, 3].map(NodeId);
        let mut network = Network::new(&ids, &Membership::new(ids, []), 1, &small_limits());
        let terms = |terms: &[u64]| terms.iter().copied().map(Term).collect::<Vec<_>>();
        network.given(NodeId(1), &terms(&own), Some(Term(7)));
        network.given(NodeId(2), &terms(follower), Some(Term(7)));
        network.given(NodeId(3), &[], Some(Term(7)));
        // Elected by node 3, which has nothing.
        network.at(NodeId(1), Node::campaign);
        network.quiet_among(|node| node != NodeId(2));
        assert_eq!(network.leader(), Some(NodeId(1)));
        network.quiet();
        let store = |id: u64| network.members[&NodeId(id)].store.entries.clone();
        assert_eq!(store(2), store(1), "{follower:?}");
        assert_eq!(network.checker.committed().len(), own.len() + 1);
    }
}

/// Section 5.4.2, figure 8: entries of former terms are not committed by counting.
#[test]
fn only_entries_of_the_own_term_are_committed_by_counting() {
    for (acknowledged, expected) in [(1, 0), (2, 0), (3, 3), (4, 4)] {
        // Entries 1 and 2 are of terms 1 and 2; 3 is the leader's first one, 4 a proposal.
        let mut subject = Subject::leader(3, 2, &[1, 2]);
        subject.node.propose(Bytes::from("x")).expect("a leader");
        subject.settle();
        subject.acknowledge(2, acknowledged);
        assert_eq!(subject.node.commit(), Index(expected), "acknowledged {acknowledged}");
    }
}
