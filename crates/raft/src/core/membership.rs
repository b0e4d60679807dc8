//! Who is in the cluster, and how that changes without two majorities that do not know of each other.
//!
//! A change of voters goes through a *joint* configuration (Raft paper, section 6): first the old and the
//! new set must both agree to everything, and only when that is committed the new set alone. Learners get the log but
//! have no vote, so changing only them needs no joint step.
//!
//! A configuration is in force on a node from the moment its entry is in the node's log, committed or not, and
//! is undone when the entry is truncated (rule M1). [`History`] keeps what is needed for that.

use std::sync::Arc;

use super::id::{Index, NodeId};
use super::limits::{MEMBERS_MAX, VOTERS_MAX};
use super::quorum::{self, Tally};

/// A configuration of the cluster.
///
/// Invariants: every list is sorted and without duplicates; no node is a learner and a voter at once;
/// `learners_next` is a part of `outgoing` and empty outside of a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    voters: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
    learners_next: Vec<NodeId>,
}

/// One step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MembershipChange {
    /// Add a voter, or promote a learner.
    AddVoter(NodeId),
    /// Add a learner, or demote a voter.
    AddLearner(NodeId),
    /// Remove a voter or a learner.
    Remove(NodeId),
}

/// Why a configuration cannot become the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// A change is under way.
    #[error("the configuration is joint: a change is under way")]
    Joint,
    /// Nobody would be left to vote.
    #[error("no voter would remain")]
    NoVoters,
    /// A majority of the old voters would go at once (raft#372): legal, and a recipe for losing the log.
    #[error("a majority of the voters would be removed at once")]
    RemovesMajority,
    /// The result is what is in force already.
    #[error("nothing would change")]
    NoChange,
    /// More members than the limits allow.
    #[error("too many members")]
    TooMany,
}

impl Membership {
    /// A configuration of these voters and learners, outside of any change. A node in both lists is a voter. More than
    /// [`VOTERS_MAX`] voters make a configuration that no node starts with or takes from another.
    #[must_use]
    pub fn new(
        voters: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Membership {
        let voters = sorted(voters);
        let learners = sorted(learners.into_iter().filter(|node| !voters.contains(node)));
        Membership { voters, outgoing: Vec::new(), learners, learners_next: Vec::new() }
    }

    /// A configuration from its four lists, as a decoder finds them; `None` if they break an invariant.
    #[must_use]
    pub fn from_parts(
        voters: Vec<NodeId>,
        outgoing: Vec<NodeId>,
        learners: Vec<NodeId>,
        learners_next: Vec<NodeId>,
    ) -> Option<Membership> {
        let made = Membership { voters, outgoing, learners, learners_next };
        made.is_sound().then_some(made)
    }

    /// Whether the invariants and the limits hold.
    pub(crate) fn is_sound(&self) -> bool {
        let ordered = |list: &[NodeId]| list.windows(2).all(|pair| pair[0] < pair[1]);
        ordered(&self.voters)
            && ordered(&self.outgoing)
            && ordered(&self.learners)
            && ordered(&self.learners_next)
            && self.learners.iter().all(|node| !self.is_voter(*node))
            && self
                .learners_next
                .iter()
                .all(|node| self.outgoing.contains(node) && !self.voters.contains(node))
            && (self.outgoing.is_empty() || !self.voters.is_empty())
            && self.is_within_limits()
    }

    fn is_within_limits(&self) -> bool {
        self.voters.len() <= VOTERS_MAX
            && self.outgoing.len() <= VOTERS_MAX
            && self.members().count() <= MEMBERS_MAX
    }

    /// The voters; in a joint configuration those of the new set.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// The voters of the old set while a change is under way, else none.
    #[must_use]
    pub fn outgoing(&self) -> &[NodeId] {
        &self.outgoing
    }

    /// The members without a vote.
    #[must_use]
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// Voters of the old set that become learners when the change ends.
    #[must_use]
    pub fn learners_next(&self) -> &[NodeId] {
        &self.learners_next
    }

    /// Returns all four lists, in the order in which they are written.
    pub(crate) fn lists(&self) -> [&[NodeId]; 4] {
        [self.voters(), self.outgoing(), self.learners(), self.learners_next()]
    }

    /// Whether a change of voters is under way.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether the node has a vote, in either set.
    #[must_use]
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok() || self.outgoing.binary_search(&node).is_ok()
    }

    /// Whether the node takes part at all.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.is_voter(node) || self.learners.binary_search(&node).is_ok()
    }

    /// Whether this node is the only one whose agreement is ever needed.
    #[must_use]
    pub fn is_lone_voter(&self, node: NodeId) -> bool {
        self.voters == [node] && (self.outgoing.is_empty() || self.outgoing == [node])
    }

    /// Every member once: the voters, then the outgoing ones, then the learners.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        let leaving = self.outgoing.iter().filter(|node| self.voters.binary_search(node).is_err());
        self.voters.iter().chain(leaving).chain(&self.learners).copied()
    }

    /// The highest index that a quorum has.
    pub fn committed(&self, matched: impl Fn(NodeId) -> Index) -> Index {
        let new = quorum::committed(&self.voters, &matched);
        if self.is_joint() { new.min(quorum::committed(&self.outgoing, &matched)) } else { new }
    }

    /// How a vote stands.
    pub fn tally(&self, vote: impl Fn(NodeId) -> Option<bool>) -> Tally {
        let new = quorum::tally(&self.voters, &vote);
        if self.is_joint() { new.and(quorum::tally(&self.outgoing, &vote)) } else { new }
    }

    /// Whether the nodes that `agrees` names are a quorum.
    pub fn is_quorum(&self, agrees: impl Fn(NodeId) -> bool) -> bool {
        self.tally(|node| Some(agrees(node))) == Tally::Won
    }

    /// The configuration to append for this change: a joint one if voters change, else the result itself.
    ///
    /// # Errors
    /// [`ChangeRefused`] if a change is under way, or the result is empty, too large or nothing new.
    pub fn change(&self, changes: &[MembershipChange]) -> Result<Membership, ChangeRefused> {
        if self.is_joint() {
            return Err(ChangeRefused::Joint);
        }
        let mut next = self.clone();
        for change in changes {
            next.apply(*change);
        }
        if next.voters.is_empty() {
            return Err(ChangeRefused::NoVoters);
        }
        let removed = self.voters.iter().filter(|node| !next.voters.contains(node)).count();
        if removed >= quorum::majority(self.voters.len()) {
            return Err(ChangeRefused::RemovesMajority);
        }
        if next == *self {
            return Err(ChangeRefused::NoChange);
        }
        if next.voters != self.voters {
            next.outgoing.clone_from(&self.voters);
            next.learners_next = take_matching(&mut next.learners, &self.voters);
        }
        if next.is_within_limits() { Ok(next) } else { Err(ChangeRefused::TooMany) }
    }

    fn apply(&mut self, change: MembershipChange) {
        let (MembershipChange::AddVoter(node)
        | MembershipChange::AddLearner(node)
        | MembershipChange::Remove(node)) = change;
        self.voters.retain(|voter| *voter != node);
        self.learners.retain(|learner| *learner != node);
        match change {
            MembershipChange::AddVoter(_) => insert(&mut self.voters, node),
            MembershipChange::AddLearner(_) => insert(&mut self.learners, node),
            MembershipChange::Remove(_) => {}
        }
    }

    /// The configuration that ends a joint one: the new set alone.
    #[must_use]
    pub fn leave_joint(&self) -> Membership {
        let learners = self.learners.iter().chain(&self.learners_next).copied();
        Membership::new(self.voters.iter().copied(), learners)
    }

    /// Whether every quorum of this configuration shares a node with every quorum of `other`. Decided by trying
    /// all sets of nodes, so it is for tests and checkers, with a handful of nodes.
    #[must_use]
    pub fn overlaps(&self, other: &Membership) -> bool {
        let nodes = sorted(self.members().chain(other.members()));
        let holds =
            |set: u32, node: NodeId| nodes.binary_search(&node).is_ok_and(|place| set & (1 << place) != 0);
        // A quorum of ours whose complement is a quorum of theirs is a split brain.
        (0..1_u32 << nodes.len()).all(|set| {
            !(self.is_quorum(|node| holds(set, node)) && other.is_quorum(|node| !holds(set, node)))
        })
    }
}

impl std::fmt::Display for Membership {
    /// `(n1 n2 n3)`, joint `(n1 n2 n4)&(n1 n2 n3)`, with learners `(n1)+(n2)`; learners to be in `->(n3)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |nodes: &[NodeId]| {
            let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
            format!("({})", names.join(" "))
        };
        f.write_str(&list(&self.voters))?;
        for (mark, nodes) in [("&", &self.outgoing), ("+", &self.learners), ("->", &self.learners_next)] {
            if !nodes.is_empty() {
                write!(f, "{mark}{}", list(nodes))?;
            }
        }
        Ok(())
    }
}

fn sorted(nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

fn insert(nodes: &mut Vec<NodeId>, node: NodeId) {
    if let Err(place) = nodes.binary_search(&node) {
        nodes.insert(place, node);
    }
}

fn take_matching(nodes: &mut Vec<NodeId>, wanted: &[NodeId]) -> Vec<NodeId> {
    let taken = nodes.iter().filter(|node| wanted.contains(node)).copied().collect();
    nodes.retain(|node| !wanted.contains(node));
    taken
}

/// The configurations along the log: the one in force at its start, and each later one with the index of its
/// entry. The last is in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// Never empty; indexes ascend.
    steps: Vec<(Index, Arc<Membership>)>,
}

impl History {
    /// A history that starts with this configuration, in force at `index`.
    #[must_use]
    pub fn new(index: Index, membership: Membership) -> History {
        History { steps: vec![(index, Arc::new(membership))] }
    }

    fn last(&self) -> &(Index, Arc<Membership>) {
        self.steps.last().expect("a history is never empty")
    }

    /// The configuration in force.
    #[must_use]
    pub fn current(&self) -> &Arc<Membership> {
        &self.last().1
    }

    /// The index of the entry that put it in force.
    #[must_use]
    pub fn current_index(&self) -> Index {
        self.last().0
    }

    /// The configuration before the one in force, if it is known.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<Membership>> {
        let before = self.steps.len().checked_sub(2)?;
        self.steps.get(before).map(|step| &step.1)
    }

    /// The configuration that was in force at `index`; the first known one if that is later.
    #[must_use]
    pub fn at(&self, index: Index) -> &Arc<Membership> {
        let later = self.steps.partition_point(|step| step.0 <= index);
        &self.steps[later.saturating_sub(1)].1
    }

    /// Notes that the entry at `index` was appended.
    ///
    /// # Panics
    /// If `index` is not after the current one.
    pub fn append(&mut self, index: Index, membership: Membership) {
        assert!(index > self.current_index(), "configuration at {index} after {}", self.current_index());
        self.steps.push((index, Arc::new(membership)));
    }

    /// Undoes every configuration from `first` on (rule M1). Whether one was undone.
    pub fn truncate_from(&mut self, first: Index) -> bool {
        let before = self.steps.len();
        let keep = self.steps.partition_point(|step| step.0 < first).max(1);
        self.steps.truncate(keep);
        keep < before
    }

    /// Forgets what came before the configuration in force at `index`.
    pub fn compact_to(&mut self, index: Index) {
        let later = self.steps.partition_point(|step| step.0 <= index);
        self.steps.drain(..later.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::MembershipChange::{AddLearner, AddVoter, Remove};
    use super::*;

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn simple(voters: &[u64], learners: &[u64]) -> Membership {
        Membership::new(nodes(voters), nodes(learners))
    }

    #[test]
    fn a_change_of_voters_is_joint_and_ends_in_the_new_set() {
        for (changes, joint, end) in [
            (&[AddVoter(NodeId(4))][..], "(n1 n2 n3 n4)&(n1 n2 n3)+(n9)", "(n1 n2 n3 n4)+(n9)"),
            (&[Remove(NodeId(1))], "(n2 n3)&(n1 n2 n3)+(n9)", "(n2 n3)+(n9)"),
            (&[AddLearner(NodeId(3))], "(n1 n2)&(n1 n2 n3)+(n9)->(n3)", "(n1 n2)+(n3 n9)"),
            (&[AddVoter(NodeId(9))], "(n1 n2 n3 n9)&(n1 n2 n3)", "(n1 n2 n3 n9)"),
            (&[AddVoter(NodeId(4)), Remove(NodeId(1))], "(n2 n3 n4)&(n1 n2 n3)+(n9)", "(n2 n3 n4)+(n9)"),
        ] {
            let next = simple(&[1, 2, 3], &[9]).change(changes).unwrap();
            assert_eq!(next.to_string(), joint, "{changes:?}");
            assert_eq!(next.leave_joint().to_string(), end, "{changes:?}");
            assert!(next.is_sound());
        }
    }

    #[test]
    fn a_change_of_learners_needs_no_joint_step() {
        let next = simple(&[1], &[]).change(&[AddLearner(NodeId(2))]).unwrap();
        assert_eq!(next.to_string(), "(n1)+(n2)");
        assert!(!next.is_joint());
    }

    #[test]
    fn a_change_that_would_harm_is_refused() {
        let three = simple(&[1, 2, 3], &[]);
        let joint = three.change(&[AddVoter(NodeId(4))]).unwrap();
        for (from, changes, expected) in [
            (&joint, &[AddVoter(NodeId(5))][..], ChangeRefused::Joint),
            (&three, &[Remove(NodeId(1)), Remove(NodeId(2))], ChangeRefused::RemovesMajority),
            (&simple(&[1], &[]), &[Remove(NodeId(1))], ChangeRefused::NoVoters),
            (&simple(&[1], &[]), &[AddVoter(NodeId(2)), Remove(NodeId(1))], ChangeRefused::RemovesMajority),
            (&three, &[AddVoter(NodeId(2))], ChangeRefused::NoChange),
            (&three, &[Remove(NodeId(8))], ChangeRefused::NoChange),
        ] {
            assert_eq!(from.change(changes), Err(expected), "{from} {changes:?}");
        }
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let joint = simple(&[1, 2, 3], &[]).change(&[AddVoter(NodeId(4)), AddVoter(NodeId(5))]).unwrap();
        let with = |ids: &[u64]| joint.is_quorum(|node| ids.contains(&node.0));
        assert!(with(&[1, 2, 4]));
        assert!(!with(&[3, 4, 5]), "a majority of the new set only");
        assert!(!with(&[1, 2]), "a majority of the old set only");
        let matched = |node: NodeId| Index([9, 2, 1, 9, 9][node.0 as usize - 1]);
        assert_eq!(joint.committed(matched), Index(2));
    }

    #[test]
    fn every_step_of_a_change_overlaps_with_the_one_before_and_the_ends_need_not() {
        let old = simple(&[1, 2, 3], &[]);
        let joint = old.change(&[AddVoter(NodeId(4)), AddVoter(NodeId(5)), Remove(NodeId(1))]).unwrap();
        let new = joint.leave_joint();
        assert!(old.overlaps(&joint) && joint.overlaps(&new));
        assert!(!old.overlaps(&new), "which is why the joint step exists");
    }

    #[test]
    fn truncation_goes_back_to_the_configuration_before() {
        let mut history = History::new(Index(0), simple(&[1], &[]));
        history.append(Index(5), simple(&[1], &[2]));
        history.append(Index(9), simple(&[1], &[2, 3]));
        assert_eq!(history.at(Index(8)).to_string(), "(n1)+(n2)");
        assert!(history.truncate_from(Index(9)));
        assert!(!history.truncate_from(Index(9)));
        assert_eq!((history.current_index(), history.current().to_string()), (Index(5), "(n1)+(n2)".into()));
        history.compact_to(Index(7));
        assert_eq!(history.at(Index(0)).to_string(), "(n1)+(n2)");
    }

    #[test]
    fn unsound_lists_are_refused() {
        let from = |lists: [&[u64]; 4]| {
            let [voters, outgoing, learners, next] = lists.map(nodes);
            Membership::from_parts(voters, outgoing, learners, next)
        };
        assert!(from([&[1, 2], &[1], &[3], &[]]).is_some());
        for unsound in [
            [&[2, 1][..], &[], &[], &[]],
            [&[1, 1], &[], &[], &[]],
            [&[1], &[], &[1], &[]],
            [&[1], &[2], &[2], &[]],
            [&[1], &[], &[], &[2]],
            [&[1, 2], &[2], &[], &[2]],
            [&[], &[1], &[], &[]],
        ] {
            assert_eq!(from(unsound), None, "{unsound:?}");
        }
    }
}
