//! What the log is made of.

use std::sync::Arc;

use bytes::Bytes;

use super::id::{EntryId, Index, Term};
use super::membership::Membership;

/// One place of the log. Cloning shares the payload's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term of the leader that created it.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing. A new leader commits one of these first: only an entry of its own term proves what is
    /// committed (Raft paper, section 5.4.2 and 8).
    Empty,
    /// A command for the state machine, encoded by the proposer; the core never looks inside.
    Command(Bytes),
    /// The cluster's configuration from this entry on.
    Membership(Arc<MembershipEntry>),
}

/// A change of configuration. The entry carries the whole configuration that results, not the difference: a
/// node that appends it needs to know nothing else, and truncating it is going back to the one before (rule M1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MembershipEntry {
    /// The configuration in force as soon as the entry is in the log.
    pub membership: Membership,
    /// What the proposer wants the state machine to see when the change commits (names, addresses).
    pub context: Bytes,
}

impl Entry {
    /// The entry's name.
    #[must_use]
    pub fn id(&self) -> EntryId {
        EntryId::new(self.index, self.term)
    }

    /// What the entry costs in memory and on the wire, in bytes, for budgets.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 32;
        FIXED + self.payload.weight()
    }
}

impl Payload {
    /// Returns how long it is in the log, in bytes; what [`Limits::entry_bytes_max`](crate::Limits::entry_bytes_max) bounds.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        match self {
            Payload::Empty => 0,
            Payload::Command(bytes) => bytes.len(),
            Payload::Membership(entry) => {
                let lists = entry.membership.lists();
                lists.iter().map(|list| 2 + 8 * list.len()).sum::<usize>() + entry.context.len()
            }
        }
    }

    fn weight(&self) -> usize {
        match self {
            Payload::Empty => 0,
            Payload::Command(bytes) => bytes.len(),
            Payload::Membership(entry) => entry.context.len() + 8 * entry.membership.members().count(),
        }
    }
}
