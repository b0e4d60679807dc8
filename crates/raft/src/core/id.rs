//! The numbers of consensus, each with a type of its own.
//!
//! Mixing up a term and an index compiles in most Raft implementations and corrupts a cluster at run time.
//! Here it does not compile. They print as the documentation writes them: `n1` a node, `5@2` the entry at
//! index 5 of term 2, `n1@3` a node in term 3.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, $format), self.0)
            }
        }
    };
}

number! {
    /// Names a node for ever: an id of a removed node is never given to another one (rule M2). Prints in
    /// hexadecimal, as etcd prints member ids.
    NodeId, "n", "{:x}"
}
number! {
    /// A period with at most one leader (Raft paper, section 5.1). 0 before the first election.
    Term, "", "{}"
}
number! {
    /// A place in the log; the first entry has index 1, and 0 is the place before it.
    Index, "", "{}"
}
number! {
    /// Which life of a data directory speaks. A node that lost its directory and starts anew takes a higher one,
    /// so that nobody mistakes it for the node that made the promises on the lost disk (rule M2).
    Incarnation, "i", "{}"
}
number! {
    /// Which start of the node: no two starts of one incarnation share it. It makes the ids of forwarded
    /// reads unique across restarts (rule R2).
    Boot, "b", "{}"
}
number! {
    /// One follower's relation to one leader, from joining the configuration to leaving it. Echoed in every
    /// answer, so that an answer given before the node was removed and added again cannot be taken for a new one.
    Session, "s", "{}"
}
number! {
    /// The caller's name for a read; the core only hands it back.
    ReadToken, "r", "{}"
}

impl Term {
    /// The term after this one.
    ///
    /// # Panics
    /// When terms run out, after 2^64 elections.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0.checked_add(1).expect("terms do not run out"))
    }
}

impl Index {
    /// The place before the first entry.
    pub const ZERO: Index = Index(0);

    /// The place after this one.
    ///
    /// # Panics
    /// When indexes run out; messages with such indexes are refused at the door.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0.checked_add(1).expect("indexes do not run out"))
    }

    /// The place before this one; the place before 0 is 0.
    #[must_use]
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }

    /// This many places further.
    #[must_use]
    pub fn plus(self, count: usize) -> Index {
        Index(self.0 + count as u64)
    }

    /// How many entries lie after `other`, up to and including this place.
    #[must_use]
    pub fn since(self, other: Index) -> u64 {
        self.0.saturating_sub(other.0)
    }
}

/// An entry's full name. Two logs that hold an entry of the same name are equal up to it (Log Matching).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// Its place.
    pub index: Index,
    /// The term of the leader that created it.
    pub term: Term,
}

impl EntryId {
    /// The place before the first entry of any log.
    pub const ZERO: EntryId = EntryId { index: Index(0), term: Term(0) };

    /// The entry at `index`, created in `term`.
    #[must_use]
    pub const fn new(index: Index, term: Term) -> EntryId {
        EntryId { index, term }
    }

    /// Whether a log that ends here may lead one that ends at `other` (Raft paper, section 5.4.1).
    #[must_use]
    pub fn is_up_to_date_with(self, other: EntryId) -> bool {
        (self.term, self.index) >= (other.term, other.index)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_the_documentation_writes_them() {
        assert_eq!(NodeId(0x8e9e_05c5).to_string(), "n8e9e05c5");
        assert_eq!(EntryId::new(Index(5), Term(2)).to_string(), "5@2");
    }

    #[test]
    fn a_later_term_beats_a_longer_log() {
        let longer = EntryId::new(Index(9), Term(1));
        let later = EntryId::new(Index(3), Term(2));
        assert!(later.is_up_to_date_with(longer));
        assert!(!longer.is_up_to_date_with(later));
        assert!(later.is_up_to_date_with(later));
    }
}
