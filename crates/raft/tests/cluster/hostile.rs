//! Peers are not trusted with this process's life (rule S9): whatever message arrives, the node refuses it or takes it,
//! and neither panics nor breaks what it can check of itself.
//!
//! What such messages say may be false, so nothing is checked across nodes here.

use std::sync::Arc;

use raft::{
    Body, CampaignReason, Entry, EntryId, Incarnation, Index, Membership, MembershipEntry, Message, Node,
    NodeId, Payload, ReadRequestId, Ready, Round, Session, SnapshotMeta, Term,
};

use crate::explore::{Random, history};
use crate::network::Network;
use crate::network::member::Work;

impl Random {
    /// Mostly small, where it may hit something; sometimes as large as can be.
    fn number(&mut self) -> u64 {
        match self.below(40) {
            0 => u64::MAX,
            1 => u64::MAX / 4,
            2 => u64::MAX / 4 - 1,
            _ => self.below(40) as u64,
        }
    }

    fn entry_id(&mut self) -> EntryId {
        EntryId::new(Index(self.number()), Term(self.number() % 8))
    }

    fn nodes(&mut self) -> Vec<NodeId> {
        (0..self.below(4)).map(|_| NodeId(1 + self.below(6) as u64)).collect()
    }

    fn entries(&mut self, after: EntryId) -> Vec<Entry> {
        let mut before = after;
        let mut next = |random: &mut Random| {
            let payload = match random.below(6) {
                0 => {
                    let membership = Membership::new(random.nodes(), random.nodes());
                    Payload::Membership(Arc::new(MembershipEntry {
                        membership,
                        context: bytes::Bytes::new(),
                    }))
                }
                1 => Payload::Empty,
                number => Payload::Command(bytes::Bytes::from(vec![number as u8; number])),
            };
            let gap = u64::from(random.below(30) == 0);
            let index = Index(before.index.0.wrapping_add(1 + gap));
            let term = Term(before.term.0 + u64::from(random.below(4) == 0));
            before = EntryId::new(index, term);
            Entry { term, index, payload }
        };
        (0..self.below(5)).map(|_| next(self)).collect()
    }

    fn body(&mut self, term: Term) -> Body {
        let session = Session(self.below(6) as u64);
        let round = Round { term, number: self.number() };
        let request = ReadRequestId { boot: raft::Boot(1), number: self.below(5) as u64 };
        match self.below(15) {
            0 => Body::PreVote { next_term: Term(term.0.wrapping_add(1)), last: self.entry_id() },
            1 => Body::PreVoteReply { next_term: Term(term.0.wrapping_add(1)), granted: self.below(2) == 0 },
            2 => Body::Vote { last: self.entry_id(), reason: CampaignReason::Transfer },
            3 => Body::VoteReply { granted: self.below(2) == 0 },
            4..7 => {
                let previous = self.entry_id();
                let entries = self.entries(previous);
                Body::Append { session, previous, entries, commit: Index(self.number()) }
            }
            7 => Body::AppendReply { session, matched: Index(self.number()) },
            8 => Body::AppendRefused { session, refused: Index(self.number()), hint: self.entry_id() },
            9 => Body::Commit { entry: self.entry_id() },
            10 => {
                let commit = self.entry_id();
                let commit_term = (self.below(3) > 0).then_some(commit.term);
                Body::Heartbeat { session, commit: commit.index, commit_term, round }
            }
            11 => {
                let lost_after = (self.below(3) == 0).then(|| Index(self.number()));
                Body::HeartbeatReply { session, round, lost_after }
            }
            12 => Body::ReadReply { request, index: Index(self.number()) },
            13 => {
                let membership = Membership::new(self.nodes(), self.nodes());
                Body::InstallSnapshot {
                    session,
                    snapshot: SnapshotMeta { last: self.entry_id(), membership },
                }
            }
            _ => [Body::CampaignNow, Body::LaterTerm, Body::Read { request }][self.below(3)].clone(),
        }
    }

    fn message(&mut self, to: &Node) -> Message {
        let status = to.status();
        let term = match self.below(20) {
            0 => Term(self.number()),
            1..4 => Term(status.term.0 + 1),
            _ => status.term,
        };
        Message {
            from: NodeId(1 + self.below(5) as u64),
            incarnation: Incarnation(1 + self.below(3) as u64),
            to: status.id,
            term,
            body: self.body(term),
        }
    }
}

/// Lets the node have its way, with a disk and a state machine that always work.
fn satisfy(node: &mut Node) {
    while let Some(ready) = node.ready() {
        let Ready { persist, committed, install, fetches, .. } = ready;
        if let Some(persist) = persist {
            node.persisted(persist.ack);
        }
        if let Some(last) = committed.last() {
            node.applied(last.index);
        }
        for fetch in &fetches {
            node.fetched(fetch, Vec::new());
            if fetch.purpose == raft::FetchPurpose::Apply {
                return; // It would be asked for again.
            }
        }
        if let Some(snapshot) = install {
            node.installed(&snapshot);
        }
    }
    node.check_invariants();
}

fn drain(network: &mut Network, id: NodeId) -> Option<Node> {
    let member = network.member(id);
    let mut node = member.node.take()?;
    for work in member.queue.drain(..) {
        match work {
            Work::Persist(persist) => node.persisted(persist.ack),
            Work::Install(snapshot, _) => node.installed(&snapshot),
        }
    }
    Some(node)
}

#[test]
fn no_message_makes_a_node_panic() {
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..300 {
        let mut network = history(seed, 200, |_| {});
        let ids: Vec<NodeId> = network.members.keys().copied().collect();
        let mut random = Random(seed + 1);
        for id in ids {
            let Some(mut node) = drain(&mut network, id) else { continue };
            satisfy(&mut node);
            for _ in 0..200 {
                let message = random.message(&node);
                match node.step(message) {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
                if random.below(10) == 0 {
                    node.tick();
                }
                satisfy(&mut node);
            }
        }
    }
    assert!(taken > 10_000 && refused > 10_000, "{taken} taken, {refused} refused");
}
