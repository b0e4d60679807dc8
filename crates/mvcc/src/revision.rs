//! Revisions: places in the history of the keys.
//!
//! A revision is a pair. `main` counts the transactions that changed something; `sub` numbers the changes of one
//! transaction in the order in which they were made. An empty store is at revision 1, so the first change is `r2.0`.

use std::fmt;

/// A place in the history of the keys. Printed as `r17.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// The transaction.
    pub main: i64,
    /// The change within the transaction, from 0.
    pub sub: u32,
}

impl Revision {
    /// Whether `next` may be the very next change after this one.
    pub(crate) fn precedes(self, next: Self) -> bool {
        self.sub.checked_add(1).is_some_and(|sub| next == Self { sub, ..self })
            || next == Self { main: self.main + 1, sub: 0 }
    }

    /// The same in a store that is compacted up to a revision: of what compaction has passed, changes may be missing. A store
    /// that was made from a backup has of its compact revision what the backup has.
    pub(crate) fn precedes_beyond(self, next: Self, compact_revision: i64) -> bool {
        let is_passed = next.main <= compact_revision || next == Self { main: compact_revision + 1, sub: 0 };
        self.precedes(next) || (is_passed && self < next)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "r{}.{}", self.main, self.sub)
    }
}

/// The lease that a key is attached to; 0 is none. This crate stores it and knows nothing else about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaseId(pub i64);

/// A place in the log that the caller replicates: everything up to here is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Index of the last entry applied.
    pub index: u64,
    /// Its term.
    pub term: u64,
}

/// What is known of a version of a key without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Main revision of the first put of this life of the key.
    pub create_revision: i64,
    /// The change that made this version.
    pub mod_revision: Revision,
    /// 1 for the first put of this life, then one more for each.
    pub version: i64,
    /// The lease that the key is attached to.
    pub lease: LeaseId,
}
