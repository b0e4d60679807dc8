//! What a member has said it has promised: terms do not fall and votes are not forgotten, over
//! restarts too (rules W3, W6).

use std::collections::BTreeMap;

use raft::{Body, HardState, Message, NodeId, Term};

#[derive(Default)]
pub(crate) struct Promises {
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The latest term that each node has spoken in.
    terms: BTreeMap<NodeId, Term>,
}

impl Promises {
    /// Takes a message that leaves a process.
    pub(crate) fn sent(&mut self, message: &Message) {
        let spoken = self.terms.entry(message.from).or_default();
        *spoken = message.term.max(*spoken);
        let candidate = match message.body {
            Body::VoteReply { granted: true } => message.to,
            Body::Vote { .. } => message.from,
            _ => return,
        };
        let voted = *self.votes.entry((message.from, message.term)).or_insert(candidate);
        assert_eq!(voted, candidate, "{} voted twice in term {}", message.from, message.term);
    }

    /// Takes the term and vote that a member starts with.
    pub(crate) fn restored(&self, id: NodeId, found: HardState) {
        let spoken = self.terms.get(&id).copied().unwrap_or_default();
        assert!(found.term >= spoken, "{id} is back in term {}, after it spoke in {spoken}", found.term);
        if let Some(candidate) = self.votes.get(&(id, found.term)) {
            assert_eq!(found.vote, Some(*candidate), "{id} forgot its vote in term {}", found.term);
        }
    }
}
