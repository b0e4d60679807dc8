//! What must hold after every event, whatever happened (Raft paper, figure 3; names as in etcd's TLA+ specification).

use std::collections::BTreeMap;

use raft::{Body, Entry, Index, Membership, Message, NodeId, Payload, ReadToken, RoleName, Status, Term};

use super::member::{Member, Store};

/// Everything that any node has ever shown, against which each new sight is held.
#[derive(Clone, Default)]
pub(crate) struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    terms: BTreeMap<NodeId, Term>,
    /// The committed log, as the first node that knew it had it.
    committed: Vec<Entry>,
    configurations: Vec<Membership>,
    /// What was committed when each read was asked.
    reads: BTreeMap<ReadToken, Index>,
    pub(crate) reads_answered: u64,
}

impl Checker {
    pub(crate) fn start(&mut self, membership: &Membership) {
        self.configurations.push(membership.clone());
    }

    pub(crate) fn committed(&self) -> &[Entry] {
        &self.committed
    }

    /// Nothing leaves a node before what it promises is on its disk (rule W6); and one vote in a term, across restarts.
    pub(crate) fn sent(&mut self, message: &Message, store: &Store) {
        let durable = store.hard_state;
        assert!(durable.term >= message.term, "sent before its term was durable: {message:?}");
        match message.body {
            Body::VoteReply { granted: true } => {
                let voted = *self.votes.entry((message.from, message.term)).or_insert(message.to);
                assert_eq!(voted, message.to, "{} voted twice in term {}", message.from, message.term);
                let forgotten = durable.term == message.term && durable.vote != Some(message.to);
                assert!(!forgotten, "sent before the vote was durable: {message:?}");
            }
            Body::AppendReply { matched, .. } if durable.term == message.term => {
                assert!(store.last().index >= matched, "sent before the entries were durable: {message:?}");
            }
            _ => {}
        }
    }

    /// A node goes on with what its disk says; a term that it had told nobody may be forgotten.
    pub(crate) fn restarted(&mut self, id: NodeId, store: &Store) {
        self.terms.insert(id, store.hard_state.term);
    }

    pub(crate) fn read_asked(&mut self, token: ReadToken) {
        self.reads.insert(token, Index(self.committed.len() as u64));
    }

    pub(crate) fn read_abandoned(&mut self, token: ReadToken) {
        assert!(self.reads.remove(&token).is_some(), "{token} was not waiting");
    }

    /// A read sees everything that was committed when it was asked (rules R1 to R5).
    pub(crate) fn read_answered(&mut self, token: ReadToken, index: Index) {
        let asked_at = self.reads.remove(&token).expect("a read that waits");
        assert!(index >= asked_at, "stale read {token}: {index}, committed was {asked_at}");
        self.reads_answered += 1;
    }

    /// How many reads are neither answered nor given up.
    pub(crate) fn reads_waiting(&self) -> usize {
        self.reads.len()
    }

    /// After a crash nobody waits for a node's reads.
    pub(crate) fn forget_reads(&mut self, mut of: impl FnMut(ReadToken) -> bool) {
        self.reads.retain(|token, _| !of(*token));
    }

    /// All of it, for all members, after an event at `changed`.
    pub(crate) fn check(&mut self, members: &BTreeMap<NodeId, Member>, changed: NodeId) {
        let member = &members[&changed];
        self.check_noted(changed, member.store.commit);
        let Some(node) = &member.node else { return };
        node.check_invariants();
        let status = node.status();
        let term = self.terms.entry(changed).or_default();
        assert!(status.term >= *term, "{changed}: the term fell from {term} to {}", status.term);
        *term = status.term;
        self.check_committed(members, changed, &status);
        if status.role == RoleName::Leader {
            self.check_leader(members, changed, &status);
        }
        check_log_matching(members, changed);
    }

    /// What a disk notes as committed is committed: the next start hands it to the state machine.
    fn check_noted(&self, id: NodeId, noted: raft::EntryId) {
        if noted.index > Index::ZERO {
            let known = self.committed.get(noted.index.0 as usize - 1).map(Entry::id);
            assert_eq!(known, Some(noted), "{id} notes {noted} as committed");
        }
    }

    /// StateMachineSafety and CommittedIsDurable.
    fn check_committed(&mut self, members: &BTreeMap<NodeId, Member>, changed: NodeId, status: &Status) {
        let node = members[&changed].node.as_ref().expect("a running node");
        for index in (status.base.index.0 + 1)..=status.commit.0 {
            let index = Index(index);
            let term = node.term_at(index).expect("a committed entry is in the log");
            match self.committed.get(index.0 as usize - 1) {
                Some(known) => assert_eq!(known.term, term, "{changed} committed another entry at {index}"),
                None => self.commit_first(members, changed, index, term),
            }
        }
        for (place, entry) in members[&changed].state.iter().enumerate() {
            assert_eq!(Some(entry), self.committed.get(place), "{changed} applied something else");
        }
    }

    /// An entry is committed for the first time: a quorum has it on disk, and the entry itself is kept.
    fn commit_first(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        changed: NodeId,
        index: Index,
        term: Term,
    ) {
        let node = members[&changed].node.as_ref().expect("a running node");
        let id = raft::EntryId::new(index, term);
        let has = |node: NodeId| members.get(&node).is_some_and(|member| member.store.holds(id));
        // Decided by the leader's configuration: the one at the commit, or a later one that is in its log already.
        let (then, now) = (node.membership_at(node.status().commit), node.membership());
        let decided_by = [then, now].into_iter().find(|membership| membership.is_quorum(has));
        let decided_by = decided_by.unwrap_or_else(|| {
            panic!("{id} is committed at {changed}, but not durable on a quorum of {then} or {now}")
        });
        check_final(members, id, decided_by);
        let entry = members.values().flat_map(|member| &member.store.entries).find(|entry| entry.id() == id);
        let entry = entry.expect("a committed entry is on some disk").clone();
        if let Payload::Membership(change) = &entry.payload {
            let before = self.configurations.last().expect("the first configuration");
            assert!(before.overlaps(&change.membership), "{before} and {} do not overlap", change.membership);
            self.configurations.push(change.membership.clone());
        }
        self.committed.push(entry);
    }

    /// ElectionSafety and LeaderCompleteness.
    fn check_leader(&mut self, members: &BTreeMap<NodeId, Member>, leader: NodeId, status: &Status) {
        let known = *self.leaders.entry(status.term).or_insert(leader);
        assert_eq!(known, leader, "two leaders in term {}", status.term);
        let store = &members[&leader].store.hard_state;
        assert_eq!((store.term, store.vote), (status.term, Some(leader)), "a leader's own vote is durable");
        // Only the leader of the latest term must have everything: an old one may not know yet that it is deposed.
        if self.leaders.keys().next_back() != Some(&status.term) {
            return;
        }
        let node = members[&leader].node.as_ref().expect("a running node");
        for entry in self.committed.iter().filter(|entry| entry.index > status.base.index) {
            assert_eq!(node.term_at(entry.index), Some(entry.term), "leader {leader} lacks {}", entry.id());
        }
    }
}

/// QuorumLog: what is committed stays. Nobody who lacks the entry could be elected now, not even if all who may vote for him
/// did: this finds a commit that was too early when it happens, and not only when another leader overwrites it.
fn check_final(members: &BTreeMap<NodeId, Member>, id: raft::EntryId, membership: &Membership) {
    let store = |node: NodeId| members.get(&node).map(|member| &member.store);
    for candidate in membership.members().filter(|node| membership.is_voter(*node)) {
        let Some(lacking) = store(candidate).filter(|store| !store.holds(id)) else { continue };
        let would_elect = |voter: NodeId| {
            let asked = store(voter).filter(|asked| asked.loss.is_none());
            voter == candidate || asked.is_some_and(|asked| lacking.last().is_up_to_date_with(asked.last()))
        };
        assert!(
            !membership.is_quorum(would_elect),
            "{id} is committed, and {candidate} could lead without it"
        );
    }
}

/// LogMatching: if two logs hold the same entry, they are equal up to it.
fn check_log_matching(members: &BTreeMap<NodeId, Member>, changed: NodeId) {
    let Some(one) = &members[&changed].node else { return };
    for (id, other) in members.iter().filter(|(id, _)| **id != changed) {
        let Some(other) = &other.node else { continue };
        let (a, b) = (one.status(), other.status());
        let first = a.base.index.max(b.base.index).0;
        let last = a.last.index.min(b.last.index).0;
        let same = |index: u64| one.term_at(Index(index)) == other.term_at(Index(index));
        let Some(agree) = (first..=last).rev().find(|index| same(*index)) else { continue };
        assert!((first..=agree).all(same), "the logs of {changed} and {id} agree at {agree}, not before");
    }
}
