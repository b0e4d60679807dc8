//! A leader that has another entry where this node has a committed one: one of the two logs is wrong, and nobody may take the
//! other's word for it. Whatever message names such an entry is refused as `ContradictsCommitted`, and nothing is acknowledged:
//! the leader would count a copy that does not exist.

use bytes::Bytes;

use raft::{
    Body, Config, Consequence, Entry, EntryId, HardState, History, Incarnation, Index, Membership, Message,
    Node, NodeId, Payload, Ready, Restored, Session, SnapshotMeta, StepError, Term, TermRuns,
};

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn entries(ids: &[(u64, u64)]) -> Vec<Entry> {
    let entry = |(index, term): &(u64, u64)| {
        let payload = Payload::Command(Bytes::from(format!("{index}@{term}")));
        Entry { term: Term(*term), index: Index(*index), payload }
    };
    ids.iter().map(entry).collect()
}

/// A follower among three in term 3, with 3..=10@1 behind a base at 2@1, of which 8 are committed.
fn follower() -> Node {
    let membership = Membership::new([1, 2, 3].map(NodeId), []);
    let mut terms = TermRuns::new(id(2, 1));
    (3..=10).for_each(|index| terms.append(id(index, 1)));
    let restored = Restored {
        hard_state: HardState { term: Term(3), vote: None },
        terms,
        commit: Index(8),
        applied: Index(8),
        memberships: History::new(Index(2), membership.clone()),
        ..Restored::fresh(membership)
    };
    Node::new(Config::new(NodeId(1), 1), restored)
}

/// What the node sends in answer to a message of the leader of term 3, and whether it took it.
fn answers(body: Body) -> (Result<(), StepError>, Vec<Body>) {
    let mut node = follower();
    let message =
        Message { from: NodeId(2), incarnation: Incarnation(1), to: NodeId(1), term: Term(3), body };
    let taken = node.step(message);
    let mut sent = Vec::new();
    while let Some(Ready { send, persist, .. }) = node.ready() {
        sent.extend(send.into_iter().map(|message| message.body));
        if let Some(persist) = persist {
            node.persisted(persist.ack);
            sent.extend(persist.then_send.into_iter().map(|message| message.body));
        }
    }
    node.check_invariants();
    (taken, sent)
}

fn append(previous: EntryId, ids: &[(u64, u64)]) -> Body {
    Body::Append { session: Session(1), previous, entries: entries(ids), commit: Index(8) }
}

#[test]
fn no_message_that_contradicts_the_commit_is_acknowledged() {
    let membership = Membership::new([1, 2, 3].map(NodeId), []);
    let snapshot = |last| Body::InstallSnapshot {
        session: Session(1),
        snapshot: SnapshotMeta { last, membership: membership.clone() },
    };
    for (body, theirs) in [
        // Without entries: a probe, or the question of a leader whose follower is silent.
        (append(id(8, 2), &[]), id(8, 2)),
        (append(id(5, 2), &[]), id(5, 2)),
        (append(id(2, 2), &[]), id(2, 2)),
        // With entries: before the commit, up to it, beyond it.
        (append(id(5, 2), &[(6, 2)]), id(5, 2)),
        (append(id(5, 1), &[(6, 2)]), id(6, 2)),
        (append(id(5, 1), &[(6, 1), (7, 1), (8, 2), (9, 2)]), id(8, 2)),
        (append(id(8, 2), &[(9, 2)]), id(8, 2)),
        (append(id(1, 1), &[(2, 2), (3, 2)]), id(2, 2)),
        // Named otherwise.
        (Body::Commit { entry: id(8, 2) }, id(8, 2)),
        (snapshot(id(7, 2)), id(7, 2)),
        (snapshot(id(8, 3)), id(8, 3)),
    ] {
        let case = format!("{body:?}");
        let (taken, sent) = answers(body);
        let ours = EntryId::new(theirs.index, Term(1));
        assert_eq!(taken, Err(StepError::ContradictsCommitted { theirs, ours }), "{case}");
        assert_eq!(taken.map_err(|error| error.consequence()), Err(Consequence::LogInDoubt), "{case}");
        assert_eq!(sent, [], "{case}");
    }
}

#[test]
fn what_agrees_with_the_commit_or_cannot_be_compared_is_acknowledged_as_before() {
    let reply = |matched: u64| vec![Body::AppendReply { session: Session(1), matched: Index(matched) }];
    for (body, expected) in [
        (append(id(8, 1), &[]), reply(8)),
        (append(id(2, 1), &[(3, 1)]), reply(8)),
        // Before the base nothing is known but that it was committed.
        (append(id(1, 3), &[]), reply(8)),
        (append(id(1, 1), &[(2, 1), (3, 1)]), reply(8)),
        // After the commit a difference is what a follower is there for.
        (append(id(8, 1), &[(9, 2)]), reply(9)),
    ] {
        let case = format!("{body:?}");
        let (taken, sent) = answers(body);
        assert_eq!((taken, sent), (Ok(()), expected), "{case}");
    }
    let (taken, sent) = answers(append(id(9, 2), &[]));
    assert!(taken.is_ok() && matches!(sent[..], [Body::AppendRefused { .. }]), "{taken:?} {sent:?}");
}
