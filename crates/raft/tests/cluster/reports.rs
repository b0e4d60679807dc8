//! Reports come back to the core late, from another term, or for something that is over: each says what it is about, and changes
//! nothing else. And what peers answer to reads costs what reads cost, not what entries do.

use bytes::Bytes;

use crate::network::{Network, small_limits};
use raft::{
    Body, Boot, Config, Entry, EntryId, Fetch, FetchPurpose, HardState, History, Incarnation, Index, Limits,
    Membership, Message, Node, NodeId, Payload, ProposeError, ReadToken, Ready, Restored, Round, Session,
    SnapshotWanted, StepError, TERM_JUMP_MAX, Term, TermRuns,
};

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn message(from: u64, term: u64, body: Body) -> Message {
    Message { from: NodeId(from), incarnation: Incarnation(1), to: NodeId(1), term: Term(term), body }
}

/// A node with what it sent, and the snapshots that it wants to be sent.
struct Subject {
    node: Node,
    sent: Vec<Message>,
    snapshots: Vec<SnapshotWanted>,
    fetches: Vec<Fetch>,
    reads: Vec<ReadToken>,
}

impl Subject {
    /// n1 among three, with entries up to `last` of term 1 behind `base`; all of them committed and applied.
    fn new(base: u64, last: u64, limits: Limits) -> Subject {
        let membership = Membership::new([1, 2, 3].map(NodeId), []);
        let base_term = u64::from(base > 0);
        let mut terms = TermRuns::new(id(base, base_term));
        (base + 1..=last).for_each(|index| terms.append(id(index, 1)));
        let restored = Restored {
            hard_state: HardState { term: Term(1), vote: None },
            boot: Boot(1),
            terms,
            commit: Index(last),
            applied: Index(last),
            memberships: History::new(Index(base), membership.clone()),
            ..Restored::fresh(membership)
        };
        let node = Node::new(Config { limits, ..Config::new(NodeId(1), 1) }, restored);
        Subject { node, sent: Vec::new(), snapshots: Vec::new(), fetches: Vec::new(), reads: Vec::new() }
    }

    fn settle(&mut self) {
        while let Some(Ready { send, persist, committed, snapshots, fetches, reads, .. }) = self.node.ready()
        {
            self.sent.extend(send);
            self.snapshots.extend(snapshots);
            self.fetches.extend(fetches);
            self.reads.extend(reads.iter().map(|read| read.token));
            if let Some(persist) = persist {
                self.node.persisted(persist.ack);
                self.sent.extend(persist.then_send);
            }
            committed.last().into_iter().for_each(|entry| self.node.applied(entry.index));
        }
        self.node.check_invariants();
    }

    fn hear(&mut self, from: u64, body: Body) -> Result<(), StepError> {
        let taken = self.node.step(message(from, self.node.term().0, body));
        self.settle();
        taken
    }

    /// Elects it, with the vote of n2.
    fn lead(&mut self) {
        self.node.campaign();
        self.settle();
        let next_term = self.node.term().next();
        self.hear(2, Body::PreVoteReply { next_term, granted: true }).expect("taken");
        self.hear(2, Body::VoteReply { granted: true }).expect("taken");
        assert_eq!(self.node.leader(), Some(NodeId(1)));
    }

    /// The session of a member, from what it was sent last.
    fn session(&self, of: u64) -> Session {
        let to_it = self.sent.iter().rev().filter(|message| message.to == NodeId(of));
        let mut sessions = to_it.filter_map(|message| match message.body {
            Body::Append { session, .. } | Body::Heartbeat { session, .. } => Some(session),
            _ => None,
        });
        sessions.next().expect("it was sent something")
    }

    fn acknowledge(&mut self, from: u64, matched: Index) {
        let session = self.session(from);
        self.hear(from, Body::AppendReply { session, matched }).expect("taken");
    }

    fn mode(&self, of: u64) -> &'static str {
        self.node.follower(NodeId(of)).expect("a follower").mode
    }

    /// Bytes of entries that a member was sent since the last call, and how many messages.
    fn appends_to(&mut self, to: u64) -> (usize, usize) {
        let (mut messages, mut bytes) = (0, 0);
        for message in self.sent.drain(..).filter(|message| message.to == NodeId(to)) {
            if let Body::Append { entries, .. } = message.body {
                messages += 1;
                bytes += entries.iter().map(Entry::weight).sum::<usize>();
            }
        }
        (messages, bytes)
    }
}

/// A leader of which n3 needs a snapshot, which is on its way.
fn sending_a_snapshot() -> Subject {
    let mut subject = Subject::new(8, 10, Limits::default());
    subject.lead();
    refuse_all(&mut subject);
    subject
}

/// n3 has nothing of the log, and says so until the log has nothing earlier to offer.
fn refuse_all(subject: &mut Subject) {
    let session = subject.session(3);
    for _ in 0..2 {
        let refused = subject.node.follower(NodeId(3)).expect("a follower").next.previous();
        let body = Body::AppendRefused { session, refused, hint: EntryId::ZERO };
        subject.hear(3, body).expect("taken");
    }
    assert_eq!(subject.mode(3), "snapshot");
}

#[test]
fn the_end_of_a_snapshots_transfer_in_an_earlier_leadership_changes_nothing() {
    let mut subject = sending_a_snapshot();
    let old = subject.snapshots.pop().expect("a snapshot is wanted");
    // Another leader in between; then this node again, whose sessions begin anew.
    subject
        .node
        .step(message(
            2,
            3,
            Body::Heartbeat {
                session: Session(1),
                commit: Index(0),
                commit_term: None,
                round: Round { term: Term(3), number: 0 },
            },
        ))
        .expect("taken");
    subject.settle();
    subject.sent.clear();
    subject.lead();
    refuse_all(&mut subject);
    let new = subject.snapshots.pop().expect("a snapshot is wanted again");
    for reached in [None, Some(Index(10))] {
        subject.node.snapshot_sent(&old, reached);
        subject.settle();
        assert_eq!(subject.mode(3), "snapshot", "the new transfer goes on");
    }
    assert!(subject.snapshots.is_empty(), "and no third one is asked for");
    subject.node.snapshot_sent(&new, Some(Index(10)));
    assert_eq!(subject.mode(3), "probe");
}

#[test]
fn the_end_of_an_earlier_transfer_in_the_same_leadership_changes_nothing() {
    let mut subject = sending_a_snapshot();
    let old = subject.snapshots.pop().expect("a snapshot is wanted");
    // It got there, caught up; then the log was compacted beyond it, and it lost what it had.
    let last = subject.node.last().index;
    subject.acknowledge(3, last);
    subject.acknowledge(2, last);
    assert_eq!(subject.mode(3), "replicate");
    subject.node.compact_to(last);
    let session = subject.session(3);
    let round = Round { term: subject.node.term(), number: 0 };
    let body = Body::HeartbeatReply { session, round, lost_after: Some(Index(0)) };
    subject.hear(3, body).expect("taken");
    assert_eq!(subject.mode(3), "snapshot");
    subject.node.snapshot_sent(&old, Some(Index(9)));
    assert_eq!(subject.mode(3), "snapshot", "the second transfer goes on");
}

#[test]
fn entries_that_were_read_for_an_earlier_leadership_are_not_sent() {
    let mut subject = Subject::new(0, 10, Limits::default());
    subject.lead();
    let session = subject.session(3);
    let purpose = FetchPurpose::Peer { node: NodeId(3), session, term: subject.node.term() };
    let old = Fetch { purpose, first: Index(5), last: Index(10), bytes_max: 1000 };
    subject.node.resign();
    subject.settle();
    subject.lead();
    subject.sent.clear();
    let entry = Entry { index: Index(5), term: Term(1), payload: Payload::Command(Bytes::new()) };
    subject.node.fetched(&old, vec![entry]);
    subject.settle();
    assert_eq!(subject.appends_to(3), (0, 0));
}

#[test]
fn an_answer_to_a_round_that_was_never_opened_confirms_nothing() {
    let mut subject = Subject::new(0, 10, Limits::default());
    subject.lead();
    let last = subject.node.last().index;
    subject.acknowledge(2, last);
    let (session, term) = (subject.session(2), subject.node.term());
    let answer =
        |term, number| Body::HeartbeatReply { session, round: Round { term, number }, lost_after: None };
    for body in [answer(term, 1), answer(term, u64::MAX), answer(Term(1), 0), answer(Term(99), 0)] {
        let taken = subject.hear(2, body);
        assert!(matches!(taken, Err(StepError::Malformed(_))), "{taken:?}");
    }
    subject.node.read(ReadToken(7)).expect("taken");
    subject.settle();
    assert!(subject.reads.is_empty(), "nobody has answered this read's round");
    subject.hear(2, answer(term, 1)).expect("taken");
    assert_eq!(subject.reads, [ReadToken(7)]);
}

/// Reads one after the other, each answered by n3 as well, between two ticks; what n3 was sent meanwhile.
fn reads(subject: &mut Subject, count: u64) -> (usize, usize) {
    subject.sent.clear();
    let term = subject.node.term();
    let first = subject.reads.len() as u64 + 1;
    let sessions = [2, 3].map(|member| subject.node.follower(NodeId(member)).map(|_| member));
    assert_eq!(sessions, [Some(2), Some(3)]);
    let mut sent = (0, 0);
    for number in first..first + count {
        subject.node.read(ReadToken(number)).expect("taken");
        subject.settle();
        for member in [2, 3] {
            let session = subject.session(member);
            let round = Round { term, number };
            subject.hear(member, Body::HeartbeatReply { session, round, lost_after: None }).expect("taken");
        }
        let (messages, bytes) = subject.appends_to(3);
        sent = (sent.0 + messages, sent.1 + bytes);
    }
    assert_eq!(subject.reads.len() as u64, first + count - 1, "each was answered");
    sent
}

fn tick(subject: &mut Subject) {
    subject.node.tick();
    subject.settle();
}

#[test]
fn reads_do_not_repeat_what_a_slow_follower_was_sent() {
    let mut subject = Subject::new(0, 10, Limits::default());
    subject.lead();
    let last = subject.node.last().index;
    subject.acknowledge(2, last);
    subject.node.propose(Bytes::from(vec![7; 100_000])).expect("taken");
    subject.settle();
    // n3 was sent its first probe when this node was elected, and its disk has not answered it.
    assert_eq!(subject.mode(3), "probe");
    let (messages, bytes) = reads(&mut subject, 1000);
    assert_eq!((messages, bytes), (0, 0), "no tick has passed");
    for _ in 0..3 {
        tick(&mut subject);
        let (messages, bytes) = reads(&mut subject, 1000);
        assert_eq!(messages, 1, "one for each tick");
        assert!(bytes < 200_000, "{bytes}");
    }
}

#[test]
fn reads_do_not_ask_a_follower_where_it_stands() {
    let mut subject = Subject::new(0, 10, Limits::default());
    subject.lead();
    let last = subject.node.last().index;
    subject.acknowledge(2, last);
    subject.acknowledge(3, last);
    assert_eq!(subject.mode(3), "replicate");
    subject.node.propose(Bytes::from("a")).expect("taken");
    subject.settle();
    // The entry is on its way to n3, and stays there.
    assert_eq!(reads(&mut subject, 1000), (0, 0));
    tick(&mut subject);
    assert_eq!(reads(&mut subject, 1000), (1, 0), "an append without entries for each tick");
}

#[test]
fn a_proposal_that_no_log_takes_is_refused_whoever_leads() {
    let limits = || Limits { entry_bytes_max: 1000, ..Limits::default() };
    let too_large = Err(ProposeError::TooLarge { bytes: 1001, max: 1000 });
    let command = |bytes: usize| Bytes::from(vec![7; bytes]);
    let mut subject = Subject::new(0, 10, limits());
    assert_eq!(subject.node.propose(command(1001)), too_large, "as a follower: nobody else would take it");
    subject.lead();
    assert_eq!(subject.node.propose(command(1001)), too_large);
    let last = subject.node.last();
    subject.acknowledge(2, last.index);
    let change = [raft::MembershipChange::AddLearner(NodeId(4))];
    let refused = subject.node.propose_change(&change, command(1000));
    assert!(matches!(refused, Err(raft::ChangeError::Propose(ProposeError::TooLarge { .. }))), "{refused:?}");
    assert_eq!(subject.node.last(), last, "nothing was appended");
    subject.node.propose(command(1000)).expect("as long as the log takes");
    subject.node.propose_change(&change, command(900)).expect("its configuration takes the rest");
}

#[test]
fn an_entry_that_no_log_takes_is_refused_from_a_leader() {
    let mut subject = Subject::new(0, 10, Limits { entry_bytes_max: 1000, ..Limits::default() });
    for (bytes, is_taken) in [(1001, false), (1000, true)] {
        let payload = Payload::Command(Bytes::from(vec![7; bytes]));
        let entries = vec![Entry { index: Index(11), term: Term(1), payload }];
        let append = Body::Append { session: Session(1), previous: id(10, 1), entries, commit: Index(0) };
        assert_eq!(subject.hear(2, append).is_ok(), is_taken, "{bytes} bytes");
        assert_eq!(subject.node.last().index, Index(10 + u64::from(is_taken)));
    }
}

/// One frame of nonsense must not use up the terms: no election would ever be possible again.
#[test]
fn a_message_moves_the_term_forward_by_so_much_and_no_more() {
    let mut subject = Subject::new(0, 10, Limits::default());
    let heartbeat = |term: u64| {
        let round = Round { term: Term(term), number: 0 };
        message(2, term, Body::Heartbeat { session: Session(1), commit: Index(0), commit_term: None, round })
    };
    let far = u64::MAX / 4 - 1;
    let refused = subject.node.step(heartbeat(far));
    assert_eq!(refused, Err(StepError::TermTooFar { theirs: Term(far), ours: Term(1) }));
    subject.settle();
    assert_eq!((subject.node.term(), subject.node.leader()), (Term(1 + TERM_JUMP_MAX), None));
    // A member that was away for three and a half times as many elections is there with the fourth message.
    let theirs = 1 + TERM_JUMP_MAX * 9 / 2;
    for _ in 0..3 {
        assert!(subject.node.step(heartbeat(theirs)).is_err());
    }
    subject.node.step(heartbeat(theirs)).expect("in reach");
    assert_eq!((subject.node.term(), subject.node.leader()), (Term(theirs), Some(NodeId(2))));
    // A request for a pre-vote moves no term at all.
    let next_term = Term(far + 1);
    subject.node.step(message(3, far, Body::PreVote { next_term, last: id(10, 1) })).expect("answered");
    assert_eq!(subject.node.term(), Term(theirs));
}

/// A node in a term that the others are far from does not stay alone: they come to it, step by step.
#[test]
fn a_cluster_comes_together_whatever_term_one_member_was_moved_to() {
    let ids = [1, 2, 3].map(NodeId);
    let mut network = Network::new(&ids, &Membership::new(ids, []), 1, &small_limits());
    network.at(ids[0], Node::campaign);
    network.quiet();
    for times in 1..=3 {
        let term = Term(1 + times * TERM_JUMP_MAX);
        let body = Body::LaterTerm;
        let (from, to) = (ids[0], ids[2]);
        let forged = Message { from, incarnation: Incarnation(1), to, term, body };
        network.at(ids[2], |node| node.step(forged)).expect("up").expect("in reach");
        while network.work(ids[2]) {}
    }
    assert_eq!(network.node(ids[2]).expect("up").term(), Term(1 + 3 * TERM_JUMP_MAX));
    for _ in 0..60 {
        for id in ids {
            network.at(id, Node::tick);
        }
        network.quiet();
    }
    let leader = network.leader().expect("a leader");
    for id in ids {
        let status = network.node(id).expect("up").status();
        assert_eq!(status.leader, Some(leader), "{status:?}");
        assert!(status.term > Term(3 * TERM_JUMP_MAX), "{status:?}");
    }
}

/// The log writer lets the requests for votes leave and reports to the node then: the answers may be faster.
#[test]
fn a_candidate_leads_when_its_own_vote_is_reported_to_be_durable() {
    let mut subject = Subject::new(0, 10, Limits::default());
    subject.node.campaign();
    subject.settle();
    subject
        .node
        .step(message(2, 1, Body::PreVoteReply { next_term: Term(2), granted: true }))
        .expect("taken");
    let persist = subject.node.ready().and_then(|ready| ready.persist).expect("its vote");
    for from in [2, 3] {
        subject.node.step(message(from, 2, Body::VoteReply { granted: true })).expect("taken");
    }
    assert_eq!(subject.node.leader(), None, "the disk has not said that it has its vote");
    subject.node.persisted(persist.ack);
    assert_eq!(subject.node.leader(), Some(NodeId(1)));
}

/// n2 is the same incarnation: its disk lost entries, and it does not know that. What it acknowledged when it had them may
/// still be on its way, or come twice.
#[test]
fn an_acknowledgement_from_before_a_loss_does_not_count_after_it() {
    let mut subject = Subject::new(0, 5, Limits::default());
    subject.lead();
    let lost = subject.node.propose(Bytes::from("a")).expect("leads").index;
    subject.settle();
    let session = subject.session(2);
    let late = Body::AppendReply { session, matched: lost };
    subject.hear(2, late.clone()).expect("taken");
    assert_eq!(subject.node.commit(), lost, "n1 and n2 have it");
    let round = Round { term: subject.node.term(), number: 0 };
    let body = Body::HeartbeatReply { session, round, lost_after: Some(Index(5)) };
    subject.hear(2, body).expect("taken");
    let matched = |subject: &Subject| subject.node.follower(NodeId(2)).expect("a follower").matched;
    assert_eq!(matched(&subject), Index::ZERO);
    subject.hear(2, late).expect("taken");
    assert_eq!(matched(&subject), Index::ZERO, "it has been lost since");
    // What it acknowledges from now on counts again.
    subject.acknowledge(2, lost);
    assert_eq!(matched(&subject), lost);
}

/// A heartbeat that speaks of entries which this node does not have makes it promise, durably, not to vote.
#[test]
fn the_only_voter_has_lost_nothing_whoever_says_so() {
    let membership = Membership::new([NodeId(1)], [NodeId(2)]);
    let restored =
        Restored { hard_state: HardState { term: Term(1), vote: None }, ..Restored::fresh(membership) };
    let node = Node::new(Config::new(NodeId(1), 1), restored);
    let (sent, snapshots, fetches, reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut subject = Subject { node, sent, snapshots, fetches, reads };
    let round = Round { term: Term(1), number: 0 };
    let commit = Index(1 << 60);
    let heartbeat = Body::Heartbeat { session: Session(1), commit, commit_term: Some(Term(1)), round };
    assert!(matches!(subject.hear(2, heartbeat), Err(StepError::Malformed(_))));
    assert_eq!(subject.node.loss(), None);
    (0..2).for_each(|_| {
        subject.node.tick();
        subject.settle();
    });
    assert_eq!(subject.node.leader(), Some(NodeId(1)));
}

/// n2 has thrown its log away and come back (rule M2). What it acknowledged in its earlier life is still on its way.
#[test]
fn an_acknowledgement_of_an_earlier_incarnation_does_not_count() {
    let mut subject = Subject::new(0, 5, Limits::default());
    subject.lead();
    let (session, term) = (subject.session(2), subject.node.term());
    let round = Round { term, number: 0 };
    let alive = message(2, term.0, Body::HeartbeatReply { session, round, lost_after: None });
    subject.node.step(Message { incarnation: Incarnation(2), ..alive }).expect("taken");
    subject.settle();
    let commit = subject.node.commit();
    subject.hear(2, Body::AppendReply { session, matched: subject.node.last().index }).expect("taken");
    assert_eq!(subject.node.follower(NodeId(2)).expect("a follower").matched, Index::ZERO);
    assert_eq!(subject.node.commit(), commit);
}
