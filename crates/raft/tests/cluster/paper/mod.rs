//! What the Raft paper says of a single node, sentence by sentence. The node under test is n1; its disk and its state machine
//! work at once, and the other voters are made up.

mod elections;
mod members;
mod replication;

use bytes::Bytes;
use raft::{
    Body, Config, Entry, EntryId, HardState, History, Incarnation, Index, Membership, Message, Node, NodeId,
    Payload, Ready, Restored, RoleName, Session, Term, TermRuns,
};

/// The shortest election timeout in these tests, in ticks.
const ELECTION_TICKS: u32 = 10;

/// The node under test and what it did.
struct Subject {
    node: Node,
    /// What it sent since the last look.
    sent: Vec<Message>,
    committed: Vec<Entry>,
    /// What its disk holds.
    disk: Vec<Entry>,
}

fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Index(index), Term(term))
}

fn entry(index: u64, term: u64) -> Entry {
    let payload = Payload::Command(Bytes::from(format!("{index}@{term}")));
    Entry { index: Index(index), term: Term(term), payload }
}

/// A log of entries of these terms.
fn log_of(terms: &[u64]) -> Vec<Entry> {
    terms.iter().enumerate().map(|(place, term)| entry(place as u64 + 1, *term)).collect()
}

fn names(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(Entry::id).collect()
}

impl Subject {
    /// Among `voters` nodes, in `term`, with a log of entries of these terms, of which `commit` are committed.
    fn new(voters: u64, term: u64, log: &[u64], commit: u64, seed: u64) -> Subject {
        let entries = log_of(log);
        let mut terms = TermRuns::new(EntryId::ZERO);
        entries.iter().for_each(|entry| terms.append(entry.id()));
        let membership = Membership::new((1..=voters).map(NodeId), []);
        let restored = Restored {
            hard_state: HardState { term: Term(term), vote: None },
            tail: entries.clone(),
            terms,
            commit: Index(commit),
            applied: Index(commit),
            memberships: History::new(Index::ZERO, membership.clone()),
            ..Restored::fresh(membership)
        };
        let config = Config { election_ticks: ELECTION_TICKS, ..Config::new(NodeId(1), seed) };
        let node = Node::new(config, restored);
        Subject { node, sent: Vec::new(), committed: Vec::new(), disk: entries }
    }

    fn follower(voters: u64, term: u64, log: &[u64]) -> Subject {
        Subject::new(voters, term, log, 0, 1)
    }

    fn pre_candidate(voters: u64, term: u64, log: &[u64]) -> Subject {
        let mut subject = Subject::follower(voters, term, log);
        subject.node.campaign();
        subject.settle();
        subject
    }

    /// A candidate of the term after `term`: everybody said yes to its pre-vote.
    fn candidate(voters: u64, term: u64, log: &[u64]) -> Subject {
        let mut subject = Subject::pre_candidate(voters, term, log);
        for voter in 2..=voters {
            let next_term = Term(term + 1);
            subject.hear(voter, term, Body::PreVoteReply { next_term, granted: true });
        }
        subject.sent.clear();
        subject
    }

    /// A leader of the term after `term`: everybody voted for it. Its first entry is appended, and sent.
    fn leader(voters: u64, term: u64, log: &[u64]) -> Subject {
        let mut subject = Subject::candidate(voters, term, log);
        for voter in 2..=voters {
            subject.hear(voter, term + 1, Body::VoteReply { granted: true });
        }
        assert_eq!(subject.node.role(), RoleName::Leader);
        subject.sent.clear();
        subject
    }

    /// A leader whose followers have everything it has, and know it.
    fn established(voters: u64, term: u64, log: &[u64]) -> Subject {
        let mut subject = Subject::leader(voters, term, log);
        let last = subject.node.last().index.0;
        (2..=voters).for_each(|voter| subject.acknowledge(voter, last));
        assert!(subject.node.is_established());
        subject.sent.clear();
        subject
    }

    /// A message from another node.
    fn hear(&mut self, from: u64, term: u64, body: Body) {
        let incarnation = Incarnation(1);
        let message = Message { from: NodeId(from), incarnation, to: NodeId(1), term: Term(term), body };
        self.node.step(message).expect("a sound message");
        self.settle();
    }

    fn append(&mut self, from: u64, term: u64, previous: EntryId, entries: Vec<Entry>, commit: u64) {
        let body = Body::Append { session: Session(1), previous, entries, commit: Index(commit) };
        self.hear(from, term, body);
    }

    /// Voter `from` says that it has everything up to `matched`.
    fn acknowledge(&mut self, from: u64, matched: u64) {
        // The leader gives its relations numbers in the order of the members.
        let body = Body::AppendReply { session: Session(from - 1), matched: Index(matched) };
        self.hear(from, self.node.term().0, body);
    }

    fn tick(&mut self) {
        self.node.tick();
        self.settle();
    }

    /// Ticks until it asks for votes or pre-votes; how often.
    fn ticks_to_campaign(&mut self) -> u32 {
        let asks = |message: &Message| matches!(message.body, Body::PreVote { .. } | Body::Vote { .. });
        self.sent.clear();
        for ticks in 1..=4 * ELECTION_TICKS {
            self.tick();
            if self.sent.iter().any(asks) {
                return ticks;
            }
        }
        panic!("no campaign");
    }

    fn settle(&mut self) {
        while let Some(Ready { send, persist, committed, .. }) = self.node.ready() {
            self.sent.extend(send);
            if let Some(persist) = persist {
                if let Some(first) = persist.truncate_from {
                    self.disk.retain(|entry| entry.index < first);
                }
                self.disk.extend(persist.entries);
                self.node.persisted(persist.ack);
                self.sent.extend(persist.then_send);
            }
            if let Some(last) = committed.last() {
                self.node.applied(last.index);
            }
            self.committed.extend(committed);
        }
        self.node.check_invariants();
    }

    /// The messages of this kind that were sent, in the order of their addressees.
    fn sent(&mut self, name: &str) -> Vec<Message> {
        let mut found: Vec<Message> =
            self.sent.iter().filter(|message| message.body.name() == name).cloned().collect();
        found.sort_by_key(|message| message.to);
        found
    }
}
