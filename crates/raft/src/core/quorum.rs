//! Counting majorities: three small functions over a set of voters, and nothing else.
//!
//! Everything in Raft that must not be undone (a leader's election, a committed index, a confirmed read) is
//! decided by a majority of the voters. While a configuration change is under way there are two sets, and both
//! must agree (Raft paper, section 6); [`Membership`](super::membership::Membership) combines the two.

use super::id::{Index, NodeId};
use super::limits::VOTERS_MAX;

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tally {
    /// A majority said yes.
    Won,
    /// A majority can no longer say yes.
    Lost,
    /// The answers still missing decide.
    Open,
}

impl Tally {
    /// The tally of two sets that must both agree.
    #[must_use]
    pub fn and(self, other: Tally) -> Tally {
        match (self, other) {
            (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
            (Tally::Won, Tally::Won) => Tally::Won,
            _ => Tally::Open,
        }
    }
}

/// The size of a majority of this many voters.
#[must_use]
pub(crate) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The highest index that a majority of `voters` has; 0 without voters, which commits nothing.
///
/// # Panics
/// With more than [`VOTERS_MAX`] voters; no such configuration can be made.
pub(crate) fn committed(voters: &[NodeId], matched: impl Fn(NodeId) -> Index) -> Index {
    if let [lone] = voters {
        return matched(*lone);
    }
    assert!(voters.len() <= VOTERS_MAX, "a configuration of {} voters", voters.len());
    let mut indexes = [Index::ZERO; VOTERS_MAX];
    let indexes = &mut indexes[..voters.len()];
    for (slot, voter) in indexes.iter_mut().zip(voters) {
        *slot = matched(*voter);
    }
    indexes.sort_unstable();
    match voters.len() {
        0 => Index::ZERO,
        count => indexes[count - majority(count)],
    }
}

/// How a vote among `voters` stands, where `vote` gives each one's answer so far. Without voters it is lost.
pub(crate) fn tally(voters: &[NodeId], vote: impl Fn(NodeId) -> Option<bool>) -> Tally {
    let (mut yes, mut open) = (0, 0);
    for voter in voters {
        match vote(*voter) {
            Some(true) => yes += 1,
            Some(false) => {}
            None => open += 1,
        }
    }
    let needed = majority(voters.len());
    if yes >= needed {
        Tally::Won
    } else if yes + open >= needed {
        Tally::Open
    } else {
        Tally::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: u64) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    #[test]
    fn the_committed_index_is_the_one_that_a_majority_has() {
        for (matched, expected) in [
            (&[][..], 0),
            (&[7], 7),
            (&[7, 3], 3),
            (&[7, 3, 5], 5),
            (&[9, 0, 0], 0),
            (&[9, 8, 7, 6], 7),
            (&[1, 2, 3, 4, 5], 3),
            (&[5, 5, 0, 0, 0], 0),
        ] {
            let voters = voters(matched.len() as u64);
            let found = committed(&voters, |node| Index(matched[node.0 as usize - 1]));
            assert_eq!(found, Index(expected), "{matched:?}");
        }
    }

    #[test]
    fn the_committed_index_equals_its_definition_for_every_small_case() {
        for count in 1..=4_u64 {
            for case in 0..4_u64.pow(count as u32) {
                let matched = |node: NodeId| Index(case / 4_u64.pow(node.0 as u32 - 1) % 4);
                let voters = voters(count);
                let has = |index: Index| voters.iter().filter(|node| matched(**node) >= index).count();
                let expected = (0..4).map(Index).filter(|index| has(*index) >= majority(voters.len())).max();
                assert_eq!(Some(committed(&voters, matched)), expected);
            }
        }
    }

    #[test]
    fn a_vote_is_open_until_the_missing_answers_cannot_change_it() {
        for (votes, expected) in [
            (&[][..], Tally::Lost),
            (&[Some(true)], Tally::Won),
            (&[None], Tally::Open),
            (&[Some(true), None], Tally::Open),
            (&[Some(true), Some(false)], Tally::Lost),
            (&[Some(true), None, Some(true)], Tally::Won),
            (&[Some(false), None, Some(true)], Tally::Open),
            (&[Some(false), None, Some(false)], Tally::Lost),
        ] {
            let voters = voters(votes.len() as u64);
            assert_eq!(tally(&voters, |node| votes[node.0 as usize - 1]), expected, "{votes:?}");
        }
    }

    #[test]
    fn two_sets_decide_only_together() {
        assert_eq!(Tally::Won.and(Tally::Won), Tally::Won);
        assert_eq!(Tally::Won.and(Tally::Open), Tally::Open);
        assert_eq!(Tally::Open.and(Tally::Lost), Tally::Lost);
    }
}
