//! Loss: what a node must get back before its voice counts again (rule M5).
//!
//! A voter's acknowledgement may have committed an entry. If it then loses the entry, a vote of its would help to elect a
//! leader without it, and the entry would be gone for all. So a node that knows of a loss neither votes nor campaigns until
//! it is good as before. It may know in two ways: a leader's heartbeat speaks of entries that it does not have; or its shell
//! threw them away on purpose ([`Log::forget_entries`](crate::durable::Log::forget_entries)).

use super::id::{EntryId, Index, Term};

/// Entries that this node may have acknowledged, and does not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// None of them is after this index.
    pub until: Index,
    /// The term the node was in: it acknowledged nothing to the leader of a later one.
    pub term: Term,
}

impl Loss {
    /// Whether a log that is durable up to `stable`, and known to be committed up to `commit`, makes good for the loss.
    ///
    /// Either it reaches as far as the lost one, committed: then whatever of the lost entries was ever committed is there
    /// again. Or it holds an entry of a later term: its leader was elected without this node's voice, so by a quorum that
    /// has everything committed before (Leader Completeness), and the log agrees with it up to that entry.
    pub(crate) fn is_made_good(&self, commit: Index, stable: EntryId) -> bool {
        commit.min(stable.index) >= self.until || stable.term > self.term
    }

    /// Both losses.
    pub(crate) fn and(self, other: Option<Loss>) -> Loss {
        let Some(other) = other else { return self };
        Loss { until: self.until.max(other.until), term: self.term.max(other.term) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_made_good_by_as_many_committed_entries_or_by_one_of_a_later_term() {
        let loss = Loss { until: Index(7), term: Term(3) };
        for (commit, stable, expected) in [
            (7, EntryId::new(Index(7), Term(3)), true),
            (9, EntryId::new(Index(6), Term(3)), false),
            (6, EntryId::new(Index(9), Term(3)), false),
            (0, EntryId::new(Index(2), Term(4)), true),
        ] {
            assert_eq!(loss.is_made_good(Index(commit), stable), expected, "{commit} {stable}");
        }
    }
}
