//! Linearizable reads: an answer has seen everything that was committed when the read was asked
//! (rules R1 to R5).

use std::collections::BTreeMap;

use raft::{Index, NodeId, ReadReady, ReadToken};

#[derive(Default)]
pub(crate) struct Reads {
    asked: u64,
    /// By whom, and what was committed then.
    waiting: BTreeMap<ReadToken, (NodeId, Index)>,
}

impl Reads {
    /// Returns a token for a read that is about to be asked.
    pub(crate) fn next(&mut self) -> ReadToken {
        self.asked += 1;
        ReadToken(self.asked)
    }

    /// Takes a read that a node has accepted.
    pub(crate) fn asked(&mut self, id: NodeId, token: ReadToken, committed: Index) {
        self.waiting.insert(token, (id, committed));
    }

    pub(crate) fn answered(&mut self, id: NodeId, read: ReadReady) {
        let (asked_by, committed) = self.waiting.remove(&read.token).expect("a read that waits");
        assert_eq!(asked_by, id, "an answer for another node");
        assert!(
            read.index >= committed,
            "{id} reads at {}, but {committed} was committed when it was asked",
            read.index
        );
    }

    pub(crate) fn abandoned(&mut self, token: ReadToken) {
        assert!(self.waiting.remove(&token).is_some(), "{token} was not waiting");
    }

    /// After a crash there is nobody who waits for a node's reads.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.waiting.retain(|_, (asked_by, _)| *asked_by != id);
    }

    /// Returns how many reads are neither answered nor given up.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
